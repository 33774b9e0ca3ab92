"""The order of every channel: numbering, bounded history, deduplication by id, beacons. Pure.

The forwarder process and the in-memory bus are thin loops around this one class.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple, Self

import msgspec

from .stream import History, Log, Position, Publication, Retention, beacon

LAST_BEACON = 64
"""Seconds after a channel's last publication at which its last beacon is due."""


class Limits(NamedTuple):
    """What a sequencer may hold.

    `ids` and `id_seconds`: a repeated id is recognised for at least half of `id_seconds`, up to `ids` ids.
    `channels`: channels known at once. `bytes`: publications kept, over all channels.
    """

    channels: int = 100_000
    bytes: int = 256 * 1024 * 1024
    ids: int = 1_000_000
    id_seconds: float = 240.0


class Accepted(NamedTuple):
    """`position` of a publication; `publication` is None when its id had been accepted before."""

    position: Position
    publication: Publication | None


class Entry(msgspec.Struct, array_like=True, gc=False):
    """An accepted publication as a journal keeps it. `data` is None where only its place and id matter still."""

    channel: str
    offset: int
    id: str
    data: bytes | None
    retention: Retention


class Sequencer:
    """Numbers publications per channel and keeps the recent ones.

    Times are seconds of one clock that the caller chooses and passes in.
    """

    def __init__(self, epoch: str, limits: Limits | None = None) -> None:
        self.epoch = epoch
        self.limits = limits or Limits()
        self.bytes = 0
        self._logs: OrderedDict[str, Log] = OrderedDict()
        # New channels start here, above every offset of a channel that was forgotten: an offset of an epoch
        # never means two publications.
        self.floor = 0
        # Two generations instead of an expiry per id: ids move out in bulk, in constant time per publication.
        self._ids: dict[str, int] = {}
        self._older_ids: dict[str, int] = {}
        self._ids_since: float | None = None
        self._quiet_since: dict[str, float] = {}

    def accept(self, channel: str, data: bytes, id: str, retention: Retention, now: float) -> Accepted:
        """Give a publication its place at the top of `channel`, or find the place it already has."""
        key = _key(channel, id)
        known = self._known(key)
        if known is not None:
            return Accepted(Position(self.epoch, known), None)
        log = self._log(channel)
        log.retention = retention
        before = log.bytes
        prev = log.top
        publication = Publication(channel, self.epoch, prev, prev + 1, id, data)
        log.append(publication, now)
        self.bytes += log.bytes - before
        self._remember(key, publication.offset, now)
        self._quiet_since[channel] = now
        self._stay_within_limits()
        return Accepted(publication.position, publication)

    def retract(self, publications: Iterable[Publication]) -> None:
        """Take back the newest publications, given oldest first: they could not be kept after all."""
        for publication in reversed(list(publications)):
            log = self._logs[publication.channel]
            before = log.bytes
            log.retract(publication)
            self.bytes += log.bytes - before
            self._ids.pop(_key(publication.channel, publication.id), None)

    @classmethod
    def restore(
        cls, epoch: str, limits: Limits, floor: int, entries: Iterable[tuple[float, Entry]], now: float
    ) -> Self:
        """The sequencer that accepted `entries`, each at its time, in any order. Also see `needed`."""
        sequencer = cls(epoch, limits)
        sequencer.floor = floor
        channels: dict[str, list[tuple[float, Entry]]] = {}
        for at, entry in entries:
            channels.setdefault(entry.channel, []).append((at, entry))
        for channel in sorted(channels, key=lambda channel: max(at for at, _ in channels[channel])):
            log = sequencer._logs[channel] = Log(floor, Retention(0, 0))
            for at, entry in sorted(channels[channel], key=lambda found: found[1].offset):
                log.retention = entry.retention
                # What was not needed any more is missing here: the log begins after it.
                if entry.data is None:
                    log.restart(entry.offset)
                else:
                    if entry.offset != log.top + 1:
                        log.restart(entry.offset - 1)
                    log.append(Publication(channel, epoch, log.top, entry.offset, entry.id, entry.data), at)
                if entry.id and now - at <= limits.id_seconds:
                    sequencer._ids[_key(channel, entry.id)] = entry.offset
            sequencer.bytes += log.bytes
            sequencer._quiet_since[channel] = now
        sequencer._ids_since = now
        sequencer._stay_within_limits()
        return sequencer

    def needed(self, entry: Entry) -> Entry | None:
        """What of `entry` a journal must still hold for `restore`; None when nothing."""
        log = self._logs.get(entry.channel)
        if log is None:
            return None
        if entry.data is not None and entry.offset > log.start:
            return entry
        if self._known(_key(entry.channel, entry.id)) == entry.offset or entry.offset == log.top:
            return Entry(entry.channel, entry.offset, entry.id, None, entry.retention)
        return None

    @property
    def footprint(self) -> int:
        """About the bytes a journal of what is needed has."""
        return self.bytes + 100 * (len(self._ids) + len(self._older_ids) + len(self._logs))

    def top(self, channel: str) -> Position:
        """The newest position of `channel`; of one never published to, the place where it would begin."""
        log = self._logs.get(channel)
        return Position(self.epoch, log.top if log is not None else self.floor)

    def history(self, channel: str, since: Position | None, limit: int, now: float) -> History:
        """At most `limit` publications after `since`, or after the oldest one kept when `since` is None."""
        top = self.top(channel)
        log = self._logs.get(channel)
        if log is not None:
            before = log.bytes
            log.trim(now)
            self.bytes += log.bytes - before
        start = log.start if log is not None else top.offset
        offset = start if since is None else since.offset
        complete = start <= offset <= top.offset and (since is None or since.epoch == self.epoch)
        if not complete:
            offset = start
        return History(log.after(offset)[:limit] if log is not None else [], top, complete)

    def due_beacons(self, now: float, elapsed: float) -> list[Publication]:
        """Beacons that fell due in the last `elapsed` seconds: 1, 2, 4, … 64 s after a channel's last publication.

        They let a reader notice that it lost the end of a stream, when nothing follows to show it.
        """
        due = []
        for channel, since in list(self._quiet_since.items()):
            quiet = now - since
            delay = 1
            while delay <= quiet - elapsed:
                delay *= 2
            if delay <= quiet:
                due.append(beacon(channel, self.top(channel)))
            if quiet >= LAST_BEACON:
                del self._quiet_since[channel]
        return due

    def expire(self, now: float) -> None:
        """Let go of what has become too old at `now`."""
        for log in self._logs.values():
            before = log.bytes
            log.trim(now)
            self.bytes += log.bytes - before
        self._rotate_ids(now)

    def _log(self, channel: str) -> Log:
        log = self._logs.get(channel)
        if log is None:
            log = self._logs[channel] = Log(self.floor, Retention(0, 0))
        else:
            self._logs.move_to_end(channel)
        return log

    def _known(self, key: str) -> int | None:
        return self._ids.get(key) or self._older_ids.get(key)

    def _remember(self, key: str, offset: int, now: float) -> None:
        self._rotate_ids(now)
        self._ids[key] = offset

    def _rotate_ids(self, now: float) -> None:
        if self._ids_since is None:
            self._ids_since = now
        if now - self._ids_since >= self.limits.id_seconds / 2 or len(self._ids) >= self.limits.ids / 2:
            self._older_ids, self._ids, self._ids_since = self._ids, {}, now

    def _stay_within_limits(self) -> None:
        """Forget the least recently published first: the history of channels, then whole channels."""
        if self.bytes > self.limits.bytes:
            enough = self.limits.bytes * 9 // 10
            for log in self._logs.values():
                self.bytes -= log.bytes
                log.clear()
                if self.bytes <= enough:
                    break
        while len(self._logs) > self.limits.channels:
            channel, log = self._logs.popitem(last=False)
            self.bytes -= log.bytes
            self.floor = max(self.floor, log.top)
            self._quiet_since.pop(channel, None)


def _key(channel: str, id: str) -> str:
    return f"{channel}\0{id}"
