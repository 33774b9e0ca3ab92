"""A channel's stream: positions, publications, the log that keeps recent ones, the cursor that reads them.

Everything here is pure: no clock, no socket. Offsets increase strictly within an epoch but may be sparse;
`prev` links each publication to its predecessor, so a reader sees that something is missing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from enum import Enum, auto
from math import inf
from typing import NamedTuple

import msgspec


class Position(NamedTuple):
    """A place in a channel: everything up to and including `offset`, in this `epoch`."""

    epoch: str
    offset: int


class Publication(msgspec.Struct, frozen=True, gc=False):
    """One message of a channel. `data` is None for a *beacon*, which only tells the channel's top `offset`."""

    channel: str
    epoch: str
    prev: int
    offset: int
    id: str
    data: bytes | None

    @property
    def position(self) -> Position:
        return Position(self.epoch, self.offset)

    @property
    def is_beacon(self) -> bool:
        return self.data is None


def beacon(channel: str, top: Position) -> Publication:
    """The publication without data that tells a channel's top."""
    return Publication(channel, top.epoch, top.offset, top.offset, "", None)


class Retention(NamedTuple):
    """How much of a channel is kept: at most `size` publications, none older than `seconds`."""

    size: int
    seconds: float


class History(NamedTuple):
    """An answer about the past of a channel.

    `publications` are those after the position asked for, oldest first, possibly cut by a limit;
    `top` is the newest position; `complete` is True only if nothing after the position asked for is missing
    before or between them.
    """

    publications: list[Publication]
    top: Position
    complete: bool


class Log:
    """The recent publications of one channel in one epoch, bounded by a `Retention` and by `max_bytes`.

    The log *covers* an offset when every publication after it is still here.
    """

    __slots__ = ("_entries", "_max_bytes", "bytes", "retention", "start")

    def __init__(self, start: int, retention: Retention, max_bytes: float = inf) -> None:
        self.start = start
        self.retention = retention
        self._max_bytes = max_bytes
        self.bytes = 0
        self._entries: deque[tuple[float, Publication]] = deque()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def top(self) -> int:
        return self._entries[-1][1].offset if self._entries else self.start

    def append(self, publication: Publication, now: float) -> None:
        """Keep `publication`, which must follow the top, and let go of what the retention no longer allows."""
        self._entries.append((now, publication))
        self.bytes += _size(publication)
        self.trim(now)

    def trim(self, now: float) -> None:
        """Let go of publications that are too many or too old at time `now` (seconds)."""
        entries, (size, seconds) = self._entries, self.retention
        oldest = now - seconds
        while entries and (len(entries) > size or entries[0][0] < oldest or self.bytes > self._max_bytes):
            self._drop_first()

    def clear(self, through: float = inf) -> None:
        """Let go of everything up to offset `through`; the top stays what it was."""
        while self._entries and self._entries[0][1].offset <= through:
            self._drop_first()

    def restart(self, start: int) -> None:
        """Let go of everything and go on after offset `start`."""
        self.clear()
        self.start = start

    def covers(self, offset: int) -> bool:
        return self.start <= offset <= self.top

    def after(self, offset: int) -> list[Publication]:
        """The publications kept whose offset is above `offset`, oldest first."""
        found: list[Publication] = []
        for _, publication in reversed(self._entries):
            if publication.offset <= offset:
                break
            found.append(publication)
        found.reverse()
        return found

    def _drop_first(self) -> None:
        _, publication = self._entries.popleft()
        self.start = publication.offset
        self.bytes -= _size(publication)


def _size(publication: Publication) -> int:
    """Bytes a kept publication is accounted with: its data and a flat share for the objects around it."""
    return len(publication.data or b"") + 200


class Verdict(Enum):
    """What a reader should do with a publication."""

    DELIVER = auto()
    DUPLICATE = auto()
    GAP = auto()
    RESET = auto()


class Cursor:
    """Reads one channel: decides for each publication whether it is the next one."""

    __slots__ = ("position",)

    def __init__(self, position: Position) -> None:
        self.position = position

    def accept(self, publication: Publication) -> Verdict:
        """Judge `publication`, and step forward when it is the next one.

        DELIVER: it follows the position, which is now its own. DUPLICATE: it lies at or before the position.
        GAP: something between the position and it has not been seen; the position stays. RESET: it belongs to
        another epoch, what was known of the channel is void; the position stays until `reset`.
        """
        if publication.epoch != self.position.epoch:
            return Verdict.RESET
        if publication.offset <= self.position.offset:
            return Verdict.DUPLICATE
        if publication.is_beacon or publication.prev > self.position.offset:
            return Verdict.GAP
        self.position = publication.position
        return Verdict.DELIVER

    def reset(self, position: Position) -> None:
        """Go on from `position`, whatever was read before."""
        self.position = position


def chain(epoch: str, channel: str, prev: int, items: Iterable[tuple[int, str, bytes]]) -> list[Publication]:
    """Publications made of `(offset, id, data)` items that follow one another, the first one after `prev`."""
    publications = []
    for offset, id, data in items:
        publications.append(Publication(channel, epoch, prev, offset, id, data))
        prev = offset
    return publications
