"""A running cluster seen from outside: its processes, through supervisord's socket in the run directory."""

from __future__ import annotations

import http.client
import json
import os
import signal
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple
from xmlrpc.client import Fault, ServerProxy

import psutil
from supervisor.xmlrpc import SupervisorTransport

from .errors import ClusterError

READY_SECONDS = 2.0
"""Seconds a worker has to say that it is ready."""


class NotRunning(ClusterError):
    """No cluster runs in this run directory."""


class Program(NamedTuple):
    """One supervised process: `state` is supervisord's word, `pid` is 0 while there is no process."""

    name: str
    group: str
    state: str
    pid: int
    description: str
    uptime: float
    """Seconds since it started; 0 while there is no process."""

    @property
    def full_name(self) -> str:
        """What supervisord calls it."""
        return f"{self.group}:{self.name}"

    @property
    def worker(self) -> int | None:
        """The worker's number; None for what is not a worker."""
        number = self.name.removeprefix("api-")
        return int(number) if number != self.name else None


class Reach(NamedTuple):
    """Where a cluster is reached, with which secret, and how many workers it should have from which port on."""

    host: str
    port: int
    admin_token: str
    workers: int
    worker_port: int


def is_running(run_dir: Path) -> bool:
    """Whether a supervisord answers in `run_dir`."""
    try:
        programs(run_dir)
    except NotRunning:
        return False
    return True


def programs(run_dir: Path) -> list[Program]:
    """The processes of the cluster in `run_dir`. Raises `NotRunning`."""
    proxy = _supervisor(run_dir)
    try:
        found = proxy.supervisor.getAllProcessInfo()
    except (OSError, http.client.HTTPException, Fault):
        raise NotRunning(f"no cluster runs in {run_dir}") from None
    assert isinstance(found, list), "supervisord answers with a list"
    return [
        Program(
            name=str(each["name"]),
            group=str(each["group"]),
            state=str(each["statename"]),
            pid=int(each["pid"]),
            description=str(each["description"]),
            uptime=float(max(each["now"] - each["start"], 0)) if each["pid"] else 0.0,
        )
        for each in found
    ]


def stop(run_dir: Path, seconds: float) -> None:
    """End the cluster in `run_dir` and wait until it is gone. Raises `NotRunning`, `ClusterError`."""
    programs(run_dir)
    pid = int((run_dir / "supervisord.pid").read_text())
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + seconds
    while _exists(pid):
        if time.monotonic() > deadline:
            raise ClusterError(f"supervisord (pid {pid}) has not ended within {seconds:g} s")
        time.sleep(0.05)


def reach(run_dir: Path) -> Reach:
    """Where the cluster in `run_dir` listens. Raises `NotRunning`."""
    try:
        found = json.loads((run_dir / "cluster.json").read_text())
    except OSError:
        raise NotRunning(f"no cluster was started in {run_dir}") from None
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(found["host"], found["host"])
    return Reach(**{**found, "host": f"[{host}]" if ":" in host else host})


def answer(url: str, seconds: float) -> bytes:
    """What a worker or nginx answers to a GET. Raises `OSError` when it does not, or with an error."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=seconds) as found:
        return bytes(found.read())


def is_ready(worker_port: int) -> bool:
    """Whether the worker on this port says it is ready."""
    try:
        answer(f"http://127.0.0.1:{worker_port}/readyz", READY_SECONDS)
    except (OSError, http.client.HTTPException) as error:
        # An application without the hub's router has no /readyz; it answers, and that must do.
        return isinstance(error, urllib.error.HTTPError) and error.code == 404
    return True


def _supervisor(run_dir: Path) -> ServerProxy:
    transport = SupervisorTransport(None, None, f"unix://{run_dir}/supervisor.sock")
    return ServerProxy("http://127.0.0.1", transport)


def _exists(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
