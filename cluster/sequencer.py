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


class Item(msgspec.Struct, array_like=True, gc=False):
    """A publication that is to be numbered, with the retention its channel should have."""

    channel: str
    id: str
    data: bytes
    retention: Retention


class Entry(msgspec.Struct, array_like=True, gc=False):
    """An accepted publication as a journal keeps it. `data` is None where only its place and id matter still: the
    channel begins after it. Without an id it is no publication, but says that the channel was cleared up to there.
    """

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

    def number(self, items: Iterable[Item], first: int | None = None) -> tuple[list[int], list[Entry]]:
        """The offset of each item, and an entry for each that is new. Nothing is changed until `keep`.

        With `first` the order has been decided elsewhere: the items lie at `first`, `first` + 1 and so on, above
        every offset there is.
        """
        offsets: list[int] = []
        entries: list[Entry] = []
        tops: dict[str, int] = {}
        numbered: dict[str, int] = {}
        for index, item in enumerate(items):
            key = _key(item.channel, item.id)
            offset = self._known(key) or numbered.get(key)
            if offset is None:
                top = tops.get(item.channel)
                if first is not None:
                    top = first + index - 1
                elif top is None:
                    log = self._logs.get(item.channel)
                    top = self.floor if log is None else log.top
                offset = tops[item.channel] = numbered[key] = top + 1
                entries.append(Entry(item.channel, offset, item.id, item.data, item.retention))
            offsets.append(offset)
        return offsets, entries

    def keep(self, entries: Iterable[Entry], now: float) -> list[Publication]:
        """Make what `number` has just found the newest publications."""
        publications = []
        for entry in entries:
            log = self._logs.get(entry.channel)
            if log is None:
                log = self._logs[entry.channel] = Log(self.floor, entry.retention)
            else:
                self._logs.move_to_end(entry.channel)
            log.retention = entry.retention
            before = log.bytes
            publication = Publication(entry.channel, self.epoch, log.top, entry.offset, entry.id, entry.data or b"")
            log.append(publication, now)
            self.bytes += log.bytes - before
            self._remember(_key(entry.channel, entry.id), entry.offset, now)
            self._quiet_since[entry.channel] = now
            publications.append(publication)
        self._stay_within_limits()
        return publications

    def accept(self, channel: str, data: bytes, id: str, retention: Retention, now: float) -> Accepted:
        """`number` and `keep` a single publication, or find the place it already has."""
        (offset,), entries = self.number([Item(channel, id, data, retention)])
        publications = self.keep(entries, now)
        return Accepted(Position(self.epoch, offset), publications[0] if publications else None)

    def clearing(self, channel: str, through: Position) -> Entry | None:
        """What a journal keeps so that `channel` begins after `through`; None when nothing is kept up to there."""
        log = self._logs.get(channel)
        if log is None or through.epoch != self.epoch or not log.start < through.offset <= log.top:
            return None
        return Entry(channel, through.offset, "", None, log.retention)

    def clear(self, entry: Entry) -> None:
        """Let go of what `clearing` has just found. Offsets go on, and ids stay known."""
        log = self._logs[entry.channel]
        before = log.bytes
        log.clear(entry.offset)
        self.bytes += log.bytes - before

    @classmethod
    def restore(
        cls, epoch: str, limits: Limits, floor: int, entries: Iterable[tuple[float, Entry]], now: float
    ) -> Self:
        """The sequencer that kept `entries`, each at its time. Times tell the order of what was not kept together."""
        sequencer = cls(epoch, limits)
        sequencer.floor = floor
        channels: dict[str, list[tuple[float, Entry]]] = {}
        for at, entry in sorted(entries, key=lambda found: found[0]):
            channels.setdefault(entry.channel, []).append((at, entry))
            # The order of the channels is that of their newest publications, as it was.
            if entry.id:
                channels[entry.channel] = channels.pop(entry.channel)
        for channel in channels:
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
            log.trim(now)
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
