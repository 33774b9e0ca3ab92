"""`nats://`: NATS JetStream, the engine to recommend where one machine is not enough.

The stream's sequence number is the offset. What a worker receives comes over plain subscriptions and may be lost; what
is lost shows by `prev`, or by the beacons after a connection was made, and is in the stream.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from hashlib import blake2b
from typing import TypeVar

import msgspec
from nats.aio.msg import Msg

from ..errors import BusUnavailable, PublishRefused
from ..stream import History, Position, Publication, Retention, beacon
from .base import Bus, Capabilities
from .inbox import Inbox
from .jetstream import Entry, JetStream, Message, Stored, entry_of
from .natslink import NatsLink, target
from .outbox import Outbox, Outgoing
from .urls import without_secrets

logger = logging.getLogger(__name__)

CONNECTING = 5.0
"""Seconds for a connection to be made and the stream to be found."""
FIRST_PAUSE, LAST_PAUSE = 0.05, 2.0
"""Seconds between attempts to connect, doubling from the first to the second."""
PING_INTERVAL = 1.0
SILENCE = 3.0
"""Seconds without an answer after which the server counts as out of reach."""
INBOX_LIMIT = 10_000
"""Publications received and not yet consumed at which more are dropped; a beacon tells of them later."""
TRIM_EVERY = 64
"""One publication in so many has its channel trimmed: so many more than its retention a channel may hold."""
BEACONS = 100
"""Channels whose last message is asked for at a time."""
OLDEST = (2, 11)
"""The first server that answers one request with many messages."""

T = TypeVar("T")


class NatsBus(Bus):
    """See `Bus`. `timeout` in seconds, `queue` in publications."""

    capabilities = Capabilities(ordered=True, recoverable=True, durable=True, deduplicating=True)

    def __init__(self, url: str, *, timeout: float, queue: int) -> None:
        self._target = target(url)
        self._name = without_secrets(url)
        self._timeout = timeout
        self._outbox = Outbox[Message](self._send, timeout=timeout, limit=queue, name=self._name)
        self._inbox = Inbox()
        # For each channel: the sequence number of a mark that stands for an earlier place, and this place.
        self._channels: dict[str, tuple[int, int]] = {}
        self._dropped: set[str] = set()
        self._stream: JetStream | None = None
        self._linked = asyncio.Event()
        self._known = ("", 0)
        self._one_by_one = False
        self._answered_at = -SILENCE
        self._task: asyncio.Task[None] | None = None

    @property
    def reachable(self) -> bool:
        return self._stream is not None and time.monotonic() - self._answered_at < SILENCE

    async def open(self) -> None:
        self._outbox.open()
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        await self._outbox.close()
        if self._task is not None:
            task, self._task = self._task, None
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        self._linked.set()  # who waits for the connection finds the bus closed

    async def publish(self, channel: str, data: bytes, *, id: str, retention: Retention) -> Position:
        try:
            payload = msgspec.msgpack.encode(Entry(id, retention.size, retention.seconds, data))
            key = blake2b(f"{channel}\0{id}".encode(), digest_size=16).hexdigest()
        except (UnicodeEncodeError, OverflowError) as error:
            raise PublishRefused(f"it cannot be sent: {error}", id=ascii(id)) from None
        return await self._outbox.publish(id, Message(channel, key, payload, retention.size), len(payload))

    async def subscribe(self, channel: str) -> Position:
        added = channel not in self._channels
        self._channels.setdefault(channel, (0, 0))
        try:
            return await self._ask(f"subscribing to {channel!r}", partial(self._subscribe, channel=channel))
        except BaseException:
            if added:
                self._channels.pop(channel, None)
            raise

    async def unsubscribe(self, channel: str) -> None:
        self._check_open()
        self._channels.pop(channel, None)
        if self._stream is not None:
            await self._stream.link.unsubscribe(self._stream.outgoing(channel))

    async def history(self, channel: str, since: Position | None, limit: int) -> History:
        ask = partial(self._history, channel=channel, since=since, limit=limit)
        return await self._ask(f"asking for the history of {channel!r}", ask)

    async def clear(self, channel: str) -> None:
        await self._ask(f"clearing {channel!r}", partial(self._clear, channel=channel))

    async def receive(self) -> Publication:
        return await self._inbox.take()

    async def _ask(self, what: str, verb: Callable[[JetStream], Awaitable[T]]) -> T:
        """What `verb` answers; it is tried again until then, over another connection if need be."""
        self._check_open()
        try:
            async with asyncio.timeout(self._timeout):
                while True:
                    await self._linked.wait()
                    self._check_open()
                    with suppress(BusUnavailable):
                        return await verb(self._connected())
                    await asyncio.sleep(FIRST_PAUSE)
        except TimeoutError:
            raise BusUnavailable(f"no answer from {self._name} within {self._timeout:g} s while {what}") from None

    def _check_open(self) -> None:
        if self._task is None:
            raise BusUnavailable("the bus is closed")

    def _connected(self) -> JetStream:
        if self._stream is None:
            raise BusUnavailable("the connection was lost")
        return self._stream

    async def _subscribe(self, stream: JetStream, channel: str) -> Position:
        await stream.link.subscribe(stream.outgoing(channel), partial(self._take, channel))
        return self._position(stream, channel, await self._last(stream, channel))

    async def _last(self, stream: JetStream, channel: str) -> Stored:
        """The last message of `channel`, which is given a beginning if it has none: so every place is a message's."""
        while not (found := await stream.last([channel])):
            await stream.mark(channel, after=0, place=0)
        return found[channel]

    def _position(self, stream: JetStream, channel: str, last: Stored) -> Position:
        if channel in self._channels and last.place != last.seq:
            self._channels[channel] = (last.seq, last.place)
        return Position(stream.epoch(last.stream), last.place)

    async def _take(self, channel: str, message: Msg) -> None:
        stream, headers = self._stream, message.headers
        if stream is None or headers is None or channel not in self._channels:
            return
        if len(self._inbox) >= INBOX_LIMIT:
            self._dropped.add(channel)
            return
        name, seq, prev = headers["Nats-Stream"], int(headers["Nats-Sequence"]), int(headers["Nats-Last-Sequence"])
        stream.saw(name, seq)
        entry = entry_of(message.data)
        if entry.data is None:
            if entry.place:
                self._channels[channel] = (seq, entry.place)
            return
        mark, place = self._channels[channel]
        # Nothing before it: what was there has gone, and a reader has to ask.
        prev = place if prev == mark and place else prev or seq - 1
        self._inbox.put([Publication(channel, stream.epoch(name), prev, seq, entry.id, entry.data)])

    async def _history(self, stream: JetStream, channel: str, since: Position | None, limit: int) -> History:
        last = await self._last(stream, channel)
        top = self._position(stream, channel, last)
        inside = since is not None and since.epoch == top.epoch and since.offset <= top.offset
        complete = since is None or inside
        found: list[Publication] = []
        prev: int | None = None
        oldest = time.time() - last.entry.seconds
        seq = since.offset if since is not None and inside else 0
        first = inside
        while seq <= last.seq and (limit or first):
            page = await stream.page(channel, seq, limit + 1 + TRIM_EVERY)
            if not page:
                raise BusUnavailable("a replica that lags behind answered")
            for stored in page:
                seq = stored.seq + 1
                if first and since is not None:
                    # Messages go from the oldest on: while this one is there, all that followed it is.
                    first, complete = False, stored.place == since.offset
                if stored.seq > last.seq or len(found) == limit:
                    return History(found, top, complete)
                if stored.entry.data is None or (since is not None and inside and stored.place == since.offset):
                    prev = stored.place
                elif stored.pending < last.entry.size and stored.at >= oldest:
                    before = stored.seq - 1 if prev is None else prev
                    found.append(
                        Publication(channel, top.epoch, before, stored.seq, stored.entry.id, stored.entry.data)
                    )
                    prev = stored.seq
                else:
                    prev, complete = None, complete and since is None
        return History(found, top, complete)

    async def _clear(self, stream: JetStream, channel: str) -> None:
        seq = 0
        while not seq:
            last = await self._last(stream, channel)
            # The mark stands where the last publication stood.
            seq = last.seq if last.entry.data is None else await stream.mark(channel, last.seq, last.seq)
        await stream.purge(channel, seq=seq)

    async def _send(self, batch: list[Outgoing[Message]]) -> None:
        await self._linked.wait()
        stream = self._connected()
        # After a failure one of a batch may fail for the moment and the next succeed: each waits for the one before.
        step = 1 if self._one_by_one or stream.replicated else len(batch)
        self._one_by_one = True
        for start in range(0, len(batch), step):
            await stream.publish(batch[start : start + step], max(1.0, self._timeout / 4))
        self._one_by_one = False
        for outgoing in batch:
            if random.random() * TRIM_EVERY < 1:
                await stream.purge(outgoing.item.channel, keep=outgoing.item.size + 1)

    async def _run(self) -> None:
        """Have a connection, always."""
        pause, told = FIRST_PAUSE, ""
        while True:
            started, link = time.monotonic(), NatsLink()
            try:
                async with asyncio.timeout(CONNECTING):
                    await link.open(self._target, OLDEST)
                    stream = JetStream(link, self._target)
                    await stream.find(*self._known)
                    for channel in list(self._channels):
                        await link.subscribe(stream.outgoing(channel), partial(self._take, channel))
                self._stream, told = stream, ""
                self._answered_at = time.monotonic()
                self._linked.set()
                await self._watch(stream)
            except (BusUnavailable, TimeoutError) as error:
                if str(error) != told:
                    logger.warning("%s is not reachable: %s; trying again", self._name, error or "no answer")
                    told = str(error)
            except Exception:
                logger.exception("the connection to %s failed; trying again", self._name)
            finally:
                if self._stream is not None:
                    self._known, self._stream = (self._stream.name, self._stream.seen), None
                self._linked.clear()
                await link.close()
            if time.monotonic() - started > 2 * LAST_PAUSE:
                pause = FIRST_PAUSE
            await asyncio.sleep(pause * random.uniform(0.5, 1))
            pause = min(pause * 2, LAST_PAUSE)

    async def _watch(self, stream: JetStream) -> None:
        """Tell the top of every channel, then ask now and then whether anyone is there, until the connection ends."""
        told = list(self._channels)
        while not stream.link.closed.is_set():
            for start in range(0, len(told), BEACONS):
                some = told[start : start + BEACONS]
                found = await stream.last(some)
                for channel in some:
                    last = found.get(channel) or await self._last(stream, channel)
                    self._inbox.put([beacon(channel, self._position(stream, channel, last))])
            with suppress(BusUnavailable):
                await stream.link.flush()
                self._answered_at = time.monotonic()
            with suppress(TimeoutError):
                async with asyncio.timeout(PING_INTERVAL):
                    await stream.link.closed.wait()
            told = []
            if len(self._inbox) < INBOX_LIMIT // 2:
                told, self._dropped = list(self._dropped), set()
        raise BusUnavailable("the connection was lost")
