"""Several workers in one process, over a bus in memory on which messages can be lost."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from cluster.bus.memory import MemoryBus
from cluster.exchange import Exchange
from cluster.hub import Hub
from cluster.node import Node
from cluster.session.commands import ClientInfo
from cluster.stream import Publication, Retention

INTERVAL = 0.1
"""Seconds between signs of life: short, so that nobody waits long for one who is gone."""

_names = itertools.count(1)


class LossyBus(MemoryBus):
    """Loses the publications of one channel that `loses` picks."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.loses: Callable[[Publication], bool] = lambda publication: False

    def _receive(self, publication: Publication) -> None:
        if not self.loses(publication):
            super()._receive(publication)


class Worker:
    """One worker, as far as the others notice."""

    def __init__(self, name: str) -> None:
        self.bus = LossyBus(name)
        self.hub = Hub(self.bus, retention=Retention(100, 60), max_bytes=1000)
        self.node = Node(self.hub, INTERVAL)
        self.exchange = Exchange(self.node)
        self.events: list[tuple[str, str, str]] = []

    async def start(self) -> None:
        await self.hub.start()
        self._tasks = [self.hub.spawn(self.node.run(), "node"), self.hub.spawn(self.exchange.run(), "exchange")]

    async def leave(self) -> None:
        """End as a worker should."""
        await self.node.leave()
        await self.kill()

    async def kill(self) -> None:
        """End without a word."""
        await self.hub.stop()

    async def pause(self) -> None:
        """Neither hear nor say anything until `resume`."""
        self.bus.loses = lambda publication: True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def resume(self) -> None:
        self.bus.loses = lambda publication: False
        self._tasks = [self.hub.spawn(self.node.run(), "node"), self.hub.spawn(self.exchange.run(), "exchange")]

    async def enter(self, client: str, channel: str = "room") -> None:
        await self.exchange.enter(channel, ClientInfo(user="user of " + client, client=client))

    async def room(self, channel: str = "room") -> set[str]:
        return set(await self.exchange.read(channel))

    def watch(self, channel: str = "room") -> None:
        """Write down who joins and leaves in `events`."""
        self.exchange.watch(channel, self)

    def joined(self, channel: str, info: ClientInfo) -> None:
        self.events.append(("joined", channel, info.client))

    def left(self, channel: str, info: ClientInfo) -> None:
        self.events.append(("left", channel, info.client))


class Group:
    """Workers of one cluster."""

    def __init__(self) -> None:
        self._name = f"workers-{next(_names)}"
        self._stack = AsyncExitStack()

    async def add(self) -> Worker:
        """One more worker, which has just started."""
        worker = Worker(self._name)
        await worker.start()
        self._stack.push_async_callback(worker.kill)
        return worker

    async def end(self) -> None:
        await self._stack.aclose()


@asynccontextmanager
async def group() -> AsyncIterator[Group]:
    """A cluster without workers."""
    group = Group()
    try:
        yield group
    finally:
        await group.end()


@asynccontextmanager
async def workers(count: int) -> AsyncIterator[list[Worker]]:
    """This many workers that have met."""
    async with group() as cluster:
        found = [await cluster.add() for _ in range(count)]
        for worker in found:
            await worker.exchange.read("room")
            assert worker.node.peers.nodes == {other.node.id for other in found}
        yield found
