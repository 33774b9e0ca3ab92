"""A cluster whose workers are joined by a message queue instead of the forwarder: RabbitMQ, or SNS and SQS."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract.engine_rabbitmq import RabbitMq
from tests.contract.engine_sqs import Sqs
from tests.waiting import PATIENCE, until, wait_for

from .client import Client, assert_everyone_is_notified_once, one_client_per_worker
from .harness import RunningCluster, started

ENGINES = {"rabbitmq": RabbitMq, "sns+sqs": Sqs}


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[RabbitMq | Sqs]:
    engine = ENGINES[request.param]()
    try:
        engine.start()
        yield engine
    finally:
        engine.close()


@pytest.fixture(scope="module")
def cluster(engine: RabbitMq | Sqs) -> Iterator[RunningCluster]:
    cluster = RunningCluster(workers=2, bus_url=engine.url, bus_timeout=PATIENCE)
    with started(cluster):
        cluster.wait_until_ready()
        yield cluster


def address(cluster: RunningCluster, number: int, place: Any = None) -> str:
    """Where worker `number` takes clients of a channel; `place`: where the client was, if it was told."""
    since = f"&epoch={place['epoch']}&offset={place['offset']}" if place and "epoch" in place else ""
    return f"ws://127.0.0.1:{cluster.worker_port(cluster.worker_pids()[number])}/ws?channel=chat:queue{since}"


async def next_of_channel(client: Client) -> Any:
    while "channel" not in (message := await client.receive()):
        pass
    return message


async def test_every_client_of_every_worker_receives_everything(cluster: RunningCluster) -> None:
    assert cluster.forwarder_pid() is None
    async with one_client_per_worker(cluster.ws_url, 2) as clients:
        await assert_everyone_is_notified_once(clients, rounds=20)
    assert cluster.command("verify").returncode == 0


async def test_the_password_is_not_shown(engine: RabbitMq | Sqs, cluster: RunningCluster) -> None:
    assert "guest:guest" not in cluster.output()


async def test_a_client_that_moves_gets_what_it_missed_or_is_told_that_it_cannot(
    engine: RabbitMq | Sqs, cluster: RunningCluster
) -> None:
    async with await Client.open(address(cluster, 1)) as other:
        await next_of_channel(other)
        async with await Client.open(address(cluster, 0)) as client:
            await next_of_channel(client)
            await client.push()
            seen = await next_of_channel(client)
        for _ in range(3):
            await other.push()
        pushed = [await next_of_channel(other) for _ in range(4)]
        async with await Client.open(address(cluster, 1, seen)) as back:
            notice = await next_of_channel(back)
            recoverable = engine.connect().capabilities.recoverable
            assert ("epoch" in seen, notice.get("recovered", False)) == (recoverable, recoverable)
            if recoverable:
                assert pushed[0] == seen
                assert [await next_of_channel(back) for _ in range(3)] == pushed[1:]
            await other.push()
            assert (await next_of_channel(back))["data"] == (await next_of_channel(other))["data"]


async def test_a_client_misses_nothing_while_the_engine_is_killed_in_mid_traffic_or_is_told(
    engine: RabbitMq | Sqs, cluster: RunningCluster
) -> None:
    """Whoever has positions sees each accepted push once, in one order; whoever cannot be sure is told."""
    async with await Client.open(address(cluster, 0)) as here, await Client.open(address(cluster, 1)) as there:
        await next_of_channel(here)
        await next_of_channel(there)

        async def push() -> None:
            for _ in range(200):
                await here.push()
                await asyncio.sleep(0.02)

        pushing = asyncio.create_task(push())
        seen = [[await next_of_channel(client) for _ in range(20)] for client in (here, there)]
        engine.restart()
        await pushing
        for messages, client in zip(seen, (here, there), strict=True):
            while len(messages) < 200 and messages[-1].get("recovered") is not False:
                messages.append(await next_of_channel(client))
        if engine.connect().capabilities.durable:
            assert seen[0] == seen[1]
            offsets = [message["offset"] for message in seen[0]]
            assert offsets == sorted(set(offsets))
        else:
            assert all(messages[-1].get("recovered") is False for messages in seen)

        async def everyone_is_served() -> bool:
            async with one_client_per_worker(cluster.ws_url, 2) as clients:
                await assert_everyone_is_notified_once(clients)
            return True

        wait_for(lambda: all(map(cluster.is_ready, cluster.worker_pids())), "the workers are ready again")
        await until(everyone_is_served, "everyone is served")
