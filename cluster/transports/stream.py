"""An endless HTTP response as a client's way out: server-sent events, lines of JSON, messages after their lengths.

What the client sends comes through `/emulation`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..client import Client
from ..framing import Framing
from ..protocol import CLOSE_TIMEOUT, EXTENSION, HttpProtocol
from ..service import Service
from ..session.codes import CLOSE_SHUTDOWN, CLOSE_SLOW
from ..session.commands import Disconnect, Push, Reply

HEADERS = {
    "cache-control": "private, no-cache, no-store, must-revalidate, max-age=0",
    "pragma": "no-cache",
    # A proxy that collects what it passes on would keep it from the client.
    "x-accel-buffering": "no",
}


class Stream(Response):
    """One client as a response, until it is closed or goes. Also the client's outlet.

    `first` are the commands it came with, `opening` is what the body begins with.
    """

    def __init__(
        self,
        service: Service,
        framing: Framing,
        first: bytes,
        headers: Mapping[str, str],
        opening: bytes = b"",
    ) -> None:
        self.status_code = 200
        self.init_headers({**HEADERS, **headers})
        self._service = service
        self._framing = framing
        self._limit = service.limits.queue_bytes
        self._first = first
        self._opening = opening
        self._pieces: deque[bytes] = deque()
        self._waiting = 0
        self._ended = False
        self._wake = asyncio.Event()
        self._cut: Callable[[], object] | None = None
        self._cutting: asyncio.TimerHandle | None = None
        self._client: Client | None = None

    def write(self, frame: bytes) -> None:
        """Send framed messages. When too much is waiting the client is closed with 3008 instead."""
        if self._ended:
            return
        if self._waiting + len(frame) > self._limit:
            self._pieces.clear()
            push = Reply(push=Push(disconnect=CLOSE_SLOW))
            frame = self._framing.piece(self._framing.codec.encode(push))
            self.close(CLOSE_SLOW.code, CLOSE_SLOW.reason)
        self._pieces.append(frame)
        self._waiting += len(frame)
        self._wake.set()

    def close(self, code: int, reason: str) -> None:
        """End the response after what was written, which says why. A client that does not take it is cut."""
        if not self._ended:
            self._ended = True
            self._wake.set()
            if self._cut is not None:
                self._cutting = asyncio.get_running_loop().call_later(CLOSE_TIMEOUT, self._cut)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        protocol = (scope.get("extensions") or {}).get(EXTENSION)
        task = asyncio.current_task()
        assert task is not None, "ASGI applications run in tasks"
        self._cut = task.cancel
        if isinstance(protocol, HttpProtocol):
            protocol.keep(self._dismiss)
            self._cut = protocol.abort
        session = self._service.session(self._framing.codec, emulated=True)
        client = self._client = Client(self._service, session, self._framing, self, scope)
        gone = asyncio.ensure_future(_disconnected(receive))
        gone.add_done_callback(lambda _: self._wake.set())
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            if self._opening:
                await send({"type": "http.response.body", "body": self._opening, "more_body": True})
            client.received(self._first)
            while not gone.done():
                await self._wake.wait()
                self._wake.clear()
                await self._send_what_waits(send)
                if self._ended:
                    return
        except OSError:
            pass  # with some servers this is how a client goes
        except asyncio.CancelledError:
            # A server that ends without having said so before.
            if not self._ended:
                self._dismiss(CLOSE_SHUTDOWN.code, CLOSE_SHUTDOWN.reason)
                with suppress(TimeoutError):
                    async with asyncio.timeout(CLOSE_TIMEOUT):
                        await self._send_what_waits(send)
            raise
        finally:
            self._ended = True
            client.leave()
            gone.cancel()
            if self._cutting is not None:
                self._cutting.cancel()
            if isinstance(protocol, HttpProtocol):
                protocol.release()

    def _dismiss(self, code: int, reason: str) -> None:
        if self._client is not None:
            self._client.close(Disconnect(code, reason))

    async def _send_what_waits(self, send: Send) -> None:
        while self._pieces:
            body = b"".join(self._pieces)
            self._pieces.clear()
            await send({"type": "http.response.body", "body": body, "more_body": True})
            self._waiting -= len(body)
        if self._ended:
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _disconnected(receive: Receive) -> None:
    with suppress(OSError):
        while (await receive())["type"] != "http.disconnect":
            pass
