"""The HTTP API for the application's other programs: `POST /api/publish` and the rest of Centrifugo's server API."""

from __future__ import annotations

import asyncio
import fnmatch
import logging
import re
import secrets
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from fastapi import APIRouter, Security
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader
from msgspec import Raw
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from . import content, history, stream
from .access import ChannelOptions
from .api_models import (
    BoolValue,
    BroadcastRequest,
    BroadcastResult,
    ChannelRequest,
    ChannelsRequest,
    ChannelsResult,
    DisconnectRequest,
    Empty,
    HistoryRequest,
    HistoryResult,
    InfoResult,
    PresenceResult,
    PresenceStatsResult,
    PublishRequest,
    PublishResult,
    Reply,
    StreamPosition,
    SubscribeRequest,
    UnsubscribeRequest,
    UserRequest,
    What,
)
from .census import Census, Worker
from .channel import encode
from .declaring import DeclaringHub
from .errors import BusError, BusUnavailable, ChannelError, PayloadError, ReplyError
from .hub import check_name, check_public
from .peers import Cleared, DisconnectClients, Order, SubscribeClients, Target, UnsubscribeClients
from .service import Service
from .session import codes
from .session.codes import refused
from .session.commands import NOTHING, ClientInfo, Error
from .stream import Position

logger = logging.getLogger(__name__)

TOGETHER = 1000
"""Channels of a broadcast published at a time: fewer than BUS_QUEUE."""
MOST_PUBLICATIONS = 10_000
MOST_BYTES = 16 * 1024 * 1024
"""Of history in one answer."""


def api_router(hub: DeclaringHub, service: Callable[[], Service], census: Callable[[], Census]) -> APIRouter:
    """The API of `hub`, for who knows its API_KEY. `service` and `census` are asked for at each request."""
    router = APIRouter(
        prefix="/api",
        tags=["server API"],
        route_class=guarded_by(hub.settings.api_key or ""),
        # For the description alone: the key is looked at before anything else is.
        dependencies=[Security(APIKeyHeader(name="X-API-Key", auto_error=False))],
        responses={"4XX": {"description": "401: a wrong key, or none."}},
    )
    publisher = _Publisher(hub)

    def options(channel: str) -> ChannelOptions:
        return service().options(channel)

    async def carry_out(order: Order) -> Response:
        await service().node.say(order)
        return _result({})

    async def present(channel: str) -> dict[str, ClientInfo]:
        if not options(channel).presence:
            raise refused(codes.NOT_AVAILABLE)
        return await service().exchange.read(channel)

    @router.post("/publish", response_model=Reply[PublishResult])
    async def publish(request: PublishRequest) -> Response:
        """Publish to one channel."""
        return _result(_place(await publisher.publish(request.channel, request)))

    @router.post("/broadcast", response_model=Reply[BroadcastResult])
    async def broadcast(request: BroadcastRequest) -> Response:
        """Publish the same to several channels; each has an answer of its own."""
        return _result({"responses": await publisher.broadcast(request)})

    @router.post("/presence", response_model=Reply[PresenceResult])
    async def presence(request: ChannelRequest) -> Response:
        """Who is in a channel."""
        found = await present(request.channel)
        return _result({"presence": {client: _readable(info) for client, info in found.items()}})

    @router.post("/presence_stats", response_model=Reply[PresenceStatsResult])
    async def presence_stats(request: ChannelRequest) -> Response:
        """How many clients and different users are in a channel."""
        found = await present(request.channel)
        return _result({"num_clients": len(found), "num_users": len({info.user for info in found.values()})})

    @router.post("/history", response_model=Reply[HistoryResult])
    async def read_history(request: HistoryRequest) -> Response:
        """What was published, and the newest position."""
        if options(request.channel).history is None:
            raise refused(codes.NOT_AVAILABLE)
        since = _position(request.since)
        if request.reverse and since is not None and not since.offset:
            raise ReplyError(codes.BAD_REQUEST.code, "nothing lies before offset 0")
        page = await history.read(
            hub.bus,
            request.channel,
            since=since,
            limit=min(request.limit, MOST_PUBLICATIONS) if request.limit >= 0 else MOST_PUBLICATIONS,
            reverse=request.reverse,
            max_bytes=MOST_BYTES,
        )
        return _result({"publications": list(map(_published, page.publications))} | _place(page.top))

    @router.post("/history_remove", response_model=Reply[Empty])
    async def remove_history(request: ChannelRequest) -> Response:
        """Let go of what was published; positions go on."""
        if options(request.channel).history is None:
            raise refused(codes.NOT_AVAILABLE)
        try:
            await hub.bus.clear(request.channel)
        except BusUnavailable:
            raise
        except BusError as error:
            raise ReplyError(codes.NOT_AVAILABLE.code, str(error)) from None
        await service().node.say(Cleared(request.channel))
        return _result({})

    @router.post("/subscribe", response_model=Reply[Empty])
    async def subscribe(request: SubscribeRequest) -> Response:
        """Subscribe a user's clients."""
        options(request.channel)
        order = SubscribeClients(
            _target(request),
            request.channel,
            expire_at=request.expire_at or None,
            info=_given(request.info, request.b64info),
            data=_given(request.data, request.b64data),
            since=_position(request.recover_since),
            presence=_flag(request.override.presence),
            join_leave=_flag(request.override.force_push_join_leave or request.override.join_leave),
            recoverable=_flag(request.override.force_recovery),
            positioned=_flag(request.override.force_positioning),
        )
        return await carry_out(order)

    @router.post("/unsubscribe", response_model=Reply[Empty])
    async def unsubscribe(request: UnsubscribeRequest) -> Response:
        """End subscriptions of a user's clients."""
        if request.channel:
            options(request.channel)
        return await carry_out(UnsubscribeClients(_target(request), request.channel))

    @router.post("/disconnect", response_model=Reply[Empty])
    async def disconnect(request: DisconnectRequest) -> Response:
        """Close connections of a user."""
        code = request.disconnect.code or codes.CLOSE_FORCED.code
        reason = request.disconnect.reason or codes.CLOSE_FORCED.reason
        return await carry_out(DisconnectClients(_target(request), code, reason, request.whitelist))

    @router.post("/channels", response_model=Reply[ChannelsResult])
    async def channels(request: ChannelsRequest) -> Response:
        """The channels that have subscribers, and how many."""
        matches = re.compile(fnmatch.translate(request.pattern or "*")).match
        counted = await census().channels()
        found = {channel: {"num_clients": count} for channel, count in counted.items() if matches(channel)}
        return _result({"channels": found})

    @router.post("/info", response_model=Reply[InfoResult])
    async def info() -> Response:
        """The workers of the cluster."""
        return _result({"nodes": [_node(node, worker) for node, worker in (await census().workers()).items()]})

    return router


def guarded_by(key: str) -> type[APIRoute]:
    """A route that answers who sends `key`, and answers trouble with 200 and an error, as the API's clients expect."""

    class GuardedRoute(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
            handle = super().get_route_handler()

            async def answer(request: Request) -> Response:
                if not _holds(request, key):
                    return _failure(codes.UNAUTHORIZED, status=401)
                try:
                    return await handle(_as_json(request))
                except Exception as error:
                    return _failure(_told(error))

            return answer

    return GuardedRoute


class _Publisher:
    """Publishes what comes with the API's requests."""

    def __init__(self, hub: DeclaringHub) -> None:
        self._hub = hub

    async def publish(self, channel: str, what: What) -> Position:
        """Raises what `_told` understands."""
        check_name(channel)
        check_public(channel)
        if what.skip_history:
            raise ReplyError(codes.NOT_AVAILABLE.code, "skip_history: a channel's history has no gaps")
        payload = self._payload(channel, what)
        data = content.pack(content.Content(payload, tags=what.tags, binary=not content.is_json(payload)))
        if len(data) > self._hub.max_bytes:
            raise refused(codes.LIMIT_EXCEEDED)
        return await self._hub.publish_bytes(channel, data, id=what.idempotency_key or None)

    async def broadcast(self, request: BroadcastRequest) -> list[dict[str, Any]]:
        """The answer for each channel, in their order."""

        async def one(channel: str) -> dict[str, Any]:
            try:
                return {"result": _place(await self.publish(channel, request))}
            except Exception as error:
                return {"error": _told(error)}

        answers = []
        for start in range(0, len(request.channels), TOGETHER):
            answers += await asyncio.gather(*map(one, request.channels[start : start + TOGETHER]))
        return answers

    def _payload(self, channel: str, what: What) -> bytes:
        declared = self._hub.declaration(channel)
        if what.b64data:
            payload = b64decode(what.b64data)
            if declared is not None and declared.publishes is not None:
                declared.decode(payload)
            return payload
        if "data" not in what.model_fields_set:
            raise PayloadError("there is neither data nor b64data")
        payload = encode(what.data) if declared is None else declared.encode(what.data)
        if not content.is_json(payload):
            raise PayloadError("data: the JSON is nested too deep")
        return payload


def _holds(request: Request, key: str) -> bool:
    """Whether the request has the key: `X-API-Key: KEY` or `Authorization: apikey KEY`."""
    given = request.headers.get("x-api-key") or request.headers.get("authorization", "").removeprefix("apikey ")
    return secrets.compare_digest(given.encode(), key.encode())


def _as_json(request: Request) -> Request:
    """The same request, whatever type it gives its body: `curl --data` says that it is a form."""
    headers = [(name, value) for name, value in request.scope["headers"] if name != b"content-type"]
    return Request({**request.scope, "headers": [*headers, (b"content-type", b"application/json")]}, request.receive)


def _told(error: Exception) -> Error:
    """What the caller is told."""
    match error:
        case ReplyError():
            return Error(error.code, error.message)
        case ChannelError() | PayloadError():
            return Error(codes.BAD_REQUEST.code, str(error))
        case RequestValidationError():
            problem = error.errors()[0]
            field = ".".join(map(str, problem["loc"][1:]))
            return Error(codes.BAD_REQUEST.code, f"{field}: {problem['msg']}")
        case HTTPException():
            return Error(codes.BAD_REQUEST.code, str(error.detail))
        case BusError():
            logger.warning("a request to the API failed: %s", error)
        case _:
            logger.error("a request to the API failed", exc_info=error)
    return Error(codes.INTERNAL.code, codes.INTERNAL.message)


def _result(result: dict[str, Any]) -> Response:
    # Payloads are passed on as they are: msgspec.Raw.
    return Response(msgspec.json.encode({"result": result}), media_type="application/json")


def _failure(error: Error, status: int = 200) -> Response:
    return Response(msgspec.json.encode({"error": error}), status, media_type="application/json")


def _place(position: Position) -> dict[str, Any]:
    return {"offset": position.offset, "epoch": position.epoch}


def _published(publication: stream.Publication) -> dict[str, Any]:
    """A publication as history shows it; a payload that is no JSON in base64."""
    held = content.unpack(publication.data or b"")
    shown: dict[str, Any] = {"offset": publication.offset}
    if held.binary:
        shown |= {"data": None, "b64data": b64encode(held.payload).decode()}
    else:
        shown["data"] = Raw(held.payload)
    if held.info:
        shown["info"] = Raw(held.info)
    if held.tags:
        shown["tags"] = held.tags
    return shown


def _readable(info: ClientInfo) -> ClientInfo:
    """Without what is said of the client in something other than JSON."""
    return ClientInfo(info.user, info.client, _json_only(info.conn_info), _json_only(info.chan_info))


def _json_only(raw: Raw) -> Raw:
    return raw if content.is_json(bytes(raw)) else NOTHING


def _target(request: UserRequest) -> Target:
    return Target(request.user, request.client, request.session)


def _position(given: StreamPosition | None) -> Position | None:
    return None if given is None else Position(given.epoch, given.offset)


def _flag(given: BoolValue | None) -> bool | None:
    return None if given is None else given.value


def _given(value: Any, base64: str) -> bytes:
    """Something to tell with a subscription; empty when there is nothing."""
    if base64:
        return b64decode(base64)
    return b"" if value is None else encode(value)


def _node(node: str, worker: Worker) -> dict[str, Any]:
    return {
        "uid": node,
        "name": worker.name,
        "version": worker.version,
        "num_clients": worker.clients,
        "num_users": worker.users,
        "num_subs": worker.subscriptions,
        "num_channels": worker.channels,
        "uptime": worker.uptime,
        "process": {"cpu": worker.cpu_percent, "rss": worker.rss_bytes},
    }
