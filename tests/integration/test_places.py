"""Publishing, and dispatching events, from every place of a FastAPI application; defaults are kept."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect

from cluster import Hub
from tests.apps.places import create_app
from tests.waiting import PATIENCE

from .serving import serving

ENDPOINTS = ["async", "sync", "background", "background-sync", "thread", "task"]


@pytest.fixture
async def host() -> AsyncIterator[str]:
    hub = Hub.from_env(bus_url=f"memory://{secrets.token_hex(4)}")
    async with serving(create_app(hub)) as host:
        yield host


async def receive(socket: ClientConnection) -> object:
    return json.loads(await asyncio.wait_for(socket.recv(), PATIENCE))


async def post(host: str, path: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
        return (await client.post(f"http://{host}{path}")).raise_for_status()


@pytest.mark.parametrize("place", ENDPOINTS)
@pytest.mark.parametrize(("verb", "channel"), [("publish", "published"), ("dispatch", "dispatched")])
async def test_from_an_endpoint(host: str, verb: str, channel: str, place: str) -> None:
    async with connect(f"ws://{host}/listen/{channel}", proxy=None) as socket:
        assert await receive(socket) == "attached"
        await post(host, f"/{verb}/{place}")
        assert await receive(socket) == {"place": place, "kept": "default"}


@pytest.mark.parametrize(("verb", "channel"), [("publish", "published"), ("dispatch", "dispatched")])
async def test_from_an_open_websocket(host: str, verb: str, channel: str) -> None:
    async with (
        connect(f"ws://{host}/listen/{channel}", proxy=None) as socket,
        connect(f"ws://{host}/{verb}/websocket", proxy=None) as open_all_the_time,
    ):
        assert await receive(socket) == "attached"
        for number in range(3):
            await open_all_the_time.send(f'"websocket {number}"')
            assert await receive(socket) == {"place": f"websocket {number}", "kept": "default"}


@pytest.mark.parametrize("channel", ["published", "dispatched"])
async def test_from_lifespan(host: str, channel: str) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
        assert (await client.get(f"http://{host}/history/{channel}")).json() == [
            {"place": "lifespan", "kept": "default"}
        ]


async def test_a_publication_from_an_endpoint_has_a_place(host: str) -> None:
    assert [(await post(host, f"/publish/{how}")).json() for how in ("async", "sync", "async")] == [2, 3, 4]


async def test_events_keep_the_order_they_were_dispatched_in(host: str) -> None:
    async with (
        connect(f"ws://{host}/listen/dispatched", proxy=None) as socket,
        connect(f"ws://{host}/dispatch/websocket", proxy=None) as pusher,
    ):
        assert await receive(socket) == "attached"
        for number in range(100):
            await pusher.send(f'"{number}"')
        received = [await receive(socket) for _ in range(100)]
    assert received == [{"place": str(number), "kept": "default"} for number in range(100)]
