"""Clients that come back: a subscriber that recovers, a publisher that repeats until it is acknowledged."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import time
from contextlib import suppress

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from .checker import Delivery, Record

ANSWER = 5.0
"""Seconds until a client that hears nothing where it should connects anew."""


class Client:
    """Connects, and connects again with jitter after every loss, until cancelled."""

    def __init__(self, url: str, jitter: random.Random) -> None:
        self.url = url
        self.connects = 0
        self._jitter = jitter

    async def run(self) -> None:
        delay = 0.05
        while True:
            with suppress(OSError, WebSocketException, TimeoutError):
                async with connect(
                    self.address(), open_timeout=ANSWER, ping_interval=ANSWER, ping_timeout=ANSWER, close_timeout=0.1,
                    max_queue=None, compression=None, proxy=None,
                ) as socket:  # fmt: skip
                    self.connects += 1
                    delay = 0.05
                    await self.use(socket)
            await asyncio.sleep(delay * self._jitter.uniform(0.5, 1.5))
            delay = min(delay * 2, 1.0)

    def address(self) -> str:
        return self.url

    async def use(self, socket: ClientConnection) -> None:
        raise NotImplementedError


class Subscriber(Client):
    """Follows one channel and remembers its place. `forgetful`: comes back without it, for testing the checker."""

    def __init__(self, url: str, channel: str, jitter: random.Random, *, forgetful: bool = False) -> None:
        super().__init__(f"{url}/ws?channel={channel}", jitter)
        self.record = Record(channel)
        self.recoveries = 0
        self.longest_silence = 0.0
        self._position: tuple[str, int] | None = None
        self._forgetful = forgetful
        self._heard: float | None = None

    @property
    def offset(self) -> int:
        return self._position[1] if self._position else -1

    def address(self) -> str:
        if self._position is None or self._forgetful:
            return self.url
        epoch, offset = self._position
        return f"{self.url}&epoch={epoch}&offset={offset}"

    async def use(self, socket: ClientConnection) -> None:
        async for text in socket:
            self.take(str(text))

    def take(self, text: str) -> None:
        """Note what one message says."""
        message = json.loads(text)
        if "data" in message:
            self._hear()
            self.record.deliveries.append(Delivery(message["epoch"], message["offset"], message["data"]["id"]))
        elif message.get("recovered") is False:
            self.record.told_losses += 1
        elif message.get("recovered"):
            self.recoveries += 1
        self._position = (message["epoch"], message["offset"])
        if self.record.start is None:
            self.record.start = self._position

    def _hear(self) -> None:
        now = time.monotonic()
        if self._heard is not None:
            self.longest_silence = max(self.longest_silence, now - self._heard)
        self._heard = now


class Publisher(Client):
    """Publishes on one channel after another, each publication under one id until it is acknowledged.

    What it could not publish in time it makes up for.
    """

    def __init__(
        self, url: str, name: str, channels: list[str], rate: float, jitter: random.Random, *, padding: int = 0
    ) -> None:
        """`rate` in publications per second, `padding` in bytes."""
        super().__init__(f"{url}/publish", jitter)
        self._padding = "x" * padding
        self.acknowledged: dict[str, dict[str, tuple[str, int]]] = {channel: {} for channel in channels}
        self.attempts = 0
        self.errors: list[str] = []
        self.longest_wait = 0.0
        self.stopping = False
        self.idle = asyncio.Event()
        self._ids = (f"{name}-{n}" for n in itertools.count())
        self._channels = itertools.cycle(channels)
        self._pause = 1 / rate
        self._due = time.monotonic()
        self._next: dict[str, object] | None = None

    async def use(self, socket: ClientConnection) -> None:
        while True:
            if self._next is None:
                if self.stopping:
                    self.idle.set()
                    await asyncio.sleep(ANSWER)
                    continue
                self._next = {
                    "channel": next(self._channels),
                    "id": next(self._ids),
                    "sent": time.time(),
                    "padding": self._padding,
                }
            self.attempts += 1
            asked = time.monotonic()
            await socket.send(json.dumps(self._next))
            async with asyncio.timeout(15):  # wait_for may swallow a cancellation (Python 3.11)
                answer = json.loads(await socket.recv())
            self.longest_wait = max(self.longest_wait, time.monotonic() - asked)
            if "error" in answer:
                self.errors.append(answer["error"])
                continue
            channel = str(self._next["channel"])
            self.acknowledged[channel][answer["id"]] = (answer["epoch"], answer["offset"])
            self._next = None
            self._due += self._pause
            await asyncio.sleep(max(0.0, self._due - time.monotonic()))
