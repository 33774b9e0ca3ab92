# mypy: disable-error-code="import-not-found,misc,untyped-decorator"
"""python-socketio as an ASGI application, its processes joined by AsyncRedisManager; channels are rooms."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import parse_qs

import socketio

server = socketio.AsyncServer(
    async_mode="asgi", client_manager=socketio.AsyncRedisManager(os.environ["REDIS_URL"]), transports=["websocket"]
)
app = socketio.ASGIApp(server)


@server.event
async def connect(sid: str, environ: dict[str, Any], auth: Any) -> None:
    room = parse_qs(environ["QUERY_STRING"])["channel"][0]
    await server.save_session(sid, {"room": room})
    await server.enter_room(sid, room)


@server.on("pub")
async def publish(sid: str, data: Any) -> None:
    session = await server.get_session(sid)
    await server.emit("msg", data, room=session["room"])
