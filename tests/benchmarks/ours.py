"""This project: `cluster up` with two workers and the application of app.py."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

from tests.cluster.harness import RunningCluster

from .scenario import Scenario
from .server import Endpoint, Server

APP = "tests.benchmarks.app:app"
WORKERS = 2
UNLIMITED = 1_000_000


class Ours(Server):
    """Clients connect to the workers' own ports; or through nginx, which reaches the workers by `upstream`."""

    fast = True
    named = True

    def __init__(self, upstream: str | None = None) -> None:
        self._upstream = upstream
        self.name, self.title, through = {
            None: ("ours", "ours", "clients connect to the workers' ports"),
            "port": ("ours-nginx", "ours, through nginx", "nginx"),
            "socket": ("ours-nginx-socket", "ours, through nginx and Unix sockets", "nginx, UPSTREAM=socket"),
        }[upstream]
        self.how = f"`cluster up`: {WORKERS} workers, forwarder with its journal; {through}"

    def prepare(self) -> str:
        return f"{version('fastapi-websocket-sync')}, uvicorn {version('uvicorn')}, uvloop {version('uvloop')}"

    @contextmanager
    def running(self, scenario: Scenario) -> Iterator[Endpoint]:
        with cluster(WORKERS, self._upstream) as running:
            workers = range(running.port + 1, running.port + 1 + WORKERS)
            ports = [running.port] if self._upstream else workers
            yield Endpoint(ports, processes(running), publish_path="/pub?channel=c{g}")


def cluster(workers: int, upstream: str | None = None) -> RunningCluster:
    """A cluster whose limit on what one client may publish is out of the way: here one publishes for all."""
    return RunningCluster(
        APP, workers=workers, upstream=upstream, messages_per_second=UNLIMITED, api_log_level="warning"
    )


def processes(running: RunningCluster) -> dict[str, list[int]]:
    """Every process of the cluster, by what it does."""
    workers = running.worker_pids()
    found = {f"worker {number}": [pid] for number, pid in enumerate(workers)}
    known = set(workers)
    forwarder, nginx = running.forwarder_pid(), running.nginx_pid()
    assert forwarder is not None, "the forwarder runs"
    found["forwarder"] = [forwarder]
    known.add(forwarder)
    others = [process for process in running.processes() if process.pid not in known]
    found["nginx"] = [process.pid for process in others if nginx in (process.pid, process.ppid())]
    found["supervision"] = [process.pid for process in others if process.pid not in found["nginx"]]
    return found
