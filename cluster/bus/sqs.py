"""`sns+sqs://REGION/PREFIX`: a FIFO topic that every worker publishes to, and a FIFO queue of each worker.

Every worker receives everything in one order and numbers it for itself, what it published too: the numbers mean
nothing to another worker. What is gone from the queue is gone, so there is no history.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
from contextlib import AsyncExitStack, suppress

import msgspec

from ..errors import BusUnavailable
from ..parcel import decode_parcel, encode_parcel
from ..sequencer import Limits, Sequencer
from ..stream import History, Position, Retention
from ..wire import WireError
from .base import Capabilities
from .outbox import Outgoing, end_if_cancelled
from .session import SessionBus, logger
from .topic import FAILURES, GOODBYE, Place, Queue, Topic, connect_topic, place

__all__ = ["SqsBus", "place"]

MAX_BODY = 262_144
"""Bytes of a message, as SNS and SQS count them."""
MAX_ITEMS = MAX_BODY // 4 * 3 - 256
"""Bytes of the publications in one: less what base64 and the parcel around them take."""
SILENCE = 10.0
KEEP_INTERVAL = 20.0
"""Seconds between two times that a worker says its queue is in use, and looks for those of dead workers."""
NOTHING = Retention(0, 0.0)


class SqsBus(SessionBus):
    """See `Bus`."""

    capabilities = Capabilities(ordered=True, recoverable=False, durable=False, deduplicating=True, max_bytes=190_000)
    max_item = MAX_ITEMS

    def __init__(self, place: Place, *, timeout: float, queue: int, limits: Limits) -> None:
        name = f"SNS and SQS at {place.endpoint or place.region}"
        super().__init__(name, timeout=timeout, queue=queue, silence=SILENCE)
        self._place = place
        self._limits = limits
        self._clients = AsyncExitStack()
        self._topic: Topic | None = None
        self._queue: Queue | None = None
        self._sequencer = Sequencer("", limits)
        self._under_way: tuple[str, asyncio.Future[list[Position]]] | None = None

    async def close(self) -> None:
        await super().close()
        if self._topic is not None and self._queue is not None:
            with suppress(*FAILURES):
                async with asyncio.timeout(GOODBYE):
                    await self._topic.remove(self._queue)
        await self._clients.aclose()

    async def publish(self, channel: str, data: bytes, *, id: str, retention: Retention) -> Position:
        return await super().publish(channel, data, id=id, retention=NOTHING)

    async def subscribe(self, channel: str) -> Position:
        await self._in_time(self._until_ready, f"subscribing to {channel!r}")
        self._channels.add(channel)
        return self._top(channel)

    async def history(self, channel: str, since: Position | None, limit: int) -> History:
        await self._in_time(self._until_ready, f"asking for the history of {channel!r}")
        # There may be more in the topic that has not come out of the queue yet.
        return History([], self._top(channel), complete=False)

    def _top(self, channel: str) -> Position:
        return self._sequencer.top(channel)

    async def _send(self, batch: list[Outgoing[msgspec.Raw]]) -> None:
        assert self._topic is not None, "a session is ready"
        count = size = 0
        while count < len(batch) and size + batch[count].size <= MAX_ITEMS:
            size += batch[count].size
            count += 1
        sent = batch[:count]
        items = [outgoing.item for outgoing in sent]
        # The same again is the same to SNS, unless this worker has another queue now and has to receive it anew.
        id = hashlib.sha256(b"".join([self._sequencer.epoch.encode(), *items])).hexdigest()
        if self._under_way is None or self._under_way[0] != id:
            self._under_way = id, self._loop.create_future()
        body = base64.b64encode(encode_parcel(id, "", 0.0, items)).decode()
        try:
            await self._topic.publish(body, id)
            async with asyncio.timeout(SILENCE):
                places = await asyncio.shield(self._under_way[1])
        except FAILURES as error:
            raise BusUnavailable(str(error) or "what SNS took did not come out of the queue") from None
        for outgoing, position in zip(sent, places, strict=True):
            outgoing.accepted(position)

    async def _session(self) -> None:
        if self._topic is None:
            self._topic = await self._clients.enter_async_context(connect_topic(self._place))
        await self._topic.create()
        if self._queue is not None and not await self._topic.has(self._queue):
            half, self._queue = self._queue, None
            with suppress(*FAILURES):
                await self._topic.remove(half)
        if self._queue is None:
            self._queue = await self._topic.add_queue()
            # What was published while there was none is lost to this worker: nothing continues.
            self._sequencer = Sequencer(secrets.token_hex(8), self._limits)
        self._begin()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._receive_all(self._topic, self._queue))
            tasks.create_task(self._keep(self._topic, self._queue))

    async def _receive_all(self, topic: Topic, queue: Queue) -> None:
        while True:
            messages = await topic.receive(queue)
            end_if_cancelled()
            self._heard()
            for message in messages:
                self._take(message["Body"])
            if messages:
                await topic.done(queue, messages)

    def _take(self, body: str) -> None:
        try:
            parcel = decode_parcel(base64.b64decode(body))
        except (WireError, ValueError) as error:
            logger.warning("dropped a message of the queue: %s", error)
            return
        offsets, entries = self._sequencer.number(parcel.items)
        self._deliver(self._sequencer.keep(entries, self._loop.time()))
        if self._under_way is not None:
            id, places = self._under_way
            if id == parcel.mark and not places.done():
                places.set_result([Position(self._sequencer.epoch, offset) for offset in offsets])

    async def _keep(self, topic: Topic, queue: Queue) -> None:
        while True:
            if not await topic.has(queue):
                raise BusUnavailable("this worker's queue was removed")
            await topic.keep(queue)
            await topic.reap()
            end_if_cancelled()
            await asyncio.sleep(KEEP_INTERVAL)
