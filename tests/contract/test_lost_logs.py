"""NATS and Redis servers whose data is lost, set back or taken away, and workers that cannot keep up with them."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import pytest
from nats.aio.client import Client
from redis.asyncio import Redis as RedisClient

from cluster.bus import connect, session
from cluster.errors import BusError, BusUnavailable
from cluster.settings import load
from cluster.stream import Retention
from tests.waiting import PATIENCE, until

from .engine_nats import Nats
from .engine_redis import Redis
from .engines import Server, free_ports
from .reading import data_of, is_linked, numbered, publish, publish_all, received, whole_history
from .test_restart import recovered

S = TypeVar("S", bound=Server)


@pytest.fixture(scope="module", params=[Nats, Redis])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    yield from _running(request.param())


@pytest.fixture(scope="module")
def nats() -> Iterator[Nats]:
    yield from _running(Nats())


@pytest.fixture(scope="module")
def redis() -> Iterator[Redis]:
    yield from _running(Redis())


def _running(server: S) -> Iterator[S]:
    try:
        server.start()
        yield server
    finally:
        server.close()


async def test_a_server_set_back_to_an_earlier_state_begins_a_new_epoch(nats: Nats, tmp_path: Path) -> None:
    """An offset must not mean two publications."""
    async with nats.connect() as bus:
        before = await publish(bus, "set back")
        nats.stop(signal.SIGTERM)
        shutil.copytree(nats.directory, tmp_path / "copy")
        nats.start()
        lost = await publish(bus, "set back")
        assert lost.epoch == before.epoch
        nats.stop(signal.SIGTERM)
        shutil.rmtree(nats.directory)
        shutil.copytree(tmp_path / "copy", nats.directory)
        nats.start()
        after = await publish(bus, "set back")
        assert after.epoch != before.epoch
        assert not (await bus.history("set back", before, 10)).complete


async def test_a_stream_that_is_deleted_begins_anew_with_its_subscriptions(nats: Nats) -> None:
    async with nats.connect() as bus, nats.connect() as publisher:
        before = await bus.subscribe("deleted")
        client = Client()
        await client.connect(nats.url)
        await client.jetstream().delete_stream(f"fws-{before.epoch}")
        await client.close()
        after = await publish(publisher, "deleted", b"after")
        assert after.epoch != before.epoch
        (publication,) = await received(bus, 1)
        assert (publication.position, publication.data) == (after, b"after")
        assert not (await bus.history("deleted", before, 10)).complete


async def test_what_others_put_into_the_stream_is_no_publication(nats: Nats) -> None:
    async with nats.connect() as bus:
        start = await bus.subscribe("foreign")
        client = Client()
        await client.connect(nats.url)
        await client.jetstream().publish("fws.in.foreign", b"not ours")
        await client.close()
        last = await publish(bus, "foreign", b"ours")
        found = await bus.history("foreign", start, 10)
        assert (data_of(found.publications), found.top, found.complete) == ([b"ours"], last, True)
        assert await recovered(bus, "foreign", start, last) == found.publications


async def test_subjects_of_another_stream_are_left_alone(nats: Nats) -> None:
    client = Client()
    await client.connect(nats.url)
    await client.jetstream().add_stream(name="OTHERS", subjects=["taken.in.>"])
    await client.close()
    async with connect(load(bus_url=f"{nats.url}/?prefix=taken", bus_timeout=1.0)) as bus:
        with pytest.raises(BusUnavailable, match="OTHERS"):
            await bus.history("channel", None, 10)


async def test_flushing_begins_a_new_epoch(redis: Redis) -> None:
    async with redis.connect() as bus:
        before = await bus.subscribe("flushed")
        await publish(bus, "flushed")
        async with RedisClient.from_url(redis.url.partition("?")[0]) as client:
            await client.flushall()
        after = await publish(bus, "flushed")
        assert after.epoch != before.epoch
        assert not (await bus.history("flushed", before, 10)).complete
        assert [publication.epoch for publication in await received(bus, 2)] == [before.epoch, after.epoch]


async def test_a_forgotten_channel_never_uses_an_offset_again(redis: Redis) -> None:
    """A server short of memory may evict any key."""
    async with redis.connect() as bus:
        last = (await publish_all(bus, "evicted", numbered(10)))[-1]
        async with RedisClient.from_url(redis.url.partition("?")[0]) as client:
            async for key in client.scan_iter(match="*:t:evicted"):
                await client.delete(key)
        again = await publish(bus, "evicted")
        assert again.epoch == last.epoch
        assert again.offset > last.offset
        assert not (await bus.history("evicted", last._replace(offset=last.offset - 1), 10)).complete


async def test_a_restart_not_declared_durable_begins_a_new_epoch(redis: Redis) -> None:
    """Though this server has lost nothing: nobody has said that it may not."""
    async with connect(load(bus_url=redis.url.replace("durable=yes", "prefix=other"))) as bus:
        before = await publish(bus, "restarted")
        redis.restart()
        assert (await publish(bus, "restarted")).epoch != before.epoch


async def test_a_replica_that_takes_over_begins_a_new_epoch(redis: Redis) -> None:
    """It may lack what its master had acknowledged."""
    replica = Redis()
    try:
        replica.start()
        async with redis.connect() as bus:
            before = await publish(bus, "moved")
        host = redis.url.removeprefix("redis://").partition("/")[0].split(":")
        async with RedisClient.from_url(replica.url.partition("?")[0]) as client:
            async with asyncio.timeout(PATIENCE):
                while True:
                    with suppress(Exception):
                        await client.replicaof(host[0], host[1])
                        break
                    await asyncio.sleep(0.05)
                while not await client.exists("fws"):
                    await asyncio.sleep(0.05)
            await client.replicaof("NO", "ONE")
        async with replica.connect() as bus:
            assert (await publish(bus, "moved")).epoch != before.epoch
    finally:
        replica.close()


async def test_a_worker_that_cannot_keep_up_drops_and_is_told(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "INBOX_LIMIT", 50)
    async with server.connect() as slow, server.connect() as publisher:
        start = await slow.subscribe("flood")
        last = (await publish_all(publisher, "flood", numbered(5000)))[-1]
        found = await recovered(slow, "flood", start, last)
        assert found is not None
        assert data_of(found) == numbered(5000)
        assert is_linked(found, start)


async def test_a_channel_left_while_a_worker_cannot_keep_up_takes_no_other_with_it(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "INBOX_LIMIT", 50)
    async with server.connect() as slow, server.connect() as publisher:
        await slow.subscribe("left")
        start = await slow.subscribe("kept")
        await publish_all(publisher, "left", numbered(1000))
        assert isinstance(slow, session.SessionBus)
        await until(lambda: "left" in slow._missed, "more came than it takes")
        await slow.unsubscribe("left")
        last = await publish(publisher, "kept", b"still read")
        found = await recovered(slow, "kept", start, last)
        assert found is not None
        assert data_of(found) == [b"still read"]


@pytest.mark.parametrize("hole", [-1, 4])
async def test_who_deletes_from_a_stream_leaves_a_history_that_is_not_complete(redis: Redis, hole: int) -> None:
    """And nothing that goes on for ever in the server."""
    async with redis.connect() as bus:
        start = (await publish_all(bus, f"hole {hole}", numbered(10)))[0]
        async with RedisClient.from_url(redis.url.partition("?")[0]) as client:
            [stream] = [key async for key in client.scan_iter(match=f"*:s:hole {hole}")]
            entries = await client.xrange(stream) or []
            id = entries[hole][0]
            assert isinstance(id, bytes)
            await client.xdel(stream, id)
        assert not (await bus.history(f"hole {hole}", start, 100)).complete
        after = await publish(bus, f"hole {hole}")
        assert after.epoch == start.epoch


async def test_publications_do_not_pile_up(nats: Nats) -> None:
    """A channel holds a little more than its retention, however much is published."""
    async with nats.connect() as bus:
        for data in numbered(2000):
            await bus.publish("busy", data, id=data.decode(), retention=Retention(10, 300.0))
        client = Client()
        await client.connect(nats.url)
        stream = await client.jetstream().find_stream_name_by_subject("fws.in.busy")
        state = (await client.jetstream().stream_info(stream, subjects_filter="fws.in.busy")).state
        await client.close()
        assert state.subjects is not None
        assert 10 <= state.subjects["fws.in.busy"] < 1000
        assert len((await whole_history(bus, "busy")).publications) == 10


@pytest.mark.parametrize("scheme", ["nats", "redis"])
async def test_a_server_that_hangs_up_at_once_is_not_stormed(scheme: str) -> None:
    connections = 0

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        writer.close()

    port = free_ports(1)
    async with (
        await asyncio.start_server(hang_up, "127.0.0.1", port),
        connect(load(bus_url=f"{scheme}://127.0.0.1:{port}", bus_timeout=3.0)) as bus,
    ):
        with pytest.raises(BusError):
            await bus.history("channel", None, 10)
    assert 2 <= connections < 30
