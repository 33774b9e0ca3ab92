"""What an engine is to publish: in the order of the calls, one batch under way at a time.

A batch that failed is sent again before anything later, so order survives every retry (docs/decisions/0002).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from ..errors import BusUnavailable, PublishError, PublishRefused
from ..stream import Position

logger = logging.getLogger(__name__)

BATCH_ITEMS = 512
BATCH_BYTES = 1024 * 1024
FIRST_PAUSE = 0.05
LAST_PAUSE = 1.0
"""Seconds between two attempts at a batch, doubling from the first to the second."""

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Outgoing(Generic[T]):
    """A publication whose caller waits for its place; `item` is what the engine sends."""

    id: str
    item: T
    size: int
    place: asyncio.Future[Position]

    def accepted(self, position: Position) -> None:
        if not self.place.done():
            self.place.set_result(position)

    def refused(self, reason: str) -> None:
        if not self.place.done():
            self.place.set_exception(PublishRefused(f"the engine refused: {reason}", id=self.id))


async def cancelled(task: asyncio.Task[None]) -> None:
    """Cancel `task` until it has ended: a client library may swallow a cancellation (`wait_for` in Python 3.11)."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=1)


def end_if_cancelled() -> None:
    """End the current task if it was cancelled and a client library has swallowed that: nobody cancels it again."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


class Outbox(Generic[T]):
    """Calls `send` with a batch until each of it is accepted, refused or given up by its caller.

    `send` settles what it can and raises `BusUnavailable` for the rest. `timeout` in seconds, `limit` in
    publications; `name` says in errors who does not answer.
    """

    def __init__(
        self, send: Callable[[list[Outgoing[T]]], Awaitable[None]], *, timeout: float, limit: int, name: str
    ) -> None:
        self._send = send
        self._timeout = timeout
        self._limit = limit
        self._name = name
        self._queue: deque[Outgoing[T]] = deque()
        self._batch: list[Outgoing[T]] = []
        self._filled = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Stop sending; what is not settled fails with `PublishError`."""
        if self._task is None:
            return
        task, self._task = self._task, None
        await cancelled(task)
        for outgoing in [*self._batch, *self._queue]:
            if not outgoing.place.done():
                error = PublishError("the bus was closed before the engine answered", id=outgoing.id)
                outgoing.place.set_exception(error)
        self._queue.clear()

    async def publish(self, id: str, item: T, size: int) -> Position:
        """Have `item` of about `size` bytes sent; its place. Raises `PublishRefused`, `PublishError`."""
        if self._task is None:
            raise PublishError("the bus is closed", id=id)
        while self._queue and self._queue[0].place.done():
            self._queue.popleft()
        if len(self._queue) >= self._limit:
            raise PublishRefused(f"{len(self._queue)} publications are waiting for {self._name} already", id=id)
        outgoing = Outgoing(id, item, size, asyncio.get_running_loop().create_future())
        self._queue.append(outgoing)
        self._filled.set()
        try:
            async with asyncio.timeout(self._timeout):
                return await outgoing.place
        except TimeoutError:
            raise PublishError(
                f"no answer from {self._name} within {self._timeout:g} s while publishing; outcome unknown, "
                "publish again with the same id",
                id=id,
            ) from None

    async def _run(self) -> None:
        while True:
            await self._filled.wait()
            size = 0
            while self._queue and len(self._batch) < BATCH_ITEMS and size < BATCH_BYTES:
                size += self._queue[0].size
                self._batch.append(self._queue.popleft())
            await self._settle()
            if not self._queue:
                self._filled.clear()

    async def _settle(self) -> None:
        pause = FIRST_PAUSE
        while True:
            self._batch = [outgoing for outgoing in self._batch if not outgoing.place.done()]
            if not self._batch:
                return
            try:
                await self._send(self._batch)
                continue
            except BusUnavailable as error:
                logger.debug("%s: %s", self._name, error)
            except asyncio.CancelledError:
                # A client library whose connection is lost may cancel what it was waited for: that is a failure.
                end_if_cancelled()
                logger.debug("%s: the connection was lost", self._name)
            except Exception:
                # Whatever it was, what waits behind it must not wait for ever.
                logger.exception("publishing to %s failed; trying again", self._name)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LAST_PAUSE)
