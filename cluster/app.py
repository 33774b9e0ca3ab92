"""The demo application: one message reaches every client of every worker, over plain WebSockets and over the SDKs.

It is open to everyone who can reach it. That is what a demonstration is for; an application of your own decides.
"""

from __future__ import annotations

import os
import socket
import time

from fastapi import FastAPI, HTTPException, WebSocket
from pydantic import BaseModel

from .access import Recovery
from .calls import Welcome
from .errors import ChannelError, CloseCode
from .events import dispatch
from .integration import Hub, position_asked
from .load import Load
from .logs import RequestIds
from .messages import ClientMessage, ConnectedTo, NotifiedBy, PushRequest, ServerMessage

HOST = socket.gethostname()

hub = Hub.from_env()
# With HISTORY_SIZE=0 there is nothing to recover from.
RECOVERY: Recovery = "stream" if hub.settings.history_size else "off"
notifications = hub.channel("notifications", publishes=ServerMessage, recovery=RECOVERY, allow_subscribe="anyone")
chat = hub.channel(
    "chat:{room}",
    publishes=ServerMessage,
    recovery=RECOVERY,
    presence=True,
    join_leave=True,
    allow_subscribe="anyone",
    allow_history="anyone" if hub.settings.history_size else "nobody",
    allow_presence="anyone",
)
load = Load(hub)


class PushInitiated(BaseModel):
    """The event: a client asked that everyone on its channel be notified."""

    channel: str
    push: NotifiedBy


hub.forward(PushInitiated, to=lambda event: event.channel, message=lambda event: event.push)

app = FastAPI(title=hub.settings.api_name, lifespan=hub.lifespan)
app.add_middleware(RequestIds)
app.include_router(hub.router)
app.include_router(load.router)


@app.get("/")
async def root() -> dict[str, str]:
    return {"api_name": hub.settings.api_name}


@app.websocket("/ws")
async def ws(websocket: WebSocket) -> None:
    """Tell the client its worker; when it asks for it, notify everyone.

    `?channel=chat:ROOM` joins a room instead and sends every push with its place; with `&epoch=…&offset=…` of the
    last one it received, a client that comes back gets what it missed.
    """
    channel = websocket.query_params.get("channel")
    try:
        since = position_asked(websocket)
        if channel is not None and not (chat.matches(channel) or notifications.matches(channel)):
            raise ChannelError("unknown channel: notifications or chat:ROOM")
    except ChannelError as error:
        await websocket.accept()
        await websocket.close(CloseCode.POLICY_VIOLATION, str(error))
        return
    async with hub.attach(websocket, accepts=ClientMessage, positions=channel is not None) as connection:
        joined = channel or notifications.name()
        if channel is None:  # without positions the greeting is all that tells a client it is subscribed
            await connection.subscribe(joined)
        connection.send(_greeting())
        if channel is not None:
            await connection.subscribe(joined, since)
        await connection.serve(lambda connection, message: notify(joined))


@hub.on_connect
async def welcome() -> Welcome:
    """Let every client of an SDK in, and tell it its worker."""
    return Welcome(data=_greeting())


@hub.rpc("push")
async def push(request: PushRequest) -> None:
    """Notify everyone on a channel."""
    if not (chat.matches(request.channel) or notifications.matches(request.channel)):
        raise HTTPException(404, "unknown channel: notifications or chat:ROOM")
    notify(request.channel)


def notify(channel: str) -> None:
    """Say that a client of this worker initiated a push."""
    push = NotifiedBy(host=HOST, pid=os.getpid(), report_time=_milliseconds())
    dispatch(PushInitiated(channel=channel, push=push))


def _greeting() -> ConnectedTo:
    return ConnectedTo(host=HOST, pid=os.getpid(), report_time=_milliseconds())


def _milliseconds() -> int:
    return time.time_ns() // 1_000_000
