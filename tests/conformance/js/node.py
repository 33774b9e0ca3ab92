"""Clients of the JavaScript SDK, in a Node of their own.

async with node() as clients:
    ann = clients.create(WEBSOCKET, address, token)
    await ann.connect()
    await ann.subscribe("room")
    await ann.told("join", channel="room")
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.cluster.harness import REPOSITORY
from tests.waiting import PATIENCE

MODULES = REPOSITORY / "web" / "node_modules"
DRIVER = Path(__file__).with_name("driver.mjs")
LINE_BYTES = 4 * 1024 * 1024
SHOWN = 30
"""Events that are worth reading when something has not happened."""

Event = dict[str, Any]
Tokens = Callable[[str], str]
"""Makes the token for a channel, or for the connection when the channel is empty."""


class Transport(NamedTuple):
    """A way to connect."""

    name: str
    codec: str = "json"

    def __str__(self) -> str:
        return self.name if self.codec == "json" else f"{self.name}-{self.codec}"


WEBSOCKET = Transport("websocket")
TRANSPORTS = (
    WEBSOCKET,
    Transport("websocket", "protobuf"),
    Transport("http_stream"),
    Transport("http_stream", "protobuf"),
    Transport("sse"),
)


class Refused(Exception):
    """A command was answered with an error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code} {message}")
        self.code = code


class JavaScriptClient:
    """One client. `events` is all it was told, in order."""

    def __init__(self, write: Callable[[dict[str, Any]], None], tokens: Tokens) -> None:
        self.events: list[Event] = []
        self.tokens_made: list[str] = []
        """The channels that tokens were made for; the connection's is empty."""
        self._write = write
        self._tokens = tokens
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._commands = 0
        self._news = asyncio.Event()
        self._ended = False

    # What it does.

    async def connect(self) -> None:
        """Connect, once more if it was connected before."""
        before = len(self.heard("connected"))
        await self._do("connect")
        await self.told("connected", times=before + 1)

    async def begin_to_connect(self) -> None:
        await self._do("connect")

    async def disconnect(self) -> None:
        await self._do("disconnect")

    async def subscribe(self, channel: str, *, with_token: bool = False, **options: Any) -> Event:
        """What it is told when it is subscribed. `options` are the SDK's, or the `states` its getState finds."""
        before = len(self.heard("subscribed", channel=channel))
        await self.begin_to_subscribe(channel, with_token=with_token, **options)
        return await self.told("subscribed", channel=channel, times=before + 1)

    async def begin_to_subscribe(self, channel: str, *, with_token: bool = False, **options: Any) -> None:
        await self._do("subscribe", channel=channel, withToken=with_token, **options)

    async def unsubscribe(self, channel: str) -> None:
        await self._do("unsubscribe", channel=channel)

    async def publish(self, channel: str, data: Any) -> None:
        await self._do("publish", channel=channel, data=data)

    async def present(self, channel: str) -> dict[str, str]:
        """Users by the ids of their clients."""
        found = (await self._do("presence", channel=channel))["clients"]
        return {client: info["user"] for client, info in found.items()}

    async def presence_stats(self, channel: str) -> tuple[int, int]:
        """Clients and users."""
        found = await self._do("presenceStats", channel=channel)
        return found["numClients"], found["numUsers"]

    async def history(self, channel: str, **options: Any) -> dict[str, Any]:
        found: dict[str, Any] = await self._do("history", channel=channel, **options)
        return found

    async def rpc(self, method: str, data: Any = None) -> Any:
        return (await self._do("rpc", method=method, data=data))["data"]

    async def send(self, data: Any) -> None:
        await self._do("send", data=data)

    # What happens to it.

    @property
    def client_id(self) -> str:
        """The id it was given last."""
        return str(self.heard("connected")[-1]["client"])

    def heard(self, event: str, **fields: Any) -> list[Event]:
        """What it was told so far: every such event in which these fields have these values."""
        return [told for told in self.events if told["event"] == event and fields.items() <= told.items()]

    def read(self, channel: str) -> list[Any]:
        """What was published in `channel`, as far as it was told."""
        return [publication["data"] for publication in self.heard("publication", channel=channel)]

    async def told(self, event: str, times: int = 1, **fields: Any) -> Event:
        """Wait until it has been told this so many times."""
        await self.until(lambda: len(self.heard(event, **fields)) >= times, f"{times} × {event} {fields}")
        return self.heard(event, **fields)[times - 1]

    async def asked_for_tokens(self, channel: str, times: int) -> None:
        """Wait until it has asked for so many tokens for `channel`, or for the connection."""
        await self.until(lambda: self.tokens_made.count(channel) >= times, f"{times} tokens for {channel!r}")

    async def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait until what it was told meets a condition."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not condition():
                    assert not self._ended, f"Node has ended before: {what}"
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            last = "\n".join(map(str, self.events[-SHOWN:]))
            raise AssertionError(f"not within {PATIENCE:g} s: {what}; it was told\n{last}") from None

    # What Node prints.

    def take(self, line: dict[str, Any]) -> None:
        match line:
            case {"event": _}:
                self.events.append(line)
            case {"wanted": channel, "id": id}:
                self.tokens_made.append(channel)
                self._write({"do": "token", "id": id, "token": self._tokens(channel)})
            case {"result": result, "id": id}:
                self._answers.pop(id).set_result(result)
            case {"error": error, "id": id}:
                self._answers.pop(id).set_exception(Refused(error["code"], error["message"]))
        self._news.set()

    def end(self) -> None:
        """It prints no more."""
        self._ended = True
        self._news.set()

    async def _do(self, what: str, **arguments: Any) -> Any:
        self._commands += 1
        answer = self._answers[self._commands] = asyncio.get_running_loop().create_future()
        self._write({"do": what, "id": self._commands, **arguments})
        await self.until(answer.done, f"{what} is answered")
        return answer.result()


class Clients:
    """The clients of one Node."""

    def __init__(self, program: asyncio.subprocess.Process) -> None:
        self._program = program
        self._clients: list[JavaScriptClient] = []

    def create(self, transport: Transport, address: str, tokens: Tokens, **options: Any) -> JavaScriptClient:
        """A client that is not connected yet. `address`: host and port; `options` are the SDK's."""
        number = len(self._clients)

        def write(line: dict[str, Any]) -> None:
            assert self._program.stdin is not None
            self._program.stdin.write(json.dumps({"number": number, **line}).encode() + b"\n")

        client = JavaScriptClient(write, tokens)
        self._clients.append(client)
        options = {"timeout": PATIENCE * 1000, "minReconnectDelay": 100, "maxReconnectDelay": 1000} | options
        write(
            {
                "do": "create",
                "transport": transport.name,
                "codec": transport.codec,
                "address": address,
                "options": options,
            }
        )
        return client

    async def listen(self) -> None:
        """Give each client what Node prints for it, until Node ends."""
        assert self._program.stdout is not None
        while line := await self._program.stdout.readline():
            told = json.loads(line)
            self._clients[told.pop("number")].take(told)
        for client in self._clients:
            client.end()


@asynccontextmanager
async def node() -> AsyncIterator[Clients]:
    """A Node, for as long as the block runs."""
    program = await asyncio.create_subprocess_exec(
        REPOSITORY / "scripts" / "node",
        "node",
        "--experimental-eventsource",
        "--no-warnings",
        DRIVER,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=LINE_BYTES,
    )
    clients = Clients(program)
    listening = asyncio.create_task(clients.listen())
    try:
        yield clients
    finally:
        with suppress(ProcessLookupError):
            program.kill()
        await program.wait()
        await listening


def require_packages() -> None:
    """Skip what needs the packages of the user interface when they are not there, but not in CI."""
    if not MODULES.is_dir():
        reason = "web/node_modules is not there: scripts/node npm --prefix web ci"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
