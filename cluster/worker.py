"""A worker: one uvicorn process, and how it stops."""

from __future__ import annotations

import asyncio
import logging
import socket
from pathlib import Path
from typing import TypeGuard

import uvicorn

from .errors import CloseCode
from .protocol import FanoutProtocol, HttpProtocol
from .settings import Settings

logger = logging.getLogger(__name__)

BATCHES = 10
"""Portions in which a stopping worker sends its clients away, so that they do not all come back at once."""


class Server(uvicorn.Server):
    """A uvicorn server that sends its clients away before it closes anything."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        await self._drain(self.config.timeout_graceful_shutdown or 0)
        await super().shutdown(sockets)

    async def _drain(self, seconds: float) -> None:
        """Close the clients with 3001 in portions over a quarter of `seconds`, then wait for them to go."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds / 2
        clients = [c for c in self.server_state.connections if _is_client(c)]
        portion = -(-len(clients) // BATCHES)
        for start in range(0, len(clients), portion or 1):
            for client in clients[start : start + portion]:
                client.close(CloseCode.SHUTDOWN, "shutdown: connect again")
            if start + portion < len(clients):
                await asyncio.sleep(seconds / 4 / BATCHES)
        while loop.time() < deadline and any(client in self.server_state.connections for client in clients):
            await asyncio.sleep(0.02)
        if clients:
            logger.info("sent %d clients away", len(clients))


def serve(settings: Settings, app: str, port: int, path: Path | None = None) -> None:
    """Serve `app` (`module:attribute`) until SIGTERM or SIGINT on `port`, and on the Unix socket `path` if given."""
    config = uvicorn.Config(
        app,
        host=settings.host if settings.direct else "127.0.0.1",
        port=port,
        ws=FanoutProtocol,
        http=HttpProtocol,
        ws_max_size=settings.max_message_bytes,
        ws_ping_interval=settings.ping_interval,
        ws_ping_timeout=settings.ping_timeout,
        # permessage-deflate more than doubles the CPU a delivery costs, for messages too short to gain by it.
        ws_per_message_deflate=settings.deflate,
        # Unless clients come directly, nginx is the only one there is; by a socket it has no address.
        forwarded_allow_ips="127.0.0.1" if settings.direct else "*",
        timeout_graceful_shutdown=max(1, round(settings.shutdown_grace)),
        log_config=None,
    )
    Server(config).run(None if path is None else [config.bind_socket(), _listen(path)])


def _is_client(connection: object) -> TypeGuard[FanoutProtocol | HttpProtocol]:
    return isinstance(connection, FanoutProtocol) or (isinstance(connection, HttpProtocol) and connection.endless)


def _listen(path: Path) -> socket.socket:
    """A Unix socket to accept connections from; what a worker that was killed left there is replaced."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    return listener
