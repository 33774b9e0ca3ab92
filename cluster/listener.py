"""Python code that reacts to a channel's publications, in the order of the channel."""

from __future__ import annotations

import asyncio
import inspect
import logging

from .audience import Subscriber
from .channel import Channel, PublicationHandler
from .errors import PayloadError
from .stream import Position, Publication

logger = logging.getLogger(__name__)

QUEUE_LIMIT = 10_000
"""Publications waiting for a handler; a handler that falls further behind loses the rest, with an error logged."""


class Listener(Subscriber):
    """A subscriber that calls one handler for one publication after another."""

    def __init__(self, channel: Channel[object], handler: PublicationHandler) -> None:
        self._channel = channel
        self._handler = handler
        self._queue: asyncio.Queue[Publication] = asyncio.Queue(QUEUE_LIMIT)
        self._overflowing = False

    async def run(self) -> None:
        """Call the handler until cancelled. What it raises is logged."""
        while True:
            publication = await self._queue.get()
            self._overflowing = False
            try:
                result = self._handler(self._channel.decode(publication.data or b"null"), publication)
                if inspect.isawaitable(result):
                    await result
            except PayloadError as error:
                logger.error("unusable publication %s: %s", publication.position, error)
            except Exception:
                logger.exception("the handler of %r failed at %s", self._channel.pattern, publication.position)

    def deliver(self, frame: Publication) -> None:
        try:
            self._queue.put_nowait(frame)
        except asyncio.QueueFull:
            if not self._overflowing:
                self._overflowing = True
                logger.error("the handler of %r is too slow: publications are skipped", self._channel.pattern)

    def reset(self, channel: str, position: Position) -> None:
        logger.error("publications of %r before %s did not reach its handler", channel, position)
