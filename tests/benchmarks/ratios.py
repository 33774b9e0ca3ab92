"""How servers compare. A ratio is made of two measurements of one group, which ran one right after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import NamedTuple

from .load import Measurement

Figure = Callable[[Measurement], float | None]


class Spread(NamedTuple):
    """The median of several values and how far they lie apart."""

    median: float
    low: float
    high: float
    runs: int

    def __format__(self, spec: str) -> str:
        middle, low, high = (_written(value, spec) for value in (self.median, self.low, self.high))
        return middle if low == high else f"{middle} ({low}–{high})"


def _written(value: float, spec: str) -> str:
    """With three digits that matter, if nothing else is asked for."""
    return format(value, spec or (".3g" if abs(value) < 999.5 else ",.0f"))


def cpu(measurement: Measurement) -> float | None:
    """CPU seconds per million deliveries; None where nothing was delivered."""
    return measurement.cpu_per_million or None


def p99(measurement: Measurement) -> float | None:
    return measurement.p99_ms


def spread(values: Iterable[float | None]) -> Spread | None:
    """None if there is no value."""
    known = sorted(value for value in values if value is not None)
    return Spread(median(known), known[0], known[-1], len(known)) if known else None


def of(measurements: Sequence[Measurement], server: str, figure: Figure) -> Spread | None:
    """The figure of one server."""
    return spread(figure(each) for each in measurements if each.server == server)


def ratio(
    measurements: Sequence[Measurement], server: str, other: str, figure: Figure = cpu, over: Figure | None = None
) -> Spread | None:
    """How many times the figure of `other` that of `server` is, group by group; `over`: another figure of `other`."""
    values = []
    groups = {(each.scenario, each.round, each.group) for each in measurements}
    for group in sorted(groups):
        members = [each for each in measurements if (each.scenario, each.round, each.group) == group]
        ours = [value for each in members if each.server == server and (value := figure(each))]
        theirs = [value for each in members if each.server == other and (value := (over or figure)(each))]
        if ours and theirs:
            values.append(median(ours) / median(theirs))
    return spread(values)
