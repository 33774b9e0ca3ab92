"""An application that publishes, and dispatches events, from every place application code can be in."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import BackgroundTasks, FastAPI, WebSocket
from pydantic import BaseModel

from cluster import Hub, HubDependency, dispatch


class Happened(BaseModel):
    """Something happened somewhere; the second field is never given, it must arrive nevertheless."""

    place: str
    kept: str = "default"


def create_app(hub: Hub) -> FastAPI:
    """What is published goes to the channel `published`, what is dispatched to `dispatched`."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with hub.lifespan(app):
            dispatch(Happened(place="lifespan"))
            await hub.publish("published", Happened(place="lifespan"))
            yield

    app = FastAPI(lifespan=lifespan)
    app.include_router(hub.router)
    hub.channel("published", publishes=Happened)
    hub.forward(Happened, to=hub.channel("dispatched", publishes=Happened))

    @app.websocket("/listen/{channel}")
    async def listen(websocket: WebSocket, channel: str, hub: HubDependency) -> None:
        async with hub.attach(websocket, channel, accepts=str) as connection:
            connection.send("attached")
            await connection.closed()

    @app.get("/history/{channel}")
    async def history(channel: str, hub: HubDependency) -> list[Any]:
        kept = await hub.bus.history(channel, None, 100)
        return [Happened.model_validate_json(publication.data or b"") for publication in kept.publications]

    @app.post("/publish/async")
    async def publish_async(hub: HubDependency) -> int:
        return (await hub.publish("published", Happened(place="async"))).offset

    @app.post("/publish/sync")
    def publish_sync(hub: HubDependency) -> int:
        return hub.publish_from_thread("published", Happened(place="sync")).offset

    @app.post("/publish/background")
    async def publish_background(background: BackgroundTasks) -> None:
        background.add_task(hub.publish, "published", Happened(place="background"))

    @app.post("/publish/background-sync")
    async def publish_background_sync(background: BackgroundTasks) -> None:
        background.add_task(hub.publish_from_thread, "published", Happened(place="background-sync"))

    @app.post("/publish/thread")
    async def publish_thread() -> None:
        message = Happened(place="thread")
        threading.Thread(target=hub.publish_from_thread, args=("published", message)).start()

    @app.post("/publish/task")
    async def publish_task() -> None:
        await asyncio.create_task(_publish(hub, "task"))

    @app.websocket("/publish/websocket")
    async def publish_websocket(websocket: WebSocket) -> None:
        async with hub.attach(websocket, accepts=str) as connection:
            async for place in connection:
                await hub.publish("published", Happened(place=place))

    @app.post("/dispatch/async")
    async def dispatch_async() -> None:
        dispatch(Happened(place="async"))

    @app.post("/dispatch/sync")
    def dispatch_sync() -> None:
        dispatch(Happened(place="sync"))

    @app.post("/dispatch/background")
    async def dispatch_background(background: BackgroundTasks) -> None:
        background.add_task(_dispatch, "background")

    @app.post("/dispatch/background-sync")
    async def dispatch_background_sync(background: BackgroundTasks) -> None:
        background.add_task(dispatch, Happened(place="background-sync"))

    @app.post("/dispatch/thread")
    async def dispatch_thread() -> None:
        threading.Thread(target=dispatch, args=(Happened(place="thread"),)).start()

    @app.post("/dispatch/task")
    async def dispatch_task() -> None:
        await asyncio.create_task(_dispatch("task"))

    @app.websocket("/dispatch/websocket")
    async def dispatch_websocket(websocket: WebSocket) -> None:
        async with hub.attach(websocket, accepts=str) as connection:
            async for place in connection:
                dispatch(Happened(place=place))

    return app


async def _publish(hub: Hub, place: str) -> None:
    await hub.publish("published", Happened(place=place))


async def _dispatch(place: str) -> None:
    dispatch(Happened(place=place))
