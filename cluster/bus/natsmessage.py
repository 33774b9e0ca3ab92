"""What the messages of the NATS stream hold: an item as the wire has it, or a mark."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple
from urllib.parse import quote

import msgspec

from ..sequencer import Item
from ..stream import Position, Publication, Retention


class Stored(NamedTuple):
    """A message. `place`: its offset; `at`: when it was stored, in seconds; `pending`: how many follow in its channel.

    Without `item` it is a mark, at which its channel begins, or a message that somebody else put there.
    """

    stream: str
    seq: int
    item: Item | None
    place: int
    at: float
    pending: int


class Reading:
    """Makes a history out of a channel's messages, taken one after the other from `seq` on until it is `done`.

    `top` is the place of the `last` one, which says what is kept; `now` in seconds.
    """

    def __init__(
        self, channel: str, top: Position, last: Stored, since: Position | None, limit: int, now: float
    ) -> None:
        inside = since is not None and since.epoch == top.epoch and since.offset <= top.offset
        self.found: list[Publication] = []
        self.complete = since is None or inside
        self.seq = since.offset if since is not None and inside else 0
        self._sought = self.seq if inside else None
        self._from_oldest = since is None
        self._prev: int | None = None
        self._channel = channel
        self._epoch = top.epoch
        self._last = last
        self._limit = limit
        retention = last.item.retention if last.item is not None else Retention(0, 0.0)
        self._size, self._since = retention.size, now - retention.seconds

    @property
    def done(self) -> bool:
        return self.seq > self._last.seq or (self._sought is None and len(self.found) >= self._limit)

    def take(self, each: Stored) -> None:
        if self.done:
            return
        self.seq = each.seq + 1
        if self._sought is not None and each.place != self._sought:
            # They go from the oldest on. Were it there, nothing that followed it would be missing.
            self.complete = False
        met, self._sought = each.place == self._sought, None
        if each.seq > self._last.seq:
            return
        if met or (each.item is None and self._prev is None):
            self._prev = each.place
        elif each.item is None:
            return  # somebody else put it there: the publications around it follow one another
        elif each.pending < self._size and each.at >= self._since:
            prev = each.seq - 1 if self._prev is None else self._prev
            self.found.append(Publication(self._channel, self._epoch, prev, each.seq, each.item.id, each.item.data))
            self._prev = each.seq
        else:
            self._prev, self.complete = None, self.complete and self._from_oldest


def stored(stream: str, seq: int, payload: bytes, time: str, pending: int = 0) -> Stored:
    try:
        content = _decode(payload)
    except (msgspec.DecodeError, ValueError):
        content = 0
    if isinstance(content, Item):
        return Stored(stream, seq, content, seq, _seconds(time), pending)
    return Stored(stream, seq, None, content or seq, _seconds(time), pending)


def from_headers(headers: Mapping[str, str], payload: bytes) -> Stored:
    """A message as the server sends it out."""
    pending = int(headers.get("Nats-Num-Pending", 0))
    return stored(headers["Nats-Stream"], int(headers["Nats-Sequence"]), payload, headers["Nats-Time-Stamp"], pending)


def mark(place: int) -> bytes:
    """The payload of a mark that stands for `place`, or if 0 for its own."""
    return msgspec.msgpack.encode(place)


def item_of(raw: msgspec.Raw) -> Item:
    return msgspec.msgpack.decode(raw, type=Item)


def token(channel: str) -> str:
    """A channel's name as one token of a subject: `.`, `*`, `>` and blanks have a meaning there."""
    return quote(channel, safe=":/").replace(".", "%2E")


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()


_decode = msgspec.msgpack.Decoder(Item | int).decode
