"""What fan-out is meant to reach, and what these measurements say about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .load import Measurement
from .ratios import Figure, Spread, cpu, of, p99, ratio, spread
from .results import Idle, Stages

WHOLE = 0.999
"""What of the publications of the window must have arrived within it to call nothing late: its edges blur."""


class Target(NamedTuple):
    """`reached` is None when it was not measured. `scenario`: in which it was, if in one."""

    what: str
    limit: str
    measured: str
    reached: bool | None
    missed_by: str
    scenario: str = ""


def targets(measurements: Sequence[Measurement], idle: Idle | None, stages: Stages | None) -> list[Target]:
    """All of them, in the order of the issue that set them."""

    def at(scenario: str) -> list[Measurement]:
        return [each for each in measurements if each.scenario == scenario]

    def at_most(what: str, scenario: str, limit: float, found: Spread | None) -> Target:
        return _at_most(f"{what}: {scenario.replace('x', ' × ')}/s, direct", found, limit, " ×", scenario)

    found = []
    for name in ("500x200", "2000x200"):
        here = at(name)
        found.append(at_most("CPU, C floor = 1", name, 1.5, ratio(here, "ours", "floor")))
        workers = ratio(here, "ours", "floor", _workers, cpu)
        found.append(at_most("the same, only the workers' CPU", name, 1.5, workers))
        rule = ratio(here, "ours", "floor-ours")
        found.append(at_most("CPU, C floor with our rule of when to write = 1", name, 2, rule))
    for peer in ("nchan", "ws"):
        found.append(at_most(f"CPU, {peer} = 1", "500x200", 1, ratio(at("500x200"), "ours", peer)))
    broadcaster = ratio(at("500x200"), "ours", "broadcaster")
    found.append(at_most("CPU, broadcaster + Redis = 1", "500x200", 1 / 8, broadcaster))
    latency = ratio(at("500x20"), "ours", "nchan", p99)
    found.append(at_most("p99 latency, Nchan = 1", "500x20", 1.5, latency))
    found.append(_nothing_late(at("2000x1000")))
    capacity = None if stages is None else 1e6 / (stages.forwarder + stages.journal)
    found.append(_at_least("publications through the forwarder, per second of its CPU", capacity, 60_000))
    rate = None if stages is None else stages.rate
    found.append(_at_least("the same per second, one core the forwarder's, one everything else's", rate, 60_000))
    kb = None if idle is None else spread([idle.kb_per_connection])
    found.append(_at_most("memory per idle connection, one worker", kb, 12, " kB"))
    reached = None if idle is None else float(min(idle.connected, idle.received))
    found.append(_at_least("idle connections on one worker that receive a broadcast", reached, 10_000))
    return found


def _workers(measurement: Measurement) -> float | None:
    return measurement.cpu_of("worker") or None


def _nothing_late(measurements: Sequence[Measurement]) -> Target:
    what = "delivered within the window, lost: 2000 × 1000/s, direct"
    in_time: Figure = lambda each: each.in_time  # noqa: E731
    delivered: Figure = lambda each: each.delivered  # noqa: E731
    whole, all_of_it = of(measurements, "ours", in_time), of(measurements, "ours", delivered)
    if whole is None or all_of_it is None:
        return Target(what, "≥ 99.9 %, 0", "not measured", None, "", "2000x1000")
    floor = of(measurements, "floor", in_time)
    beside = f" (C floor: {min(floor.median, 1):.2%})" if floor is not None else ""
    well = whole.median >= WHOLE and all_of_it.low >= 1
    missed = "" if well else f"{1 - min(whole.median, 1):.2%} late, {1 - all_of_it.median:.2%} lost"
    measured = f"{min(whole.median, 1):.2%}{beside}, {1 - all_of_it.median:.2%}"
    return Target(what, "≥ 99.9 %, 0", measured, well, missed, "2000x1000")


def _at_most(what: str, found: Spread | None, limit: float, unit: str, scenario: str = "") -> Target:
    if found is None:
        return Target(what, f"≤ {limit:g}{unit}", "not measured", None, "", scenario)
    over = "" if found.median <= limit else f"{found.median / limit - 1:.0%}"
    return Target(what, f"≤ {limit:g}{unit}", f"{found}{unit}", not over, over, scenario)


def _at_least(what: str, value: float | None, limit: float) -> Target:
    if value is None:
        return Target(what, f"≥ {limit:,.0f}", "not measured", None, "")
    missed = "" if value >= limit else f"{1 - value / limit:.0%}"
    return Target(what, f"≥ {limit:,.0f}", f"{value:,.0f}", not missed, missed)
