"""A subscriber that is told at once what it missed: nothing is missing, doubled or out of order at the seam."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest

from cluster.audience import Subscriber
from cluster.bus.memory import MemoryBus
from cluster.errors import BusUnavailable, ChannelError
from cluster.hub import CaughtUp, Hub
from cluster.stream import Position, Publication, Retention
from tests.waiting import until

KEPT = 50
LIMIT = 30


class Record(Subscriber):
    def __init__(self) -> None:
        self.received: list[Publication] = []

    def deliver(self, frame: Publication) -> None:
        self.received.append(frame)


class Bus(MemoryBus):
    """Answers after a few turns of the loop, or not at all."""

    slowness = 0
    reachable_now = True

    async def subscribe(self, channel: str) -> Position:
        await self._wait()
        return await super().subscribe(channel)

    async def history(self, channel: str, since: Position | None, limit: int) -> Any:
        await self._wait()
        found = await super().history(channel, since, limit)
        await self._wait()
        return found

    async def _wait(self) -> None:
        for _ in range(self.slowness):
            await asyncio.sleep(0)
        if not self.reachable_now:
            raise BusUnavailable("as it is in this test")


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    hub = Hub(Bus(secrets.token_hex(4)), retention=Retention(KEPT, 100), max_bytes=1 << 20)
    await hub.start()
    yield hub
    await hub.stop()


async def publish(hub: Hub, count: int, first: int = 1) -> Position:
    """Publish, and have it arrive where the channel is received."""
    for number in range(first, first + count):
        position = await hub.publish_bytes("channel", b"%d" % number)
    live = hub._channels.get("channel")
    if live is not None and live.cursor is not None:
        await live.reached(position)
    return position


async def catch_up(hub: Hub, since: Position | None, **options: Any) -> tuple[CaughtUp, Record]:
    record = Record()
    return await hub.catch_up("channel", record, since, **{"limit": LIMIT} | options), record


def offsets(publications: list[Publication]) -> list[int]:
    return [publication.offset for publication in publications]


async def forgotten(hub: Hub) -> bool:
    """Whether nobody claims the channel any more."""
    return all(live.claims == 0 for live in hub._channels.values())


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
class TestStream:
    """From the worker's own log if it receives the channel already, else from the bus."""

    @pytest.fixture(autouse=True)
    async def received_already(self, hub: Hub, warm: bool) -> None:
        if warm:
            await hub.subscribe("channel", Record())

    async def test_without_a_position_it_starts_at_the_top(self, hub: Hub) -> None:
        top = await publish(hub, 3)
        found, record = await catch_up(hub, None)
        assert found == CaughtUp(top, None, [])
        assert record.received == []

    async def test_what_was_missed_is_returned_and_what_follows_delivered(self, hub: Hub) -> None:
        top = await publish(hub, 10)
        found, record = await catch_up(hub, Position(top.epoch, 4))
        assert found.recovered
        assert offsets(found.publications) == [5, 6, 7, 8, 9, 10]
        assert found.position == top
        await publish(hub, 2, 11)
        await until(lambda: len(record.received) == 2, "the next are delivered")
        assert offsets(record.received) == [11, 12]

    async def test_an_empty_epoch_is_the_current_one(self, hub: Hub) -> None:
        await publish(hub, 3)
        found, _ = await catch_up(hub, Position("", 0))
        assert (found.recovered, offsets(found.publications)) == (True, [1, 2, 3])

    async def test_another_epoch_is_not_recovered(self, hub: Hub) -> None:
        top = await publish(hub, 3)
        found, _ = await catch_up(hub, Position("another", 1))
        assert found == CaughtUp(top, False, [])

    async def test_what_is_not_kept_any_more_is_not_recovered(self, hub: Hub) -> None:
        top = await publish(hub, KEPT + 10)
        found, _ = await catch_up(hub, Position(top.epoch, 5))
        assert found == CaughtUp(top, False, [])

    @pytest.mark.parametrize(("missed", "recovered"), [(LIMIT, True), (LIMIT + 1, False)])
    async def test_more_than_the_limit_is_not_recovered(self, hub: Hub, missed: int, recovered: bool) -> None:
        top = await publish(hub, missed)
        found, record = await catch_up(hub, Position(top.epoch, 0))
        assert found.recovered is recovered
        assert len(found.publications) == (missed if recovered else 0)
        assert found.position == top
        await publish(hub, 1)
        await until(lambda: record.received, "the next is delivered")
        assert offsets(record.received) == [missed + 1]

    async def test_a_position_nobody_has_reached_is_not_recovered(self, hub: Hub) -> None:
        top = await publish(hub, 3)
        found, _ = await catch_up(hub, Position(top.epoch, 99))
        assert found == CaughtUp(top, False, [])

    @pytest.mark.parametrize("slowness", [0, 1, 2, 5])
    async def test_the_seam_holds_while_others_publish(self, hub: Hub, slowness: int) -> None:
        assert isinstance(hub.bus, Bus)
        top = await publish(hub, 5)
        hub.bus.slowness = slowness

        async def keep_publishing() -> None:
            for number in range(6, 21):
                await hub.publish_bytes("channel", b"%d" % number)
                await asyncio.sleep(0)

        publishing = asyncio.create_task(keep_publishing())
        caught = await asyncio.gather(*(catch_up(hub, Position(top.epoch, since)) for since in (0, 2, 5)))
        await publishing
        for since, (found, record) in zip((0, 2, 5), caught, strict=True):
            got = len(found.publications)
            await until(lambda: len(record.received) >= 20 - since - got, "it has all")  # noqa: B023
            assert offsets(found.publications + record.received) == list(range(since + 1, 21))


class TestNewest:
    async def test_it_is_the_last_publication_however_many_were_missed(self, hub: Hub) -> None:
        top = await publish(hub, KEPT + 10)
        for since in (Position("", 0), Position(top.epoch, 3), Position("another", 3)):
            found, _ = await catch_up(hub, since, newest=True)
            assert (found.recovered, offsets(found.publications)) == (True, [top.offset])

    async def test_who_has_it_gets_nothing(self, hub: Hub) -> None:
        top = await publish(hub, 3)
        found, _ = await catch_up(hub, top, newest=True)
        assert found == CaughtUp(top, True, [])

    async def test_where_nothing_is_kept_it_is_not_recovered(self, hub: Hub) -> None:
        top = await publish(hub, 3)
        await hub.bus.clear("channel")
        found, _ = await catch_up(hub, Position(top.epoch, 1), newest=True)
        assert (found.recovered, found.publications) == (False, [])

    async def test_it_is_found_in_the_workers_own_log(self, hub: Hub) -> None:
        await hub.subscribe("channel", Record())
        top = await publish(hub, 3)
        found, record = await catch_up(hub, Position("", 0), newest=True)
        assert (found.position, offsets(found.publications)) == (top, [3])
        await publish(hub, 1)
        await until(lambda: record.received, "the next is delivered")


class TestTrouble:
    async def test_an_error_while_receiving_and_one_while_filling_lose_nothing(
        self, hub: Hub, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("cluster.hub.RETRY", 0.0)
        receive, history, errors = hub.bus.receive, hub.bus.history, iter([ValueError("one"), ValueError("two")])

        async def fails_once() -> Publication:
            await receive()
            monkeypatch.setattr(hub.bus, "receive", receive)
            raise next(errors)

        async def fails_once_too(channel: str, since: Position | None, limit: int) -> Any:
            monkeypatch.setattr(hub.bus, "history", history)
            raise next(errors)

        record = Record()
        await hub.subscribe("channel", record)
        await publish(hub, 1)
        await until(lambda: record.received, "the first is delivered")
        monkeypatch.setattr(hub.bus, "receive", fails_once)
        monkeypatch.setattr(hub.bus, "history", fails_once_too)
        await publish(hub, 3)
        await until(lambda: offsets(record.received) == [1, 2, 3, 4], "all are delivered")
        assert next(errors, None) is None, "neither has happened"

    async def test_when_the_bus_is_away_nothing_is_claimed(self, hub: Hub) -> None:
        assert isinstance(hub.bus, Bus)
        hub.bus.reachable_now = False
        with pytest.raises(BusUnavailable):
            await catch_up(hub, Position("", 0))
        assert await forgotten(hub)

    @pytest.mark.parametrize("channel", ["", "x" * 1000, "line\nbreak"])
    async def test_a_name_that_is_none_is_refused(self, hub: Hub, channel: str) -> None:
        with pytest.raises(ChannelError):
            await hub.catch_up(channel, Record(), None, limit=1)

    @pytest.mark.parametrize("newest", [False, True])
    async def test_who_gives_up_at_any_moment_claims_nothing(self, hub: Hub, newest: bool) -> None:
        assert isinstance(hub.bus, Bus)
        await publish(hub, KEPT)
        hub.bus.slowness = 2
        for turns in range(100):
            task = asyncio.create_task(catch_up(hub, Position("", KEPT - 3), newest=newest))
            for _ in range(turns):
                await asyncio.sleep(0)
            if task.done():
                _, record = task.result()
                hub.unsubscribe("channel", record)
                break
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert turns > 3
        assert await forgotten(hub)
