"""Plain WebSocket clients: what a browser's `new WebSocket(...)` can do, and nothing more."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.waiting import PATIENCE, until

AT_ONCE = 4
"""Connections opened at once, again and again until every worker has a client."""


class Client:
    """One open WebSocket whose server introduced itself with a message that has a `pid`."""

    def __init__(self, socket: ClientConnection, hello: dict[str, Any]) -> None:
        self.socket = socket
        self.hello = hello
        self.pid: int = hello["pid"]

    @classmethod
    async def open(cls, url: str) -> Self:
        """Connect, and read who is there."""
        socket = await connect(url, proxy=None, open_timeout=PATIENCE, max_queue=None)
        try:
            return cls(socket, json.loads(await asyncio.wait_for(socket.recv(), PATIENCE)))
        except BaseException:
            await socket.close()
            raise

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def push(self) -> None:
        """Ask the demo application to notify every client."""
        await self.send({"sent_message_type": "user-initiated"})

    async def send(self, message: object) -> None:
        """Send anything JSON can hold."""
        await self.socket.send(json.dumps(message))

    async def receive(self) -> Any:
        """The next message, whatever it is. Raises `TimeoutError`, `ConnectionClosed`."""
        return json.loads(await asyncio.wait_for(self.socket.recv(), PATIENCE))

    async def expect(self, **fields: object) -> Any:
        """The next message, which must have these fields."""
        message = await self.receive()
        assert fields.items() <= message.items(), f"expected {fields} in {message}"
        return message

    async def closed(self) -> tuple[int | None, str | None]:
        """Wait for the server to close, passing over messages; the code and the reason it gave."""
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    await self.socket.recv()
        except ConnectionClosed:
            return self.socket.close_code, self.socket.close_reason

    async def close(self) -> None:
        await self.socket.close()


@asynccontextmanager
async def one_client_per_worker(url: str, workers: int) -> AsyncIterator[list[Client]]:
    """Connect to `url` until `workers` different processes have answered; one client of each, by PID."""
    found: dict[int, Client] = {}
    others: list[Client] = []

    async def everyone() -> bool:
        # All stay open until the end: a balancer that counts connections then moves on to the next worker.
        for client in await asyncio.gather(*(Client.open(url) for _ in range(AT_ONCE))):
            others.append(client)
            found.setdefault(client.pid, client)
        return len(found) == workers

    try:
        # A worker that has just started may come to take connections later than the others.
        await until(everyone, f"{workers} workers answer")
        chosen = [found[pid] for pid in sorted(found)]
        await close_all(client for client in others if client not in chosen)
        yield chosen
    finally:
        await close_all(others)


async def close_all(clients: Any) -> None:
    await asyncio.gather(*(client.close() for client in clients))


async def assert_everyone_is_notified_once(clients: Collection[Client], rounds: int = 1) -> None:
    """Push from each client; each of them must receive each push exactly once, all of them in one order."""
    for _ in range(rounds):
        for client in clients:
            await client.push()
    expected = Counter({client.pid: rounds for client in clients})
    first, *others = [[await client.receive() for _ in range(rounds * len(clients))] for client in clients]
    assert Counter(message["pid"] for message in first) == expected
    for received in others:
        assert received == first
    # A push that none of the earlier ones can be taken for, because its time is another: nothing comes before it.
    await asyncio.sleep(0.002)
    last = next(iter(clients))
    await last.push()
    for client in clients:
        assert await client.expect(push_type="notified_by", pid=last.pid) not in first
