"""`redis://` and `rediss://`: Redis 7 or Valkey, a stream for each channel and PUBLISH to tell of what was appended.

What PUBLISH does not deliver shows by `prev`, or by the beacons after a connection was made, and is in the stream.
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from typing import Any

import msgspec
from redis.asyncio import BlockingConnectionPool, Connection, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import OutOfMemoryError, RedisError, ResponseError

from ..errors import BusUnavailable, ConfigurationError
from ..sequencer import Item
from ..stream import History, Position
from .base import Capabilities
from .logbus import LogBus
from .outbox import Outgoing, end_if_cancelled
from .redisframe import announced, frame, publications
from .redisscript import CLEAR, PUBLISH, READ, TOPS
from .session import logger
from .urls import parameters, prefix_of, without_secrets

PATIENCE = 5.0
"""Seconds until the server counts as gone when it does not answer."""
PING_INTERVAL = 1.0
CHANNELS = 500
"""Channels subscribed to or asked for at a time."""
REMEMBER = 3600.0
"""Seconds after which the server is told again which channels somebody reads: it forgets the others after a day."""
BREATH = 64
"""Messages read before the rest of the process gets a turn."""


class RedisBus(LogBus):
    """See `Bus`. `timeout` in seconds, `queue` in publications."""

    def __init__(self, url: str, *, timeout: float, queue: int) -> None:
        super().__init__(without_secrets(url), timeout=timeout, queue=queue)
        url, given = parameters(url, prefix="fws", durable="no")
        self._prefix = prefix_of(self._name, given["prefix"])
        self._keeps_all = durable = given["durable"] == "yes"
        self.capabilities = Capabilities(ordered=True, recoverable=True, durable=durable, deduplicating=True)
        if given["durable"] not in ("yes", "no"):
            raise ConfigurationError(f"BUS_URL={self._name!r}: durable is yes or no")
        try:
            self._pool = BlockingConnectionPool.from_url(
                url, max_connections=4, timeout=None, protocol=2, retry=Retry(NoBackoff(), 0),
                socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE,
            )  # fmt: skip
            database = self._pool.make_connection().db  # type: ignore[no-untyped-call]
            self._redis = Redis(connection_pool=self._pool)
            self._scripts = {text: self._redis.register_script(text) for text in (PUBLISH, READ, TOPS, CLEAR)}
        except Exception:  # whatever it is: the text may show the password
            raise ConfigurationError(f"BUS_URL={self._name!r}: use redis[s]://USER:PASSWORD@HOST:PORT/0") from None
        # Subscriptions know no databases: the name has to tell them apart.
        self._outgoing = f"{self._prefix}:{database}:"
        self._reader: Connection | None = None
        self._failed = asyncio.Event()
        self._subscribed: dict[str, asyncio.Future[None]] = {}

    async def _session(self) -> None:
        self._failed.clear()
        self._subscribed.clear()
        reader = self._pool.make_connection()  # type: ignore[no-untyped-call]
        try:
            async with asyncio.timeout(PATIENCE):
                await reader.connect()
                if self.capabilities.durable:
                    await self._check_persistence()
            self._reader = reader
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._read(reader))
                await self._tell()
                self._begin()
                tasks.create_task(self._keep(reader))
                await self._failed.wait()
                raise BusUnavailable("the server fails")
        except (RedisError, OSError) as problem:
            raise BusUnavailable(str(problem)) from None
        finally:
            self._reader = None
            for subscribed in self._subscribed.values():
                subscribed.cancel()  # whoever waits goes on; the next session subscribes
            await reader.disconnect(nowait=True)
            await self._pool.disconnect()

    async def _read(self, reader: Connection) -> None:
        """Take what the server sends to the subscriptions, until it stops."""
        while True:
            for _ in range(BREATH):
                # Pings are answered here: there is always something to read.
                message: Any = await reader.read_response(timeout=PATIENCE, disable_decoding=True)
                end_if_cancelled()
                if message is None:
                    raise BusUnavailable("the server sends nothing any more")
                kind, name, payload = message if len(message) == 3 else (b"pong", b"", b"")
                channel = name.decode().removeprefix(self._outgoing)
                if kind == b"message" and channel in self._channels:
                    found = announced(channel, payload)
                    self._know(channel, found[-1].position)
                    self._deliver(found)
                elif kind == b"subscribe" and (subscribed := self._subscribed.get(channel)) and not subscribed.done():
                    subscribed.set_result(None)
            await asyncio.sleep(0)

    async def _keep(self, reader: Connection) -> None:
        told = self._loop.time()
        while True:
            await asyncio.sleep(PING_INTERVAL)
            async with asyncio.timeout(2 * PATIENCE):
                await reader.send_command("PING")
                await self._redis.ping()
            end_if_cancelled()
            self._heard()
            if self._loop.time() - told > REMEMBER:
                told = self._loop.time()
                await self._tell()

    async def _tell(self) -> None:
        """Subscribe to every channel that is not yet, and learn where each stands."""
        told: set[str] = set()
        while new := list(self._channels - told)[:CHANNELS]:
            await self._follow(new)
            told.update(new)

    async def _follow(self, channels: list[str]) -> Position:
        """Subscribe, and the top of the last of `channels`."""
        if self._reader is None:
            raise BusUnavailable("the connection was lost")
        if new := {name: self._loop.create_future() for name in channels if name not in self._subscribed}:
            self._subscribed |= new
            await self._reader.send_command("SUBSCRIBE", *(self._outgoing + name for name in new))
        async with asyncio.timeout(PATIENCE):
            await asyncio.wait([self._subscribed[channel] for channel in channels])
        epoch, *tops = await self._run_script(TOPS, *channels)
        for channel, top in zip(channels, tops, strict=True):
            self._know(channel, Position(epoch.decode(), top))
        return Position(epoch.decode(), tops[-1])

    async def _listen(self, channel: str) -> Position:
        try:
            return await self._follow([channel])
        except (RedisError, OSError, TimeoutError) as problem:
            raise BusUnavailable(str(problem)) from None

    async def _leave(self, channel: str) -> None:
        if self._subscribed.pop(channel, None) is not None and self._reader is not None:
            with suppress(RedisError, OSError):
                await self._reader.send_command("UNSUBSCRIBE", self._outgoing + channel)

    async def _send(self, batch: list[Outgoing[msgspec.Raw]]) -> None:
        arguments: list[Any] = [self._outgoing]
        for outgoing in batch:
            item = msgspec.msgpack.decode(outgoing.item, type=Item)
            size, seconds = item.retention
            arguments += (item.channel, item.id, size, round(seconds * 1000), frame(item))
        try:
            epoch, *offsets = await self._run_script(PUBLISH, *arguments)
        except OutOfMemoryError as problem:
            for outgoing in batch:
                outgoing.refused(str(problem))
            return
        for outgoing, offset in zip(batch, offsets, strict=True):
            outgoing.accepted(Position(epoch.decode(), offset))

    async def _history(self, channel: str, since: Position | None, limit: int) -> History:
        after = ("", 0) if since is None else since
        epoch, top, complete, first, *frames = await self._run_script(READ, channel, *after, limit)
        found = publications(channel, epoch.decode(), first, b"".join(frames))
        return History(found, Position(epoch.decode(), top), bool(complete))

    async def _clear(self, channel: str) -> None:
        await self._run_script(CLEAR, channel)

    async def _run_script(self, text: str, *arguments: str | bytes | int) -> Any:
        fresh = secrets.token_hex(4)
        try:
            async with asyncio.timeout(2 * PATIENCE):
                return await self._scripts[text](keys=[self._prefix], args=[fresh, int(self._keeps_all), *arguments])
        except OutOfMemoryError:
            raise
        except (RedisError, OSError) as problem:
            self._failed.set()
            raise BusUnavailable(str(problem) or type(problem).__name__) from None

    async def _check_persistence(self) -> None:
        """A server that may lose the end of its log is not believed to be durable."""
        found: dict[Any, Any] = {}
        with suppress(ResponseError):  # it may not be allowed to ask
            found = await self._redis.config_get("append*")
        self._keeps_all = found.get(b"appendonly") != b"no" and found.get(b"appendfsync", b"always") == b"always"
        if not self._keeps_all:
            logger.error("%s: durable=yes needs appendonly yes and appendfsync always", self._name)
