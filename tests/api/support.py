"""An application with the HTTP API, in this process."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from fastapi import FastAPI
from pydantic import BaseModel

from cluster import Hub, Retention
from cluster.service import Service

KEY = "key of the API"

_names = itertools.count(1)


class Order(BaseModel):
    id: int


class Caller:
    """Calls the API of one application."""

    def __init__(self, hub: Hub, client: httpx.AsyncClient) -> None:
        self.hub = hub
        self.http = client

    @property
    def service(self) -> Service:
        return self.hub._running_service()

    async def __call__(self, method: str, **body: Any) -> dict[str, Any]:
        """What the API answers: `{"result": …}` or `{"error": …}`."""
        response = await self.http.post(f"/api/{method}", content=json.dumps(body))
        assert response.status_code == 200
        answer: dict[str, Any] = response.json()
        assert answer.keys() in ({"result"}, {"error"})
        return answer

    async def result(self, method: str, **body: Any) -> dict[str, Any]:
        answer = await self(method, **body)
        assert "result" in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    async def error(self, method: str, **body: Any) -> tuple[int, str]:
        """Code and message."""
        answer = await self(method, **body)
        assert "error" in answer, answer
        return answer["error"]["code"], answer["error"]["message"]


@asynccontextmanager
async def application(**settings: Any) -> AsyncIterator[Caller]:
    """A running application on a bus of its own; its API has KEY unless `settings` say otherwise."""
    chosen = {"bus_url": f"memory://api-{next(_names)}", "api_key": KEY, "heartbeat_interval": 0.05} | settings
    hub = Hub.from_env(**chosen)
    hub.channel("orders", publishes=Order, history=Retention(100, 60), allow_history="anyone")
    hub.channel("room:{name}", presence=True, history=Retention(3, 60), recovery="stream")
    hub.channel("plain")
    app = FastAPI(lifespan=hub.lifespan)
    app.include_router(hub.router)
    transport = httpx.ASGITransport(app)
    headers = {"X-API-Key": KEY}
    async with (
        hub.lifespan(app),
        httpx.AsyncClient(transport=transport, base_url="http://api", headers=headers) as http,
    ):
        yield Caller(hub, http)
