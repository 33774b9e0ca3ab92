"""Many clients and many channels over four workers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from itertools import count, islice
from typing import Any

import pytest

from .client import Client, close_all
from .harness import RunningCluster

STAYING = 300
STORMING = 100
PUBLICATIONS = 200


@pytest.fixture(scope="module")
def relay() -> Iterator[RunningCluster]:
    with RunningCluster("tests.apps.relay:app", workers=4) as cluster:
        yield cluster


async def test_a_fresh_subscription_loses_nothing(relay: RunningCluster) -> None:
    """Subscribe on one worker, publish at once from another: 300 of 300."""
    urls = [f"ws://127.0.0.1:{relay.worker_port(pid)}/relay" for pid in relay.worker_pids()]
    publishers = [await Client.open(url) for url in urls]
    names = map("fresh-{}".format, count())

    async def subscribe_and_publish(here: int) -> int:
        received = 0
        for channel in islice(names, 75):
            async with await Client.open(f"{urls[here]}?channel={channel}") as client:
                await publishers[here - 1].send({"channel": channel, "data": channel})
                received += await client.receive() == channel
        return received

    assert sum(await asyncio.gather(*(subscribe_and_publish(here) for here in range(4)))) == 300
    await close_all(publishers)


async def test_clients_that_stay_through_a_storm_miss_nothing(relay: RunningCluster) -> None:
    """400 clients: most stay, the others come and go all the time. All see one sequence without a gap."""
    url = f"ws://127.0.0.1:{relay.port}/relay?channel=storm"
    staying = [await Client.open(url) for _ in range(STAYING)]
    publisher = await Client.open(f"ws://127.0.0.1:{relay.port}/relay")
    assert {client.pid for client in staying} == set(relay.worker_pids())
    over = asyncio.Event()

    async def stay(client: Client) -> list[Any]:
        return [await client.receive() for _ in range(PUBLICATIONS)]

    async def storm(seed: int) -> list[list[Any]]:
        """Connect, take a few publications, go, until it is over; what each connection received."""
        dice = random.Random(seed)
        visits: list[list[Any]] = []
        while not over.is_set():
            async with await Client.open(url) as client:
                visits.append([])
                for _ in range(dice.randrange(8)):
                    if over.is_set():
                        break
                    visits[-1].append(await client.receive())
        return visits

    storms = [asyncio.create_task(storm(seed)) for seed in range(STORMING)]
    stays = [asyncio.create_task(stay(client)) for client in staying]
    try:
        for number in range(PUBLICATIONS):
            await publisher.send({"channel": "storm", "data": number})
            await asyncio.sleep(0.02)
        received = await asyncio.gather(*stays)
        over.set()
        # Those that wait for more are let go.
        await publisher.send({"channel": "storm", "data": PUBLICATIONS})
        visits = [visit for storm in await asyncio.gather(*storms) for visit in storm]
    finally:
        for task in (*storms, *stays):
            task.cancel()
        await close_all([*staying, publisher])

    assert all(numbers == list(range(PUBLICATIONS)) for numbers in received)
    assert len(visits) > STORMING
    assert sum(map(len, visits)) > STORMING
    for visit in visits:
        assert visit == list(range(visit[0], visit[0] + len(visit))) if visit else True
