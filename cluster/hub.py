"""The hub: a worker's map of channels to whoever receives them, fed by one receive loop."""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

from .audience import Flusher, Subscriber
from .bus import Bus
from .errors import BusError, ChannelError, PublishRefused
from .live import LiveChannel, State
from .stream import Position, Publication, Retention
from .wire import MAX_CHANNEL_NAME

logger = logging.getLogger(__name__)

T = TypeVar("T")

LINGER = 5.0
"""Seconds a channel is still received after its last subscriber left: who comes back finds it warm."""
PAGE = 500
"""Publications asked of the bus's history at a time."""
CHUNK_BYTES = 64 * 1024
"""Bytes of missed publications handed to a subscriber before it must have room again."""
PATIENCE = 10.0
"""Seconds for this worker to reach where another one already was."""
RETRY = 0.2
LAST_RETRY = 2.0
"""Seconds between attempts at something the bus does not answer; doubling from the first to the second."""


class CaughtUp(NamedTuple):
    """Where a subscription starts. `recovered` answers whether all that was missed is in `publications`, oldest
    first; None when nothing was asked for."""

    position: Position
    recovered: bool | None
    publications: list[Publication]


class Hub:
    """Channels ↔ subscribers of one process.

    `retention` is what a channel keeps unless told otherwise; `max_bytes` bounds one publication's data.
    """

    def __init__(
        self,
        bus: Bus,
        *,
        retention: Retention,
        max_bytes: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.bus = bus
        self.retention = retention
        self.max_bytes = max_bytes
        self.published = 0
        self._publishing = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.received = 0
        self._delivered_before = 0
        self._clock = clock
        self._channels: dict[str, LiveChannel] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._ids: Iterator[str] = iter(())

    @property
    def delivered(self) -> int:
        """Publications handed to subscribers so far, one for each subscriber."""
        return self._delivered_before + sum(live.delivered for live in self._channels.values() if is_public(live.name))

    @property
    def channels(self) -> int:
        """Channels of the application being received."""
        return sum(map(is_public, self._channels))

    async def start(self) -> None:
        """Open the bus and begin to receive. Does not wait for the bus to be reachable."""
        self._flusher = Flusher(asyncio.get_running_loop())
        # Ids of this process, also if it was forked: unlikely to meet another's, and cheap to make.
        self._ids = map(f"{secrets.token_hex(8)}-{{:x}}".format, itertools.count())
        await self.bus.open()
        self.spawn(self._receive(), "receive")

    async def stop(self) -> None:
        """Stop receiving and close the bus."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.bus.close()
        self._channels.clear()

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run `work` until it ends or the hub stops. An error in it is logged, not lost."""
        task = asyncio.get_running_loop().create_task(work, name=f"hub-{name}")
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def publish_bytes(
        self, channel: str, data: bytes, *, id: str | None = None, retention: Retention | None = None
    ) -> Position:
        """Publish `data` (JSON) and return its place once the bus has accepted it.

        Raises `ChannelError`, and `PublishError` or `PublishRefused` as `Bus.publish` does.
        """
        check_name(channel)
        id = id or next(self._ids)
        if len(data) > self.max_bytes:
            raise PublishRefused(f"{len(data)} bytes are more than MAX_MESSAGE_BYTES={self.max_bytes} allows", id=id)
        self._publishing += 1
        self._idle.clear()
        try:
            position = await self.bus.publish(channel, data, id=id, retention=retention or self.retention_of(channel))
        finally:
            self._publishing -= 1
            if not self._publishing:
                self._idle.set()
        self.published += is_public(channel)
        return position

    def retention_of(self, channel: str) -> Retention:
        """What is kept of `channel`."""
        return self.retention

    async def flush(self) -> None:
        """Wait until nothing that was published waits for the bus."""
        await self._idle.wait()

    async def subscribe(self, channel: str, subscriber: Subscriber, since: Position | None = None) -> None:
        """Deliver `channel` to `subscriber`: what it missed after `since`, then everything new.

        When it returns the subscription is effective. `subscriber.subscribed` is called before anything is
        delivered. Raises `ChannelError`, `BusUnavailable`.
        """
        check_name(channel)
        live = await self._claim(channel)
        try:
            if since is None:
                subscriber.subscribed(channel, live.position, None)
            else:
                await self._catch_up(live, subscriber, since)
            live.attach(subscriber)
        except BaseException:
            self._release(live)
            raise

    async def catch_up(
        self, channel: str, subscriber: Subscriber, since: Position | None, *, limit: int, newest: bool = False
    ) -> CaughtUp:
        """Subscribe, but return what was missed instead of delivering it. An empty epoch stands for the current one.

        More than `limit` missed publications are not recovered. `newest`: only the last publication matters, and
        returning it is to recover. `position` is where the publications returned end and delivery begins.
        Between the end of this and the first delivery lies no `await`. Raises `ChannelError`, `BusUnavailable`.
        """
        check_name(channel)
        live = await self._claim(channel)
        try:
            if since is not None and newest:
                found = await self._newest(live, since)
            elif since is not None:
                collector = _Collector(limit)
                with suppress(_TooMany):
                    await self._catch_up(live, collector, Position(since.epoch or live.position.epoch, since.offset))
                recovered = collector.recovered
                found = CaughtUp(live.position, recovered, collector.publications if recovered else [])
            else:
                found = CaughtUp(live.position, None, [])
            live.attach(subscriber)
        except BaseException:
            self._release(live)
            raise
        return found

    def unsubscribe(self, channel: str, subscriber: Subscriber) -> None:
        """Stop delivering `channel` to `subscriber`, which must have been subscribed."""
        live = self._channels[channel]
        live.detach(subscriber)
        self._release(live)

    def forget(self, channel: str) -> None:
        """Let go of this worker's own copy of what was published on `channel`: for the past the bus is asked."""
        live = self._channels.get(channel)
        if live is not None and live.cursor is not None:
            live.log.restart(live.position.offset)

    async def keep_subscribed(self, channel: str, subscriber: Subscriber) -> None:
        """Subscribe, and try again for as long as the bus cannot be reached."""
        await _until_answered(lambda: self.subscribe(channel, subscriber), f"subscribing to {channel!r}")

    async def _receive(self) -> None:
        while True:
            try:
                publication = await self.bus.receive()
            except Exception:  # what went wrong once must not end it; what was lost by it shows as a gap
                logger.exception("nothing was received; trying again")
                await asyncio.sleep(RETRY)
                continue
            self.received += not publication.is_beacon and is_public(publication.channel)
            live = self._channels.get(publication.channel)
            if live is not None:
                try:
                    self._take(live, publication)
                except Exception:  # one that cannot be handled must not be the last one
                    logger.exception("publication %s of %r was not handled", publication.position, live.name)

    def _take(self, live: LiveChannel, publication: Publication) -> None:
        before = live.state
        if live.take(publication, self._clock()) is State.BEHIND and before is State.LIVE:
            logger.info("a gap in %r after %d: filling", live.name, live.position.offset)
            self.spawn(self._fill(live), "fill")

    async def _fill(self, live: LiveChannel) -> None:
        """Close the gap a channel has, page by page."""
        while live.cursor is not None:
            if await _until_answered(lambda: self._fill_page(live), f"filling a gap in {live.name!r}") is State.LIVE:
                return

    async def _fill_page(self, live: LiveChannel) -> State:
        if live.cursor is None:  # it was closed meanwhile
            return live.state
        return live.fill(await self.bus.history(live.name, live.position, PAGE), self._clock())

    async def _catch_up(self, live: LiveChannel, subscriber: Subscriber, since: Position) -> None:
        """Hand over what followed `since`. Between the last of it and the return lies no `await`."""
        point = since
        told = False
        while True:
            known = live.position
            if point.epoch == known.epoch and live.log.covers(point.offset):
                missed = live.log.after(point.offset)
                last = True
            elif point.epoch == known.epoch and point.offset > known.offset:
                # Another worker was ahead of this one. What it saw is on its way here, if it exists.
                top = (await self.bus.history(live.name, point, 0)).top
                if top.epoch != point.epoch or top.offset < point.offset:
                    break
                try:
                    async with asyncio.timeout(PATIENCE):
                        await live.reached(point)
                except TimeoutError:
                    break
                continue
            elif point.epoch == known.epoch:
                history = await self.bus.history(live.name, point, PAGE)
                if not (history.complete and history.publications and history.top.epoch == point.epoch):
                    break
                missed, last = history.publications, False
            else:
                break
            if not told:
                subscriber.subscribed(live.name, point, True)
                told = True
            chunk = _chunk(missed)
            for publication in chunk:
                formatted = subscriber.format(publication)
                subscriber.deliver(formatted if subscriber.join is None else subscriber.join([formatted]))
            if last and len(chunk) == len(missed):
                return
            point = chunk[-1].position
            await subscriber.room()
        if told:
            subscriber.reset(live.name, live.position)
        else:
            subscriber.subscribed(live.name, live.position, False)

    async def _newest(self, live: LiveChannel, since: Position) -> CaughtUp:
        """The last publication, unless `since` is its place. Between finding it and the return lies no `await`."""
        found: Publication | None = None
        while since != live.position:
            missed = live.log.after(live.log.start)
            found = missed[-1] if missed else found
            if found is not None and found.position == live.position:
                return CaughtUp(live.position, True, [found])
            after = None if found is None or found.epoch != live.position.epoch else found.position
            history = await self.bus.history(live.name, after, PAGE)
            if not history.publications:
                break
            found = history.publications[-1]
        return CaughtUp(live.position, since == live.position, [])

    async def _claim(self, channel: str) -> LiveChannel:
        """The channel, being received. Whoever claims it must release it."""
        live = self._channels.get(channel)
        if live is None:
            live = self._channels[channel] = LiveChannel(channel, self.retention_of(channel), self._flusher.add)
        live.claims += 1
        try:
            if live.cursor is None:
                async with live.lock:
                    if live.cursor is None:
                        live.open(await self.bus.subscribe(channel))
        except BaseException:
            self._release(live)
            raise
        return live

    def _release(self, live: LiveChannel) -> None:
        live.claims -= 1
        if live.claims == 0:
            self.spawn(self._retire(live), "retire")

    async def _retire(self, live: LiveChannel) -> None:
        """Stop receiving a channel that nobody has needed for a while."""
        await asyncio.sleep(LINGER)
        async with live.lock:
            if live.claims:
                return
            if live.cursor is not None:
                live.close()
                with suppress(BusError):
                    await self.bus.unsubscribe(live.name)
        if live.claims == 0 and self._channels.get(live.name) is live:
            self._delivered_before += live.delivered if is_public(live.name) else 0
            del self._channels[live.name]

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("%s failed", task.get_name(), exc_info=error)


class _TooMany(Exception):
    """More was missed than is wanted."""


class _Collector(Subscriber):
    """Keeps what it is sent, up to `limit` publications."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.recovered = False
        self.publications: list[Publication] = []

    def subscribed(self, channel: str, position: Position, recovered: bool | None) -> None:
        self.recovered = bool(recovered)

    def deliver(self, frame: Publication) -> None:
        if len(self.publications) >= self._limit:
            self.recovered = False
            raise _TooMany
        self.publications.append(frame)

    def reset(self, channel: str, position: Position) -> None:
        self.recovered = False


def check_name(channel: str) -> None:
    """Raise `ChannelError` unless `channel` can name a channel."""
    if not 1 <= len(channel) <= MAX_CHANNEL_NAME or not channel.isprintable():
        raise ChannelError(f"a channel name has 1 to {MAX_CHANNEL_NAME} printable characters, not {channel[:300]!r}")


def is_public(channel: str) -> bool:
    """Whether `channel` is not one of the cluster's own. What these carry is not counted."""
    return not channel.startswith("/")


def check_public(channel: str) -> None:
    """Raise `ChannelError` if `channel` is one of the cluster's own, which no application and no client may use."""
    if not is_public(channel):
        raise ChannelError(f"channel {channel!r}: names that begin with '/' are the cluster's own")


def _chunk(publications: list[Publication]) -> list[Publication]:
    size = 0
    for count, publication in enumerate(publications, 1):
        size += len(publication.data or b"")
        if size >= CHUNK_BYTES:
            return publications[:count]
    return publications


async def _until_answered(attempt: Callable[[], Coroutine[Any, Any, T]], what: str) -> T:
    pause = RETRY
    while True:
        try:
            return await attempt()
        except BusError as error:
            logger.warning("%s: %s; trying again", what, error)
        except Exception:  # a gap that nobody fills any more would hold up its channel for good
            logger.exception("%s failed; trying again", what)
        await asyncio.sleep(pause)
        pause = min(pause * 2, LAST_RETRY)
