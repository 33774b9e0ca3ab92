"""Slow, stuck and hostile clients, and a worker that stood still, cost bounded memory and nobody else's messages."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress

import psutil
import pytest

from tests.cluster.harness import RunningCluster
from tests.waiting import PATIENCE, until, wait_for

from .checker import Record, check
from .client import Client, Publisher, Subscriber
from .run import APP
from .slow import SlowSubscriber, StuckClient

CHANNEL = "slow:1"
MEMORY = 200 * 1024 * 1024
"""Bytes of resident memory that neither worker nor forwarder may reach with stuck clients present."""


@contextmanager
def single_worker(**settings: int) -> Iterator[RunningCluster]:
    with RunningCluster(APP, workers=1, truncate=False, client_queue_bytes=256 * 1024, **settings) as cluster:
        yield cluster


class Traffic:
    """Subscribers and one publisher, running for the length of the block."""

    def __init__(self, publisher: Publisher, subscribers: Sequence[Client]) -> None:
        self._publisher = publisher
        self._clients = [publisher, *subscribers]

    async def __aenter__(self) -> Traffic:
        (*others,) = (client for client in self._clients if client is not self._publisher)
        self._tasks = [asyncio.create_task(client.run()) for client in others]
        await until(lambda: all(client.connects for client in others), "every client is connected")
        self._tasks.append(asyncio.create_task(self._publisher.run()))
        return self

    async def __aexit__(self, *exception: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def finish(self) -> None:
        """Stop publishing; all that was published is acknowledged."""
        self._publisher.stopping = True
        await asyncio.wait_for(self._publisher.idle.wait(), PATIENCE)


async def all_received(publisher: Publisher, subscribers: Sequence[Subscriber]) -> None:
    """Wait until everyone has everything, and check that it is right."""
    top = max(offset for _, offset in publisher.acknowledged[CHANNEL].values())
    with suppress(AssertionError):
        await until(lambda: all(s.offset >= top for s in subscribers), "everything has arrived")
    records: list[Record] = [subscriber.record for subscriber in subscribers]
    verdict = check(publisher.acknowledged, records)
    assert verdict.kept, str(verdict)


async def test_slow_and_stuck_clients_are_cut_and_delay_nobody() -> None:
    jitter = random.Random(1)
    with single_worker(history_size=10_000) as cluster, ExitStack() as stack:
        url = f"ws://127.0.0.1:{cluster.port}"
        quick = [Subscriber(url, CHANNEL, jitter) for _ in range(45)]
        slow = [SlowSubscriber(url, CHANNEL, jitter) for _ in range(5)]
        publisher = Publisher(url, "p", [CHANNEL], 100, jitter, padding=2000)
        processes = [psutil.Process(pid) for pid in (*cluster.worker_pids(), cluster.forwarder_pid())]
        async with Traffic(publisher, [*quick, *slow]) as traffic:
            for _ in range(10):
                stack.enter_context(closing(StuckClient(f"{url}/ws?channel={CHANNEL}")))
            most = 0
            end = time.monotonic() + 30
            while time.monotonic() < end:
                await asyncio.sleep(0.5)
                most = max(most, *(process.memory_info().rss for process in processes))
            await traffic.finish()
            for client in slow:
                client.hurry()
            await all_received(publisher, [*quick, *slow])
        assert all(client.connects == 1 for client in quick), "a client that reads was cut"
        assert max(client.longest_silence for client in quick) < 2, "a client that reads had to wait"
        assert any(client.connects > 1 for client in slow), "no slow client was cut"
        assert most < MEMORY, f"{most / 2**20:.0f} MiB"


async def test_a_client_that_is_cut_for_being_slow_is_told_3008() -> None:
    jitter = random.Random(1)
    with single_worker() as cluster:
        url = f"ws://127.0.0.1:{cluster.port}"
        slow = SlowSubscriber(url, CHANNEL, jitter, rate=100_000)
        publisher = Publisher(url, "p", [CHANNEL], 200, jitter, padding=4000)
        async with Traffic(publisher, [slow]):
            await until(lambda: 3008 in slow.closed_with, "closed with 3008")


@pytest.mark.parametrize("behaviour", ["never reads", "sends and never reads"])
def test_a_client_that_does_not_answer_pings_ends_within_the_ping_timeout(behaviour: str) -> None:
    with single_worker(ping_interval=1, ping_timeout=1) as cluster:

        def connections() -> int:
            return int(cluster.get("/api/cluster").json()["workers"][0]["connections"])

        with closing(StuckClient(f"ws://127.0.0.1:{cluster.port}/ws?channel={CHANNEL}")) as client:
            wait_for(lambda: connections() == 1, "it is connected")

            def gone() -> bool:
                if behaviour == "sends and never reads":
                    with suppress(OSError):
                        client.send_text(b"x" * 100)
                return connections() == 0

            wait_for(gone, "its connection is gone")


async def test_a_worker_that_stood_still_refills_what_was_dropped_for_it() -> None:
    jitter = random.Random(1)
    with RunningCluster(APP, workers=2, bus_high_water=50, history_size=10_000) as cluster:
        url = f"ws://127.0.0.1:{cluster.port}"
        subscribers = [Subscriber(url, CHANNEL, jitter) for _ in range(20)]
        publisher = Publisher(url, "p", [CHANNEL], 300, jitter, padding=4000)
        async with Traffic(publisher, subscribers) as traffic:
            published: dict[int, int] = {}

            def reported() -> bool:
                workers = cluster.get("/api/cluster").json()["workers"]
                published.update({worker["pid"]: worker["published"] for worker in workers})
                return len(published) == 2 and max(published.values()) > 100

            await until(reported, "it runs")
            # The publisher sits on one of the two; the other one is to stand still.
            still = min(published, key=published.__getitem__)
            psutil.Process(still).suspend()
            await asyncio.sleep(5)
            psutil.Process(still).resume()
            await until(lambda: "filling" in cluster.output(), "a gap is noticed")
            await traffic.finish()
            await all_received(publisher, subscribers)
