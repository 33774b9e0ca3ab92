"""Over a bus that cannot say what was missed, clients get no positions and are told so."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import FastAPI, WebSocket
from websockets.asyncio.client import ClientConnection, connect

from cluster import Hub, Welcome
from cluster.bus.memory import MemoryBus
from tests.waiting import PATIENCE

from .serving import serving


@pytest.fixture
async def served(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Hub, str]]:
    monkeypatch.setattr(MemoryBus, "capabilities", MemoryBus.capabilities._replace(recoverable=False))
    hub = Hub.from_env(bus_url=f"memory://{secrets.token_hex(4)}")
    hub.channel("news", recovery="stream", allow_subscribe="anyone", allow_history="anyone")
    app = FastAPI(lifespan=hub.lifespan)
    app.include_router(hub.router)

    @hub.on_connect
    async def welcome() -> Welcome:
        return Welcome()

    @app.websocket("/follow")
    async def follow(websocket: WebSocket) -> None:
        async with hub.attach(websocket, "news", positions=True) as connection:
            await connection.serve()

    async with serving(app) as host:
        yield hub, host


async def receive(socket: ClientConnection) -> Any:
    async with asyncio.timeout(PATIENCE):
        return json.loads(await socket.recv())


async def test_a_plain_client_is_sent_publications_without_their_places(served: tuple[Hub, str]) -> None:
    hub, host = served
    async with connect(f"ws://{host}/follow", proxy=None) as socket:
        assert await receive(socket) == {"channel": "news"}
        await hub.publish("news", "hello")
        assert await receive(socket) == {"channel": "news", "data": "hello"}


async def test_a_client_of_the_protocol_gets_neither_offsets_nor_history(served: tuple[Hub, str]) -> None:
    hub, host = served
    async with connect(f"ws://{host}/connection/websocket", proxy=None) as socket:
        await socket.send('{"id": 1, "connect": {}}')
        assert "connect" in await receive(socket)
        await socket.send('{"id": 2, "subscribe": {"channel": "news", "recoverable": true}}')
        assert await receive(socket) == {"id": 2, "subscribe": {}}
        await hub.publish("news", "hello")
        assert await receive(socket) == {"push": {"channel": "news", "pub": {"data": "hello"}}}
        await socket.send('{"id": 3, "history": {"channel": "news", "limit": 10}}')
        assert (await receive(socket))["error"]["code"] == 108
