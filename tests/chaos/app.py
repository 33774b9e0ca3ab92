"""The application under chaos: recoverable channels, and a socket that publishes and acknowledges."""

from __future__ import annotations

from fastapi import FastAPI, WebSocket
from pydantic import BaseModel

from cluster import ClusterError, Hub, Welcome
from cluster.integration import position_asked

hub = Hub.from_env()
hub.channel("chaos:{number}", recovery="stream", allow_subscribe="anyone")
app = FastAPI(lifespan=hub.lifespan)
app.include_router(hub.router)


class Publish(BaseModel):
    """What a publisher sends."""

    channel: str
    id: str
    sent: float
    padding: str = ""


@hub.on_connect
async def welcome() -> Welcome:
    return Welcome()


@app.websocket("/ws")
async def subscribe(websocket: WebSocket) -> None:
    channel = websocket.query_params["channel"]
    attached = hub.attach(websocket, channel, positions=True, since=position_asked(websocket))
    async with attached as connection:
        await connection.serve()


@app.websocket("/publish")
async def publish(websocket: WebSocket) -> None:
    async with hub.attach(websocket, accepts=Publish) as connection:
        async for message in connection:
            try:
                position = await hub.publish(message.channel, message, id=message.id)
            except ClusterError as error:
                connection.send({"id": message.id, "error": str(error)})
            else:
                connection.send({"id": message.id, "epoch": position.epoch, "offset": position.offset})
