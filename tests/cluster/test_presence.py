"""Presence is one for the whole cluster, also while parts of it die."""

from __future__ import annotations

import asyncio
import itertools
import signal
from collections.abc import Iterator
from functools import partial

import pytest

from tests.waiting import until, wait_for

from .harness import RunningCluster
from .sdk import SECRET, Person, people

_rooms = (f"room{number}" for number in itertools.count(1))


@pytest.fixture(scope="module")
def cluster() -> Iterator[RunningCluster]:
    """Three workers with channels for everyone who has a token."""
    with RunningCluster("tests.conformance.app:app", workers=3, token_hmac_secret=SECRET) as cluster:
        yield cluster


@pytest.fixture
def room() -> str:
    """A channel of one's own."""
    return next(_rooms)


def ports(cluster: RunningCluster) -> list[int]:
    """The workers' own ports, in the order of the workers."""
    found = []
    for pid in cluster.worker_pids():
        port = cluster.worker_port(pid)
        assert port is not None
        found.append(port)
    return found


def one_each(cluster: RunningCluster) -> list[tuple[int, str]]:
    """A user for each worker."""
    return list(zip(ports(cluster), ("ann", "bob", "eve"), strict=True))


async def sees(person: Person, room: str, *present: Person) -> bool:
    return await person.present(room) == {other.client_id for other in present}


async def test_who_subscribed_on_one_worker_is_present_on_every_other_at_once(
    cluster: RunningCluster, room: str
) -> None:
    async with people(*one_each(cluster)) as (ann, bob, eve):
        await bob.subscribe(room)
        await eve.subscribe(room)
        for _ in range(100):
            subscription = await ann.subscribe(room)
            assert await sees(bob, room, ann, bob, eve)
            await subscription.unsubscribe()
            await ann.present("#ann")  # the SDK does not wait for the answer: this one comes after it
            assert await sees(eve, room, bob, eve)


async def test_joins_and_leaves_are_told_on_every_worker(cluster: RunningCluster, room: str) -> None:
    async with people(*one_each(cluster)) as (ann, bob, eve):
        await ann.subscribe(room)
        subscription = await bob.subscribe(room)
        await eve.subscribe(room)
        await subscription.unsubscribe()
        expected = [("joined", room, person.client_id) for person in (ann, bob, eve)] + [("left", room, bob.client_id)]
        await until(lambda: ("left", room, bob.client_id) in ann.told, "ann is told that bob left")
        assert [told for told in ann.told if told[1] == room] == expected
        await until(lambda: ("left", room, bob.client_id) in eve.told, "eve is told that bob left")
        assert eve.told[-2:] == expected[-2:]


async def test_many_clients_that_come_at_once_are_all_there(cluster: RunningCluster, room: str) -> None:
    users = [(port, f"user {number}") for number, port in zip(range(60), itertools.cycle(ports(cluster)))]
    async with people(*users) as everyone:
        await asyncio.gather(*(person.subscribe(room) for person in everyone))
        for person in everyone[:3]:
            assert await sees(person, room, *everyone)
            stats = await person.client.presence_stats(room)
            assert (stats.num_clients, stats.num_users) == (60, 60)


async def test_a_killed_worker_s_clients_leave(cluster: RunningCluster, room: str) -> None:
    async with people(*one_each(cluster)) as (ann, bob, eve):
        for person in (ann, bob, eve):
            await person.subscribe(room)
        gone = ann.client_id
        cluster.kill(cluster.worker_pids()[0])  # ann comes back as another client, when there is another worker
        for person in (bob, eve):
            await until(partial(person.told.__contains__, ("left", room, gone)), "ann has left")
        await until(lambda: ann.client_id != gone, "ann is back")
        await until_sees(eve, room, ann, bob, eve)
        assert bob.told.count(("left", room, gone)) == 1
    await asyncio.to_thread(cluster.wait_until_ready)


async def test_a_worker_that_starts_knows_who_was_there_before(cluster: RunningCluster, room: str) -> None:
    first, *others = cluster.worker_pids()
    port = cluster.worker_port(others[0])
    assert port is not None
    async with people((port, "bob")) as (bob,):
        await bob.subscribe(room)
        cluster.kill(first)
        await asyncio.to_thread(cluster.wait_until_ready)
        async with people((ports(cluster)[0], "ann")) as (ann,):
            await ann.subscribe(room)
            assert await sees(ann, room, ann, bob)


async def test_presence_survives_the_forwarder(cluster: RunningCluster, room: str) -> None:
    async with people(*one_each(cluster)) as (ann, bob, eve):
        for person in (ann, bob, eve):
            await person.subscribe(room)
        before = cluster.forwarder_pid()
        cluster.kill(before)

        def restarted() -> bool:
            return cluster.forwarder_pid() not in (None, before)

        await until(restarted, "there is another forwarder")
        for person in (ann, bob, eve):
            await until_sees(person, room, ann, bob, eve)
        other = next(_rooms)
        await ann.subscribe(other)
        await bob.subscribe(other)
        assert await sees(bob, other, ann, bob)
        assert not [told for told in ann.told + bob.told + eve.told if told[0] == "left"]


async def test_a_paused_worker_s_clients_leave_and_come_back_with_it(cluster: RunningCluster, room: str) -> None:
    first = cluster.worker_pids()[0]
    async with people(*one_each(cluster)) as (ann, bob, eve):
        for person in (ann, bob, eve):
            await person.subscribe(room)
        cluster.hold_still(first)
        try:
            await until(lambda: ("left", room, ann.client_id) in bob.told, "ann has left")
            await until_sees(eve, room, bob, eve)
        finally:
            cluster.kill(first, signal.SIGCONT)
        await until_sees(bob, room, ann, bob, eve)
        assert await sees(ann, room, ann, bob, eve)
    await asyncio.to_thread(wait_for, lambda: cluster.is_ready(first), "it is ready again")


async def until_sees(person: Person, room: str, *present: Person) -> None:
    async def met() -> bool:
        try:
            return await sees(person, room, *present)
        except Exception:
            return False

    await until(met, f"{person.user} sees who is there")
