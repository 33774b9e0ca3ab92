"""The application under the benchmarks: what a user would write on the public library, and no more."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from fastapi import FastAPI, WebSocket

from cluster import Connection, Hub

hub = Hub.from_env()
app = FastAPI(lifespan=hub.lifespan)
app.include_router(hub.router)


@app.websocket("/ws")
async def ws(websocket: WebSocket, channel: str) -> None:
    """A client of `channel`; what it sends is published there."""
    attached: AbstractAsyncContextManager[Connection[str]] = hub.attach(websocket, channel)
    async with attached as connection:
        await connection.serve(lambda _, text: publish(channel, text))


@app.websocket("/pub")
async def pub(websocket: WebSocket, channel: str) -> None:
    """Publishes on `channel` what the client sends, and sends it nothing."""
    attached: AbstractAsyncContextManager[Connection[str]] = hub.attach(websocket)
    async with attached as connection:
        await connection.serve(lambda _, text: publish(channel, text))


def publish(channel: str, text: str) -> None:
    """Publish without waiting for its place: the next message may be on its way already."""

    async def published() -> None:
        await hub.publish_bytes(channel, text.encode())

    hub.spawn(published(), "publish")
