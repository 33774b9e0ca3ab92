"""Laws of the bus: the order of a channel."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from cluster.stream import Publication

from .engines import Engine
from .reading import (
    data_of,
    is_linked,
    numbered,
    publish,
    publish_all,
    received,
    whole_history,
)


def order_of(publications: list[Publication]) -> list[str]:
    return [publication.id for publication in publications]


async def test_offsets_increase_strictly_within_an_epoch(keeping: Engine, channel: str) -> None:
    async with keeping.connect() as one, keeping.connect() as another:
        positions = [await publish(bus, channel) for bus in (one, another) * 20]
    assert len({position.epoch for position in positions}) == 1
    offsets = [position.offset for position in positions]
    assert offsets == sorted(set(offsets))


async def test_prev_links_each_publication_to_the_one_before(engine: Engine, channel: str) -> None:
    async with engine.connect() as publisher, engine.connect() as subscriber:
        start = await subscriber.subscribe(channel)
        await publish_all(publisher, channel, numbered(200))
        assert is_linked(await received(subscriber, 200), start)
        assert is_linked((await whole_history(subscriber, channel, start, page=17)).publications, start)


async def test_channels_are_linked_each_for_itself(engine: Engine, channel: str) -> None:
    names = [f"{channel}-{name}" for name in "abc"]
    async with engine.connect() as publisher, engine.connect() as subscriber:
        starts = {name: await subscriber.subscribe(name) for name in names}
        await asyncio.gather(*(publish(publisher, name) for _ in range(50) for name in names))
        found = await received(subscriber, 150)
    for name, start in starts.items():
        assert is_linked([publication for publication in found if publication.channel == name], start)


async def test_every_subscriber_sees_one_order(engine: Engine, channel: str) -> None:
    async with AsyncExitStack() as stack:
        publishers = [await stack.enter_async_context(engine.connect()) for _ in range(3)]
        subscribers = [await stack.enter_async_context(engine.connect()) for _ in range(3)]
        starts = [await subscriber.subscribe(channel) for subscriber in subscribers]

        async def publish_some(number: int) -> None:
            for _ in range(20):
                await publish_all(publishers[number], channel, numbered(10, f"{number}: "))

        await asyncio.gather(*map(publish_some, range(3)))
        seen = [await received(subscriber, 600) for subscriber in subscribers]
        assert order_of(seen[0]) == order_of(seen[1]) == order_of(seen[2])
        assert all(is_linked(found, start) for found, start in zip(seen, starts, strict=True))
        if publishers[0].capabilities.recoverable:
            kept = await whole_history(publishers[0], channel, starts[0])
            assert seen[0] == seen[1] == seen[2] == kept.publications


async def test_who_publishes_and_subscribes_sees_the_order_of_all(engine: Engine, channel: str) -> None:
    async with engine.connect() as one, engine.connect() as another:
        await one.subscribe(channel)
        await another.subscribe(channel)
        await asyncio.gather(*(publish_all(bus, channel, numbered(100)) for bus in (one, another)))
        seen = [await received(bus, 200) for bus in (one, another)]
        assert order_of(seen[0]) == order_of(seen[1])
        if one.capabilities.recoverable:
            assert seen[0] == seen[1]


async def test_calls_are_accepted_in_the_order_made(engine: Engine, channel: str) -> None:
    messages = numbered(1000)
    async with engine.connect() as publisher, engine.connect() as subscriber:
        start = await subscriber.subscribe(channel)
        positions = await publish_all(publisher, channel, messages)
        found = await received(subscriber, 1000)
        assert data_of(found) == messages
        assert positions == sorted(set(positions))
        if subscriber.capabilities.recoverable:
            kept = await whole_history(subscriber, channel, start)
            assert data_of(kept.publications) == messages
            assert [publication.position for publication in found] == positions


async def test_calls_for_several_channels_are_accepted_in_the_order_made(engine: Engine, channel: str) -> None:
    names = [f"{channel}-{number}" for number in range(7)]
    async with engine.connect() as bus:
        for name in names:
            await bus.subscribe(name)
        calls = [(names[number % 7], data) for number, data in enumerate(numbered(700))]
        await asyncio.gather(*(publish(bus, name, data) for name, data in calls))
        found = await received(bus, 700)
        for name in names:
            messages = [data for called, data in calls if called == name]
            assert data_of([publication for publication in found if publication.channel == name]) == messages
            if bus.capabilities.recoverable:
                assert data_of((await whole_history(bus, name)).publications) == messages
