"""An application whose clients choose the channel they receive, and publish whatever they like on any."""

from __future__ import annotations

import os
from typing import Any

from fastapi import FastAPI, WebSocket
from pydantic import BaseModel

from cluster import Hub, Publication

hub = Hub.from_env()
counted = hub.channel("counted", publishes=int)
app = FastAPI(lifespan=hub.lifespan)
app.include_router(hub.router)


@counted.on_publication
async def confirm(count: int, publication: Publication) -> None:
    """Every worker says which counts it has seen."""
    await hub.publish("confirmed", {"pid": os.getpid(), "count": count})


class Relayed(BaseModel):
    """What a client asks to be published."""

    channel: str
    data: Any


@app.websocket("/relay")
async def relay(websocket: WebSocket) -> None:
    """Send what is published on `?channel=…`, and publish what the client asks for."""
    channels = websocket.query_params.getlist("channel")
    async with hub.attach(websocket, *channels, accepts=Relayed) as connection:
        connection.send({"pid": os.getpid()})
        async for message in connection:
            await hub.publish(message.channel, message.data)


@app.websocket("/farewell")
async def farewell(websocket: WebSocket) -> None:
    """Say `?count=…` things of `?size=…` characters, and end."""
    async with hub.attach(websocket, accepts=str) as connection:
        for _ in range(int(websocket.query_params["count"])):
            connection.send("x" * int(websocket.query_params["size"]))
