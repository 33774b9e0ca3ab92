"""Clients that burden the server: one that reads slowly, one that never reads."""

from __future__ import annotations

import asyncio
import base64
import os
import random
import socket
from contextlib import suppress
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from .client import Subscriber

SMALL_BUFFER = 4096


class SlowSubscriber(Subscriber):
    """Reads at `rate` bytes per second until `hurry` is called; comes back whenever it is closed."""

    def __init__(self, url: str, channel: str, jitter: random.Random, rate: float = 1000) -> None:
        super().__init__(url, channel, jitter)
        self.closed_with: list[int | None] = []
        self._rate = rate
        self._hurry = asyncio.Event()

    def hurry(self) -> None:
        """Read as fast as it goes from now on."""
        self._hurry.set()

    async def run(self) -> None:
        while True:
            with suppress(OSError, WebSocketException, TimeoutError):
                async with connect(
                    self.address(), sock=_socket(self.url), max_queue=1, compression=None, proxy=None,
                    ping_interval=None, close_timeout=0.1,
                ) as connection:  # fmt: skip
                    self.connects += 1
                    await self.use(connection)
            await asyncio.sleep(0.1)

    async def use(self, socket: ClientConnection) -> None:
        try:
            while True:
                text = await socket.recv()
                self.take(str(text))
                with suppress(TimeoutError):
                    async with asyncio.timeout(len(text) / self._rate):
                        await self._hurry.wait()
        except ConnectionClosed as closed:
            self.closed_with.append(closed.rcvd.code if closed.rcvd else None)


class StuckClient:
    """Completes the handshake and never reads again. A context manager."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._socket = _socket(url)
        key = base64.b64encode(os.urandom(16)).decode()
        self._socket.sendall(
            f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def send_text(self, text: bytes) -> None:
        """Send a short text message, as far as the socket takes it. Raises `OSError` once the server has cut it."""
        assert len(text) < 126, "a short one"
        self._socket.setblocking(False)
        with suppress(BlockingIOError):
            self._socket.send(bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text)

    def close(self) -> None:
        self._socket.close()


def _socket(url: str) -> socket.socket:
    parts = urlsplit(url)
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
    found.connect((parts.hostname or "", parts.port or 80))
    return found
