"""Clients of the client protocol that do nothing by themselves: over a WebSocket, or over an endless response."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.waiting import PATIENCE

TRANSPORTS = ("websocket", "sse", "http_stream")


class Ended(Exception):
    """The server has closed the connection."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}")
        self.code = code
        self.reason = reason


class ProtocolClient:
    """JSON commands out; replies and pushes in, in the order they came. Pings are answered."""

    def __init__(self) -> None:
        self._received: deque[dict[str, Any]] = deque()
        self._ids = 0
        self.pushes: list[dict[str, Any]] = []
        """What came while a reply was waited for."""
        self.connected: dict[str, Any] = {}

    async def write(self, text: str) -> None:
        raise NotImplementedError

    async def read(self) -> list[dict[str, Any]]:
        """The messages of the next frame or chunk. Raises `Ended`."""
        raise NotImplementedError

    async def receive(self) -> dict[str, Any]:
        """The next reply or push, no ping. Raises `Ended`."""
        async with asyncio.timeout(PATIENCE):
            while True:
                while not self._received:
                    self._received.extend(await self.read())
                message = self._received.popleft()
                if message:
                    return message
                await self.write("{}")

    async def push(self) -> dict[str, Any]:
        """The next push."""
        if self.pushes:
            return self.pushes.pop(0)
        found: dict[str, Any] = (await self.receive())["push"]
        return found

    async def ask(self, **command: Any) -> dict[str, Any]:
        """The reply to a command."""
        self._ids += 1
        await self.write(json.dumps({"id": self._ids, **command}))
        return await self.reply()

    async def reply(self) -> dict[str, Any]:
        """The next reply; pushes before it are kept."""
        while "push" in (message := await self.receive()):
            self.pushes.append(message["push"])
        return message

    async def end(self) -> tuple[int, str]:
        """Wait until the server closes; code and reason."""
        try:
            while True:
                await self.receive()
        except Ended as ended:
            return ended.code, ended.reason

    def connect_command(self, **request: Any) -> dict[str, Any]:
        self._ids += 1
        return {"id": self._ids, "connect": request}


class Socket(ProtocolClient):
    def __init__(self, connection: ClientConnection) -> None:
        super().__init__()
        self.connection = connection

    async def write(self, text: str) -> None:
        await self.connection.send(text)

    async def read(self) -> list[dict[str, Any]]:
        try:
            return [json.loads(line) for line in (await self.connection.recv()).splitlines()]
        except ConnectionClosed:
            assert self.connection.close_code is not None, "it is closed"
            raise Ended(self.connection.close_code, self.connection.close_reason or "") from None


class Streaming(ProtocolClient):
    def __init__(self, http: httpx.AsyncClient, host: str, response: httpx.Response) -> None:
        super().__init__()
        self._http = http
        self._host = host
        self.response = response
        self._lines = response.aiter_lines()

    async def write(self, text: str) -> None:
        response = await self.emulate(text)
        assert response.status_code == 204, response.text

    async def emulate(self, data: str, **other: str) -> httpx.Response:
        to = {"session": self.connected["session"], "node": self.connected["node"]} | other
        return await self._http.post(f"http://{self._host}/emulation", json=to | {"data": data})

    async def read(self) -> list[dict[str, Any]]:
        try:
            line = (await anext(self._lines)).removeprefix("data: ")
        except (StopAsyncIteration, httpx.RemoteProtocolError):
            raise Ended(1006, "") from None
        messages = [json.loads(line)] if line.strip() else []
        for message in messages:
            if "disconnect" in message.get("push", ()):
                raise Ended(message["push"]["disconnect"]["code"], message["push"]["disconnect"]["reason"])
        return messages


@asynccontextmanager
async def opened(host: str, transport: str = "websocket", **request: Any) -> AsyncIterator[ProtocolClient]:
    """A client that has sent `connect` with this request; what it was answered is in `connected`."""
    async with _OPEN[transport](host, **request) as client:
        reply = await client.reply()
        client.connected = reply.get("connect", {})
        client.connected["error"] = reply.get("error")
        yield client


@asynccontextmanager
async def _websocket(host: str, **request: Any) -> AsyncIterator[ProtocolClient]:
    async with connect(f"ws://{host}/connection/websocket", proxy=None, close_timeout=2) as connection:
        client = Socket(connection)
        await client.write(json.dumps(client.connect_command(**request)))
        yield client


def _stream(path: str) -> Any:
    @asynccontextmanager
    async def open(host: str, **request: Any) -> AsyncIterator[ProtocolClient]:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE, limits=limits) as http:
            command = json.dumps(ProtocolClient().connect_command(**request))
            async with http.stream("POST", f"http://{host}{path}", content=command) as response:
                assert response.status_code == 200, await response.aread()
                client = Streaming(http, host, response)
                client.connect_command()  # takes the id
                yield client

    return open


_OPEN: dict[str, Any] = {
    "websocket": _websocket,
    "sse": _stream("/connection/sse"),
    "http_stream": _stream("/connection/http_stream"),
}

Opening = AbstractAsyncContextManager[ProtocolClient]
