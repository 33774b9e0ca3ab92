"""Laws of the bus: what it means that a publication was accepted, refused, or neither."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from cluster.errors import BusError, BusUnavailable, PublishError, PublishRefused
from tests.waiting import PATIENCE

from .engines import Engine
from .reading import data_of, numbered, publish, publish_all, published, received, witness

A_MOMENT = 0.3
"""Seconds in which an engine that works would have answered."""

AT_ONCE = PATIENCE / 6
"""Seconds far below those a call goes on trying when nobody answers."""

IDLE = 1.2
"""Seconds after which a bus that has heard nothing asks whether anyone is there."""


async def until_it_works(call: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            with suppress(BusError):
                await call()
                return


def keep_the_loop_busy(seconds: float) -> None:
    time.sleep(seconds)


async def test_publish_returning_means_accepted(engine: Engine, channel: str) -> None:
    """Nothing more need happen for it to be received, and to be found in the history where there is one."""
    async with engine.connect() as publisher, engine.connect() as another:
        await another.subscribe(channel)
        for data in numbered(20):
            position = await publish(publisher, channel, data)
            assert data_of(await received(another, 1)) == [data]
            if not another.capabilities.recoverable:
                continue
            found = await another.history(channel, position._replace(offset=position.offset - 1), 10)
            assert [(publication.position, publication.data) for publication in found.publications] == [
                (position, data)
            ]
            assert found.top == position


class TestARepeatedId:
    async def test_is_not_published_twice(self, engine: Engine, channel: str) -> None:
        async with engine.connect() as bus:
            await witness(bus, channel)
            positions = [await publish(bus, channel, id="same") for _ in range(3)]
            assert len(set(positions)) == 1
            assert len(await published(bus, channel)) == 1

    async def test_is_not_published_twice_by_another_bus(self, engine: Engine, channel: str) -> None:
        async with engine.connect() as one, engine.connect() as another:
            await witness(one, channel)
            places = [await publish(bus, channel, id="same") for bus in (one, another)]
            if one.capabilities.recoverable:
                assert places[0] == places[1]
            assert len(await published(one, channel)) == 1

    async def test_is_not_published_twice_at_once(self, engine: Engine, channel: str) -> None:
        async with engine.connect() as one, engine.connect() as another:
            await witness(one, channel)
            calls = [publish(bus, channel, id=f"id-{number}") for number in range(20) for bus in (one, another, one)]
            positions = await asyncio.gather(*calls)
            assert len(set(positions)) == (20 if one.capabilities.recoverable else 40)  # 20 in each one's epoch
            assert len(await published(one, channel)) == 20

    async def test_is_received_once(self, engine: Engine, channel: str) -> None:
        async with engine.connect() as publisher, engine.connect() as subscriber:
            await subscriber.subscribe(channel)
            for id in ("same", "same", "another"):
                await publish(publisher, channel, id=id)
            assert [publication.id for publication in await received(subscriber, 2)] == ["same", "another"]

    async def test_in_another_channel_is_another_publication(self, engine: Engine, channel: str) -> None:
        async with engine.connect() as bus:
            for name in (channel, f"{channel}-other"):
                await witness(bus, name)
                await publish(bus, name, id="same")
                assert len(await published(bus, name)) == 1

    async def test_that_was_sent_again_and_again_is_published_once(self, process: Engine, channel: str) -> None:
        async with process.connect() as bus:
            await witness(bus, channel)
            await publish(bus, channel)
            process.pause()
            call = asyncio.create_task(publish_all(bus, channel, numbered(10)))
            await asyncio.wait([call], timeout=A_MOMENT)
            assert not call.done()
            process.start()
            assert len(set(await call)) == 10
            assert await published(bus, channel) == [b"data", *numbered(10)]

    async def test_after_an_error_settles_what_became_of_it(self, process: Engine, channel: str) -> None:
        async with process.connect(bus_timeout=A_MOMENT) as hasty, process.connect() as patient:
            await witness(patient, channel)
            await publish(patient, channel, b"before")
            process.pause()
            with pytest.raises(PublishError) as raised:
                await publish(hasty, channel, id="same")
            assert not isinstance(raised.value, PublishRefused)
            process.start()
            assert await publish(patient, channel, id="same") == await publish(patient, channel, id="same")
            await publish(patient, channel, b"after")
            kept = await published(patient, channel)
            assert kept == [b"before", b"data", b"after"]


class TestBeforeTheEngineIsUp:
    async def test_every_call_waits_and_succeeds(self, process: Engine, channel: str) -> None:
        process.stop()
        async with process.connect() as bus:
            calls = asyncio.gather(
                bus.subscribe(f"{channel}-other"),
                bus.history(channel, None, 0),
                witness(bus, channel),
                publish_all(bus, channel, numbered(20)),
            )
            await asyncio.wait([calls], timeout=A_MOMENT)
            assert not calls.done()
            assert not bus.reachable
            process.start()
            await calls
            assert bus.reachable
            assert await published(bus, channel) == numbered(20)
            await publish(bus, f"{channel}-other")
            assert len(await received(bus, 1)) == 1

    async def test_every_call_fails_after_the_time_limit_and_works_later(self, process: Engine, channel: str) -> None:
        process.stop()
        async with process.connect(bus_timeout=A_MOMENT) as bus:
            early, subscribing, asking = await asyncio.gather(
                publish(bus, channel, b"early", id="my-id"),
                bus.subscribe(channel),
                bus.history(channel, None, 10),
                return_exceptions=True,
            )
            assert isinstance(early, PublishError)
            assert not isinstance(early, PublishRefused)
            assert early.id == "my-id"
            assert "outcome unknown" in str(early)
            assert "my-id" in str(early)
            assert isinstance(subscribing, BusUnavailable)
            assert isinstance(asking, BusUnavailable)

            process.start()
            await until_it_works(lambda: bus.subscribe(channel))
            await until_it_works(lambda: publish(bus, channel, b"late", id="late"))
            assert data_of(await received(bus, 1)) == [b"late"]

    async def test_more_than_the_queue_holds_is_refused_and_not_published(self, process: Engine, channel: str) -> None:
        process.stop()
        async with process.connect(bus_queue=10) as bus:
            watching = asyncio.create_task(witness(bus, channel))
            calls = [asyncio.create_task(publish(bus, channel, data)) for data in numbered(30)]
            refused, _ = await asyncio.wait(calls, timeout=A_MOMENT)
            assert 19 <= len(refused) <= 20
            assert all(isinstance(call.exception(), PublishRefused) for call in refused)
            process.start()
            await watching
            done, _ = await asyncio.wait(calls, timeout=PATIENCE)
            assert len(done) == 30
            accepted = [data for call, data in zip(calls, numbered(30), strict=True) if call.exception() is None]
            assert accepted == numbered(30)[: 30 - len(refused)]
            assert await published(bus, channel) == accepted


async def test_a_publication_made_just_when_the_engine_answers_is_not_forgotten(process: Engine, channel: str) -> None:
    """An idle bus asks now and then whether the engine is there. Its answer and a call come in the same turn."""
    async with process.connect() as bus:
        await witness(bus, channel)
        await publish(bus, channel)
        process.pause()
        await asyncio.sleep(IDLE)
        process.start()
        call = asyncio.create_task(publish(bus, channel, b"more"))
        keep_the_loop_busy(A_MOMENT)
        async with asyncio.timeout(AT_ONCE):
            await call
        assert await published(bus, channel) == [b"data", b"more"]


async def test_a_publication_that_cannot_be_sent_harms_no_other(engine: Engine, channel: str) -> None:
    async with engine.connect() as bus:
        calls = [asyncio.create_task(publish(bus, channel, id=id)) for id in ("before", "not unicode: \ud800", "after")]
        async with asyncio.timeout(AT_ONCE):
            before, unusable, after = await asyncio.gather(*calls, return_exceptions=True)
        assert not isinstance(before, BaseException)
        assert not isinstance(after, BaseException)
        assert not isinstance(unusable, BaseException) or isinstance(unusable, PublishError)


class TestAClosedBus:
    async def test_fails_what_was_under_way(self, process: Engine, channel: str) -> None:
        process.stop()
        async with process.connect() as bus:
            calls = asyncio.gather(
                publish(bus, channel),
                publish(bus, channel),
                bus.subscribe(channel),
                bus.history(channel, None, 10),
                return_exceptions=True,
            )
            await asyncio.wait([calls], timeout=A_MOMENT)
        async with asyncio.timeout(AT_ONCE):
            one, two, subscribing, asking = await calls
        assert isinstance(one, PublishError)
        assert isinstance(two, PublishError)
        assert isinstance(subscribing, BusError)
        assert isinstance(asking, BusError)

    async def test_publishes_nothing_more(self, engine: Engine, channel: str) -> None:
        async with engine.connect() as bus:
            await publish(bus, channel)
        async with asyncio.timeout(AT_ONCE):
            with pytest.raises(PublishError):
                await publish(bus, channel)

    async def test_answers_nothing_more(self, engine: Engine, channel: str) -> None:
        async with engine.connect() as bus:
            await publish(bus, channel)
        async with asyncio.timeout(AT_ONCE):
            with pytest.raises(BusError):
                await bus.subscribe(channel)
            with pytest.raises(BusError):
                await bus.history(channel, None, 10)

    async def test_does_not_disturb_the_others(self, engine: Engine, channel: str) -> None:
        async with engine.connect() as stays:
            await stays.subscribe(channel)
            async with engine.connect() as goes:
                await goes.subscribe(channel)
                await publish(goes, channel)
            await publish(stays, channel)
            assert len(await received(stays, 2)) == 2
