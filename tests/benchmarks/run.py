"""Runs the benchmarks.

python -m tests.benchmarks.run [--quick] [--minutes M] [--servers a,b] [--scenarios a,b] [--into DIRECTORY]
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from math import inf
from pathlib import Path

from .build import REPOSITORY, RESULTS
from .floor import RULES, Floor
from .forwarder import measure_stages
from .idle import measure_idle
from .load import LoadError
from .machine import description
from .ours import WAYS, Ours
from .peers import PEERS
from .plot import svg
from .profile import profiled
from .report import markdown, profiles
from .results import Results
from .scenario import SCENARIOS, Scenario
from .schedule import Schedule, to_stderr
from .server import Server, Unavailable
from .targets import targets

MINUTES = 20.0
"""What all of it may take; a first round of everything takes about half."""
EXPLAINING = 90.0
"""Seconds kept for profiles."""
SECONDS = 3.0
"""Length of the window of one measurement."""
ROUNDS = 5
TRIES = 2
"""How often something is measured to find a moment in which nobody else uses the machine."""
QUICK_SERVERS = ("ours-nginx", "nchan", "ws")
QUICK_SCENARIOS = ("500x20", "500x200")
QUICK_SECONDS = 2.0


def main() -> int:
    arguments = _arguments()
    # Ends like Ctrl+C does: whatever runs is stopped on the way out.
    for signum in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, lambda *_: sys.exit(130))
    began = time.monotonic()
    results = Results(
        at=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        machine=description(),
        revision=_revision(),
        quick=arguments.quick,
        load_before=os.getloadavg()[0],
    )
    floors, ours = map(Floor, RULES), map(Ours, WAYS)
    references: list[Server] = [next(floors), next(ours)]
    others: list[Server] = [*floors, *ours, *PEERS]
    chosen = arguments.servers or (QUICK_SERVERS if arguments.quick else None)
    if chosen is not None:
        others = [server for server in others if server.name in chosen]
    ready = _prepared([*references, *others], results)
    references, others = [s for s in ready if s in references], [s for s in ready if s not in references]
    scenarios = _scenarios(arguments)
    schedule = Schedule(results, references, others, to_stderr, tries=1 if arguments.quick else TRIES)
    if arguments.quick:
        schedule.run(scenarios, seconds=QUICK_SECONDS, rounds=1, deadline=inf)
    else:
        _once(results)
        deadline = began + arguments.minutes * 60 - EXPLAINING
        schedule.run(scenarios, seconds=SECONDS, rounds=ROUNDS, deadline=deadline)
        _explain(results)
    _write(results, arguments.into)
    to_stderr(f"{(time.monotonic() - began) / 60:.1f} minutes")
    return 0


def _prepared(servers: Sequence[Server], results: Results) -> list[Server]:
    """Those that are there or could be installed."""
    ready = []
    for server in servers:
        try:
            version = server.prepare()
        except Unavailable as reason:
            results.missing[server.title] = str(reason)
            to_stderr(f"{server.title}: not measured: {reason}")
            continue
        results.servers[server.name] = {"title": server.title, "how": server.how, "version": version}
        ready.append(server)
    return ready


def _once(results: Results) -> None:
    """What is measured on its own."""
    try:
        results.stages = measure_stages()
        results.idle = measure_idle()
    except (AssertionError, LoadError, OSError) as error:
        results.missing["the forwarder or idle connections"] = str(error)[:300]
        to_stderr(f"not measured: {error}")


def _explain(results: Results) -> None:
    """Why a target was missed: a profile of every scenario in which one was."""
    found = targets(results.measurements, results.idle, results.stages)
    missed = {each.scenario for each in found if each.reached is False}
    for scenario in SCENARIOS:
        if scenario.name in missed:
            try:
                results.profiles += profiled(scenario)
            except (Unavailable, AssertionError, LoadError, OSError) as error:
                results.missing[f"profile, {scenario.name}"] = str(error)[:300]
                to_stderr(f"not profiled: {error}")


def _scenarios(arguments: argparse.Namespace) -> list[Scenario]:
    chosen = arguments.scenarios or (QUICK_SCENARIOS if arguments.quick else [each.name for each in SCENARIOS])
    return [scenario for scenario in SCENARIOS if scenario.name in chosen]


def _write(results: Results, into: Path | None) -> None:
    """Keep a full run where it is published; a quick one is only shown, unless told where to."""
    text = markdown(results)
    if results.quick:
        print(text)
    directory = into or (None if results.quick else RESULTS)
    if directory is not None:
        results.save(directory / "results.json")
        (directory / "results.md").write_text(text)
        (directory / "cpu.svg").write_text(svg(results))
        (directory / "profile.md").write_text(profiles(results))
        to_stderr(f"written into {directory}")


def _revision() -> str:
    """Of what was measured, and whether it was changed since."""
    found = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or "an unknown revision"


def _arguments() -> argparse.Namespace:
    def names(text: str) -> list[str]:
        return text.split(",")

    parser = argparse.ArgumentParser(
        prog="scripts/bench", description="Measures the fan-out beside the C floor and peers."
    )
    parser.add_argument("--quick", action="store_true", help="under two minutes: few scenarios, two peers, one round")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="how long to go on with further rounds")
    parser.add_argument("--servers", type=names, help="only these besides the floor and ours, by name: nchan,ws")
    parser.add_argument("--scenarios", type=names, help="only these: 500x20,chat")
    parser.add_argument(
        "--into", type=Path, help="where to write the results; default: docs/benchmarks, --quick nowhere"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
