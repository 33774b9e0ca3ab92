"""The demo application: one message reaches every plain WebSocket client of every worker.

It is open to everyone who can reach it. That is what a demonstration is for; an application of your own decides.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, WebSocket

from .events import dispatch
from .integration import Hub
from .logs import RequestIds
from .messages import ClientMessage, ConnectedTo, NotifiedBy, ServerMessage

HOST = socket.gethostname()

hub = Hub.from_env()
notifications = hub.channel("notifications", publishes=ServerMessage)
hub.forward(NotifiedBy, to=notifications)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with hub.lifespan(app):
        yield


app = FastAPI(title=hub.settings.api_name, lifespan=lifespan)
app.add_middleware(RequestIds)
app.include_router(hub.router)


@app.get("/")
async def root() -> dict[str, str]:
    return {"api_name": hub.settings.api_name}


@app.websocket("/ws")
async def ws(websocket: WebSocket) -> None:
    """Tell the client its worker; notify everyone when it asks for it."""
    async with hub.attach(websocket, notifications.name(), accepts=ClientMessage) as connection:
        connection.send(ConnectedTo(host=HOST, pid=os.getpid(), report_time=_milliseconds()))
        async for _ in connection:
            dispatch(NotifiedBy(host=HOST, pid=os.getpid(), report_time=_milliseconds()))


def _milliseconds() -> int:
    return time.time_ns() // 1_000_000
