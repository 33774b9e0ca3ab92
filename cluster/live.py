"""A channel that this worker receives: its cursor, its log, its subscribers. No I/O, time is passed in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum, auto

from .audience import Audience, Format, Join, Subscriber
from .stream import Cursor, History, Log, Position, Publication, Retention, Verdict

LOG_BYTES = 1024 * 1024
"""Bytes of a channel's recent publications kept in the worker. For what is older the bus is asked."""
HELD_LIMIT = 10_000
"""Publications held back while a gap is being filled. What is beyond shows as the next gap."""


class State(Enum):
    """LIVE: publications are delivered as they come. BEHIND: the bus's history has to be asked first."""

    LIVE = auto()
    BEHIND = auto()


class LiveChannel:
    """One channel in one worker. `claims` counts who needs it, for whoever owns it.

    `flush_soon` is called with an audience that has something due; by default it is handed out at once.
    """

    def __init__(
        self, name: str, retention: Retention, flush_soon: Callable[[Audience], None] = Audience.flush
    ) -> None:
        self.name = name
        self.claims = 0
        self.lock = asyncio.Lock()
        self.state = State.LIVE
        self._flush_soon = flush_soon
        self._delivered_before = 0
        self._retention = retention
        self._audiences: dict[tuple[Format, Join | None], Audience] = {}
        self._held: list[Publication] = []
        self._waiters: list[asyncio.Future[None]] = []
        self.cursor: Cursor | None = None
        self.log = Log(0, retention, LOG_BYTES)

    @property
    def delivered(self) -> int:
        """Publications handed to subscribers, one for each."""
        return self._delivered_before + sum(audience.delivered for audience in self._audiences.values())

    @property
    def position(self) -> Position:
        assert self.cursor is not None, "the channel is not open"
        return self.cursor.position

    def open(self, position: Position) -> None:
        """Begin to receive after `position`."""
        self.cursor = Cursor(position)
        self.log = Log(position.offset, self._retention, LOG_BYTES)
        self.state = State.LIVE
        self._held.clear()

    def close(self) -> None:
        """Nothing is received any more; the next `open` starts anew."""
        self.cursor = None
        self._move()

    def attach(self, subscriber: Subscriber) -> None:
        """Deliver to `subscriber` what comes after the current position."""
        key = (subscriber.format, subscriber.join)
        audience = self._audiences.get(key)
        if audience is None:
            audience = self._audiences[key] = Audience(*key)
        # What is due lies before the position: it is the others'.
        audience.flush()
        audience.members[subscriber] = None

    def detach(self, subscriber: Subscriber) -> None:
        key = (subscriber.format, subscriber.join)
        audience = self._audiences.get(key)
        if audience is None:
            return
        audience.members.pop(subscriber, None)
        if not audience.members:
            self._delivered_before += audience.delivered
            del self._audiences[key]

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
        for audience in self._audiences.values():
            idle = not audience.due
            audience.add(publication)
            if idle and audience.due:
                self._flush_soon(audience)
        self._move()

    def _reset(self, position: Position) -> None:
        assert self.cursor is not None, "only an open channel is reset"
        self.cursor.reset(position)
        self.log = Log(position.offset, self._retention, LOG_BYTES)
        for audience in list(self._audiences.values()):
            audience.flush()
            for subscriber in list(audience.members):  # it may leave
                subscriber.reset(self.name, position)
        self._move()

    def _move(self) -> None:
        if self._waiters:
            for waiter in self._waiters:
                if not waiter.done():
                    waiter.set_result(None)
            self._waiters.clear()
