"""Publications through the real forwarder: how many on one core, and what each stage costs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

import msgspec

from tests.cluster.harness import environment
from tests.waiting import PATIENCE, wait_for

from .build import REPOSITORY
from .flood import Counted
from .install import program as on_path
from .machine import cpu_seconds
from .process import run_directory, started
from .results import Stages

SECONDS = 3.0
TURNS = 3
"""How often the forwarder is flooded with its journal and without, in turn: what differs is less than the noise."""


def measure_stages() -> Stages:
    """The forwarder flooded with and without its journal; then one real worker at either end."""
    kept, bare = zip(*((_flooded(journal=True), _flooded(journal=False)) for _ in range(TURNS)), strict=True)
    kept_cpu, bare_cpu = median(cpu for _, cpu in kept), median(cpu for _, cpu in bare)
    sent, received = _real()
    return Stages(
        rate=median(counted.publications / counted.seconds for counted, _ in kept),
        real_rate=sent.publications / sent.seconds,
        worker_send=_microseconds(sent.cpu, sent),
        forwarder=bare_cpu,
        journal=kept_cpu - bare_cpu,
        worker_receive=_microseconds(received.cpu, received),
    )


def _flooded(*, journal: bool) -> tuple[Counted, float]:
    """What was acknowledged, and the forwarder's CPU µs per publication."""
    with _forwarder(journal=journal) as (url, pid):
        before = cpu_seconds(pid)
        counted = _counted(_end("flood", url))
        return counted, _microseconds(cpu_seconds(pid) - before, counted)


def _real() -> tuple[Counted, Counted]:
    """What one worker has published and another received."""
    with _forwarder(journal=True) as (url, _):
        receiver = _end("receive", url)
        try:
            assert receiver.stdout is not None, "a pipe was asked for"
            assert receiver.stdout.readline() == "subscribed\n", "the receiver did not start"
            sent = _counted(_end("send", url))
            return sent, _counted(receiver)
        finally:
            receiver.kill()
            receiver.wait()


@contextmanager
def _forwarder(*, journal: bool) -> Iterator[tuple[str, int]]:
    """A forwarder alone on the last core: its URL and pid."""
    with run_directory() as directory:
        run_dir = directory / "run"
        settings = environment(run_dir=run_dir) | ({} if journal else {"FORWARDER_JOURNAL": ""})
        argv = [*_on(_cores()[-1]), sys.executable, "-m", "cluster", "forwarder"]
        with started(argv, log=directory / "log", environment=settings) as running:
            wait_for((run_dir / "requests.sock").exists, "the forwarder listens")
            (pid,) = running.pids()
            yield f"zmq+ipc://{run_dir}", pid


def _end(role: str, url: str) -> subprocess.Popen[str]:
    argv = [*_on(_cores()[0]), sys.executable, "-m", "tests.benchmarks.flood", role, url, str(SECONDS)]
    return subprocess.Popen(argv, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)


def _counted(process: subprocess.Popen[str]) -> Counted:
    try:
        output, _ = process.communicate(timeout=SECONDS + PATIENCE)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, f"{process.args!r} ended with {process.returncode}"
    return msgspec.json.decode(output, type=Counted)


def _cores() -> list[int]:
    return sorted(os.sched_getaffinity(0))


def _on(core: int) -> list[str]:
    """What to begin a command with so that all its threads stay on one core."""
    return [on_path("taskset"), "--cpu-list", str(core)]


def _microseconds(seconds: float, counted: Counted) -> float:
    return seconds * 1e6 / counted.publications if counted.publications else 0.0
