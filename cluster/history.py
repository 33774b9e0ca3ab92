"""Reading a channel's history as clients ask for it: from either end, so many, from a position on."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from .bus import Bus
from .errors import BusError, ReplyError
from .session.codes import UNRECOVERABLE_POSITION
from .stream import Position, Publication

PAGE = 500


class Page(NamedTuple):
    """Publications in the order asked for, and the channel's newest position."""

    publications: list[Publication]
    top: Position


async def read(bus: Bus, channel: str, *, since: Position | None, limit: int, reverse: bool, max_bytes: int) -> Page:
    """At most `limit` publications after `since`, oldest first; with `reverse` those before it, newest first.

    Without `since` they begin at that end of what is kept. Fewer than there are come back when they are more than
    `max_bytes`. An empty epoch stands for the current one. Raises `ReplyError` 112 when `since` is of another
    epoch, and `BusUnavailable`.
    """
    top = (await bus.history(channel, None, 0)).top
    if since is not None and since.epoch not in ("", top.epoch):
        raise ReplyError(UNRECOVERABLE_POSITION.code, UNRECOVERABLE_POSITION.message)
    if limit <= 0 or max_bytes <= 0:
        return Page([], top)
    found = _Found(limit, max_bytes, reverse)
    after = Position(top.epoch, since.offset) if since is not None and not reverse else None
    until = since.offset if since is not None and reverse else top.offset + 1
    while not found.full and (after is None or after.offset < until - 1):
        history = await bus.history(channel, after, PAGE if reverse else min(limit, PAGE))
        if history.top.epoch != top.epoch:
            raise BusError(f"channel {channel!r} began anew while its history was read")
        found.take([publication for publication in history.publications if publication.offset < until])
        if not history.publications:
            break
        after = history.publications[-1].position
    return Page(found.ordered(), top)


class _Found:
    """The first publications that fit the limits, or the last."""

    def __init__(self, limit: int, max_bytes: int, last: bool) -> None:
        self._limit = limit
        self._max_bytes = max_bytes
        self._last = last
        self._bytes = 0
        self._publications: deque[Publication] = deque()
        self.full = False

    def take(self, publications: list[Publication]) -> None:
        for publication in publications:
            self._publications.append(publication)
            self._bytes += len(publication.data or b"")
            while self._too_many():
                if not self._last:
                    self._publications.pop()
                    self.full = True
                    return
                self._bytes -= len(self._publications.popleft().data or b"")
        self.full = not self._last and len(self._publications) == self._limit

    def ordered(self) -> list[Publication]:
        found = list(self._publications)
        return found[::-1] if self._last else found

    def _too_many(self) -> bool:
        # One is always allowed: there would be no way past it.
        count = len(self._publications)
        return count > self._limit or (count > 1 and self._bytes > self._max_bytes)
