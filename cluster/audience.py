"""Who receives a channel in one format, and when what is due to them is written.

A publication is encoded once for an audience. What falls due close together is written to each of its members in
one go: at once when there is little to do, a few milliseconds later when writing keeps the process busy.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol

from .stream import Position, Publication

logger = logging.getLogger(__name__)

Format = Callable[[Publication], Any]
"""Turns a publication into what the members of one audience are handed; a `ValueError` means it cannot be."""

Join = Callable[[list[Any]], Any]
"""Makes one frame of several formatted publications that are due together."""

BUSY = 3.0
"""A flush is put off for so many times as long as the last one took: writing takes a quarter of the time at most."""
LONGEST_DELAY = 0.01
"""Seconds a flush is put off at most."""


def unchanged(publication: Publication) -> Publication:
    """The format of subscribers that take publications as they are."""
    return publication


class Subscriber:
    """Someone who receives channels. Every method but `room` must return at once."""

    __slots__ = ()

    format: Format = staticmethod(unchanged)
    join: Join | None = None
    """Makes frames of formatted publications; without one a formatted publication is a frame of its own."""

    def subscribed(self, channel: str, position: Position, recovered: bool | None) -> None:
        """What follows starts after `position`. `recovered` answers whether what was asked for is all there;
        None when nothing was asked for."""

    def deliver(self, frame: Any) -> None:
        """One publication in this subscriber's format, or one or several that were joined."""
        raise NotImplementedError

    def reset(self, channel: str, position: Position) -> None:
        """Something before `position` is lost to this subscriber; what follows starts after it."""

    def unsuitable(self, channel: str) -> None:
        """A publication of `channel` has no place in this subscriber's format."""

    async def room(self) -> None:
        """Wait until more can be delivered without piling up."""


class Audience:
    """The subscribers of a channel that share a format, and the frames they have yet to be handed."""

    __slots__ = ("_format", "delivered", "due", "join", "members")

    def __init__(self, format: Format, join: Join | None) -> None:
        self._format = format
        self.join = join
        self.members: dict[Subscriber, None] = {}
        self.due: list[Any] = []
        self.delivered = 0

    def add(self, publication: Publication) -> None:
        try:
            self.due.append(self._format(publication))
        except ValueError:
            for member in self.members:
                member.unsuitable(publication.channel)

    def take(self) -> list[Any]:
        """What is due, formatted and not yet joined. From here on it counts as delivered."""
        due, self.due = self.due, []
        self.delivered += len(due) * len(self.members)
        return due

    def flush(self) -> None:
        """Hand every member what is due."""
        due = self.take()
        if not due:
            return
        for frame in due if self.join is None else (self.join(due),):
            for member in self.members:
                try:
                    member.deliver(frame)
                except Exception:
                    _failed()


class Loop(Protocol):
    """What is used of an asyncio event loop."""

    def time(self) -> float: ...

    def call_soon(self, callback: Callable[[], None], /) -> object: ...

    def call_at(self, when: float, callback: Callable[[], None], /) -> object: ...


class Flusher:
    """Decides when audiences are flushed, and hands a subscriber of several what is due in one piece."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._waiting: dict[Audience, None] = {}
        self._not_before = 0.0

    def add(self, audience: Audience) -> None:
        """Flush `audience` soon."""
        if not self._waiting:
            if self._not_before <= self._loop.time():
                self._loop.call_soon(self._flush)
            else:
                self._loop.call_at(self._not_before, self._flush)
        self._waiting[audience] = None

    def _flush(self) -> None:
        started = self._loop.time()
        audiences, self._waiting = list(self._waiting), {}
        if len(audiences) == 1:
            audiences[0].flush()
        else:
            _flush_together(audiences)
        ended = self._loop.time()
        self._not_before = ended + min((ended - started) * BUSY, LONGEST_DELAY)


def _flush_together(audiences: list[Audience]) -> None:
    """Write once to each subscriber; those who share the same audiences share what is written."""
    pieces: list[tuple[Join, list[Any]]] = []
    shares: dict[Subscriber, tuple[int, ...]] = {}
    for audience in audiences:
        if audience.join is None:
            audience.flush()
        elif due := audience.take():
            place = (len(pieces),)
            pieces.append((audience.join, due))
            for member in audience.members:
                shares[member] = shares.get(member, ()) + place
    whole: dict[tuple[int, ...], Any] = {}
    for member, share in shares.items():
        frame = whole.get(share)
        if frame is None:
            # All audiences of one subscriber join alike.
            join = pieces[share[0]][0]
            frame = whole[share] = join([piece for place in share for piece in pieces[place][1]])
        try:
            member.deliver(frame)
        except Exception:
            _failed()


def _failed() -> None:
    """One subscriber's trouble is nobody else's."""
    logger.exception("a subscriber could not be delivered to")
