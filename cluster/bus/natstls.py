"""TLS to a NATS server, whatever the server, or who pretends to be it, says before there is any."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any
from urllib.parse import ParseResult

from nats.aio.transport import TcpTransport

REQUIRED: dict[str, Any] = {"tls_handshake_first": True}
"""Options of a connection on which nothing is sent before the server's certificate was found good."""
GREETING = 1.0
"""Seconds until a server that does not introduce itself is taken for one that does so after the handshake."""


class TlsTransport(TcpTransport):
    """For a connection with REQUIRED options: reaches servers that introduce themselves before TLS, too.

    By itself the library asks for TLS only if the introduction does, and anybody on the way can change that. Told to
    begin with TLS, it sends nothing else first, but does not expect an introduction: it gets that afterwards.
    """

    _greeting = b""

    async def connect(self, uri: ParseResult, buffer_size: int, connect_timeout: int) -> None:
        await super().connect(uri, buffer_size, connect_timeout)
        with suppress(TimeoutError):
            async with asyncio.timeout(GREETING):
                self._greeting = await super().readline()  # type: ignore[no-untyped-call]

    async def readline(self) -> bytes:
        line, self._greeting = self._greeting, b""
        return line or await super().readline()  # type: ignore[no-untyped-call]

    def __bool__(self) -> bool:
        # The library replaces a transport that is false, as its own are before they connect.
        return True
