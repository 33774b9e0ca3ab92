"""In which order what is measured, and until when."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count

from .load import LoadError, Measurement, measure
from .results import Results
from .scenario import Scenario
from .server import Server

GROUP = 4
"""Servers measured between two measurements of the floor and of ours."""
LOUD = 0.1
"""Share of the machine; a measurement during which others used more is made again."""

Say = Callable[[str], None]


def groups(references: Sequence[Server], others: Sequence[Server]) -> Iterator[list[Server]]:
    """The references, some others, the references again, others: what is compared runs close together."""
    for start in range(0, max(len(others), 1), GROUP):
        yield [*references, *others[start : start + GROUP]]


class Schedule:
    """Round after round over all scenarios, until `deadline` (monotonic seconds).

    The first round has everything, the others what a target names. What others disturbed is measured up to `tries`
    times. One thing that cannot be measured is noted and the others go on.
    """

    def __init__(
        self, results: Results, references: Sequence[Server], others: Sequence[Server], say: Say, *, tries: int = 1
    ) -> None:
        self._results = results
        self._references = references
        self._others = others
        self._say = say
        self._tries = tries
        self._failed: set[tuple[str, str]] = set()

    def run(self, scenarios: Sequence[Scenario], *, seconds: float, rounds: int, deadline: float) -> None:
        lasted: dict[str, float] = {}
        for number in range(rounds):
            for scenario in scenarios:
                began = time.monotonic()
                if began + lasted.get(scenario.name, 0.0) > deadline:
                    if number == 0:
                        self._results.missing[scenario.name] = "the time was used up"
                    continue
                self._round(scenario, number, seconds)
                lasted[scenario.name] = time.monotonic() - began

    def _round(self, scenario: Scenario, number: int, seconds: float) -> None:
        taking = [each for each in self._others if each.takes(scenario) and (each.named or number == 0)]
        references = [server for server in self._references if server.takes(scenario)]
        # Another order in each round: nobody always runs after the same neighbour.
        shift = number * GROUP % len(taking) if taking else 0
        turned = taking[shift:] + taking[:shift]
        for group, servers in zip(count(), groups(references, turned)):
            for server in servers:
                if (server.name, scenario.name) not in self._failed:
                    self._measure(server, scenario, number, group, seconds)

    def _measure(self, server: Server, scenario: Scenario, number: int, group: int, seconds: float) -> None:
        try:
            found = self._quietest(server, scenario, number, group, seconds)
        except (AssertionError, LoadError, OSError) as error:
            self._failed.add((server.name, scenario.name))
            reason = str(error).strip().splitlines()[-1][:200] if str(error).strip() else type(error).__name__
            self._results.missing[f"{server.name}, {scenario.name}"] = reason
            self._say(f"{scenario.name:12} {server.name:16} not measured: {reason}")
            return
        self._results.measurements.append(found)
        self._say(line(found))

    def _quietest(self, server: Server, scenario: Scenario, number: int, group: int, seconds: float) -> Measurement:
        """Measure; if others used too much of the machine, again, and take the try during which they used least."""
        tries: list[Measurement] = []
        while len(tries) < self._tries and all(each.foreign > LOUD for each in tries):
            with server.running(scenario) as endpoint:
                tries.append(measure(endpoint, scenario, seconds, server=server.name, round=number, group=group))
        return min(tries, key=lambda each: each.foreign)


def line(found: Measurement) -> str:
    """A measurement for the terminal."""
    p99 = f"{found.p99_ms:8.1f}" if found.p99_ms is not None else "       –"
    return (
        f"{found.scenario:12} {found.server:16} {found.cpu_per_million:8.2f} CPU s/million   p99 {p99} ms   "
        f"delivered {found.delivered:8.3%}   foreign load {found.foreign:4.0%}"
    )


def to_stderr(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
