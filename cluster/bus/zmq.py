"""`zmq+ipc://` and `zmq+tcp://`: the default bus, a ZeroMQ connection to the forwarder.

PUB carries publications there, SUB brings everyone's back, DEALER brings acknowledgements and history. Both
ways in are read by the event loop itself, when ZeroMQ's descriptor says so.

Publications travel in batches, and only one batch is under way at a time: what is published meanwhile forms the
next one. So a batch that got lost is sent again as it was, before anything later, and order survives every retry.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec
import zmq

from ..errors import BusError, BusUnavailable, PublishError, PublishRefused
from ..stream import History, Position, Publication, Retention
from ..wire import (
    Acknowledged,
    ClearRequest,
    HistoryReply,
    HistoryRequest,
    Refused,
    Reply,
    Request,
    WireError,
    decode_fanout,
    decode_reply,
    encode,
    encode_batch,
    encode_item,
    history_of,
    topic,
)
from .base import Bus, Capabilities
from .endpoints import Endpoints
from .inbox import Inbox
from .sockets import arrived, descriptor

logger = logging.getLogger(__name__)

BATCH_ITEMS = 512
BATCH_BYTES = 1024 * 1024
FIRST_RESEND = 0.05
LAST_RESEND = 0.25
KEEP_INTERVAL = 0.05
PING_INTERVAL = 1.0
SILENCE = 3.0
"""Seconds without an answer after which the forwarder counts as out of reach."""
REST = 0.005
"""Seconds until reading goes on after it has paused."""
INBOX_LIMIT = 10_000
"""Publications received and not yet consumed at which reading pauses and ZeroMQ's own queue fills instead."""
CLOSED = "the bus is closed"
DRAIN = 256
"""Messages read from a socket before the event loop gets a turn."""


@dataclass(slots=True)
class Waiting:
    """A publication whose caller waits for its place."""

    id: str
    item: msgspec.Raw
    place: asyncio.Future[Position]
    deadline: float


@dataclass(slots=True)
class Sent:
    """A message that was sent and not yet answered."""

    message: bytes
    resend_at: float
    resend_after: float = FIRST_RESEND

    def due(self, now: float) -> bool:
        """Whether to send it again at `now`; then the next time is twice as far away."""
        if now < self.resend_at:
            return False
        self.resend_after = min(self.resend_after * 2, LAST_RESEND)
        self.resend_at = now + self.resend_after
        return True


@dataclass(slots=True)
class BatchSent(Sent):
    number: int = 0
    waiting: list[Waiting] = field(default_factory=list)


@dataclass(slots=True)
class RequestSent(Sent):
    answer: asyncio.Future[Reply] = field(default_factory=asyncio.Future)


class ZmqBus(Bus):
    """See `Bus`. `timeout` in seconds, `queue` in publications, `high_water` in messages."""

    def __init__(self, endpoints: Endpoints, *, durable: bool, timeout: float, queue: int, high_water: int) -> None:
        self.capabilities = Capabilities(ordered=True, recoverable=True, durable=durable, deduplicating=True)
        self._endpoints = endpoints
        self._timeout = timeout
        self._queue_limit = queue
        self._high_water = high_water
        self._identity = secrets.token_bytes(8)
        self._inbox = Inbox()
        self._queue: deque[Waiting] = deque()
        self._batch: BatchSent | None = None
        self._requests: dict[int, RequestSent] = {}
        self._subscribing: dict[str, list[asyncio.Future[Position]]] = {}
        self._number = 0
        self._flush_scheduled = False
        self._keeping = False
        self._answered_at = -SILENCE
        self._open = False

    @property
    def reachable(self) -> bool:
        return self._open and self._loop.time() - self._answered_at < SILENCE

    async def open(self) -> None:
        self._open = True
        self._loop = asyncio.get_running_loop()
        self._context = zmq.Context()
        self._pub = self._connect(zmq.PUB, self._endpoints.publish)
        self._sub = self._connect(zmq.SUB, self._endpoints.fanout)
        self._dealer = self._connect(zmq.DEALER, self._endpoints.requests)
        self._loop.add_reader(descriptor(self._sub), self._read_publications)
        self._loop.add_reader(descriptor(self._dealer), self._read_replies)
        self._pinger = self._loop.create_task(self._ping())

    async def close(self) -> None:
        self._open = False
        self._pinger.cancel()
        with suppress(asyncio.CancelledError):
            await self._pinger
        for socket in (self._sub, self._dealer):
            self._loop.remove_reader(descriptor(socket))
        for socket in (self._pub, self._sub, self._dealer):
            socket.close()
        self._context.term()
        unanswered = [*(self._batch.waiting if self._batch else ()), *self._queue]
        self._queue.clear()
        self._batch = None
        for waiting in unanswered:
            _fail(waiting.place, PublishError("the bus was closed before the forwarder answered", id=waiting.id))
        for subscribing in self._subscribing.values():
            for position in subscribing:
                _fail(position, BusUnavailable(CLOSED))
        for request in self._requests.values():
            _fail(request.answer, BusUnavailable(CLOSED))

    async def publish(self, channel: str, data: bytes, *, id: str, retention: Retention) -> Position:
        if not self._open:
            raise PublishError(CLOSED, id=id)
        if len(self._queue) >= self._queue_limit:
            raise PublishRefused(f"{len(self._queue)} publications are waiting for the forwarder already", id=id)
        try:
            item = encode_item(channel, id, data, retention)
        except (UnicodeEncodeError, OverflowError) as error:
            raise PublishRefused(f"it cannot be sent: {error}", id=ascii(id)) from None
        place: asyncio.Future[Position] = self._loop.create_future()
        self._queue.append(Waiting(id, item, place, self._loop.time() + self._timeout))
        self._schedule_flush()
        return await place

    async def subscribe(self, channel: str) -> Position:
        self._check_open()
        answer: asyncio.Future[Position] = self._loop.create_future()
        self._subscribing.setdefault(channel, []).append(answer)
        self._sub.subscribe(topic(channel))
        # Using a ZeroMQ socket may swallow the edge its descriptor would have shown: look once more.
        self._loop.call_soon(self._read_publications)
        try:
            async with asyncio.timeout(self._timeout):
                return await answer
        except BaseException as error:
            if self._open:
                self._sub.unsubscribe(topic(channel))
            if isinstance(error, TimeoutError):
                raise BusUnavailable(self._silence(f"subscribing to {channel!r}")) from None
            raise
        finally:
            self._subscribing[channel].remove(answer)
            if not self._subscribing[channel]:
                del self._subscribing[channel]

    async def unsubscribe(self, channel: str) -> None:
        self._check_open()
        self._sub.unsubscribe(topic(channel))
        self._loop.call_soon(self._read_publications)

    async def history(self, channel: str, since: Position | None, limit: int) -> History:
        self._check_open()
        self._number += 1
        request = HistoryRequest(self._number, channel, since, limit)
        reply = await self._answer(request, f"asking for the history of {channel!r}")
        assert isinstance(reply, HistoryReply), f"the forwarder answered {reply!r}"
        return history_of(reply, channel)

    async def clear(self, channel: str) -> None:
        # Up to a position: asked again, because no answer came, it must not take what was published since.
        top = (await self.history(channel, None, 0)).top
        self._number += 1
        reply = await self._answer(ClearRequest(self._number, channel, top), f"clearing {channel!r}")
        if isinstance(reply, Refused):
            raise BusError(f"the forwarder did not clear {channel!r}: {reply.reason}")

    async def receive(self) -> Publication:
        return await self._inbox.take()

    async def _answer(self, request: Request, doing: str) -> Reply:
        """What the forwarder answers; it is asked again until then. Raises `BusUnavailable`."""
        message = encode(request)
        sent = RequestSent(message, self._loop.time() + LAST_RESEND, LAST_RESEND, self._loop.create_future())
        self._requests[request.number] = sent
        self._send(self._dealer, message)
        try:
            async with asyncio.timeout(self._timeout):
                return await sent.answer
        except TimeoutError:
            raise BusUnavailable(self._silence(doing)) from None
        finally:
            del self._requests[request.number]

    def _check_open(self) -> None:
        if not self._open:
            raise BusUnavailable(CLOSED)

    def _connect(self, kind: int, address: str) -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes] = self._context.socket(kind)
        socket.linger = 0
        socket.ipv6 = True
        socket.sndhwm = socket.rcvhwm = self._high_water
        # A worker that stood still for long reconnects, and is told the top of each of its channels again.
        socket.heartbeat_ivl = 2_000
        socket.heartbeat_timeout = 10_000
        socket.reconnect_ivl = 20
        socket.reconnect_ivl_max = 500
        if kind == zmq.DEALER:
            socket.routing_id = self._identity
        socket.connect(address)
        return socket

    def _send(self, socket: zmq.Socket[bytes], message: bytes) -> None:
        with suppress(zmq.Again):  # a full queue is a lost message: it is sent again when no answer comes
            socket.send(message, zmq.NOBLOCK)
        if socket is self._dealer:
            self._loop.call_soon(self._read_replies)
        self._keep_soon()

    def _schedule_flush(self) -> None:
        if not self._flush_scheduled and (self._batch is None or not self._batch.waiting):
            self._flush_scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Send the next batch; if nothing waits to be published, an empty one asks whether anyone is there."""
        self._flush_scheduled = False
        if self._batch is not None and self._batch.waiting:
            return  # sent meanwhile, and not yet answered
        waiting: list[Waiting] = []
        size = 0
        while self._queue and len(waiting) < BATCH_ITEMS and size < BATCH_BYTES:
            size += memoryview(self._queue[0].item).nbytes
            waiting.append(self._queue.popleft())
        self._number += 1
        message = encode_batch(self._identity, self._number, [w.item for w in waiting])
        now = self._loop.time()
        self._batch = BatchSent(message, now + FIRST_RESEND, number=self._number, waiting=waiting)
        self._send(self._pub, message)

    def _read_replies(self) -> None:
        if not self._open:
            return
        messages = arrived(self._dealer, DRAIN)
        for message in messages:
            try:
                reply = decode_reply(message)
            except WireError as error:
                logger.warning("dropped a reply of the forwarder: %s", error)
                continue
            # A forwarder that cannot keep anything is there, but of no use.
            if not isinstance(reply, Refused) or reply.offsets:
                self._answered_at = self._loop.time()
            request = self._requests.get(reply.number)
            if request is not None:
                if not request.answer.done():
                    request.answer.set_result(reply)
            elif self._batch is not None and reply.number == self._batch.number and not isinstance(reply, HistoryReply):
                self._finish(self._batch, reply)
        if len(messages) == DRAIN:
            self._loop.call_soon(self._read_replies)

    def _finish(self, batch: BatchSent, reply: Acknowledged | Refused) -> None:
        offsets = reply.offsets
        if isinstance(reply, Refused) and not offsets:
            offsets = [0] * len(batch.waiting)
        if len(offsets) != len(batch.waiting):
            logger.warning("ignored an answer about %d publications to a batch of %d", len(offsets), len(batch.waiting))
            return
        self._batch = None
        for waiting, offset in zip(batch.waiting, offsets, strict=True):
            if offset == 0:
                reason = reply.reason if isinstance(reply, Refused) else "it gave no reason"
                _fail(waiting.place, PublishRefused(f"the forwarder refused: {reason}", id=waiting.id))
            elif not waiting.place.done():
                waiting.place.set_result(Position(reply.epoch, offset))
        if self._queue:
            self._flush()

    def _read_publications(self) -> None:
        if not self._open:
            return
        if len(self._inbox) >= INBOX_LIMIT:
            # The descriptor stays readable: it must not wake the loop until there is room.
            self._loop.remove_reader(descriptor(self._sub))
            self._loop.call_later(REST, self._read_on)
            return
        messages = arrived(self._sub, DRAIN)
        for message in messages:
            try:
                publications = decode_fanout(message)
            except WireError as error:
                logger.warning("dropped a publication of the forwarder: %s", error)
                continue
            first = publications[0]
            for answer in self._subscribing.get(first.channel, ()):
                if not answer.done():
                    answer.set_result(Position(first.epoch, first.prev))
            self._inbox.put(publications)
        if len(messages) == DRAIN:
            self._loop.call_soon(self._read_publications)

    def _read_on(self) -> None:
        if self._open:
            self._loop.add_reader(descriptor(self._sub), self._read_publications)
            self._read_publications()

    def _keep_soon(self) -> None:
        if not self._keeping:
            self._keeping = True
            self._loop.call_later(KEEP_INTERVAL, self._keep)

    def _keep(self) -> None:
        """Repeat what got no answer and give up what waited too long, for as long as there is any."""
        self._keeping = False
        if not self._open:
            return
        now = self._loop.time()
        while self._queue and self._queue[0].deadline <= now:
            self._expire(self._queue.popleft())
        if self._batch is not None and self._batch.waiting and self._batch.waiting[-1].deadline <= now:
            for waiting in self._batch.waiting:
                self._expire(waiting)
            self._batch = None
            self._flush()
        elif self._batch is not None and self._batch.due(now):
            self._send(self._pub, self._batch.message)
        for request in self._requests.values():
            if request.due(now):
                self._send(self._dealer, request.message)
        if self._batch is not None or self._requests:
            self._keep_soon()

    async def _ping(self) -> None:
        """Ask now and then whether anyone is there."""
        while True:
            if self._batch is None and self._loop.time() - self._answered_at >= PING_INTERVAL:
                self._flush()
            await asyncio.sleep(PING_INTERVAL / 2)

    def _expire(self, waiting: Waiting) -> None:
        message = self._silence("publishing") + "; outcome unknown, publish again with the same id"
        _fail(waiting.place, PublishError(message, id=waiting.id))

    def _silence(self, doing: str) -> str:
        return (
            f"no answer from the forwarder at {self._endpoints.publish} within {self._timeout:g} s while {doing}; "
            "is `cluster forwarder` running?"
        )


def _fail(future: asyncio.Future[Any], error: BusError) -> None:
    if not future.done():
        future.set_exception(error)
