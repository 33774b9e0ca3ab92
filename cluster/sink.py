"""Where the messages for one WebSocket go: straight to uvicorn's transport, or through any ASGI server's `send`."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Protocol

from starlette.types import Message
from starlette.websockets import WebSocket

from .audience import Join
from .errors import CloseCode
from .framing import Framing, websocket_frames, websocket_messages
from .protocol import (
    CLOSE_TIMEOUT,
    EXTENSION,
    TOO_SLOW,
    FanoutProtocol,
    binary_frame,
    deflated_binary_frame,
    deflated_frame,
    text_frame,
)
from .session.codec import JSON, Codec
from .session.protobuf import PROTOBUF

DONE = (1000, "done")


class Sink(Protocol):
    """One WebSocket's way out, and the way in as far as it depends on it.

    `frame` makes what `write` takes; it is the same for all sinks of one class.
    """

    join: Join | None
    """Makes one of several frames, where that is as good."""

    @staticmethod
    def frame(text: bytes) -> Any: ...

    framings: Mapping[Codec, Framing]
    """What makes frames of the client protocol's messages, instead of `frame` and `join`."""

    def stop_pings(self) -> None:
        """Send no WebSocket pings, if this server can be told: the client protocol has its own."""

    def write(self, frame: Any) -> None:
        """Send `frame`. A client for which too much is waiting is closed with 3008 instead."""

    def close(self, code: int, reason: str) -> None:
        """Send a close frame after what was written, and nothing more. With 3008 what still waits is not sent."""

    async def receive(self) -> Message:
        """The next ASGI message of the client; a disconnect once the socket is closed, whatever the client does."""

    async def room(self) -> None:
        """Wait until little or nothing is queued, or the socket is closed."""

    def hand_off(self, receive: Callable[[Message], None]) -> bool:
        """Call `receive` with the client's messages from now on, also after the application has returned.

        False when this server cannot do that; then nothing has changed.
        """

    async def finish(self) -> None:
        """Let what was written leave and close, within a limit."""


class TransportSink:
    """Frames go to the transport under uvicorn's protocol."""

    __slots__ = ("_protocol", "close", "receive", "write")

    join: Join | None = b"".join
    framings: Mapping[Codec, Framing] = {
        JSON: websocket_frames(JSON, text_frame),
        PROTOBUF: websocket_frames(PROTOBUF, binary_frame),
    }

    def __init__(self, protocol: FanoutProtocol, websocket: WebSocket, limit: int) -> None:
        protocol.limit = limit
        self._protocol = protocol
        self.receive = websocket.receive
        self.write = protocol.write
        self.close = protocol.close

    @staticmethod
    def frame(text: bytes) -> bytes:
        return text_frame(text)

    def stop_pings(self) -> None:
        self._protocol.stop_keepalive()

    async def room(self) -> None:
        await self._protocol.room()

    def hand_off(self, receive: Callable[[Message], None]) -> bool:
        del self.receive  # and with it all that belongs to the request
        self._protocol.hand_off(receive)
        return True

    async def finish(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self.room()
        self.close(*DONE)


class DeflatingSink(TransportSink):
    """Frames go compressed to the transport under uvicorn's protocol."""

    __slots__ = ()

    framings: Mapping[Codec, Framing] = {
        JSON: websocket_frames(JSON, deflated_frame),
        PROTOBUF: websocket_frames(PROTOBUF, deflated_binary_frame),
    }

    @staticmethod
    def frame(text: bytes) -> bytes:
        return deflated_frame(text)


class AsgiSink:
    """Messages go through `send`, one after another, in a task of their own."""

    join: Join | None = None
    framings: Mapping[Codec, Framing] = {codec: websocket_messages(codec) for codec in (JSON, PROTOBUF)}

    def __init__(self, websocket: WebSocket, limit: int) -> None:
        self._limit = limit
        self._queued = 0
        self._websocket = websocket
        self._send = websocket._send
        self._closed = asyncio.get_running_loop().create_future()
        self._messages: deque[str | bytes] = deque()
        self._wake = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._close: tuple[int, str] | None = None
        self._writer = asyncio.get_running_loop().create_task(self._write())

    @staticmethod
    def frame(text: bytes) -> str:
        return text.decode()

    def stop_pings(self) -> None:
        pass

    def write(self, frame: str | bytes) -> None:
        if self._close is not None or self._writer.done():
            return
        if self._queued + len(frame) > self._limit:
            self.close(CloseCode.SLOW, TOO_SLOW)
            return
        self._messages.append(frame)
        self._queued += len(frame)
        self._empty.clear()
        self._wake.set()

    def close(self, code: int, reason: str) -> None:
        if self._close is None:
            self._close = (code, reason)
            if code == CloseCode.SLOW:
                self._messages.clear()
                self._queued = 0
            self._empty.set()
            self._wake.set()
            # A client that does not read holds up `send`, and the close with it: go on without it then.
            asyncio.get_running_loop().call_later(CLOSE_TIMEOUT, self._closed.cancel)

    async def receive(self) -> Message:
        incoming = asyncio.ensure_future(self._websocket.receive())
        try:
            await asyncio.wait((incoming, self._closed), return_when=asyncio.FIRST_COMPLETED)
            if not incoming.done():
                return {"type": "websocket.disconnect", "code": CloseCode.ABNORMAL}
            return incoming.result()
        finally:
            incoming.cancel()

    async def room(self) -> None:
        await self._empty.wait()

    def hand_off(self, receive: Callable[[Message], None]) -> bool:
        return False

    async def finish(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self.room()
        self.close(*DONE)
        await asyncio.wait([self._writer], timeout=CLOSE_TIMEOUT)
        self._writer.cancel()
        with suppress(asyncio.CancelledError):
            await self._writer

    async def _write(self) -> None:
        # Any error of `send` means the client is gone; whoever reads from it is told so as well.
        with suppress(Exception):
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._messages:
                    frame = self._messages[0]
                    await self._send({"type": "websocket.send", "text" if isinstance(frame, str) else "bytes": frame})
                    if self._messages:
                        self._messages.popleft()
                        self._queued -= len(frame)
                self._empty.set()
                if self._close is not None:
                    code, reason = self._close
                    await self._send({"type": "websocket.close", "code": code, "reason": reason})
                    return
        self._empty.set()


def sink_for(websocket: WebSocket, limit: int) -> Sink:
    """The best sink this server offers. `limit`: bytes that may wait for the client."""
    protocol = (websocket.scope.get("extensions") or {}).get(EXTENSION)
    if isinstance(protocol, FanoutProtocol):
        kind = DeflatingSink if protocol.deflates else TransportSink
        return kind(protocol, websocket, limit)
    return AsgiSink(websocket, limit)
