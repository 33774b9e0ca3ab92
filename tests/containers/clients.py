"""Clients of several containers: they come back to another one than they left, as behind a balancer."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Iterable, Sequence
from typing import Any, Self

from tests.chaos.checker import Verdict, check
from tests.chaos.client import Client, Publisher, Subscriber
from tests.chaos.sdk import SdkSubscriber
from tests.waiting import PATIENCE, until

RATE = 40
"""Publications per second of one publisher."""

jitter = random.Random(1)


class Roaming(Client):
    """Connects to the next of `homes` each time."""

    def __init__(self, homes: Sequence[str], *arguments: Any) -> None:
        super().__init__(homes[0], *arguments)
        self._first = homes[0]
        self._homes = itertools.cycle(homes)

    def address(self) -> str:
        return super().address().replace(self._first, next(self._homes), 1)


class PlainClient(Roaming, Subscriber):
    """A plain WebSocket that remembers its position."""


class SdkClient(Roaming, SdkSubscriber):
    """A client of the client protocol."""


class Writer(Roaming, Publisher):
    """Publishes, and repeats what was not acknowledged wherever it is next."""


def readers(channel: str, *homes: str) -> list[Subscriber]:
    """One of each kind, first connected to the first of `homes`."""
    return [PlainClient(homes, channel, jitter), SdkClient(homes, channel, jitter)]


def writer(channel: str, *homes: str) -> Publisher:
    """One that is first connected to the first of `homes`."""
    return Writer(homes, f"{channel} from {homes[0]}", [channel], RATE, jitter)


class Traffic:
    """Clients of one channel, running for the length of the block; first all readers are there, then the writers."""

    def __init__(self, channel: str, writers: Iterable[Publisher], readers: Iterable[Subscriber]) -> None:
        self._channel = channel
        self._writers = list(writers)
        self._readers = list(readers)
        self._tasks: dict[Client, asyncio.Task[None]] = {}

    async def __aenter__(self) -> Self:
        for reader in self._readers:
            self.come(reader)
        try:
            await until(lambda: all(r.record.start for r in self._readers), "every client is subscribed")
        except BaseException:
            await self.__aexit__()
            raise
        for writer in self._writers:
            self.come(writer)
        return self

    async def __aexit__(self, *exception: object) -> None:
        for client in list(self._tasks):
            await self.leave(client)

    def come(self, client: Client) -> None:
        """Have it connect."""
        self._tasks[client] = asyncio.create_task(client.run())

    async def leave(self, client: Client) -> None:
        """Have it gone until it comes again."""
        task = self._tasks.pop(client)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def flows(self, *writers: Publisher, more: int = 20) -> None:
        """Wait until so many more publications of each of `writers` are accepted; none named: of each there is."""
        chosen = writers or self._writers
        goals = [(writer, len(writer.acknowledged[self._channel]) + more) for writer in chosen]
        await until(
            lambda: all(len(writer.acknowledged[self._channel]) >= goal for writer, goal in goals),
            f"{more} more publications of each are accepted",
        )

    async def stop(self) -> dict[str, tuple[str, int]]:
        """Let the writers end; what was accepted, and where."""
        for writer in self._writers:
            writer.stopping = True
        for writer in self._writers:
            async with asyncio.timeout(PATIENCE):
                await writer.idle.wait()
        return {id: at for writer in self._writers for id, at in writer.acknowledged[self._channel].items()}

    async def finish(self) -> Verdict:
        """Let the writers end, wait until all has arrived, and judge."""
        accepted = await self.stop()
        last = max(offset for _, offset in accepted.values())
        try:
            await until(lambda: all(r.offset >= last for r in self._readers), "all has arrived")
        finally:
            verdict = check({self._channel: accepted}, [reader.record for reader in self._readers])
            print(verdict)
        return verdict
