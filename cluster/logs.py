"""Log lines that say which process and which request or connection they come from."""

from __future__ import annotations

import logging
import os
import secrets
import sys
from contextvars import ContextVar
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

request_id: ContextVar[str] = ContextVar("request_id", default="-")
"""Id of the HTTP request or WebSocket being served; `-` outside of one."""

FORMAT = "{asctime}.{msecs:03.0f} {levelname:<7} {name} {message}"
MAX_REQUEST_ID = 64
INVALID_TEXT = "Invalid UTF-8 sequence received from client."
"""How uvicorn says it, with a traceback."""
ASKED_OFTEN = ("/healthz", "/readyz", "/api/cluster")


class LineFormatter(logging.Formatter):
    """Puts `program[pid] request-id` in front of every line, also of those of a traceback."""

    def __init__(self, program: str) -> None:
        super().__init__(FORMAT, datefmt="%H:%M:%S", style="{")
        self._program = program

    def format(self, record: logging.LogRecord) -> str:
        prefix = f"{self._program}[{os.getpid()}] {request_id.get()} "
        return "\n".join(prefix + line for line in super().format(record).splitlines())


def configure(program: str, level: str) -> None:
    """Write the log of this process to stdout, from `level` on."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(LineFormatter(program))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).setLevel(level.upper())
    logging.getLogger("uvicorn.access").addFilter(_is_news)
    logging.getLogger("uvicorn.error").addFilter(_without_traceback)

    # One line per WebSocket frame or per scheduled callback is more than anyone debugging an application wants.
    for name in ("websockets", "asyncio"):
        logging.getLogger(name).setLevel(max(logging.INFO, logging.getLogger().level))


def _is_news(record: logging.LogRecord) -> bool:
    """Not what every check and every open page asks for once a second."""
    args = record.args if isinstance(record.args, tuple) else ()
    return not (len(args) == 5 and args[1] == "GET" and args[2] in ASKED_OFTEN and args[4] == 200)


def _without_traceback(record: logging.LogRecord) -> bool:
    """Text of a client that is no UTF-8 is a line: it is the client's mistake, and any client can repeat it."""
    if record.msg != INVALID_TEXT:
        return True
    record.exc_info = None
    record.levelno, record.levelname = logging.INFO, "INFO"
    return logging.getLogger(record.name).isEnabledFor(record.levelno)


class RequestIds:
    """ASGI middleware: an id for each request and WebSocket, in every log line and in the answer.

    A client's own `X-Request-ID` is kept when it is short and printable.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        id = given if 0 < len(given) <= MAX_REQUEST_ID and given.isascii() and given.isprintable() else None
        id = id or secrets.token_hex(4)
        token = request_id.set(id)

        async def send_with_id(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.accept"):
                headers: list[Any] = list(message.get("headers", ()))
                message = {**message, "headers": [*headers, (b"x-request-id", id.encode())]}
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            request_id.reset(token)
