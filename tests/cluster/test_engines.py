"""Clusters whose workers reach one another over an engine: no forwarder, one order, and nothing lost when it dies."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator

import pytest
from websockets.asyncio.client import connect

from tests.chaos.checker import check
from tests.chaos.client import Publisher, Subscriber
from tests.chaos.engine import ENGINES, running
from tests.contract.engines import Server
from tests.waiting import PATIENCE, until

from .harness import RunningCluster

APP = "tests.chaos.app:app"
TOKEN = "a token that both clusters have"
CHANNEL = "engine:channel"


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[Server]:
    with running(request.param) as engine:
        yield engine


@pytest.fixture(scope="module")
def cluster(engine: Server) -> Iterator[RunningCluster]:
    with RunningCluster(APP, workers=2, bus_url=engine.url, admin_token=TOKEN) as cluster:
        yield cluster


def test_no_forwarder_runs(cluster: RunningCluster) -> None:
    shown = cluster.command("status")
    assert {line.split()[0] for line in shown.stdout.splitlines()} == {"api-0", "api-1", "nginx", "watchdog"}


def test_verify_is_whole(cluster: RunningCluster) -> None:
    shown = cluster.command("verify")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert len(cluster.get("/api/cluster").json()["workers"]) == 2


def test_verify_covers_every_cluster_on_the_engine(engine: Server, cluster: RunningCluster) -> None:
    with RunningCluster(APP, workers=1, bus_url=engine.url, admin_token=TOKEN) as other:
        shown = cluster.command("verify", other.url)
        assert shown.returncode == 0, shown.stdout + shown.stderr
        pids = {*cluster.worker_pids(), *other.worker_pids()}
        assert {row.split()[0] for row in shown.stdout.splitlines()[1:-1]} == set(map(str, pids))


async def test_a_client_that_moves_to_another_worker_gets_what_it_missed(cluster: RunningCluster) -> None:
    here, there = (f"ws://127.0.0.1:{cluster.worker_port(pid)}" for pid in cluster.worker_pids())
    async with connect(f"{here}/ws?channel=moving", proxy=None) as client:
        at = json.loads(await asyncio.wait_for(client.recv(), PATIENCE))
    async with connect(f"{here}/publish", proxy=None) as publisher:
        for number in range(3):
            await publisher.send(json.dumps({"channel": "moving", "id": f"moving-{number}", "sent": 0}))
            assert "offset" in json.loads(await asyncio.wait_for(publisher.recv(), PATIENCE))
    url = f"{there}/ws?channel=moving&epoch={at['epoch']}&offset={at['offset']}"
    async with connect(url, proxy=None) as client:
        notice, *missed = [json.loads(await asyncio.wait_for(client.recv(), PATIENCE)) for _ in range(4)]
    assert notice["recovered"] is True
    assert [message["data"]["id"] for message in missed] == ["moving-0", "moving-1", "moving-2"]


async def test_an_engine_killed_under_traffic_loses_nothing(engine: Server, cluster: RunningCluster) -> None:
    jitter = random.Random(1)
    subscribers = [
        Subscriber(f"ws://127.0.0.1:{cluster.worker_port(pid)}", CHANNEL, jitter) for pid in cluster.worker_pids()
    ]
    publishers = [Publisher(f"ws://127.0.0.1:{cluster.port}", f"engine-{n}", [CHANNEL], 50, jitter) for n in range(3)]
    tasks = [asyncio.create_task(client.run()) for client in subscribers]
    try:
        await until(lambda: all(s.record.start for s in subscribers), "every client is subscribed")
        tasks += [asyncio.create_task(publisher.run()) for publisher in publishers]
        for accepted in (30, 90):
            await until(
                lambda least=accepted: sum(len(p.acknowledged[CHANNEL]) for p in publishers) > least,  # type: ignore[misc]
                "publications are accepted",
            )
            engine.stop()
            await until(lambda: not cluster.get("/readyz").is_success, "no worker is ready")
            engine.start()
        for publisher in publishers:
            publisher.stopping = True
            await asyncio.wait_for(publisher.idle.wait(), PATIENCE)
        acknowledged = {id: at for publisher in publishers for id, at in publisher.acknowledged[CHANNEL].items()}
        last = max(offset for _, offset in acknowledged.values())
        await until(lambda: all(s.offset >= last for s in subscribers), "all has arrived")
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    verdict = check({CHANNEL: acknowledged}, [subscriber.record for subscriber in subscribers])
    assert verdict.kept, str(verdict)


def test_an_engine_that_cannot_be_used_is_refused_without_its_password() -> None:
    cluster = RunningCluster(APP, workers=1)
    try:
        shown = cluster.command("up", "--bus", "nats://user:secret@/?prefix=a")
        assert shown.returncode == 1
        assert "nats://***@" in shown.stderr
        assert "secret" not in shown.stdout + shown.stderr
    finally:
        cluster.end()
