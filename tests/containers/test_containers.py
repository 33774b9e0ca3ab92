"""Two containers on an engine that keeps everything: one order, nothing lost, whichever of them clients are on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

from tests.chaos.client import Subscriber
from tests.cluster.sdk import Person
from tests.contract.engine_nats import Nats
from tests.contract.engine_rabbitmq import RabbitMq
from tests.contract.engine_redis import Redis
from tests.contract.engines import Server
from tests.waiting import PATIENCE, until

from .clients import Traffic, readers, writer
from .container import WORKERS
from .network import Loopback
from .site import BUS_TIMEOUT, CUT, Pair, Site, site

ENGINES: dict[str, Callable[[], Server]] = {"nats": Nats, "redis": Redis, "rabbitmq": RabbitMq}


@pytest.fixture(scope="module", params=ENGINES)
def place(request: pytest.FixtureRequest) -> Iterator[Site]:
    with site(ENGINES[request.param]) as found:
        yield found


def test_verify_shows_every_worker_of_every_host(place: Site, containers: Pair) -> None:
    here, there = containers
    shown = here.command("verify", there.url)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    _, *rows, last = shown.stdout.splitlines()
    assert last == "every client of every worker received every message once"
    assert len(rows) == 2 * WORKERS
    if place.network.isolated:
        assert [row.split(":")[0] for row in rows] == [here.name] * WORKERS + [there.name] * WORKERS


async def test_what_is_published_in_either_reaches_the_clients_of_both_in_one_order(containers: Pair) -> None:
    here, there = (container.ws_url for container in containers)
    everyone = [*readers("chaos:both", here), *readers("chaos:both", there)]
    async with Traffic("chaos:both", [writer("chaos:both", here), writer("chaos:both", there)], everyone) as traffic:
        await traffic.flows(more=50)
        verdict = await traffic.finish()
    assert verdict.kept, str(verdict)
    received = [[delivery.id for delivery in reader.record.deliveries] for reader in everyone]
    assert received == [received[0]] * len(everyone)


@pytest.mark.parametrize("kind", [0, 1], ids=["plain", "sdk"])
async def test_a_client_that_moves_to_the_other_container_gets_exactly_what_it_missed(
    containers: Pair, kind: int
) -> None:
    here, there = (container.ws_url for container in containers)
    channel = f"chaos:moving-{kind}"
    client = readers(channel, here, there)[kind]
    async with Traffic(channel, [writer(channel, there)], [client]) as traffic:
        await traffic.flows()
        await traffic.leave(client)
        seen = len(client.record.deliveries)
        await traffic.flows()
        traffic.come(client)
        await until(lambda: client.recoveries, "it has recovered")
        await traffic.flows()
        verdict = await traffic.finish()
    assert verdict.kept, str(verdict)
    assert (client.connects, client.recoveries) == (2, 1)
    assert len(client.record.deliveries) > seen + 20


async def test_a_client_sees_those_of_the_other_container_come_and_go(containers: Pair) -> None:
    ann, bob = people(containers)
    try:
        for person in (ann, bob):
            await connected(person)
            await person.subscribe("room:a")
        for person in (ann, bob):
            assert await person.present("room:a") == {ann.client_id, bob.client_id}
        await until(lambda: ("joined", "room:a", bob.client_id) in ann.told, "ann is told that bob is there")
        await ann.client.disconnect()
        await until(lambda: ("left", "room:a", ann.client_id) in bob.told, "bob is told that ann has left")
        assert await bob.present("room:a") == {bob.client_id}
    finally:
        await gone(ann, bob)


async def test_a_link_to_the_engine_that_is_cut_under_traffic_loses_nothing(linked: Loopback, containers: Pair) -> None:
    here, there = (container.ws_url for container in containers)
    everyone = [*readers("chaos:cut", here), *readers("chaos:cut", there)]
    behind, before = writer("chaos:cut", here), writer("chaos:cut", there)
    async with Traffic("chaos:cut", [behind, before], everyone) as traffic:
        await traffic.flows()
        linked.cut(containers[0].number)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(asyncio.sleep(CUT))
                tasks.create_task(traffic.flows(before))
                tasks.create_task(until(lambda: not containers[0].serves(), "it says that it is not ready"))
        finally:
            linked.heal(containers[0].number)
        await traffic.flows()
        await asyncio.to_thread(containers[0].wait_until_ready, 2 * WORKERS)
        verdict = await traffic.finish()
    assert verdict.kept, str(verdict)
    assert behind.longest_wait < BUS_TIMEOUT + PATIENCE / 2, "a publisher waited without end"
    assert all("publish again with the same id" in error for error in behind.errors)
    assert behind.errors, "a publisher was not told that it had to wait too long"
    assert not before.errors


async def test_a_container_that_is_killed_whole_loses_nothing(containers: Pair) -> None:
    dying, living = containers
    urls = (dying.ws_url, living.ws_url)
    movers: list[Subscriber] = readers("chaos:killed", *urls)
    writers = [writer("chaos:killed", *urls), writer("chaos:killed", living.ws_url)]
    ann, bob = people(containers)
    try:
        for person in (ann, bob):
            await connected(person)
            await person.subscribe("room:b")
        lost = ann.client_id
        async with Traffic("chaos:killed", writers, [*movers, *readers("chaos:killed", living.ws_url)]) as traffic:
            await traffic.flows()
            dying.kill()
            await traffic.flows()
            await until(lambda: all(mover.recoveries for mover in movers), "the clients have moved")
            verdict = await traffic.finish()
        assert verdict.kept, str(verdict)
        await until(lambda: ("left", "room:b", lost) in bob.told, "bob is told that ann has left")
        assert await bob.present("room:b") == {bob.client_id}
    finally:
        await gone(ann, bob)


def people(containers: Pair) -> tuple[Person, Person]:
    """A user of each container."""
    here, there = containers
    return Person(here.port, "ann", here.host), Person(there.port, "bob", there.host)


async def connected(person: Person) -> None:
    await person.client.connect()
    await person.client.ready(PATIENCE)


async def gone(*people: Person) -> None:
    for person in people:
        await person.client.disconnect()
