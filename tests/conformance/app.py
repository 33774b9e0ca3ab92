"""What the test suites of the published SDKs expect of a server."""

from __future__ import annotations

import os
from typing import Annotated, Any

from fastapi import Body, FastAPI

from cluster import Call, Hub, Retention, Welcome

hub = Hub.from_env()

OPEN: dict[str, Any] = {
    "allow_subscribe": "users",
    "allow_publish": "subscribers",
    "allow_history": "subscribers",
}
# First comes what is more special: the pattern of the default channels fits every name without a colon.
hub.channel("smallhistory:{name}", history=Retention(2, 300), recovery="stream", **OPEN)
hub.channel("recovery:{name}", history=Retention(100, 300), recovery="stream", **OPEN)
hub.channel("newest:{name}", history=Retention(10, 300), recovery="cache", **OPEN)
hub.channel(
    "{name}",
    history=Retention(100, 300),
    recovery="stream",
    presence=True,
    join_leave=True,
    allow_presence="subscribers",
    **OPEN,
)


@hub.on_connect
async def personal_channel(call: Call) -> Welcome | None:
    """Every user has a channel of its own, to which it is subscribed without asking."""
    return Welcome(channels=[f"#{call.user}"]) if call.user else None


@hub.rpc("worker")
async def worker() -> int:
    """The process that has the client."""
    return os.getpid()


@hub.on_message
async def note_to_oneself(call: Call, note: Annotated[Any, Body()]) -> None:
    await hub.publish(f"#{call.user}", note)


app = FastAPI(lifespan=hub.lifespan)
app.include_router(hub.router)
