"""The floor: a bare epoll server in C. What it costs is mostly the kernel's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cluster.audience import BUSY, LONGEST_DELAY
from tests.cluster.harness import free_ports

from .build import program as compiled
from .process import program, run_directory
from .scenario import Scenario
from .server import Endpoint, Server

LONGEST = round(LONGEST_DELAY * 1000)
TIMES = round(BUSY)

RULES: dict[str, tuple[str, list[int]]] = {
    "floor": ("C floor, writes at once", []),
    "floor-ours": ("C floor with our rule", [LONGEST, TIMES]),
    "floor-10ms": ("C floor, writes once in 10 ms", [10]),
}
"""When it writes what is due: the title of each rule, and the program's arguments for it: the most ms it waits,
and how many times as long as writing took."""


class Floor(Server):
    """`name` is one of `RULES`."""

    fast = True
    named = True

    def __init__(self, name: str = "floor") -> None:
        self.name = name
        self.title, self._rule = RULES[name]
        self.how = " ".join(["one process of `floor PORT", *map(str, self._rule)]) + "`"

    def prepare(self) -> str:
        compiled("floor")
        return ""

    @contextmanager
    def running(self, scenario: Scenario) -> Iterator[Endpoint]:
        port = free_ports(1)
        argv = [str(compiled("floor")), str(port), *map(str, self._rule)]
        with run_directory() as directory, program(argv, log=directory / "log", port=port) as server:
            yield Endpoint([port], {"server": server.pids()}, publish_path="/pub")
