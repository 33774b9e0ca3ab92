"""An application whose every channel has presence and history."""

from __future__ import annotations

from fastapi import FastAPI

from cluster import Hub, Retention

hub = Hub.from_env()
hub.channel("{name}", presence=True, history=Retention(10, 60), recovery="stream")
app = FastAPI(lifespan=hub.lifespan)
app.include_router(hub.router)
