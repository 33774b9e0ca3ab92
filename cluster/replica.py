"""One log that every worker reads, folded by each into the same channels, offsets and history. Pure.

A log numbers its messages from 0 and may let go of the oldest. What a publication's offset is depends on its place
in the log alone, so workers agree wherever they began to read; who began later knows less of the past, and says so.
"""

from __future__ import annotations

from typing import NamedTuple

from .parcel import SPAN, Parcel
from .sequencer import Limits, Sequencer
from .stream import Position, Publication

EXPIRE = 10.0
"""Seconds between two times that what has become too old is looked for."""


class Taken(NamedTuple):
    """What a parcel means: the places of all its items, and those of them that are new."""

    places: list[Position]
    publications: list[Publication]


class Replica:
    """What one worker knows of the log. `read` is the place of the newest message it took, -1 before the first."""

    def __init__(self, limits: Limits) -> None:
        self.read = -1
        self._limits = limits
        self._newest = ""
        self._first: tuple[int, str] = (0, "")
        self._sequencer: Sequencer | None = None
        self._expired_at = 0.0

    @property
    def sequencer(self) -> Sequencer:
        """The channels; to be asked when the log has been read to its end once."""
        if self._sequencer is None:
            place, mark = self._first
            return self._begin(place, mark)
        return self._sequencer

    def continues(self, place: int, parcel: Parcel) -> bool:
        """Whether a log whose message at `place` is `parcel` goes on where this worker stopped reading."""
        return self.read < 0 or (place, parcel.mark) == (self.read, self._newest)

    def take(self, place: int, parcel: Parcel, now: float) -> Taken | None:
        """Fold the message at `place`; None when it was written for another log, or taken before.

        `now` in seconds since 1970. The clocks of all workers should agree: `parcel.at` tells how old it is.
        """
        if place <= self.read:
            return None
        if self.read < 0:
            self._first = place, parcel.mark
        self.read, self._newest = place, parcel.mark
        # The log is named by its first message. Who did not see it learns the name from whoever did.
        name = parcel.mark if place == 0 else parcel.epoch
        if self._sequencer is None and name:
            self._begin(self._first[0], name)
        if self._sequencer is None or parcel.epoch not in ("", self._sequencer.epoch):
            return None
        if parcel.void:
            self._begin(place, parcel.mark)
            return Taken([], [])
        return self._fold(self._sequencer, place, parcel, now)

    def _fold(self, sequencer: Sequencer, place: int, parcel: Parcel, now: float) -> Taken:
        for channel, through in parcel.clears:
            if (clearing := sequencer.clearing(channel, through)) is not None:
                sequencer.clear(clearing)
        offsets, entries = sequencer.number(parcel.items, first=place * SPAN + 1)
        publications = sequencer.keep(entries, min(parcel.at, now))
        if now - self._expired_at >= EXPIRE:
            self._expired_at = now
            sequencer.expire(now)
        return Taken([Position(sequencer.epoch, offset) for offset in offsets], publications)

    def _begin(self, place: int, epoch: str) -> Sequencer:
        self._sequencer = Sequencer(epoch, self._limits)
        # Of what lies before nothing is known: no channel begins below.
        self._sequencer.floor = place * SPAN
        return self._sequencer
