"""Laws of the bus: an engine that is killed and started again."""

from __future__ import annotations

import asyncio
import signal

import pytest

from cluster.bus import Bus
from cluster.stream import Cursor, Position, Publication, Verdict
from tests.waiting import PATIENCE

from .engines import Engine
from .reading import (
    THE_END,
    clear,
    data_of,
    is_linked,
    numbered,
    publish,
    publish_all,
    received,
    received_until,
    whole_history,
    witness,
)

WAYS = pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "told to stop"])


async def recovered(bus: Bus, channel: str, since: Position, last: Position) -> list[Publication] | None:
    """Read `channel` after `since` up to `last`, filling gaps from history; None if something cannot be had."""
    cursor = Cursor(since)
    found: list[Publication] = []
    async with asyncio.timeout(PATIENCE):
        while cursor.position != last:
            publication = await bus.receive()
            if publication.channel != channel:
                continue
            verdict = cursor.accept(publication)
            if verdict is Verdict.DELIVER:
                found.append(publication)
            elif verdict is not Verdict.DUPLICATE:
                history = await whole_history(bus, channel, cursor.position)
                if not history.complete:
                    return None
                found += [missed for missed in history.publications if cursor.accept(missed) is Verdict.DELIVER]
    return found


@WAYS
async def test_the_epoch_changes_exactly_when_the_log_is_lost(
    process: Engine, channel: str, way: signal.Signals
) -> None:
    async with process.connect() as bus:
        start = (await bus.history(channel, None, 0)).top
        await publish_all(bus, channel, numbered(100))
        before = (await bus.history(channel, None, 0)).top
        process.restart(way)
        kept = await whole_history(bus, channel, start)
        await publish(bus, channel)
        after = (await bus.history(channel, None, 0)).top
        if bus.capabilities.durable:
            assert kept.complete
            assert data_of(kept.publications) == numbered(100)
            assert is_linked(kept.publications, start)
            assert after.epoch == before.epoch
            assert after.offset > before.offset
        else:
            assert not kept.complete
            assert kept.publications == []
            assert after.epoch != before.epoch
            assert not (await bus.history(channel, before, 10)).complete


async def test_a_repeated_id_is_known_after_the_engines_death(process: Engine, channel: str) -> None:
    async with process.connect() as bus, process.connect() as another:
        before = await publish(bus, channel, id="same")
        process.restart()
        after = [await publish(publisher, channel, id="same") for publisher in (bus, another)]
        if bus.capabilities.recoverable:
            assert len((await whole_history(bus, channel)).publications) == 1
        if bus.capabilities.durable:
            assert after == [before, before]


async def test_what_was_cleared_stays_cleared_through_the_engines_death(process: Engine, channel: str) -> None:
    async with process.connect() as bus:
        before = (await publish_all(bus, channel, numbered(5)))[-1]
        await clear(bus, channel)
        process.restart()
        found = await bus.history(channel, None, 100)
        assert (found.publications, found.complete) == ([], True)
        after = await publish(bus, channel)
        if bus.capabilities.durable:
            assert found.top == before
            assert after.epoch == before.epoch
            assert after.offset > before.offset


async def test_calls_are_accepted_in_the_order_made_through_the_engines_death(process: Engine, channel: str) -> None:
    async with process.connect() as bus:
        await witness(bus, channel)
        calls = []
        for data in numbered(1200):
            calls.append(asyncio.create_task(publish(bus, channel, data)))
            if len(calls) in (400, 800):
                await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
                process.restart()
        positions = await asyncio.gather(*calls)
        kept = await whole_history(bus, channel)
        if not bus.capabilities.recoverable:
            # Each epoch has a stretch of them here too: what was received of it.
            await publish(bus, channel, THE_END)
            found = (await received_until(bus, channel, THE_END))[:-1]
            for epoch in {publication.epoch for publication in found}:
                seen = [int(publication.data or b"") for publication in found if publication.epoch == epoch]
                assert seen == sorted(set(seen))
        elif bus.capabilities.durable:
            assert data_of(kept.publications) == numbered(1200)
            assert [publication.position for publication in kept.publications] == positions
        else:
            # Each epoch has a stretch of them; what was accepted and not acknowledged may be in two.
            numbers = [int(data) for data in data_of(kept.publications)]
            assert numbers == sorted(set(numbers))
            for epoch in {position.epoch for position in positions}:
                offsets = [position.offset for position in positions if position.epoch == epoch]
                assert offsets == sorted(set(offsets))


async def test_after_reconnecting_the_top_of_every_channel_is_told(process: Engine, channel: str) -> None:
    names = [f"{channel}-{number}" for number in range(20)]
    async with process.connect() as bus:
        for name in names:
            await publish(bus, name)
            await bus.subscribe(name)
        await publish(bus, names[0], b"last")
        await received(bus, 1)
        process.restart()
        tops: dict[str, Position] = {}
        told: dict[str, Position] = {}
        async with asyncio.timeout(PATIENCE):
            while not tops or told != tops:
                beacon = await bus.receive()
                if beacon.is_beacon:
                    told[beacon.channel] = beacon.position
                    if len(told) == len(names):
                        tops = {name: (await bus.history(name, None, 0)).top for name in names}


async def test_a_subscription_outlives_the_engine(process: Engine, channel: str) -> None:
    async with process.connect() as subscriber, process.connect() as publisher:
        position = await subscriber.subscribe(channel)
        process.restart()
        last = await publish(publisher, channel)
        found = await recovered(subscriber, channel, position, last)
        if publisher.capabilities.durable:
            assert found is not None
            assert is_linked(found, position)
        else:
            assert found is None


async def test_what_was_published_while_a_subscriber_stood_still_can_be_had(process: Engine, channel: str) -> None:
    """The subscriber does not read at all while the others go on."""
    async with process.connect() as subscriber, process.connect() as publisher:
        position = await subscriber.subscribe(channel)
        await publish_all(publisher, channel, numbered(3000))
        process.restart()
        last = await publish(publisher, channel, b"last")
        found = await recovered(subscriber, channel, position, last)
        if publisher.capabilities.durable:
            assert found is not None
            assert data_of(found) == [*numbered(3000), b"last"]
            assert is_linked(found, position)
        else:
            assert found is None


async def test_reachable_tells_whether_the_engine_answers(process: Engine, channel: str) -> None:
    async with process.connect() as bus:
        await publish(bus, channel)
        assert bus.reachable
        process.stop()
        async with asyncio.timeout(PATIENCE):
            while bus.reachable:
                await asyncio.sleep(0.02)
        process.start()
        await publish(bus, channel)
        assert bus.reachable
