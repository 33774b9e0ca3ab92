"""An application that says back what it is told."""

from __future__ import annotations

from fastapi import FastAPI, WebSocket

from cluster import Hub

hub = Hub.from_env()
app = FastAPI(lifespan=hub.lifespan)
app.include_router(hub.router)


@app.websocket("/echo")
async def echo(websocket: WebSocket) -> None:
    """Every text as a JSON string."""
    async with hub.attach(websocket) as connection:
        await connection.serve(lambda client, text: client.send(text))
