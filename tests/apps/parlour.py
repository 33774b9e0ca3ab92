"""An application for clients of the client protocol: channels of every kind, and functions that answer."""

from __future__ import annotations

import asyncio
import os
from typing import Annotated, Any

from fastapi import Body, FastAPI
from pydantic import BaseModel

from cluster import Call, Hub, Retention, Welcome

hub = Hub.from_env()
app = FastAPI(lifespan=hub.lifespan)
app.include_router(hub.router)

OPEN: dict[str, Any] = {"allow_subscribe": "anyone", "allow_publish": "anyone"}
KEPT = Retention(200, 300)
hub.channel(
    "room:{name}",
    history=KEPT,
    recovery="stream",
    presence=True,
    join_leave=True,
    allow_history="anyone",
    allow_presence="anyone",
    **OPEN,
)
hub.channel("news:{name}", history=KEPT, recovery="stream", **OPEN)
hub.channel("cache:{name}", history=KEPT, recovery="cache", **OPEN)
hub.channel("plain:{name}", **OPEN)


class Hello(BaseModel):
    """What a client may say when it connects."""

    user: str | None = None
    channels: list[str] = []


@hub.on_connect
async def welcome(hello: Hello | None = None) -> Welcome:
    hello = hello or Hello()
    return Welcome(user=hello.user, channels=hello.channels)


@hub.rpc("echo")
async def echo(value: Annotated[Any, Body()]) -> Any:
    return value


@hub.rpc("whoami")
async def whoami(call: Call) -> dict[str, Any]:
    return {"user": call.user, "pid": os.getpid(), "agent": call.headers.get("user-agent", "")}


@hub.rpc("wait")
async def wait() -> None:
    """Never answers."""
    await asyncio.Event().wait()


@hub.rpc("fail")
async def fail() -> None:
    raise RuntimeError("as it was asked to")
