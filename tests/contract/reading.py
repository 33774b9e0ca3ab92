"""What the tests do with a bus again and again."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from cluster.bus import Bus
from cluster.errors import BusError, BusUnavailable
from cluster.stream import History, Position, Publication, Retention
from tests.waiting import PATIENCE

KEEP = Retention(size=100_000, seconds=300.0)
THE_END = b"the end"

_ids = map("id-{}".format, itertools.count())


async def publish(bus: Bus, channel: str, data: bytes = b"data", *, id: str | None = None) -> Position:
    return await bus.publish(channel, data, id=id or next(_ids), retention=KEEP)


async def publish_all(bus: Bus, channel: str, messages: list[bytes]) -> list[Position]:
    """Publish without waiting for one before the next."""
    return list(await asyncio.gather(*(publish(bus, channel, data) for data in messages)))


async def clear(bus: Bus, channel: str) -> None:
    """Clear `channel`; the law does not concern an engine that cannot."""
    try:
        await bus.clear(channel)
    except BusUnavailable:
        raise
    except BusError as error:
        pytest.skip(str(error))


def numbered(count: int, prefix: str = "") -> list[bytes]:
    return [f"{prefix}{number}".encode() for number in range(count)]


async def received(bus: Bus, count: int) -> list[Publication]:
    """The next `count` publications; beacons do not count."""
    found: list[Publication] = []
    async with asyncio.timeout(PATIENCE):
        while len(found) < count:
            publication = await bus.receive()
            if not publication.is_beacon:
                found.append(publication)
    return found


async def received_until(bus: Bus, channel: str, last: bytes) -> list[Publication]:
    """The publications received up to the one of `channel` with the data `last`, of all channels."""
    found: list[Publication] = []
    async with asyncio.timeout(PATIENCE):
        while not found or (found[-1].channel, found[-1].data) != (channel, last):
            publication = await bus.receive()
            if not publication.is_beacon:
                found.append(publication)
    return found


async def whole_history(bus: Bus, channel: str, since: Position | None = None, *, page: int = 1000) -> History:
    """The history after `since`, page after page. Complete if every page was."""
    found: list[Publication] = []
    complete = True
    while True:
        history = await bus.history(channel, since, page)
        complete = complete and history.complete
        found += history.publications
        if not history.publications or found[-1].position == history.top:
            return History(found, history.top, complete)
        since = found[-1].position


async def witness(bus: Bus, channel: str) -> None:
    """Let `published` tell later what was published on `channel` from now on."""
    if not bus.capabilities.recoverable:
        await bus.subscribe(channel)


async def published(bus: Bus, channel: str) -> list[bytes]:
    """What was published on `channel`, in its order: its history; where there is none, what `bus` received."""
    if bus.capabilities.recoverable:
        return data_of((await whole_history(bus, channel)).publications)
    await publish(bus, channel, THE_END)
    found = await received_until(bus, channel, THE_END)
    return data_of([publication for publication in found if publication.channel == channel])[:-1]


def data_of(publications: list[Publication]) -> list[bytes]:
    return [publication.data or b"" for publication in publications]


def is_linked(publications: list[Publication], since: Position) -> bool:
    """Whether they follow one another without a hole, the first one after `since`."""
    places = [since.offset, *(publication.offset for publication in publications)]
    return (
        [publication.prev for publication in publications] == places[:-1]
        and all(before < after for before, after in itertools.pairwise(places))
        and all(publication.epoch == since.epoch for publication in publications)
    )
