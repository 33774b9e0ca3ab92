"""`nats://` and `tls://`: NATS JetStream, the engine to recommend where one machine is not enough.

The stream's sequence number is the offset. What a worker receives comes over plain subscriptions and may get lost:
that shows by `prev`, or by the beacons after a connection was made, and what is missing is in the stream.
"""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress
from functools import partial

import msgspec
from nats.aio.msg import Msg

from ..errors import BusUnavailable
from ..stream import History, Position, Publication
from .base import Capabilities
from .jetstream import JetStream
from .logbus import LogBus
from .natslink import NatsLink, target
from .natsmessage import Reading, Stored, from_headers, item_of
from .outbox import Outgoing
from .urls import without_secrets

CONNECTING = 5.0
"""Seconds for a connection to be made and the stream to be found."""
PING_INTERVAL = 1.0
TRIM_EVERY = 64
"""One publication in so many has its channel trimmed: so many more than its retention a channel may hold."""
TOPS = 100
"""Channels whose last message is asked for at a time."""
OLDEST = (2, 11)
"""The first server that answers one request with many messages."""


class NatsBus(LogBus):
    """See `Bus`. `timeout` in seconds, `queue` in publications."""

    capabilities = Capabilities(ordered=True, recoverable=True, durable=True, deduplicating=True, contiguous=False)

    def __init__(self, url: str, *, timeout: float, queue: int) -> None:
        super().__init__(without_secrets(url), timeout=timeout, queue=queue)
        self._target = target(url)
        self._stream: JetStream | None = None
        self._known = ("", 0)
        # Marks that stand for an earlier place, by channel: their sequence number, and this place.
        self._marks: dict[str, tuple[int, int]] = {}
        self._one_by_one = False

    async def _session(self) -> None:
        link = NatsLink()
        try:
            async with asyncio.timeout(CONNECTING):
                await link.open(self._target, OLDEST)
                stream = JetStream(link, self._target)
                await stream.find(*self._known)
            told: set[str] = set()
            while new := list(self._channels - told)[:TOPS]:
                for channel in new:
                    await link.subscribe(stream.outgoing(channel), partial(self._take, stream, channel))
                found = await stream.last(new)
                for channel in new:
                    self._learn(stream, channel, found.get(channel) or await self._last(stream, channel))
                told.update(new)
            self._stream = stream
            self._begin()
            while True:
                # The client library does not always say that a connection was lost: one without an answer is replaced.
                await link.ping()
                self._heard()
                with suppress(TimeoutError):
                    async with asyncio.timeout(PING_INTERVAL):
                        await link.closed.wait()
                        raise BusUnavailable("the connection was lost")
        finally:
            if self._stream is not None:
                self._known, self._stream = (self._stream.name, self._stream.seen), None
            await link.close()

    def _connected(self) -> JetStream:
        if self._stream is None:
            raise BusUnavailable("the connection was lost")
        return self._stream

    async def _send(self, batch: list[Outgoing[msgspec.Raw]]) -> None:
        stream = self._connected()
        # After a failure one of a batch may fail for the moment and the next succeed: each waits for the one before.
        step = 1 if self._one_by_one or stream.replicated else len(batch)
        self._one_by_one = True
        for start in range(0, len(batch), step):
            await stream.publish(batch[start : start + step], max(1.0, self._timeout / 4))
        self._one_by_one = False
        for outgoing in batch:
            if random.random() * TRIM_EVERY < 1:
                item = item_of(outgoing.item)
                await stream.purge(item.channel, keep=item.retention.size + 1)

    async def _listen(self, channel: str) -> Position:
        stream = self._connected()
        await stream.link.subscribe(stream.outgoing(channel), partial(self._take, stream, channel))
        return self._learn(stream, channel, await self._last(stream, channel))

    async def _leave(self, channel: str) -> None:
        stream = self._connected()
        await stream.link.unsubscribe(stream.outgoing(channel))

    async def _take(self, stream: JetStream, channel: str, message: Msg) -> None:
        if channel not in self._channels:
            return
        headers: dict[str, str] = message.headers or {}
        stored, prev = from_headers(headers, message.data), int(headers["Nats-Last-Sequence"])
        stream.saw(stored.stream, stored.seq)
        if stored.item is None:
            self._marks[channel] = (stored.seq, stored.place)
            return
        mark, place = self._marks.pop(channel, (0, 0))
        # If what was before it has gone, a reader has to ask.
        prev = place if prev == mark else prev
        position = Position(stream.epoch(stored.stream), stored.seq)
        self._know(channel, position)
        id, data = stored.item.id, stored.item.data
        self._deliver([Publication(channel, position.epoch, prev or stored.seq - 1, stored.seq, id, data)])

    async def _last(self, stream: JetStream, channel: str) -> Stored:
        """The last message of `channel`, which is given a beginning if it has none: so every place is a message's."""
        while not (found := await stream.last([channel])):
            await stream.mark(channel, after=0, place=0)
        return found[channel]

    def _learn(self, stream: JetStream, channel: str, last: Stored) -> Position:
        """The place of a channel's last message, from which a subscription goes on."""
        top = Position(stream.epoch(last.stream), last.place)
        self._know(channel, top)
        if last.item is None:
            self._marks[channel] = (last.seq, last.place)
        return top

    def _forget(self, channel: str) -> None:
        super()._forget(channel)
        self._marks.pop(channel, None)

    async def _history(self, channel: str, since: Position | None, limit: int) -> History:
        stream = self._connected()
        last = await self._last(stream, channel)
        top = Position(stream.epoch(last.stream), last.place)
        reading = Reading(channel, top, last, since, limit, time.time())
        while not reading.done:
            page = await stream.page(channel, reading.seq, limit + 1 + TRIM_EVERY)
            if not page:
                raise BusUnavailable("a replica answered that lags behind")
            for each in page:
                reading.take(each)
        return History(reading.found, top, reading.complete)

    async def _clear(self, channel: str) -> None:
        stream, seq = self._connected(), 0
        while not seq:
            last = await self._last(stream, channel)
            # The mark stands where the last publication stood.
            seq = last.seq if last.item is None else await stream.mark(channel, last.seq, last.seq)
        await stream.purge(channel, seq=seq)
