"""`cluster status`, `stop` and `verify`, and two clusters side by side."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.waiting import until

from .client import assert_everyone_is_notified_once, one_client_per_worker
from .harness import RunningCluster, started


def test_status_shows_every_program(demo: RunningCluster) -> None:
    shown = demo.command("status")
    assert shown.returncode == 0
    states = {line.split()[0]: line.split()[1] for line in shown.stdout.splitlines()}
    assert states == dict.fromkeys(["api-0", "api-1", "api-2", "forwarder", "nginx", "watchdog"], "RUNNING")
    for pid in demo.worker_pids():
        assert f"pid {pid}" in shown.stdout


@pytest.mark.parametrize("command", ["status", "stop", "verify"])
def test_without_a_cluster_a_command_says_so(demo: RunningCluster, tmp_path: Path, command: str) -> None:
    shown = demo.command(command, "--run-dir", str(tmp_path))
    assert shown.returncode == 1
    assert f"cluster {command}: no cluster " in shown.stderr


def test_a_second_cluster_in_the_same_run_directory_is_refused(demo: RunningCluster) -> None:
    shown = demo.command("up")
    assert shown.returncode == 1
    assert str(demo.run_dir) in shown.stderr
    assert "runs" in shown.stderr


def test_verify_prints_a_whole_matrix(demo: RunningCluster) -> None:
    shown = demo.command("verify")
    assert shown.returncode == 0, shown.stderr
    header, *rows, verdict = shown.stdout.splitlines()
    pids = sorted(demo.worker_pids())
    assert header.split()[-3:] == [str(pid) for pid in pids]
    assert [row.split() for row in rows] == [[str(pid), "yes", "yes", "yes"] for pid in pids]
    assert "every message" in verdict


def test_verify_fails_without_the_right_token(demo: RunningCluster) -> None:
    known = demo.run_dir / "cluster.json"
    right = known.read_text()
    known.write_text(json.dumps(json.loads(right) | {"admin_token": "a guess"}))
    try:
        shown = demo.command("verify")
    finally:
        known.write_text(right)
    assert shown.returncode == 1
    assert "token" in shown.stderr


def test_verify_fails_when_a_worker_stands_still(demo: RunningCluster) -> None:
    still = demo.worker_pids()[1]
    demo.hold_still(still)
    try:
        shown = demo.command("verify", seconds=60)
    finally:
        demo.kill(still, signal.SIGCONT)
    assert shown.returncode == 1
    assert "cluster verify: " in shown.stderr
    demo.wait_until_ready()


@pytest.fixture(scope="module")
def pair() -> Iterator[list[RunningCluster]]:
    """Two clusters that were started at the same time and left to find ports for their workers."""
    clusters = [RunningCluster(workers=2, worker_port=None, heartbeat_interval=3) for _ in range(2)]
    with started(*clusters):
        for cluster in clusters:
            cluster.wait_until_ready()
        yield clusters


async def test_verify_knows_every_worker_from_the_start(pair: list[RunningCluster]) -> None:
    shown = await asyncio.gather(*(asyncio.to_thread(cluster.command, "verify") for cluster in pair * 2))
    for cluster, each in zip(pair * 2, shown, strict=True):
        assert each.returncode == 0, each.stderr
        assert {row.split()[0] for row in each.stdout.splitlines()[1:-1]} == set(map(str, cluster.worker_pids()))


async def test_two_clusters_share_nothing(pair: list[RunningCluster]) -> None:
    one, other = pair
    ports = [cluster.worker_port(pid) for cluster in pair for pid in cluster.worker_pids()]
    assert len(set(ports)) == 4
    assert one.nginx_pid() != other.nginx_pid()
    async with (
        one_client_per_worker(one.ws_url, 2) as ones,
        one_client_per_worker(other.ws_url, 2) as others,
    ):
        assert {client.pid for client in ones} == set(one.worker_pids())
        assert {client.pid for client in others} == set(other.worker_pids())
        await assert_everyone_is_notified_once(ones)
        await assert_everyone_is_notified_once(others)


async def test_stopping_one_leaves_the_other_alone(pair: list[RunningCluster]) -> None:
    one, other = pair
    async with one_client_per_worker(other.ws_url, 2) as others:
        stopping = asyncio.create_task(asyncio.to_thread(one.command, "stop"))
        await until(lambda: one.exit_status is not None, "it has ended")
        shown = await stopping
        assert shown.returncode == 0, shown.stderr
        assert one.exit_status == 0
        one.wait_until_gone()
        await assert_everyone_is_notified_once(others)
