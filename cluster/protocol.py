"""uvicorn's WebSocket protocol, with a way in for ready-made frames.

The runner passes `FanoutProtocol` as uvicorn's `ws` class. It offers itself to the application in the ASGI scope,
under `extensions`, so that a publication is framed once and written to each socket without a task or a queue of
its own. What a socket does not take piles up here, where it is counted.
"""

from __future__ import annotations

import socket
from collections import deque
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from .errors import CloseCode

EXTENSION = "fastapi-websocket-sync"
"""Key of the protocol object in the ASGI scope's `extensions`."""

SEND_BUFFER = 128 * 1024
"""Bytes the kernel may hold for one client. Left to itself it takes megabytes before a slow one is noticed."""

TOO_SLOW = "slow: too much is waiting for this client"

CLOSE_TIMEOUT = 5.0
"""Seconds a client has to answer a close frame before its connection is cut."""


class FanoutProtocol(WebSocketsSansIOProtocol):
    """One WebSocket. A client that reads too slowly, or not at all, is cut and leaves nothing behind."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.limit = 0
        self._backlog: deque[bytes] = deque()
        self._backlog_bytes = 0
        self._full = False

    @property
    def closing(self) -> bool:
        return self.close_sent or self.disconnected or self.transport.is_closing()

    def write(self, frames: bytes) -> None:
        """Send one or more whole frames. Nothing happens when the connection is closing.

        A client for which more than `limit` bytes are waiting is closed with 3008 instead.
        """
        if not self._full and not self.close_sent:
            self.transport.write(frames)
        elif self.closing:
            return
        elif self._backlog_bytes + self.transport.get_write_buffer_size() + len(frames) > self.limit:
            self.close(CloseCode.SLOW, TOO_SLOW)
        else:
            self._backlog.append(frames)
            self._backlog_bytes += len(frames)

    def close(self, code: int, reason: str) -> None:
        """Send a close frame after what the socket has already taken over, and forget what it has not."""
        if self.closing:
            return
        self._forget()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.stop_keepalive()
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(CLOSE_TIMEOUT, self.transport.abort)

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.close_sent:
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[EXTENSION] = self

    def pause_writing(self) -> None:
        self._full = True
        super().pause_writing()

    def resume_writing(self) -> None:
        self._full = False
        while self._backlog and not self._full:
            frames = self._backlog.popleft()
            self._backlog_bytes -= len(frames)
            self.transport.write(frames)
        if not self._full:
            super().resume_writing()

    def keepalive_timeout(self) -> None:
        # Closing waits until everything is written, which a client that does not read never allows.
        super().keepalive_timeout()
        self._forget()
        self.loop.call_later(CLOSE_TIMEOUT, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def _forget(self) -> None:
        self._backlog.clear()
        self._backlog_bytes = 0


def text_frame(payload: bytes) -> bytes:
    """An unmasked, unfragmented WebSocket text frame (RFC 6455, 5.2)."""
    size = len(payload)
    if size < 126:
        return b"\x81" + size.to_bytes(1) + payload
    if size < 65536:
        return b"\x81\x7e" + size.to_bytes(2) + payload
    return b"\x81\x7f" + size.to_bytes(8) + payload
