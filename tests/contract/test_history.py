"""Laws of the bus: what it tells about the past."""

from __future__ import annotations

import asyncio

import pytest

from cluster.bus import Bus, Capabilities
from cluster.errors import PublishRefused
from cluster.stream import Position, Retention
from tests.waiting import PATIENCE

from .engines import Engine
from .reading import clear, data_of, is_linked, numbered, publish, publish_all, received, whole_history


async def fill(bus: Bus, channel: str, count: int, retention: Retention) -> list[Position]:
    return [
        await bus.publish(channel, data, id=f"{channel} {number}", retention=retention)
        for number, data in enumerate(numbered(count))
    ]


async def test_history_follows_the_position_asked_for(keeping: Engine, channel: str) -> None:
    async with keeping.connect() as bus:
        start = (await bus.history(channel, None, 0)).top
        positions = await publish_all(bus, channel, numbered(10))
        for after, since in enumerate([start, *positions]):
            found = await bus.history(channel, since, 100)
            assert (data_of(found.publications), found.top, found.complete) == (
                numbered(10)[after:],
                positions[-1],
                True,
            )


async def test_history_begins_with_the_oldest_kept_when_no_position_is_given(keeping: Engine, channel: str) -> None:
    async with keeping.connect() as bus:
        await fill(bus, channel, 10, Retention(4, 300.0))
        found = await bus.history(channel, None, 100)
    assert (data_of(found.publications), found.complete) == (numbered(10)[6:], True)


async def test_the_history_of_nothing_is_empty(engine: Engine, channel: str) -> None:
    async with engine.connect() as bus:
        found = await bus.history(channel, None, 100)
        assert (found.publications, found.complete) == ([], bus.capabilities.recoverable)
        assert await bus.subscribe(channel) == found.top
        assert (await bus.history(channel, found.top, 100)).complete == bus.capabilities.recoverable


async def test_a_bus_that_keeps_nothing_never_says_that_nothing_is_missing(engine: Engine, channel: str) -> None:
    async with engine.connect() as bus:
        if bus.capabilities.recoverable:
            pytest.skip("this bus keeps what is published")
        top = await bus.subscribe(channel)
        place = await publish(bus, channel)
        last = (await received(bus, 1))[0].position
        assert place == last
        for since in (None, top, last):
            found = await bus.history(channel, since, 100)
            assert (found.publications, found.top, found.complete) == ([], last, False)


@pytest.mark.parametrize("size", [0, 1, 5, 100])
async def test_complete_never_lies(keeping: Engine, channel: str, size: int) -> None:
    async with keeping.connect() as bus:
        start = (await bus.history(channel, None, 0)).top
        positions = [start, *await fill(bus, channel, 20, Retention(size, 300.0))]
        for after, since in enumerate(positions):
            found = await bus.history(channel, since, 100)
            expected = numbered(20)[after:]
            assert found.complete == (len(expected) <= size)
            assert data_of(found.publications) == expected[-size:] if size else not found.publications
            assert found.top == positions[-1]


async def test_history_of_another_epoch_is_not_complete(keeping: Engine, channel: str) -> None:
    async with keeping.connect() as bus:
        last = (await publish_all(bus, channel, numbered(5)))[-1]
        found = await bus.history(channel, Position("another epoch", last.offset), 100)
        assert (found.complete, found.top) == (False, last)


async def test_history_from_above_the_top_is_not_complete(keeping: Engine, channel: str) -> None:
    async with keeping.connect() as bus:
        last = await publish(bus, channel)
        assert not (await bus.history(channel, last._replace(offset=last.offset + 1), 100)).complete


async def test_what_has_become_too_old_is_not_complete(keeping: Engine, channel: str) -> None:
    async with keeping.connect() as bus:
        start = (await bus.history(channel, None, 0)).top
        (last,) = await fill(bus, channel, 1, Retention(100, 0.05))
        async with asyncio.timeout(PATIENCE):
            while (found := await bus.history(channel, start, 100)).publications:
                assert found.complete
                await asyncio.sleep(0.02)
        assert (found.complete, found.top) == (False, last)
        assert (await bus.history(channel, last, 100)).complete


async def test_the_latest_publication_says_what_is_kept(keeping: Engine, channel: str) -> None:
    async with keeping.connect() as bus:
        await fill(bus, channel, 10, Retention(100, 300.0))
        await bus.publish(channel, b"last", id="last", retention=Retention(3, 300.0))
        assert data_of((await bus.history(channel, None, 100)).publications) == [b"8", b"9", b"last"]


@pytest.mark.parametrize("page", [1, 7, 1000])
async def test_history_comes_in_pages(keeping: Engine, channel: str, page: int) -> None:
    async with keeping.connect() as bus:
        start = (await bus.history(channel, None, 0)).top
        await publish_all(bus, channel, numbered(50))
        assert len((await bus.history(channel, start, page)).publications) <= page
        found = await whole_history(bus, channel, start, page=page)
    assert found.complete
    assert data_of(found.publications) == numbered(50)
    assert is_linked(found.publications, start)


async def test_a_limit_of_nothing_tells_the_top(keeping: Engine, channel: str) -> None:
    async with keeping.connect() as bus:
        last = (await publish_all(bus, channel, numbered(5)))[-1]
        found = await bus.history(channel, None, 0)
        assert (found.publications, found.top) == ([], last)


async def test_large_payloads_arrive_and_are_kept(engine: Engine, channel: str) -> None:
    async with engine.connect() as publisher, engine.connect() as subscriber:
        most = publisher.capabilities.max_bytes
        payloads = [bytes([number]) * (most // 10) for number in range(4)] + [bytes(range(256)) * (most // 256)]
        start = await subscriber.subscribe(channel)
        await publish_all(publisher, channel, payloads)
        found = await received(subscriber, len(payloads))
        assert data_of(found) == payloads
        if subscriber.capabilities.recoverable:
            kept = await whole_history(subscriber, channel, start)
            assert kept.complete
            assert kept.publications == found


async def test_what_is_too_large_for_the_engine_is_refused(engine: Engine, channel: str) -> None:
    async with engine.connect() as bus:
        if bus.capabilities.max_bytes == Capabilities._field_defaults["max_bytes"]:
            pytest.skip("this bus carries all that MAX_MESSAGE_BYTES may be")
        await bus.subscribe(channel)
        with pytest.raises(PublishRefused):
            await publish(bus, channel, bytes(2 * bus.capabilities.max_bytes))
        await publish(bus, channel, b"small")
        assert data_of(await received(bus, 1)) == [b"small"]


async def test_a_cleared_channel_has_no_history_and_its_positions_go_on(engine: Engine, channel: str) -> None:
    async with engine.connect() as bus, engine.connect() as another:
        before = await publish_all(bus, channel, numbered(5))
        await clear(bus, channel)
        for reader in (bus, another):
            found = await reader.history(channel, None, 100)
            assert (found.publications, found.top, found.complete) == ([], before[-1], True)
            assert not (await reader.history(channel, before[0], 100)).complete
            assert (await reader.history(channel, before[-1], 100)).complete
        after = await publish(another, channel, b"after")
        found = await bus.history(channel, before[-1], 100)
        assert (data_of(found.publications), found.top, found.complete) == ([b"after"], after, True)
        assert is_linked(found.publications, before[-1])


async def test_clearing_disturbs_no_subscriber_and_no_other_channel(engine: Engine, channel: str) -> None:
    other = f"{channel}-other"
    async with engine.connect() as bus, engine.connect() as subscriber:
        start = await subscriber.subscribe(channel)
        await publish_all(bus, channel, numbered(5))
        await publish_all(bus, other, numbered(5))
        await clear(bus, channel)
        await publish(bus, channel, b"after")
        found = await received(subscriber, 6)
        assert data_of(found) == [*numbered(5), b"after"]
        assert is_linked(found, start)
        assert data_of((await bus.history(other, None, 100)).publications) == numbered(5)


async def test_an_id_stays_known_when_its_channel_is_cleared(engine: Engine, channel: str) -> None:
    async with engine.connect() as bus:
        before = await publish(bus, channel, id="same")
        await clear(bus, channel)
        again = await publish(bus, channel, id="same")
        if bus.capabilities.deduplicating:
            assert again == before
            assert (await bus.history(channel, None, 100)).publications == []


async def test_clearing_nothing_changes_nothing(engine: Engine, channel: str) -> None:
    async with engine.connect() as bus:
        before = await bus.history(channel, None, 100)
        await clear(bus, channel)
        assert await bus.history(channel, None, 100) == before
        await publish(bus, channel)
        await clear(bus, channel)
        await clear(bus, channel)
        assert (await bus.history(channel, None, 100)).publications == []


@pytest.mark.parametrize("data", [b"", b"\0", bytes(range(256))], ids=["empty", "nul", "every byte"])
async def test_any_bytes_can_be_published(engine: Engine, channel: str, data: bytes) -> None:
    async with engine.connect() as publisher, engine.connect() as subscriber:
        start = await subscriber.subscribe(channel)
        await publish(publisher, channel, data)
        assert [publication.data for publication in await received(subscriber, 1)] == [data]
        if not subscriber.capabilities.recoverable:
            return
        assert [publication.data for publication in (await subscriber.history(channel, start, 10)).publications] == [
            data
        ]
