"""A WebSocket as a client's way in and out."""

from __future__ import annotations

from starlette.types import Message
from starlette.websockets import WebSocket, WebSocketDisconnect

from ..client import Client
from ..errors import CloseCode
from ..service import Service
from ..session.codec import JSON, Codec
from ..session.commands import Disconnect
from ..session.protobuf import PROTOBUF
from ..sink import sink_for

SUBPROTOCOLS: dict[str, Codec] = {"centrifuge-json": JSON, "centrifuge-protobuf": PROTOBUF}


async def serve(websocket: WebSocket, service: Service) -> None:
    """Be the server of one client. Under the runner it returns at once, and the protocol object keeps the client."""
    query = websocket.query_params
    known = [offered for offered in websocket.scope.get("subprotocols", ()) if offered in SUBPROTOCOLS]
    codec = SUBPROTOCOLS[known[0]] if known else JSON
    if "protobuf" in (query.get("format"), query.get("cf_protocol")):
        codec = PROTOBUF
    try:
        await websocket.accept(known[0] if known else None)
    except WebSocketDisconnect:
        return
    native_pings = query.get("cf_ws_frame_ping_pong") == "true"
    sink = sink_for(websocket, service.limits.queue_bytes)
    if not native_pings:
        sink.stop_pings()
    framing = sink.framings[codec]
    client = Client(service, service.session(codec, pings=not native_pings), framing, sink, websocket.scope)

    def receive(message: Message) -> None:
        if message["type"] == "websocket.disconnect":
            client.leave()
            return
        text = message.get("text")
        frame = message["bytes"] if text is None else text.encode()
        if len(frame) > service.hub.max_bytes:  # not every server looks
            client.close(Disconnect(CloseCode.MESSAGE_TOO_BIG, f"more than {service.hub.max_bytes} bytes"))
        else:
            client.received(frame)

    if sink.hand_off(receive):
        return
    try:
        while (message := await sink.receive())["type"] != "websocket.disconnect":
            receive(message)
    finally:
        client.leave()
        await sink.finish()
