"""The hub as FastAPI code uses it: a lifespan, a router, a dependency, typed channels, attached WebSockets."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import cached_property
from typing import Annotated, Any, Self, TypeVar, overload

from fastapi import APIRouter, Depends
from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket, WebSocketState

from . import service
from .api import api_router
from .census import Census
from .clientele import Clientele
from .connection import Connection
from .declaring import DeclaringHub
from .endpoints import client_router
from .errors import BusUnavailable, ChannelError, CloseCode, ClusterError
from .exchange import Exchange
from .heartbeat import Heartbeat
from .intake import ClientLimits
from .listener import Listener
from .node import Node
from .origins import Origins
from .session.checks import SessionLimits
from .settings import Settings, load
from .status import status_router
from .stream import Position

logger = logging.getLogger(__name__)

A = TypeVar("A")


class Hub(DeclaringHub):
    """One per application. `Hub.from_env()` reads the settings from the environment.

    hub = Hub.from_env()
    app = FastAPI(lifespan=hub.lifespan)
    app.include_router(hub.router)
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.connections: set[Connection[Any]] = set()
        self.clients = Clientele(self._running_service)
        self.draining = False
        self.heartbeat = Heartbeat(self, settings.heartbeat_interval, self._state)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._service: service.Service | None = None
        self._limits = ClientLimits(
            max_message_bytes=settings.max_message_bytes,
            max_channels=settings.max_channels_per_client,
            max_invalid_messages=settings.max_invalid_messages,
            messages_per_second=settings.messages_per_second,
            queue_bytes=settings.client_queue_bytes,
        )

    @classmethod
    def from_env(cls, **overrides: Any) -> Self:
        """A hub with the settings of the environment; `overrides` are settings by name. Raises `ConfigurationError`."""
        return cls(load(**overrides))

    @property
    def ready(self) -> bool:
        """Whether this worker should be sent clients: it reaches the bus and is not stopping."""
        return self._loop is not None and not self.draining and self.bus.reachable

    @asynccontextmanager
    async def lifespan(self, app: Any) -> AsyncIterator[None]:
        """Runs the hub while the application runs. Within a lifespan of your own:

        async with hub.lifespan(app):
            yield
        """
        app.state.hub = self
        self._loop = asyncio.get_running_loop()
        self.draining = False
        await self.start()
        self.events.enter()
        self._application.bind(app)
        node = Node(self, self.settings.heartbeat_interval, self.heartbeat.report)
        node.observers.append(self.heartbeat)
        exchange = Exchange(node)
        self._service = service.Service(self, node, exchange, self._application, client_limits(self.settings))
        self._census = Census(node, self.connections)
        self.spawn(node.run(), "node")
        self.spawn(exchange.run(), "exchange")
        for channel in self.declared:
            for handler in channel.handlers:
                listener = Listener(channel, handler)
                self.spawn(listener.run(), f"listener of {channel.pattern}")
                self.spawn(self.keep_subscribed(channel.pattern, listener), f"subscription of {channel.pattern}")
        try:
            yield
        finally:
            self.draining = True
            self.events.leave()
            # The forwarder may be ending as well: what it does not answer soon it will not answer.
            with suppress(TimeoutError):
                async with asyncio.timeout(self.settings.shutdown_grace / 4):
                    await self.flush()
                    await node.leave()
            await self.stop()
            self._loop = self._service = None

    @cached_property
    def router(self) -> APIRouter:
        """`/healthz`, `/readyz`, `/api/cluster`, what `cluster verify` needs, and where SDKs' clients connect."""
        router = APIRouter()
        router.include_router(status_router(self))
        # With DIRECT, pages that nginx serves call the workers' own ports.
        origins = Origins(self.settings.allowed_origins, self.settings.port if self.settings.direct else None)
        router.include_router(client_router(self._running_service, origins, self.settings.max_message_bytes))
        if self.settings.api_key:
            router.include_router(api_router(self, self._running_service, lambda: self._census))
        return router

    def publish_from_thread(self, channel: str, message: Any, *, id: str | None = None) -> Position:
        """`publish`, for code in a thread, such as a `def` endpoint. Blocks until the bus has accepted it."""
        if self._loop is None:
            raise ClusterError("the hub does not run: the application needs `lifespan=hub.lifespan`")
        return asyncio.run_coroutine_threadsafe(self.publish(channel, message, id=id), self._loop).result()

    @overload
    def attach(
        self, websocket: WebSocket, *channels: str, positions: bool = ..., since: Position | None = ...
    ) -> AbstractAsyncContextManager[Connection[str]]: ...

    @overload
    def attach(
        self,
        websocket: WebSocket,
        *channels: str,
        accepts: type[A],
        positions: bool = ...,
        since: Position | None = ...,
    ) -> AbstractAsyncContextManager[Connection[A]]: ...

    @asynccontextmanager
    async def attach(
        self,
        websocket: WebSocket,
        *channels: str,
        accepts: type[Any] | None = None,
        positions: bool = False,
        since: Position | None = None,
    ) -> AsyncIterator[Connection[Any]]:
        """Accept `websocket` if need be and send it what is published on `channels`, for the length of the block.

        `accepts`: type of the messages the client may send, yielded by `async for message in connection`; None
        yields text. `positions`: send each publication as an `Envelope` with its place. `since`: the place a
        client that comes back was at, in the one channel it names. When the block ends the socket is closed.
        """
        if websocket.application_state is WebSocketState.CONNECTING:
            await websocket.accept()
        connection = Connection[Any](
            self, websocket, self._limits, self.connections.discard, accepts=accepts, positions=positions
        )
        self.connections.add(connection)
        try:
            try:
                for channel in channels:
                    await connection.subscribe(channel, since)
            except BusUnavailable as error:
                _send_away(connection, error)
            yield connection
        except BusUnavailable as error:
            _send_away(connection, error)
        except Exception:
            connection.close(CloseCode.INTERNAL_ERROR, "internal error")
            raise
        finally:
            # What was handed off stays until the client goes.
            if not connection.handed_off:
                await connection.finish()

    def _running_service(self) -> service.Service:
        if self._service is None:
            raise ClusterError("the hub does not run: the application needs `lifespan=hub.lifespan`")
        return self._service

    def _state(self) -> tuple[bool, int]:
        """What the heartbeat tells: whether this worker is ready, and its connections."""
        clients = 0 if self._service is None else len(self._service.node.clients)
        return self.ready, len(self.connections) + clients


def client_limits(settings: Settings) -> service.ServiceLimits:
    """What a client of the client protocol may cost."""
    burst = settings.messages_per_second * 10
    session = SessionLimits(
        max_channels=settings.max_channels_per_client,
        max_pending=int(burst),  # what may be sent at once may wait
        rate=settings.messages_per_second,
        burst=burst,
        stale=settings.connect_timeout,
        ping=settings.ping_interval,
        # An answer must be due before the next ping.
        pong=min(settings.ping_timeout, settings.ping_interval / 2),
    )
    return service.ServiceLimits(session, settings.client_queue_bytes, settings.recovery_max_publications)


def _send_away(connection: Connection[Any], error: BusUnavailable) -> None:
    logger.warning("a client is sent away: %s", error)
    connection.close(CloseCode.TRY_AGAIN_LATER, "the bus is not reachable, try again later")


def position_asked(websocket: WebSocket) -> Position | None:
    """The position a client that comes back names in its URL, `?epoch=…&offset=…`; None without one.

    Raises `ChannelError` when only one of the two is there, or the offset is not a number.
    """
    epoch, offset = websocket.query_params.get("epoch"), websocket.query_params.get("offset")
    if epoch is None and offset is None:
        return None
    if epoch is None or offset is None or not (offset.isascii() and offset.isdecimal() and len(offset) <= 18):
        raise ChannelError("to come back, give both epoch and offset, and the offset as a number")
    return Position(epoch, int(offset))


def get_hub(connection: HTTPConnection) -> Hub:
    """The hub of the application that serves this request or WebSocket."""
    return connection.app.state.hub  # type: ignore[no-any-return]


HubDependency = Annotated[Hub, Depends(get_hub)]
"""Parameter type that injects the application's hub into an endpoint."""
