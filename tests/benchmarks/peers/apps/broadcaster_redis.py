# mypy: disable-error-code="import-not-found"
"""FastAPI with broadcaster over Redis, in the shape its README teaches: one receiver and one sender per socket."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from broadcaster import Broadcast
from fastapi import FastAPI, WebSocket

broadcast = Broadcast(os.environ["REDIS_URL"])


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    await broadcast.connect()
    yield
    await broadcast.disconnect()


app = FastAPI(lifespan=lifespan)


async def receive(websocket: WebSocket, channel: str) -> None:
    async for message in websocket.iter_text():
        await broadcast.publish(channel=channel, message=message)


async def send(websocket: WebSocket, channel: str) -> None:
    async with broadcast.subscribe(channel=channel) as subscriber:
        async for event in subscriber:
            await websocket.send_text(event.message)


@app.websocket("/ws")
async def endpoint(websocket: WebSocket, channel: str) -> None:
    await websocket.accept()
    async with anyio.create_task_group() as group:

        async def receive_until_closed() -> None:
            await receive(websocket, channel)
            group.cancel_scope.cancel()

        group.start_soon(receive_until_closed)
        await send(websocket, channel)
