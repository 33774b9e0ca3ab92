"""A bus over another program's client library: one session after another, each until something fails."""

from __future__ import annotations

import asyncio
import logging
import random
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Iterable
from math import inf
from typing import TypeVar

import msgspec

from ..errors import BusUnavailable, PublishError, PublishRefused
from ..stream import Position, Publication, Retention, beacon
from ..wire import encode_item
from .base import Bus
from .inbox import Inbox
from .outbox import Outbox, Outgoing, cancelled, end_if_cancelled

logger = logging.getLogger(__name__)

FIRST_PAUSE = 0.1
LAST_PAUSE = 2.0
"""Seconds between two sessions, doubling from the first to the second while none succeeds."""
INBOX_LIMIT = 10_000
"""Publications received and not yet consumed at which more are dropped; their channels' tops are told later."""
CLOSED = "the bus is closed"

T = TypeVar("T")


class SessionBus(Bus):
    """`name` says in errors who does not answer, without secrets; `timeout` and `silence` in seconds.

    Without an answer for longer than `silence` the other side counts as out of reach. `max_item`: bytes of an
    encoded publication the engine can carry, if it has a limit.
    """

    max_item: float = inf

    def __init__(self, name: str, *, timeout: float, queue: int, silence: float) -> None:
        self._name = name
        self._timeout = timeout
        self._silence = silence
        self._outbox = Outbox(self._send_when_ready, timeout=timeout, limit=queue, name=name)
        self._inbox = Inbox()
        self._channels: set[str] = set()
        self._missed: set[str] = set()
        self._ready = asyncio.Event()
        self._trouble = ""
        self._answered_at = 0.0
        self._open = False

    @property
    def reachable(self) -> bool:
        return self._open and self._ready.is_set() and self._loop.time() - self._answered_at < self._silence

    async def open(self) -> None:
        self._open = True
        self._loop = asyncio.get_running_loop()
        self._outbox.open()
        self._runner = self._loop.create_task(self._run())

    async def close(self) -> None:
        self._open = False
        self._ready.set()  # who waits for it sees that there is nothing to wait for any more
        await self._outbox.close()
        await cancelled(self._runner)

    async def publish(self, channel: str, data: bytes, *, id: str, retention: Retention) -> Position:
        if not self._open:
            raise PublishError(CLOSED, id=id)
        try:
            item = encode_item(channel, id, data, retention)
        except (UnicodeEncodeError, OverflowError) as error:
            raise PublishRefused(f"it cannot be sent: {error}", id=ascii(id)) from None
        size = memoryview(item).nbytes
        if size > self.max_item:
            raise PublishRefused(f"with {size} bytes it is larger than {self._name} carries ({self.max_item})", id=id)
        return await self._outbox.publish(id, item, size)

    async def unsubscribe(self, channel: str) -> None:
        self._forget(channel)

    async def receive(self) -> Publication:
        if self._missed and not len(self._inbox) and self._ready.is_set():
            self._tell_tops(self._missed)
            self._missed.clear()
        return await self._inbox.take()

    @abstractmethod
    async def _session(self) -> None:
        """Connect, call `_begin`, and go on until something fails."""

    @abstractmethod
    async def _send(self, batch: list[Outgoing[msgspec.Raw]]) -> None:
        """Publish `batch` and settle it, or what of it fits; see `Outbox`. Called while a session goes on."""

    @abstractmethod
    def _top(self, channel: str) -> Position | None:
        """The newest position of `channel`, None while it is not known; called while a session goes on."""

    def _begin(self) -> None:
        """A session is ready: what was missed since the one before shows in the tops."""
        self._trouble = ""
        self._heard()
        self._missed.clear()
        self._ready.set()
        self._tell_tops(self._channels)

    def _forget(self, channel: str) -> None:
        """Nobody reads `channel` any more."""
        self._channels.discard(channel)
        self._missed.discard(channel)

    def _heard(self) -> None:
        self._answered_at = self._loop.time()

    def _deliver(self, publications: Iterable[Publication]) -> None:
        wanted = [publication for publication in publications if publication.channel in self._channels]
        if len(self._inbox) < INBOX_LIMIT:
            self._inbox.put(wanted)
        else:
            self._missed.update(publication.channel for publication in wanted)

    def _tell_tops(self, channels: Iterable[str]) -> None:
        self._inbox.put([beacon(channel, top) for channel in channels if (top := self._top(channel)) is not None])

    async def _send_when_ready(self, batch: list[Outgoing[msgspec.Raw]]) -> None:
        await self._until_ready()
        # What was given up while waiting is not published long after its caller has heard that it failed.
        waiting = [outgoing for outgoing in batch if not outgoing.place.done()]
        if waiting:
            await self._send(waiting)

    async def _until_ready(self) -> None:
        await self._ready.wait()
        if not self._open:
            raise BusUnavailable(CLOSED)

    async def _in_time(self, call: Callable[[], Awaitable[T]], doing: str) -> T:
        """What `call` returns; `BusUnavailable` when that takes longer than the time limit."""
        if not self._open:
            raise BusUnavailable(CLOSED)
        try:
            async with asyncio.timeout(self._timeout):
                return await call()
        except TimeoutError:
            trouble = f": {self._trouble}" if self._trouble else ""
            raise BusUnavailable(
                f"no answer from {self._name} within {self._timeout:g} s while {doing}{trouble}"
            ) from None

    async def _run(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                await self._session()
            except asyncio.CancelledError:
                # A client library may cancel what it was waited for: then only this session is over.
                end_if_cancelled()
                self._complain(BusUnavailable("the connection was lost"))
            except Exception as error:
                if self._ready.is_set():
                    pause = FIRST_PAUSE
                self._complain(error)
            finally:
                if self._open:
                    self._ready.clear()
            # Not all workers at once.
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(pause * 2, LAST_PAUSE)

    def _complain(self, error: Exception) -> None:
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        trouble = str(error) or type(error).__name__
        if trouble != self._trouble:
            logger.warning("%s: %s; connecting again", self._name, trouble)
        self._trouble = trouble
