"""This project: `cluster up` with two workers and the application of app.py."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from typing import NamedTuple

from tests.cluster.harness import RunningCluster

from .scenario import Scenario
from .server import PAYLOAD, Endpoint, Server

APP = "tests.benchmarks.app:app"
WORKERS = 2
UNLIMITED = 1_000_000


class Way(NamedTuple):
    """How clients come to ours. `upstream`: how nginx reaches the workers; None: clients do without nginx.
    `sdk`: they speak the client protocol.
    """

    title: str
    how: str
    upstream: str | None = None
    sdk: bool = False


WAYS = {
    "ours": Way("ours", "clients connect to the workers' ports"),
    "ours-sdk": Way("ours, SDK clients", "clients of the client protocol at the workers' ports", sdk=True),
    "ours-nginx": Way("ours, through nginx", "nginx", "port"),
    "ours-nginx-socket": Way("ours, through nginx and Unix sockets", "nginx, UPSTREAM=socket", "socket"),
}

CONNECT = '{"id":1,"connect":{}}'
SUBSCRIBE = '{"id":2,"subscribe":{"channel":"c{g}"}}'
PUBLISH = '{"id":3,"publish":{"channel":"c{g}","data":' + PAYLOAD + "}}"


class Ours(Server):
    """`name` is one of `WAYS`."""

    fast = True

    def __init__(self, name: str = "ours") -> None:
        self._way = WAYS[name]
        self.name = name
        self.title = self._way.title
        self.named = not self._way.sdk
        self.how = f"`cluster up`: {WORKERS} workers, forwarder with its journal; {self._way.how}"

    def prepare(self) -> str:
        return f"{version('fastapi-websocket-sync')}, uvicorn {version('uvicorn')}, uvloop {version('uvloop')}"

    @contextmanager
    def running(self, scenario: Scenario) -> Iterator[Endpoint]:
        with cluster(WORKERS, self._way.upstream) as running:
            workers = range(running.port + 1, running.port + 1 + WORKERS)
            ports = [running.port] if self._way.upstream else workers
            endpoint = Endpoint(ports, processes(running), publish_path="/pub?channel=c{g}", publish_frame=PAYLOAD)
            if self._way.sdk:
                endpoint = replace(endpoint, path="/connection/websocket", hello=(CONNECT, SUBSCRIBE), frame=PUBLISH)
            yield endpoint


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
