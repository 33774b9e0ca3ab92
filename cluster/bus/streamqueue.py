"""RabbitMQ's stream queue over one AMQP connection: a log that is appended to and read from any place on."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

from aio_pika import DeliveryMode, Message, connect
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aio_pika.exceptions import AMQPError, ChannelNotFoundEntity, ChannelPreconditionFailed
from pamqp.common import FieldTable

from ..errors import BusError, BusUnavailable
from .outbox import end_if_cancelled

SILENCE = 5.0
"""Seconds without an answer after which a connection is given up."""
GOODBYE = 1.0
"""Seconds to close a connection."""
PREFETCH = 200
SEGMENTS = 64
"""Files the stream's allowance of bytes is divided into: it lets go of whole ones."""
MIN_SEGMENT = 1024 * 1024
FAILURES = (AMQPError, OSError, RuntimeError, TimeoutError)
"""What the client library raises when the broker does not do what it should."""

# Every attempt of many would be an error there; the bus tells once what is wrong.
logging.getLogger("aiormq.connection").setLevel(logging.CRITICAL)


class Kept(NamedTuple):
    """How much of a new stream the broker keeps: `seconds` at least, unless it has more than about `bytes`."""

    seconds: float
    bytes: int


class Reading:
    """The messages of a stream from some place on: each place and body."""

    def __init__(self, channel: AbstractChannel) -> None:
        self._channel = channel
        self._received: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
        self._unacknowledged = 0

    async def start(self, stream: str, place: int | str) -> None:
        await self._channel.set_qos(prefetch_count=PREFETCH)
        queue = await self._channel.get_queue(stream, ensure=False)
        try:
            await queue.consume(self._received.put, arguments={"x-stream-offset": place})
        except ChannelPreconditionFailed as error:
            raise BusError(
                f"the queue {stream!r} is no stream: delete it, or choose another by ?prefix=NAME: {error}"
            ) from None

    async def next(self) -> tuple[int, bytes]:
        message = await self._received.get()
        self._unacknowledged += 1
        if self._unacknowledged >= PREFETCH // 4:
            self._unacknowledged = 0
            await message.ack(multiple=True)
        place = message.headers["x-stream-offset"]
        assert isinstance(place, int), "a stream numbers its messages"
        return place, message.body

    async def next_soon(self) -> tuple[int, bytes]:
        """`next`, where there must be one."""
        async with asyncio.timeout(SILENCE):
            return await self.next()

    async def stop(self) -> None:
        await self._channel.close()


class StreamQueue:
    """A stream there is; see `open_stream`."""

    def __init__(self, connection: AbstractConnection, writer: AbstractChannel, name: str) -> None:
        self._connection = connection
        self._writer = writer
        self._name = name

    async def append(self, body: bytes) -> None:
        """Returns when the broker has confirmed it. Raises `BusUnavailable`."""
        try:
            async with asyncio.timeout(SILENCE):
                message = Message(body, delivery_mode=DeliveryMode.PERSISTENT)
                await self._writer.default_exchange.publish(message, self._name)
        except asyncio.CancelledError:
            # The client library cancels what waits for a connection that is lost: that is a failure.
            end_if_cancelled()
            raise BusUnavailable("the connection was lost") from None
        except FAILURES as error:
            raise BusUnavailable(f"the broker did not take it: {error!r}") from None

    async def read(self, place: int | str) -> Reading:
        """Read from `place`, or from what RabbitMQ calls "first" or "next", on."""
        async with asyncio.timeout(SILENCE):
            reading = Reading(await self._connection.channel())
            await reading.start(self._name, place)
        return reading

    async def end(self, mark: bytes) -> int:
        """The place of a message that ends with `mark`, just written: what was there before lies below."""
        reading = await self.read("next")
        await self.append(mark)
        while True:
            place, body = await reading.next_soon()
            if body == mark:
                await reading.stop()
                return place


@asynccontextmanager
async def open_stream(url: str, name: str, kept: Kept) -> AsyncIterator[StreamQueue]:
    """The stream `name`, created if need be, on a connection of its own."""
    connection = await connect(url, timeout=SILENCE)
    try:
        async with asyncio.timeout(SILENCE):
            await _declare(connection, name, kept)
            writer = await connection.channel(on_return_raises=True)
        yield StreamQueue(connection, writer, name)
    finally:
        with suppress(*FAILURES):
            async with asyncio.timeout(GOODBYE):
                await connection.close()


async def _declare(connection: AbstractConnection, name: str, kept: Kept) -> None:
    # What is there already may have been given other limits by its owner: they are the owner's.
    try:
        await (await connection.channel()).declare_queue(name, passive=True)
    except ChannelNotFoundEntity:
        segment = max(MIN_SEGMENT, kept.bytes // SEGMENTS)
        arguments: FieldTable = {
            "x-queue-type": "stream",
            "x-max-age": f"{math.ceil(kept.seconds)}s",
            "x-max-length-bytes": max(kept.bytes, 2 * segment),
            "x-stream-max-segment-size-bytes": segment,
        }
        try:
            await (await connection.channel()).declare_queue(name, durable=True, arguments=arguments)
        except AMQPError as error:
            raise BusError(f"the stream cannot be created; RabbitMQ 3.9 and newer have streams: {error}") from None
