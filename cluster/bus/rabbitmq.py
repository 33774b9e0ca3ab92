"""`amqp://` and `amqps://`: RabbitMQ, one stream queue that every worker writes and reads.

The stream is the order of everything; a `Replica` in each worker folds it into channels. A publication is accepted
when the broker has confirmed it and it has come back, which is how its place is learned.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from contextlib import suppress

import msgspec

from ..errors import BusUnavailable, ConfigurationError
from ..parcel import Parcel, decode_parcel, encode_parcel
from ..replica import Replica, Taken
from ..sequencer import Limits, Sequencer
from ..stream import History, Position
from ..wire import WireError
from .base import Capabilities
from .outbox import Outgoing, end_if_cancelled
from .session import SessionBus, logger
from .streamqueue import SILENCE, Kept, Reading, StreamQueue, open_stream
from .urls import names_a_host, parameters, prefix_of, without_secrets

__all__ = ["Kept", "RabbitBus"]

PING_INTERVAL = 1.0
RETRY = 0.05


class RabbitBus(SessionBus):
    """See `Bus`. `kept` counts when the stream is created; later it is the broker's to change, by a policy."""

    capabilities = Capabilities(ordered=True, recoverable=True, durable=True, deduplicating=True, contiguous=False)

    def __init__(self, url: str, *, timeout: float, queue: int, limits: Limits, kept: Kept) -> None:
        super().__init__(f"RabbitMQ at {without_secrets(url)}", timeout=timeout, queue=queue, silence=SILENCE)
        self._url, given = parameters(url, prefix="fws")
        self._stream_name = prefix_of(url, given["prefix"])
        if not names_a_host(self._url):
            raise ConfigurationError(f"BUS_URL={without_secrets(url)!r}: use amqp://USER:PASSWORD@HOST:PORT/VHOST")
        self._limits = limits
        self._kept = kept
        self._replica = Replica(limits)
        self._void: str | None = None
        self._stream: StreamQueue | None = None
        self._expected: dict[str, asyncio.Future[Taken | None]] = {}
        self._asked = self._caught_up = 0
        self._catching_up = asyncio.Lock()

    async def subscribe(self, channel: str) -> Position:
        await self._in_time(self._catch_up, f"subscribing to {channel!r}")
        self._channels.add(channel)
        return self._top(channel)

    async def history(self, channel: str, since: Position | None, limit: int) -> History:
        sequencer = await self._in_time(self._catch_up, f"asking for the history of {channel!r}")
        return sequencer.history(channel, since, limit, time.time())

    async def clear(self, channel: str) -> None:
        async def clear() -> None:
            top = (await self._catch_up()).top(channel)
            await self._write([], (channel, top))

        await self._in_time(clear, f"clearing {channel!r}")

    def _top(self, channel: str) -> Position:
        return self._replica.sequencer.top(channel)

    async def _catch_up(self) -> Sequencer:
        """The channels with everything that was accepted before this call."""
        self._asked += 1
        asked = self._asked
        while True:
            await self._until_ready()
            async with self._catching_up:
                if self._caught_up < asked:
                    everyone = self._asked  # who asks while this is under way shares the next one
                    with suppress(BusUnavailable):
                        await self._write([])
                        self._caught_up = everyone
                if self._caught_up >= asked:
                    return self._replica.sequencer
            await asyncio.sleep(RETRY)

    async def _send(self, batch: list[Outgoing[msgspec.Raw]]) -> None:
        taken = await self._write([outgoing.item for outgoing in batch])
        for outgoing, position in zip(batch, taken.places, strict=True):
            outgoing.accepted(position)

    async def _write(self, items: list[msgspec.Raw], *clears: tuple[str, Position]) -> Taken:
        """Append to the log; what it means there, once it has come back. Raises `BusUnavailable`."""
        await self._until_ready()
        assert self._stream is not None, "a session is ready"
        mark = secrets.token_hex(8)
        expected: asyncio.Future[Taken | None] = self._loop.create_future()
        self._expected[mark] = expected
        try:
            await self._stream.append(encode_parcel(mark, self._replica.sequencer.epoch, time.time(), items, clears))
            async with asyncio.timeout(SILENCE):
                taken = await expected
        except TimeoutError:
            raise BusUnavailable("what the broker took did not come back") from None
        finally:
            del self._expected[mark]
        if taken is None:
            raise BusUnavailable("the connection was lost")
        return taken

    async def _session(self) -> None:
        async with open_stream(self._url, self._stream_name, self._kept) as stream:
            end = await stream.end(encode_parcel(secrets.token_hex(8), "", time.time()))
            replica = self._replica
            if replica.read >= end:
                replica = self._start_anew(lost=True)
            reading = await stream.read("first" if replica.read < 0 else replica.read)
            first = True
            while replica.read < end:
                place, body = await reading.next_soon()
                parcel = _parcel(body)
                if parcel is not None:
                    if first and not replica.continues(place, parcel):
                        self._start_anew(lost=place <= replica.read)
                        raise BusUnavailable("what was read last is not in the stream any more")
                    first = False
                    replica.take(place, parcel, time.time())
            if replica.sequencer.epoch == self._void:
                await stream.append(encode_parcel(secrets.token_hex(8), self._void, time.time(), void=True))
            while replica.sequencer.epoch == self._void:
                place, body = await reading.next_soon()
                if (parcel := _parcel(body)) is not None:
                    replica.take(place, parcel, time.time())
            self._replica, self._stream = replica, stream
            try:
                self._begin()
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._read(reading))
                    tasks.create_task(self._ping())
            finally:
                for expected in self._expected.values():
                    if not expected.done():
                        expected.set_result(None)

    def _start_anew(self, *, lost: bool) -> Replica:
        """Read the stream from its beginning. `lost`: its end is gone, and in this epoch its places come again."""
        if lost:
            self._void = self._replica.sequencer.epoch
        self._replica = Replica(self._limits)
        return self._replica

    async def _read(self, reading: Reading) -> None:
        while True:
            place, body = await reading.next()
            end_if_cancelled()
            self._heard()
            parcel = _parcel(body)
            taken = None if parcel is None else self._replica.take(place, parcel, time.time())
            if parcel is not None and taken is not None:
                self._deliver(taken.publications)
                if parcel.void:
                    self._tell_tops(self._channels)
                expected = self._expected.get(parcel.mark)
                if expected is not None and not expected.done():
                    expected.set_result(taken)

    async def _ping(self) -> None:
        """Nothing comes because nothing is said, or because nothing gets through any more."""
        while True:
            await asyncio.sleep(PING_INTERVAL)
            if self._loop.time() - self._answered_at >= PING_INTERVAL:
                await self._write([])
                end_if_cancelled()


def _parcel(body: bytes) -> Parcel | None:
    try:
        return decode_parcel(body)
    except WireError as error:
        logger.warning("passed over a message of the stream: %s", error)
        return None
