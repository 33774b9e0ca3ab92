"""uvicorn's protocols with a way in: for ready-made frames on WebSockets, for the end of endless responses.

The runner passes `FanoutProtocol` as uvicorn's `ws` class. It offers itself to the application in the ASGI scope,
under `extensions`, so that a publication is framed once and written to each socket without a task or a queue of
its own. What a socket does not take piles up here, where it is counted. `HttpProtocol` offers itself likewise.
"""

from __future__ import annotations

import asyncio
import socket
import zlib
from collections import deque
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.http11 import Request

from .errors import CloseCode

EXTENSION = "fastapi-websocket-sync"
"""Key of the protocol object in the ASGI scope's `extensions`."""

SEND_BUFFER = 128 * 1024
"""Bytes the kernel may hold for one client. Left to itself it takes megabytes before a slow one is noticed."""

SUBPROTOCOLS = "Sec-WebSocket-Protocol"

WORTH_COMPRESSING = 64
"""Bytes of a message below which it is sent as it is."""

TOO_SLOW = "slow: too much is waiting for this client"

CLOSE_TIMEOUT = 5.0
"""Seconds a client has to answer a close frame before its connection is cut."""


class FanoutProtocol(WebSocketsSansIOProtocol):
    """One WebSocket. A client that reads too slowly, or not at all, is cut and leaves nothing behind."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.config.ws_per_message_deflate:
            # Without a context of its own for each client, a frame compressed once is good for all of them.
            self.conn.available_extensions = [ServerPerMessageDeflateFactory(server_no_context_takeover=True)]
        self.limit = 0
        self._full = False
        self._backlog: deque[bytes] | None = None
        self._backlog_bytes = 0
        self._waiters: list[asyncio.Future[None]] | None = None

    @property
    def deflates(self) -> bool:
        """Whether this client takes compressed messages."""
        return bool(self.conn.extensions)

    @property
    def closing(self) -> bool:
        return self.close_sent or self.disconnected or self.transport.is_closing()

    def write(self, frames: bytes) -> None:
        """Send one or more whole frames. Nothing happens when the connection is closing.

        A client for which more than `limit` bytes are waiting is closed with 3008 instead.
        """
        if not self._full and not self.close_sent:
            try:  # noqa: SIM105  # on the way of every publication to every client
                self.transport.write(frames)
            except RuntimeError:  # uvloop: the client has just gone, `connection_lost` is about to say so
                pass
        elif self.closing:
            return
        elif self._backlog_bytes + self.transport.get_write_buffer_size() + len(frames) > self.limit:
            self.close(CloseCode.SLOW, TOO_SLOW)
        else:
            if self._backlog is None:
                self._backlog = deque()
            self._backlog.append(frames)
            self._backlog_bytes += len(frames)

    def close(self, code: int, reason: str) -> None:
        """Send a close frame after what was written. What waits for a client that is too slow is not sent any more."""
        if self.closing:
            return
        if self._backlog and code != CloseCode.SLOW:
            self.transport.write(b"".join(self._backlog))
        self._forget()
        self.conn.send_close(code, reason)
        self._await_close()

    async def room(self) -> None:
        """Wait until the socket takes more, or is closed."""
        while self._full and not self.closing:
            if self._waiters is None:
                self._waiters = []
            waiter = self.loop.create_future()
            self._waiters.append(waiter)
            await waiter

    def hand_off(self, receive: Callable[[Any], None]) -> None:
        """Call `receive` with every ASGI message from now on, and keep the connection when the application returns."""
        waiting: asyncio.Queue[Any] = self.queue
        self.queue = _Passed(lambda message: self.loop.call_soon(receive, message))  # type: ignore[assignment]
        # The base class stops reading after each message until the application has taken it: none has to wait now.
        if self.read_paused:
            self.transport.resume_reading()
        self.read_paused = True
        if self.close_timer is None:
            self.close_timer = _KEPT  # type: ignore[assignment]
        while not waiting.empty():
            self.queue.put_nowait(waiting.get_nowait())

    async def run_asgi(self) -> None:
        await super().run_asgi()
        if isinstance(self.close_timer, _Nothing):
            self.close_timer = None
            self._let_go_of_the_request()

    def handle_connect(self, event: Request) -> None:
        # Some clients send the header with nothing in it, which stands for not sending it.
        if not any(map(str.strip, event.headers.get_all(SUBPROTOCOLS))):
            event.headers.pop(SUBPROTOCOLS, None)
        super().handle_connect(event)
        if not self.close_sent:
            bound_send_buffer(self.transport)
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
            self._wake()

    def keepalive_timeout(self) -> None:
        # Closing waits until everything is written, which a client that does not read never allows.
        super().keepalive_timeout()
        self._forget()
        self.loop.call_later(CLOSE_TIMEOUT, self.transport.abort)

    def handle_parser_exception(self) -> None:
        """Say why, and read to the end what the client still sends: a reset would overtake the close frame."""
        if self.close_sent:
            return
        self._await_close()
        self.transport.write_eof()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def _await_close(self) -> None:
        """Write the close frame that the connection has ready, and cut a client that does not answer it."""
        assert self.conn.close_sent is not None, "a close frame is ready"
        code, reason = self.conn.close_sent.code, self.conn.close_sent.reason
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.stop_keepalive()
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(CLOSE_TIMEOUT, self.transport.abort)

    def _forget(self) -> None:
        self._backlog = None
        self._backlog_bytes = 0
        self._wake()

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, None
        for waiter in waiters or ():
            if not waiter.done():
                waiter.set_result(None)

    def _let_go_of_the_request(self) -> None:
        """What only the application needed is most of what an idle connection costs."""
        self.writable = _ALWAYS  # type: ignore[assignment]
        del self.scope, self.request, self.response


class HttpProtocol(HttpToolsProtocol):
    """One HTTP connection. A response without an end can be told that the server stops, and be cut."""

    _farewell: Callable[[int, str], None] | None = None

    def on_message_begin(self) -> None:
        super().on_message_begin()
        extensions: dict[str, Any] = {EXTENSION: self}
        self.scope["extensions"] = extensions

    @property
    def endless(self) -> bool:
        return self._farewell is not None

    def keep(self, farewell: Callable[[int, str], None]) -> None:
        """The response is endless: call `farewell` rather than wait for its end."""
        self._farewell = farewell
        if not self.transport.is_closing():
            bound_send_buffer(self.transport)

    def release(self) -> None:
        """The response has ended."""
        self._farewell = None

    def close(self, code: int, reason: str) -> None:
        """Let the response end with a word about why, and the connection with it."""
        if self._farewell is not None:
            self.cycle.keep_alive = False
            self._farewell(code, reason)

    def abort(self) -> None:
        """Cut the connection, whatever has not left yet."""
        self.transport.abort()


def bound_send_buffer(transport: asyncio.BaseTransport) -> None:
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)


class _Passed:
    """In place of the queue for the application: passes its messages on, soon but never at once.

    Who writes to many clients may close one, and must not find that it has left in the middle of it.
    """

    __slots__ = ("put_nowait",)

    def __init__(self, pass_on: Callable[[Any], object]) -> None:
        self.put_nowait = pass_on


class _Nothing:
    """Stands where the base class needs a timer or an event that nobody waits for."""

    __slots__ = ()

    def cancel(self) -> None:
        pass

    def set(self) -> None:
        pass

    def clear(self) -> None:
        pass


_KEPT = _Nothing()
"""As its close timer, keeps a connection open when the application returns."""
_ALWAYS = _Nothing()

_COMPRESSED = 0x40
_TAIL = b"\x00\x00\xff\xff"

Frame = Callable[[bytes], bytes]
"""Makes a WebSocket frame of a payload."""


def text_frame(payload: bytes) -> bytes:
    """An unmasked, unfragmented WebSocket text frame (RFC 6455, 5.2)."""
    return _frame(b"\x81", payload)


def binary_frame(payload: bytes) -> bytes:
    """As `text_frame`, for bytes."""
    return _frame(b"\x82", payload)


def deflated_frame(payload: bytes, frame: Frame = text_frame) -> bytes:
    """A compressed WebSocket frame (RFC 7692, 7.2.1), or an ordinary one where that is shorter.

    The smallest window is within any that a client may have asked for.
    """
    if len(payload) < WORTH_COMPRESSING:
        return frame(payload)
    compressor = zlib.compressobj(wbits=-9)
    compressed = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
    whole = frame(compressed[: -len(_TAIL)])
    return bytes((whole[0] | _COMPRESSED,)) + whole[1:]


def deflated_binary_frame(payload: bytes) -> bytes:
    """As `deflated_frame`, for bytes."""
    return deflated_frame(payload, binary_frame)


def _frame(head: bytes, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return head + size.to_bytes(1) + payload
    if size < 65536:
        return head + b"\x7e" + size.to_bytes(2) + payload
    return head + b"\x7f" + size.to_bytes(8) + payload
