"""A bus over an engine that keeps the channels' logs itself and can be asked about them at any time."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from ..errors import BusUnavailable
from ..stream import History, Position
from .session import SessionBus

AGAIN = 0.05
"""Seconds until what failed is tried again."""

T = TypeVar("T")


class LogBus(SessionBus):
    """What it asks its engine raises `BusUnavailable`, and is tried again until the time limit."""

    def __init__(self, name: str, *, timeout: float, queue: int) -> None:
        super().__init__(name, timeout=timeout, queue=queue, silence=3.0)
        self._tops: dict[str, Position] = {}

    async def subscribe(self, channel: str) -> Position:
        added = channel not in self._channels
        # From now on, before the engine is told: what comes in between must not be lost.
        self._channels.add(channel)
        try:
            return await self._ask(lambda: self._listen(channel), f"subscribing to {channel!r}")
        except BaseException:
            if added:
                self._forget(channel)
            raise

    async def unsubscribe(self, channel: str) -> None:
        self._forget(channel)
        with suppress(BusUnavailable):  # the next session does not subscribe to it
            await self._leave(channel)

    async def history(self, channel: str, since: Position | None, limit: int) -> History:
        return await self._ask(lambda: self._history(channel, since, limit), f"asking for the history of {channel!r}")

    async def clear(self, channel: str) -> None:
        await self._ask(lambda: self._clear(channel), f"clearing {channel!r}")

    @abstractmethod
    async def _listen(self, channel: str) -> Position:
        """Subscribe to `channel` if it is not yet, and return its top."""

    @abstractmethod
    async def _leave(self, channel: str) -> None:
        """Have the engine stop sending `channel`."""

    @abstractmethod
    async def _history(self, channel: str, since: Position | None, limit: int) -> History: ...

    @abstractmethod
    async def _clear(self, channel: str) -> None: ...

    def _top(self, channel: str) -> Position | None:
        return self._tops.get(channel)

    def _know(self, channel: str, top: Position) -> None:
        """Remember the newest position of a subscribed channel."""
        known = self._tops.get(channel)
        if channel in self._channels and (known is None or known.epoch != top.epoch or known < top):
            self._tops[channel] = top

    def _forget(self, channel: str) -> None:
        super()._forget(channel)
        self._tops.pop(channel, None)

    async def _ask(self, verb: Callable[[], Awaitable[T]], doing: str) -> T:
        async def ask() -> T:
            while True:
                await self._until_ready()
                with suppress(BusUnavailable):
                    return await verb()
                await asyncio.sleep(AGAIN)

        return await self._in_time(ask, doing)
