"""An application whose clients choose the channel they receive, and publish whatever they like on any."""

from __future__ import annotations

import os
from typing import Any

from fastapi import FastAPI, WebSocket
from pydantic import BaseModel

from cluster import Hub

hub = Hub.from_env()
app = FastAPI(lifespan=hub.lifespan)
app.include_router(hub.router)


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
