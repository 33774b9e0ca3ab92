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
"""Turns a publication into the frame that the members of one audience are handed."""

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
    concatenates = False
    """Frames are bytes, and several of them one after another are as good as one."""

    def subscribed(self, channel: str, position: Position, recovered: bool | None) -> None:
        """What follows starts after `position`. `recovered` answers whether what was asked for is all there;
        None when nothing was asked for."""

    def deliver(self, frame: Any) -> None:
        """One publication in this subscriber's format, or several if it concatenates."""
        raise NotImplementedError

    def reset(self, channel: str, position: Position) -> None:
        """Something before `position` is lost to this subscriber; what follows starts after it."""

    async def room(self) -> None:
        """Wait until more can be delivered without piling up."""


class Audience:
    """The subscribers of a channel that share a format, and the frames they have yet to be handed."""

    __slots__ = ("_format", "concatenates", "delivered", "due", "members")

    def __init__(self, format: Format, concatenates: bool) -> None:
        self._format = format
        self.concatenates = concatenates
        self.members: dict[Subscriber, None] = {}
        self.due: list[Any] = []
        self.delivered = 0

    def add(self, publication: Publication) -> None:
        self.due.append(self._format(publication))

    def take(self) -> list[Any]:
        """The frames to hand out now: one, or as many as cannot be made one."""
        due, self.due = self.due, []
        self.delivered += len(due) * len(self.members)
        return [b"".join(due)] if self.concatenates and len(due) > 1 else due

    def flush(self) -> None:
        """Hand every member what is due."""
        for frame in self.take():
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
    pieces: list[bytes] = []
    shares: dict[Subscriber, tuple[int, ...]] = {}
    for audience in audiences:
        if not audience.concatenates:
            audience.flush()
            continue
        for frame in audience.take():
            place = (len(pieces),)
            pieces.append(frame)
            for member in audience.members:
                shares[member] = shares.get(member, ()) + place
    whole: dict[tuple[int, ...], bytes] = {}
    for member, share in shares.items():
        frame = whole.get(share)
        if frame is None:
            frame = whole[share] = b"".join([pieces[place] for place in share])
        try:
            member.deliver(frame)
        except Exception:
            _failed()


def _failed() -> None:
    """One subscriber's trouble is nobody else's."""
    logger.exception("a subscriber could not be delivered to")
