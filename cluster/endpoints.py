"""Where clients of the client protocol connect: `/connection/websocket`, `/connection/sse`, `/connection/http_stream`,
and `/emulation` for what those of the latter two send."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from fastapi import APIRouter
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.websockets import WebSocket

from .errors import BusError
from .framing import EVENTS, STREAM
from .origins import Origins
from .service import Service
from .session.codec import JSON, Codec
from .session.protobuf import PROTOBUF
from .transports import websocket as websockets
from .transports.stream import Stream

Endpoint = Callable[[Request], Awaitable[Response]]

BODY_SECONDS = 10.0
"""A request has to be here by then."""


def client_router(service: Callable[[], Service], origins: Origins, max_bytes: int) -> APIRouter:
    """The routes of clients. `service` is asked for at each request; `max_bytes` is the most a request may hold."""
    router = APIRouter()

    def route(path: str, endpoint: Endpoint, *methods: str) -> None:
        async def guarded(request: Request) -> Response:
            cors = _cors(request, origins)
            if cors is None:
                return PlainTextResponse("pages of this origin may not connect", 403)
            response = Response(status_code=204) if request.method == "OPTIONS" else await endpoint(request)
            response.headers.update(cors)
            return response

        router.add_route(path, guarded, methods=[*methods, "OPTIONS"], include_in_schema=False)

    async def websocket(socket: WebSocket) -> None:
        if origins.admit(socket.headers.get("origin"), socket.headers.get("host", "")):
            await websockets.serve(socket, service())
        else:
            await socket.close()  # before it is accepted: the answer is 403

    async def sse(request: Request) -> Response:
        commands = request.query_params.get("cf_connect", "").encode()
        request.scope["query_string"] = b""  # there may be a token in it, and the server logs what was asked for
        first = commands if request.method == "GET" else await _body(request, max_bytes)
        if isinstance(first, Response):
            return first
        if not first:
            return PlainTextResponse("there is no connect command", 400)
        headers = {"content-type": "text/event-stream; charset=utf-8"}
        return Stream(service(), EVENTS, first, headers, opening=b"\r\n")

    async def http_stream(request: Request) -> Response:
        first = await _body(request, max_bytes)
        if isinstance(first, Response):
            return first
        codec = _codec(request)
        headers = {"content-type": "application/octet-stream" if codec.binary else "application/json; charset=utf-8"}
        return Stream(service(), STREAM[codec], first, headers)

    async def emulation(request: Request) -> Response:
        body = await _body(request, max_bytes)
        if isinstance(body, Response):
            return body
        try:
            sent = _codec(request).emulation(body)
        except ValueError:
            return PlainTextResponse("this is no emulation request", 400)
        try:
            known = await service().node.emulate(sent.node, sent.session, sent.data)
        except BusError:
            return PlainTextResponse("the bus is not reachable, try again later", 503)
        return Response(status_code=204) if known else PlainTextResponse("there is no such node", 404)

    router.add_websocket_route("/connection/websocket", websocket)
    route("/connection/sse", sse, "GET", "POST")
    route("/connection/http_stream", http_stream, "POST")
    route("/emulation", emulation, "POST")
    return router


def _codec(request: Request) -> Codec:
    return PROTOBUF if request.headers.get("content-type", "").startswith("application/octet-stream") else JSON


def _cors(request: Request, origins: Origins) -> dict[str, str] | None:
    """The headers that let a page of another host see the answer; None if it may not connect."""
    origin = request.headers.get("origin")
    if not origins.admit(origin, request.headers.get("host", "")):
        return None
    if origin is None:
        return {}
    headers = {"access-control-allow-origin": origin, "access-control-allow-credentials": "true", "vary": "Origin"}
    if request.method == "OPTIONS":
        headers["access-control-allow-methods"] = "GET, POST, OPTIONS"
        headers["access-control-allow-headers"] = request.headers.get("access-control-request-headers", "content-type")
        headers["access-control-max-age"] = "300"
    return headers


async def _body(request: Request, max_bytes: int) -> bytes | Response:
    """The body, or the answer to one that is too large, too slow or not all there."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > max_bytes:
                    return PlainTextResponse(f"more than {max_bytes} bytes", 413, headers={"connection": "close"})
    except TimeoutError:
        return PlainTextResponse("the request has not arrived in time", 408, headers={"connection": "close"})
    except ClientDisconnect:
        return Response(status_code=400)
    return bytes(body)
