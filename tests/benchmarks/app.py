"""The application under the benchmarks: what a user would write on the public library, and no more."""

from __future__ import annotations

from fastapi import FastAPI, WebSocket

from cluster import Hub, Welcome

hub = Hub.from_env()
hub.channel("c{number}", recovery="stream", allow_subscribe="anyone", allow_publish="anyone")


@hub.on_connect
def welcome() -> Welcome:
    """Clients of the client protocol need no token here."""
    return Welcome()


app = FastAPI(lifespan=hub.lifespan)
app.include_router(hub.router)


@app.websocket("/ws")
async def ws(websocket: WebSocket, channel: str) -> None:
    """A client of `channel`; what it sends is published there."""
    async with hub.attach(websocket, channel) as connection:
        await connection.serve(lambda _, text: publish(channel, text))


@app.websocket("/pub")
async def pub(websocket: WebSocket, channel: str) -> None:
    """Publishes on `channel` what the client sends, and sends it nothing."""
    async with hub.attach(websocket) as connection:
        await connection.serve(lambda _, text: publish(channel, text))


def publish(channel: str, text: str) -> None:
    """Publish without waiting for its place: the next message may be on its way already."""

    async def published() -> None:
        await hub.publish_bytes(channel, text.encode())

    hub.spawn(published(), "publish")
