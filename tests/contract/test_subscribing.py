"""Laws of the bus: who receives what."""

from __future__ import annotations

import asyncio

from tests.waiting import PATIENCE

from .engines import Engine
from .reading import data_of, is_linked, numbered, publish, publish_all, received, received_until

NAMES = [
    *("a", "ab", "abc", "a.b", "a.b.c", "a/b", "a/b/c", "a:b", "A"),  # one the beginning of another, case
    *("*", "**", "a*", "a.*", ">", "a.>", "#", "a/#", "+", "a/+", "?", "[ab]"),  # what engines read as wildcards
    *(" ", "a ", " a", "a b", ".", "..", "/", "//", "a..b", "-", "_", "$SYS", "$", "%s", "%41", "\\", "{a}"),
    *('"', "'", "a\"b'c", "<a>", "&", "é", "e\u0301", "日本", "😀", "\u200f", "x" * 255, "😀" * 255),
]


async def test_a_subscription_is_effective_when_subscribe_returns(engine: Engine, channel: str) -> None:
    names = [f"{channel}-{number}" for number in range(300)]
    async with engine.connect() as subscriber, engine.connect() as publisher:
        found = []
        for name in names:
            await subscriber.subscribe(name)
            await publish(publisher, name)
        found = await received(subscriber, 300)
    assert sorted(publication.channel for publication in found) == sorted(names)


async def test_everything_after_the_position_of_a_subscription_is_received(engine: Engine, channel: str) -> None:
    async with engine.connect() as publisher:
        publishing = True

        async def publish_on() -> None:
            while publishing:
                await publish_all(publisher, channel, numbered(5))

        task = asyncio.create_task(publish_on())
        for _ in range(10):
            async with engine.connect() as subscriber:
                start = await subscriber.subscribe(channel)
                found = await received(subscriber, 20)
                assert is_linked([publication for publication in found if publication.offset > start.offset], start)
        publishing = False
        await asyncio.wait_for(task, PATIENCE)


async def test_a_subscription_tells_the_top(keeping: Engine, channel: str) -> None:
    async with keeping.connect() as subscriber, keeping.connect() as publisher:
        position = await publish(publisher, channel)
        assert await subscriber.subscribe(channel) == position


async def test_a_second_subscriber_in_another_process_does_not_disturb_the_first(engine: Engine, channel: str) -> None:
    async with engine.connect() as first, engine.connect() as publisher:
        start = await first.subscribe(channel)
        await publish(publisher, channel)
        async with engine.connect() as second:
            await second.subscribe(channel)
            await publish(publisher, channel)
            assert len(await received(second, 1)) == 1
        await publish(publisher, channel)
        assert is_linked(await received(first, 3), start)


async def test_a_publisher_that_does_not_subscribe_receives_nothing(engine: Engine, channel: str) -> None:
    async with engine.connect() as bus:
        await publish(bus, f"{channel}-another")
        await bus.subscribe(channel)
        await publish(bus, channel)
        assert [publication.channel for publication in await received(bus, 1)] == [channel]


async def test_channel_names_are_opaque(engine: Engine, channel: str) -> None:
    names = [f"{channel}{name}"[:255] for name in NAMES] + NAMES
    async with engine.connect() as subscriber, engine.connect() as publisher:
        for name in names[::2]:
            await subscriber.subscribe(name)
        await asyncio.gather(*(publish(publisher, name, name.encode()) for name in names))
        await publish(publisher, names[0], b"the end")
        found = await received_until(subscriber, names[0], b"the end")
        assert sorted(publication.channel for publication in found[:-1]) == sorted(names[::2])
        assert all(publication.data == publication.channel.encode() for publication in found[:-1])
        for name in names[1:] if publisher.capabilities.recoverable else ():
            history = await publisher.history(name, None, 10)
            assert data_of(history.publications)[-1] == name.encode()


async def test_unsubscribing_stops(engine: Engine, channel: str) -> None:
    other = f"{channel}-other"
    async with engine.connect() as subscriber, engine.connect() as publisher:
        await subscriber.subscribe(channel)
        await subscriber.subscribe(other)
        await publish(publisher, channel)
        await received(subscriber, 1)
        await subscriber.unsubscribe(channel)
        async with asyncio.timeout(PATIENCE):
            while True:  # what is under way may still arrive
                await publish(publisher, channel)
                await publish(publisher, other, b"stopped?")
                if len(await received_until(subscriber, other, b"stopped?")) == 1:
                    break
        await publish_all(publisher, channel, numbered(20))
        await publish(publisher, other, b"stopped")
        assert len(await received_until(subscriber, other, b"stopped")) == 1


async def test_subscribing_again_is_effective_again(engine: Engine, channel: str) -> None:
    async with engine.connect() as subscriber, engine.connect() as publisher:
        for data in numbered(20):
            start = await subscriber.subscribe(channel)
            await publish(publisher, channel, data)
            found = await received_until(subscriber, channel, data)
            assert is_linked([publication for publication in found if publication.offset > start.offset], start)
            await subscriber.unsubscribe(channel)


async def test_several_subscriptions_may_be_under_way_at_once(engine: Engine, channel: str) -> None:
    names = [f"{channel}-{number}" for number in range(50)]
    async with engine.connect() as subscriber, engine.connect() as publisher:
        await asyncio.gather(*(subscriber.subscribe(name) for name in names))
        await asyncio.gather(*(publish(publisher, name) for name in names))
        assert {publication.channel for publication in await received(subscriber, 50)} == set(names)
