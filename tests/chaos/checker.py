"""Compares what every client received with what was acknowledged. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple


class Delivery(NamedTuple):
    """A publication as a client received it."""

    epoch: str
    offset: int
    id: str


@dataclass
class Record:
    """What one client saw of one channel: where it started, what it received, where it was told of a loss."""

    channel: str
    start: tuple[str, int] | None = None
    deliveries: list[Delivery] = field(default_factory=list)
    told_losses: int = 0


class Verdict(NamedTuple):
    """Counts over all clients; the promise is that the first three are 0."""

    lost: int
    duplicated: int
    reordered: int
    told_losses: int
    delivered: int

    @property
    def kept(self) -> bool:
        return (self.lost, self.duplicated, self.reordered, self.told_losses) == (0, 0, 0, 0)


def check(acknowledged: Mapping[str, Mapping[str, tuple[str, int]]], records: Iterable[Record]) -> Verdict:
    """Judge `records` against `acknowledged`: for each channel the place every id was acknowledged at."""
    lost = duplicated = reordered = told = delivered = 0
    order = {channel: sorted(places.items(), key=lambda item: item[1][1]) for channel, places in acknowledged.items()}
    for record in records:
        told += record.told_losses
        delivered += len(record.deliveries)
        received = [delivery.id for delivery in record.deliveries]
        start = record.start[1] if record.start is not None else 0
        expected = [id for id, (_, offset) in order.get(record.channel, []) if offset > start]
        once = list(dict.fromkeys(received))
        duplicated += len(received) - len(once)
        present = set(once)
        lost += sum(id not in present for id in expected)
        reordered += _out_of_order(once, expected)
        reordered += sum(
            b.offset <= a.offset for a, b in pairwise(record.deliveries) if a.epoch == b.epoch and a.id != b.id
        )
    return Verdict(lost, duplicated, reordered, told, delivered)


def _out_of_order(received: Sequence[str], expected: Sequence[str]) -> int:
    """How often two neighbours in `received` stand the other way round in `expected`."""
    place = {id: i for i, id in enumerate(expected)}
    places = [place[id] for id in received if id in place]
    return sum(b < a for a, b in pairwise(places))
