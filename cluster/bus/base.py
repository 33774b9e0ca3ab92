"""The bus contract: what carries publications between worker processes.

An engine is one class in one file of this package. `tests/contract/` states the laws it must keep.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import NamedTuple, Self

from ..errors import BusError
from ..stream import History, Position, Publication, Retention


class Capabilities(NamedTuple):
    """What an engine promises.

    ordered: every subscriber sees a channel's publications in one order. recoverable: `history` can fill a gap.
    durable: an accepted publication survives the engine's death. deduplicating: a repeated id is published once.
    contiguous: a channel's offsets have no holes.
    max_bytes: of one publication's data. Where a bus is not recoverable, each worker has an epoch of its own: its
    positions mean nothing to another, and `history` is never complete.
    """

    ordered: bool
    recoverable: bool
    durable: bool
    deduplicating: bool
    contiguous: bool = True
    max_bytes: int = 16 * 1024 * 1024


class Bus(ABC):
    """A connection of one process to the others. One consumer calls `receive`; it reconnects by itself.

    Used as an async context manager. Entering does not wait for the other side to be there: `reachable` tells,
    and every verb waits for it within its time limit.
    """

    capabilities: Capabilities

    @property
    @abstractmethod
    def reachable(self) -> bool:
        """Whether the other side answered within the last few seconds."""

    @abstractmethod
    async def open(self) -> None:
        """Start connecting."""

    @abstractmethod
    async def close(self) -> None:
        """Let go of everything. Publications not yet acknowledged fail with `PublishError`."""

    @abstractmethod
    async def publish(self, channel: str, data: bytes, *, id: str, retention: Retention) -> Position:
        """Publish `data` and return its place once the engine has accepted it.

        Calls are accepted in the order they were made. `retention` is what the channel's history should keep
        from now on. Raises `PublishRefused` when the engine will not have it, `PublishError` when the time
        limit passed without an answer: the outcome is unknown, repeat with the same `id`.
        """

    @abstractmethod
    async def subscribe(self, channel: str) -> Position:
        """Receive `channel` from now on: everything after the returned position comes out of `receive`.

        Raises `BusUnavailable`.
        """

    @abstractmethod
    async def unsubscribe(self, channel: str) -> None:
        """Stop receiving `channel`; what is under way may still come out of `receive`."""

    @abstractmethod
    async def history(self, channel: str, since: Position | None, limit: int) -> History:
        """What followed `since` (None: the oldest kept), at most `limit` publications and perhaps fewer.

        Fewer than there are means: ask again from the last one's position. Raises `BusUnavailable`.
        """

    async def clear(self, channel: str) -> None:
        """Let go of what is kept of `channel`; its positions go on. Raises `BusError` where the engine cannot."""
        raise BusError("this bus cannot remove a channel's history")

    @abstractmethod
    async def receive(self) -> Publication:
        """The next publication or beacon of any subscribed channel."""

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()
