"""The floor: a bare epoll server in C. What it costs is mostly the kernel's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.cluster.harness import free_ports

from .build import program as compiled
from .process import program, run_directory
from .scenario import Scenario
from .server import Endpoint, Server


class Floor(Server):
    """`window`: milliseconds between two broadcasts at least, as ours has while it is busy; 0: none."""

    fast = True

    def __init__(self, window: int = 0) -> None:
        self._window = window
        self.name = f"floor-{window}ms" if window else "floor"
        self.title = f"C floor, at most one write in {window} ms" if window else "C floor"
        self.how = "one process of native/floor.c"

    def prepare(self) -> str:
        compiled("floor")
        return ""

    @contextmanager
    def running(self, scenario: Scenario) -> Iterator[Endpoint]:
        port = free_ports(1)
        argv = [str(compiled("floor")), str(port), *([str(self._window)] if self._window else [])]
        with run_directory() as directory, program(argv, log=directory / "log", port=port) as server:
            yield Endpoint([port], {"server": server.pids()}, publish_path="/pub")
