"""RabbitMQ streams that are deleted, set back, cut, written to by strangers, or not to be had at all."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel

from cluster.bus import Bus, connect, session
from cluster.errors import BusUnavailable, ConfigurationError
from cluster.settings import load
from cluster.stream import History, Position
from tests.waiting import PATIENCE

from .engine_rabbitmq import RabbitMq
from .reading import data_of, is_linked, numbered, publish, publish_all, received, whole_history
from .test_restart import recovered


@pytest.fixture(scope="module")
def server() -> Iterator[RabbitMq]:
    server = RabbitMq()
    try:
        server.start()
        yield server
    finally:
        server.close()


def positions_of(history: History) -> list[Position]:
    return [publication.position for publication in history.publications]


@asynccontextmanager
async def administrator(server: RabbitMq) -> AsyncIterator[AbstractChannel]:
    async with await aio_pika.connect(server.url) as connection:
        yield await connection.channel()


async def told_of_another_epoch(bus: Bus, channel: str, epoch: str) -> Position:
    """The first position of `channel` in an epoch that is not `epoch`."""
    async with asyncio.timeout(PATIENCE):
        while (publication := await bus.receive()).channel != channel or publication.epoch == epoch:
            pass
    return publication.position


async def test_a_stream_that_is_deleted_begins_a_new_epoch_and_subscribers_are_told(server: RabbitMq) -> None:
    async with server.connect() as bus, server.connect() as other:
        before = await publish(bus, "deleted")
        await bus.subscribe("deleted")
        await other.subscribe("deleted")
        async with administrator(server) as channel:
            await channel.queue_delete("fws")
        after = await publish(bus, "deleted", b"after")
        assert after.epoch != before.epoch
        for each in (bus, other):
            assert (await told_of_another_epoch(each, "deleted", before.epoch)).epoch == after.epoch
            found = await each.history("deleted", before, 10)
            assert (data_of(found.publications), found.complete) == ([b"after"], False)


async def test_a_stream_set_back_to_an_earlier_state_begins_a_new_epoch(server: RabbitMq, tmp_path: Path) -> None:
    """An offset must not mean two publications."""
    async with server.connect() as bus, server.connect() as other:
        before = await publish(bus, "set back", b"kept")
        await other.subscribe("set back")
        server.stop(signal.SIGTERM)
        shutil.copytree(server.directory / "mnesia", tmp_path / "mnesia")
        server.start()
        lost = (await publish_all(bus, "set back", numbered(20)))[-1]
        assert (await other.history("set back", None, 0)).top == lost
        server.stop(signal.SIGTERM)
        shutil.rmtree(server.directory / "mnesia")
        shutil.copytree(tmp_path / "mnesia", server.directory / "mnesia")
        server.start()
        after = await publish(bus, "set back", b"after")
        assert after.epoch != before.epoch
        assert (await told_of_another_epoch(other, "set back", before.epoch)).epoch == after.epoch
        assert not (await other.history("set back", lost, 10)).complete
    async with server.connect() as later:  # who reads all of it comes to the same end
        found = await later.history("set back", None, 10)
        assert (data_of(found.publications), found.top) == ([b"after"], after)


async def test_who_begins_when_the_stream_has_been_cut_agrees_on_places_and_claims_no_more(server: RabbitMq) -> None:
    small = f"{server.url}?prefix=cut"
    kept = {"bus_url": small, "forwarder_bytes": 2 * 1024 * 1024}
    async with server.connect(**kept) as old:
        first = await publish(old, "quiet")
        start = await publish(old, "busy", b"first")
        for _ in range(16):
            await publish(old, "busy", bytes(700_000))
        async with server.connect(**kept) as new:
            last = await publish(new, "busy", b"last")
            mine, others = [await whole_history(bus, "busy") for bus in (new, old)]
            assert last == mine.top == others.top
            common = min(len(mine.publications), len(others.publications))
            assert common > 0
            assert positions_of(mine)[-common:] == positions_of(others)[-common:]
            assert len(mine.publications) < 16
            assert is_linked(mine.publications, Position(last.epoch, mine.publications[0].prev))
            assert (await old.history("quiet", first, 10)).complete
            assert not (await new.history("quiet", first, 10)).complete
            assert not (await new.history("busy", start, 1000)).complete


async def test_what_strangers_write_into_the_stream_is_passed_over(server: RabbitMq) -> None:
    async with server.connect() as bus:
        start = await bus.subscribe("strangers")
        async with administrator(server) as channel:
            for body in (b"", b"\xc1", b"{}", bytes(100_000)):
                await channel.default_exchange.publish(aio_pika.Message(body), "fws")
        await publish(bus, "strangers")
        assert is_linked(await received(bus, 1), start)
    async with server.connect() as later:
        assert len((await later.history("strangers", start, 10)).publications) == 1


async def test_a_queue_that_is_no_stream_is_named_as_the_reason(server: RabbitMq) -> None:
    async with administrator(server) as channel:
        await channel.declare_queue("classic", durable=True)
    async with server.connect(bus_url=f"{server.url}?prefix=classic", bus_timeout=2.0) as bus:
        with pytest.raises(BusUnavailable, match="no stream"):
            await bus.history("channel", None, 10)


async def test_a_wrong_password_is_named_as_the_reason_and_not_shown(server: RabbitMq) -> None:
    url = server.url.replace("guest:guest", "guest:wrong")
    async with server.connect(bus_url=url, bus_timeout=2.0) as bus:
        with pytest.raises(BusUnavailable, match="ACCESS_REFUSED") as raised:
            await bus.history("channel", None, 10)
        assert "wrong" not in str(raised.value)


async def test_a_worker_that_cannot_keep_up_is_told_where_the_channel_is(
    server: RabbitMq, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "INBOX_LIMIT", 10)
    async with server.connect() as slow, server.connect() as publisher:
        start = await slow.subscribe("too much")
        for _ in range(10):
            last = (await publish_all(publisher, "too much", numbered(100)))[-1]
        await slow.history("too much", None, 0)  # it has seen it all, and not kept it
        found = await recovered(slow, "too much", start, last)
        assert found is not None
        assert data_of(found) == numbered(100) * 10
        assert is_linked(found, start)


async def test_subscribing_to_many_channels_at_once_asks_the_broker_a_few_times(server: RabbitMq) -> None:
    async with server.connect() as bus:
        before = (await publish(bus, "count")).offset
        await asyncio.gather(*(bus.subscribe(f"many-{number}") for number in range(500)))
        after = (await publish(bus, "count")).offset
    assert (after - before) // 1024 < 50


def test_a_broker_without_streams_is_named_as_the_reason() -> None:
    server = RabbitMq(features="")
    try:
        server.start()

        async def ask() -> None:
            async with server.connect(bus_timeout=2.0) as bus, asyncio.timeout(PATIENCE):
                reason = ""
                while "cannot be created" not in reason:
                    with pytest.raises(BusUnavailable) as raised:
                        await bus.history("channel", None, 10)
                    reason = str(raised.value)
            assert "RabbitMQ 3.9" in reason

        asyncio.run(ask())
    finally:
        server.close()


@pytest.mark.parametrize("url", ["amqp://", "amqp:///", "amqps://?x", "amqp://host/?prefix=a.b", "amqp://u:p@/"])
def test_a_url_that_cannot_be_used_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(ConfigurationError, match="BUS_URL") as raised:
        connect(load(bus_url=url))
    assert "u:p" not in str(raised.value)
