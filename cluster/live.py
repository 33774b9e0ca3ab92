"""A channel that this worker receives: its cursor, its log, its subscribers. No I/O, time is passed in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum, auto
from typing import Any

from .stream import Cursor, History, Log, Position, Publication, Retention, Verdict

Format = Callable[[Publication], Any]
"""Turns a publication into what the subscribers of one kind are handed; called once for all of them."""

HELD_LIMIT = 10_000
"""Publications held back while a gap is being filled. What is beyond shows as the next gap."""


def unchanged(publication: Publication) -> Publication:
    """The format of subscribers that take publications as they are."""
    return publication


class Subscriber:
    """Someone who receives a channel. Every method but `room` must return at once."""

    format: Format = staticmethod(unchanged)

    def subscribed(self, channel: str, position: Position, recovered: bool | None) -> None:
        """What follows starts after `position`. `recovered` answers whether what was asked for is all there;
        None when nothing was asked for."""

    def deliver(self, frame: Any) -> None:
        """One publication, in this subscriber's format."""
        raise NotImplementedError

    def reset(self, channel: str, position: Position) -> None:
        """Something before `position` is lost to this subscriber; what follows starts after it."""

    async def room(self) -> None:
        """Wait until more can be delivered without piling up."""


class State(Enum):
    """LIVE: publications are delivered as they come. BEHIND: the bus's history has to be asked first."""

    LIVE = auto()
    BEHIND = auto()


class LiveChannel:
    """One channel in one worker. `claims` counts who needs it, for whoever owns it."""

    def __init__(self, name: str, retention: Retention) -> None:
        self.name = name
        self.claims = 0
        self.lock = asyncio.Lock()
        self.state = State.LIVE
        self.delivered = 0
        self._retention = retention
        self._audiences: dict[Format, dict[Subscriber, None]] = {}
        self._held: list[Publication] = []
        self._waiters: list[asyncio.Future[None]] = []
        self.cursor: Cursor | None = None
        self.log = Log(0, retention)

    @property
    def position(self) -> Position:
        assert self.cursor is not None, "the channel is not open"
        return self.cursor.position

    def open(self, position: Position) -> None:
        """Begin to receive after `position`."""
        self.cursor = Cursor(position)
        self.log = Log(position.offset, self._retention)
        self.state = State.LIVE
        self._held.clear()

    def close(self) -> None:
        """Nothing is received any more; the next `open` starts anew."""
        self.cursor = None
        self._move()

    def attach(self, subscriber: Subscriber) -> None:
        """Deliver to `subscriber` what comes after the current position."""
        self._audiences.setdefault(subscriber.format, {})[subscriber] = None

    def detach(self, subscriber: Subscriber) -> None:
        audience = self._audiences.get(subscriber.format, {})
        audience.pop(subscriber, None)
        if not audience:
            self._audiences.pop(subscriber.format, None)

    def take(self, publication: Publication, now: float) -> State:
        """Handle what the bus delivered. BEHIND asks the caller to `fill` from the bus's history."""
        if self.cursor is None:
            return self.state
        if self.state is State.BEHIND:
            if len(self._held) < HELD_LIMIT:
                self._held.append(publication)
            return self.state
        verdict = self.cursor.accept(publication)
        if verdict is Verdict.DELIVER:
            self._deliver(publication, now)
        elif verdict is not Verdict.DUPLICATE:
            # Also another epoch is looked up: it may have begun without us, and who sent this may be the stale one.
            self.state = State.BEHIND
            self._held.append(publication)
        return self.state

    def fill(self, history: History, now: float) -> State:
        """Handle the bus's answer about what follows the current position. BEHIND asks for the next page."""
        if self.cursor is None or self.state is State.LIVE:
            return self.state
        publications = history.publications
        if history.top.epoch != self.position.epoch or not history.complete:
            start = publications[0].prev if publications else history.top.offset
            self._reset(Position(history.top.epoch, start))
        for publication in publications:
            if self.cursor.accept(publication) is Verdict.DELIVER:
                self._deliver(publication, now)
        if self.position.offset < history.top.offset:
            if publications:
                return State.BEHIND
            self._reset(history.top)
        self.state = State.LIVE
        # What was held of another epoch is stale, or its successors and beacons will ask again.
        held = [publication for publication in self._held if publication.epoch == self.position.epoch]
        self._held.clear()
        for publication in held:
            self.take(publication, now)
        return self.state

    async def reached(self, position: Position) -> None:
        """Wait until the channel is at `position` or beyond, in another epoch, or closed."""
        while self.cursor is not None and self.position.epoch == position.epoch and self.position < position:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter

    def _deliver(self, publication: Publication, now: float) -> None:
        self.log.append(publication, now)
        for format, audience in self._audiences.items():
            frame = format(publication)
            for subscriber in audience:
                subscriber.deliver(frame)
            self.delivered += len(audience)
        self._move()

    def _reset(self, position: Position) -> None:
        assert self.cursor is not None, "only an open channel is reset"
        self.cursor.reset(position)
        self.log = Log(position.offset, self._retention)
        for audience in self._audiences.values():
            for subscriber in audience:
                subscriber.reset(self.name, position)
        self._move()

    def _move(self) -> None:
        if self._waiters:
            for waiter in self._waiters:
                if not waiter.done():
                    waiter.set_result(None)
            self._waiters.clear()
