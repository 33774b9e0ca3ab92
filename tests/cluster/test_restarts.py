"""Any one program may be killed or restarted: it comes back by itself, and the others carry on."""

from __future__ import annotations

import asyncio
import signal

import psutil
import pytest

from tests.waiting import until

from .client import Client, assert_everyone_is_notified_once, one_client_per_worker
from .harness import RunningCluster


async def assert_whole(cluster: RunningCluster) -> None:
    """Everything is ready again, and what each worker publishes reaches every worker."""
    cluster.wait_until_ready()
    async with one_client_per_worker(cluster.ws_url, 3) as clients:
        assert [client.pid for client in clients] == sorted(cluster.worker_pids())
        await assert_everyone_is_notified_once(clients)


async def assert_notified(pusher: Client, others: list[Client]) -> None:
    await pusher.push()
    for client in [pusher, *others]:
        await client.expect(push_type="notified_by", pid=pusher.pid)


@pytest.mark.parametrize("number", range(3))
async def test_a_killed_worker_comes_back_and_the_others_notice_nothing(restarted: RunningCluster, number: int) -> None:
    restarted.wait_until_ready()
    before = restarted.worker_pids()
    victim = before[number]
    async with one_client_per_worker(restarted.ws_url, 3) as clients:
        lost = next(client for client in clients if client.pid == victim)
        others = [client for client in clients if client is not lost]

        restarted.kill(victim)
        await lost.closed()
        await assert_notified(others[0], others[1:])

        async def is_back() -> bool:
            await assert_notified(others[1], others[:1])
            pids = restarted.worker_pids()
            return len(pids) == 3 and restarted.is_ready(pids[number])

        await until(is_back, f"worker {number} is ready again")
        after = restarted.worker_pids()
        assert [pid for pid in before if pid not in after] == [victim]
        await assert_notified(others[0], others[1:])
    await assert_whole(restarted)


async def test_supervisorctl_restarts_one_worker(restarted: RunningCluster) -> None:
    restarted.wait_until_ready()
    before = restarted.worker_pids()
    async with one_client_per_worker(restarted.ws_url, 3) as clients:
        sent_away = next(client for client in clients if client.pid == before[1])
        others = [client for client in clients if client is not sent_away]

        done = restarted.supervisorctl("restart", "api:api-1")
        assert done.stdout.split("\n")[:2] == ["api:api-1: stopped", "api:api-1: started"]
        code, reason = await sent_away.closed()
        assert (code, bool(reason)) == (3001, True)
        await assert_notified(others[0], others[1:])
    after = restarted.worker_pids()
    assert (after[0], after[2]) == (before[0], before[2])
    assert after[1] != before[1]
    await assert_whole(restarted)


async def test_supervisorctl_stops_and_starts_one_worker(restarted: RunningCluster) -> None:
    restarted.wait_until_ready()
    before = restarted.worker_pids()
    assert restarted.supervisorctl("stop", "api:api-2").returncode == 0
    assert restarted.worker_pids() == before[:2]
    async with one_client_per_worker(restarted.ws_url, 2) as clients:
        await assert_everyone_is_notified_once(clients)
    await until(
        lambda: [worker["pid"] for worker in restarted.get("/api/cluster").json()["workers"]] == before[:2],
        "the stopped worker is no longer listed",
    )
    assert restarted.supervisorctl("start", "api:api-2").returncode == 0
    await assert_whole(restarted)


async def test_supervisorctl_shows_every_program(restarted: RunningCluster) -> None:
    programs = ["api:api-0", "api:api-1", "api:api-2", "forwarder", "nginx", "watchdog"]

    def states() -> dict[str, str]:
        shown = restarted.supervisorctl("status").stdout
        return {line.split()[0]: line.split()[1] for line in shown.splitlines()}

    await until(lambda: states() == dict.fromkeys(programs, "RUNNING"), "every program is running")


@pytest.mark.parametrize("how", ["killed", "restarted"])
async def test_workers_find_a_new_forwarder_by_themselves(restarted: RunningCluster, how: str) -> None:
    restarted.wait_until_ready()
    workers = restarted.worker_pids()
    before = restarted.forwarder_pid()
    async with one_client_per_worker(restarted.ws_url, 3) as clients:
        if how == "killed":
            restarted.kill(before)
        else:
            assert restarted.supervisorctl("restart", "forwarder").returncode == 0
        await until(lambda: restarted.forwarder_pid() not in (None, before), "there is a new forwarder")
        await assert_everyone_is_notified_once(clients, rounds=3)
    assert restarted.worker_pids() == workers


async def test_what_is_pushed_while_the_forwarder_is_away_arrives_when_it_is_back(restarted: RunningCluster) -> None:
    restarted.wait_until_ready()
    async with one_client_per_worker(restarted.ws_url, 3) as clients:
        restarted.kill(restarted.forwarder_pid())
        await assert_everyone_is_notified_once(clients)
    await assert_whole(restarted)


async def test_a_worker_without_a_forwarder_is_alive_but_not_ready(restarted: RunningCluster) -> None:
    restarted.wait_until_ready()
    pid = restarted.worker_pids()[0]
    assert restarted.supervisorctl("stop", "forwarder").returncode == 0
    try:
        await until(lambda: restarted.get("/readyz", pid).status_code == 503, "the worker is not ready")
        assert "bus" in restarted.get("/readyz", pid).text
        assert restarted.get("/healthz", pid).status_code == 200
    finally:
        assert restarted.supervisorctl("start", "forwarder").returncode == 0
    await until(lambda: restarted.is_ready(pid), "the worker is ready again")
    await assert_whole(restarted)


async def test_supervisorctl_restarts_nginx(restarted: RunningCluster) -> None:
    restarted.wait_until_ready()
    workers = restarted.worker_pids()
    before = restarted.nginx_pid()
    async with await Client.open(restarted.ws_url) as client:
        assert restarted.supervisorctl("restart", "nginx").returncode == 0
        await client.closed()
    await until(lambda: restarted.nginx_pid() not in (None, before), "there is a new nginx")
    assert restarted.worker_pids() == workers
    await assert_whole(restarted)


async def test_a_new_nginx_takes_over_the_port_of_a_killed_one(restarted: RunningCluster) -> None:
    restarted.wait_until_ready()
    workers = restarted.worker_pids()
    before = restarted.nginx_pid()
    orphans = psutil.Process(before).children()
    assert any("nginx" in orphan.name() for orphan in orphans)
    async with await Client.open(restarted.ws_url) as client:
        restarted.kill(before)
        await client.closed()
    await until(lambda: restarted.nginx_pid() not in (None, before), "there is a new nginx")
    await until(lambda: not any(orphan.is_running() for orphan in orphans), "the old nginx is gone")
    assert restarted.worker_pids() == workers
    await assert_whole(restarted)


async def test_a_client_is_not_greeted_before_it_is_subscribed(restarted: RunningCluster) -> None:
    """What is pushed right after a greeting must not pass the greeted client by."""
    restarted.wait_until_ready()
    before = restarted.worker_pids()[0]
    restarted.kill(before)
    await until(lambda: restarted.worker_pids()[0] != before, "there is a new worker")
    restarted.wait_until_ready()
    url = f"ws://127.0.0.1:{restarted.worker_port(restarted.worker_pids()[0])}/ws"

    restarted.hold_still(restarted.forwarder_pid())
    try:
        opening = asyncio.create_task(Client.open(url))
        greeted, _ = await asyncio.wait([opening], timeout=1)
    finally:
        restarted.kill(restarted.forwarder_pid(), signal.SIGCONT)
    async with await opening as client:
        assert not greeted
        await client.push()
        await client.expect(push_type="notified_by", pid=client.pid)


@pytest.mark.parametrize("part", ["worker", "forwarder"])
async def test_what_was_published_meanwhile_reaches_a_program_that_stood_still(
    restarted: RunningCluster, part: str
) -> None:
    restarted.wait_until_ready()
    async with one_client_per_worker(restarted.ws_url, 3) as clients:
        still = clients[0].pid if part == "worker" else restarted.forwarder_pid()
        restarted.hold_still(still)
        try:
            for _ in range(10):
                await clients[1].push()
            if part == "worker":
                for _ in range(10):
                    await clients[2].expect(push_type="notified_by", pid=clients[1].pid)
        finally:
            restarted.kill(still, signal.SIGCONT)
        for client in clients if part == "forwarder" else clients[:2]:
            for _ in range(10):
                await client.expect(push_type="notified_by", pid=clients[1].pid)
        await assert_everyone_is_notified_once(clients)
