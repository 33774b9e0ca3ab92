"""How a cluster ends: on request, and when a part of it cannot be kept running."""

from __future__ import annotations

import asyncio
import re
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.waiting import until, wait_for

from .client import Client
from .harness import RunningCluster, started

GRACE = 10.0


@dataclass
class Ended:
    """A cluster that was told to end while it had clients."""

    status: int
    seconds: float
    closed: list[tuple[int | None, str | None]]
    output: str


@pytest.fixture(scope="module")
def ended() -> Ended:
    """Three workers with twenty clients, whose output goes to a file by `>`, ended by SIGTERM."""

    async def run(cluster: RunningCluster) -> Ended:
        clients = await asyncio.gather(*(Client.open(cluster.ws_url) for _ in range(20)))
        cluster.get("/nothing")
        started = time.monotonic()
        status = await asyncio.to_thread(cluster.stop)
        seconds = time.monotonic() - started
        return Ended(status, seconds, [await client.closed() for client in clients], cluster.output())

    with RunningCluster(workers=3, truncate=True, shutdown_grace=GRACE) as cluster:
        return asyncio.run(run(cluster))


def test_it_ends_with_status_0_within_its_grace(ended: Ended) -> None:
    assert ended.status == 0
    assert ended.seconds < GRACE


def test_clients_are_told_through_nginx(ended: Ended) -> None:
    assert {code for code, _ in ended.closed} == {3001}
    assert all(reason for _, reason in ended.closed)


def test_each_line_of_the_output_begins_with_the_program_that_wrote_it(ended: Ended) -> None:
    banner, control, buttons, *lines = ended.output.splitlines()
    assert banner.startswith("cluster of 3 workers: http://")
    assert control.startswith("control it with: supervisorctl -c ")
    assert re.match(r"with the buttons that restart and kill: http://\S+/#token=\S+$", buttons)
    program = re.compile(r"(api-[0-2]|forwarder|watchdog|supervisord)\[\d+\] |nginx ")
    assert [line for line in lines if not program.match(line)] == []


def test_the_output_of_every_program_is_there_and_whole(ended: Ended) -> None:
    for number in range(3):
        assert re.search(rf"^api-{number}\[\d+\] - .*Started server process", ended.output, re.MULTILINE)
        assert re.search(rf"^api-{number}\[\d+\] - .*Finished server process", ended.output, re.MULTILINE)
    assert re.search(r"^forwarder\[\d+\] .*stopped", ended.output, re.MULTILINE)
    assert "supervisord started with pid" in ended.output
    assert "Traceback" not in ended.output


@pytest.fixture
def ending() -> Iterator[RunningCluster]:
    """One worker, for a test that ends it."""
    with RunningCluster(workers=1) as cluster:
        yield cluster


def test_a_keyboard_interrupt_ends_it_cleanly(ending: RunningCluster) -> None:
    assert ending.stop(signal.SIGINT) == 0
    assert "Traceback" not in ending.output()


def test_a_killed_supervisord_leaves_no_orphans(ending: RunningCluster) -> None:
    ending.kill(ending.pid)
    ending.wait_until_gone()


def test_a_supervisord_that_is_killed_while_programs_start_leaves_no_orphans() -> None:
    cluster = RunningCluster(workers=1)
    with started(cluster):
        wait_for(lambda: len(cluster.worker_pids()) == 1, "the worker has been spawned")
        cluster.kill(cluster.pid)
        cluster.wait_until_gone()


async def test_an_application_that_cannot_start_ends_it_with_status_1() -> None:
    cluster = RunningCluster("tests.apps.broken:app", workers=1)
    with started(cluster):
        await until(lambda: cluster.exit_status is not None, "it gave up")
        assert cluster.exit_status == 1
        assert "RuntimeError: no database" in cluster.output()
        assert re.search(r"^watchdog\[\d+\] api-0 cannot be started", cluster.output(), re.MULTILINE)
        cluster.wait_until_gone()


async def test_an_nginx_that_cannot_start_again_ends_it_with_status_1(ending: RunningCluster) -> None:
    (ending.run_dir / "nginx.conf").write_text("nonsense;")
    async with await Client.open(f"ws://127.0.0.1:{ending.worker_port(ending.worker_pids()[0])}/ws") as client:
        ending.kill(ending.nginx_pid())
        code, reason = await client.closed()
        assert (code, bool(reason)) == (3001, True)
    await until(lambda: ending.exit_status is not None, "it gave up")
    assert ending.exit_status == 1
    assert re.search(r"^nginx .*unknown directive \"nonsense\"", ending.output(), re.MULTILINE)
