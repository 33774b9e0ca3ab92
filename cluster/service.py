"""What the clients of one worker share, and the requests of theirs that leave nothing behind."""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import time
import uuid
from typing import NamedTuple

from msgspec import Raw

from . import content, stream
from .access import ChannelOptions, Operation, refusal
from .audience import Format
from .backend import Backend, Caller
from .errors import BusError, ChannelError, Disconnection, ReplyError
from .exchange import Exchange
from .framing import Framing, formatting
from .history import read
from .hub import Hub, check_public
from .node import Node
from .session import codes
from .session.checks import SessionLimits
from .session.codec import Codec, encode_info
from .session.codes import closing, refused
from .session.commands import (
    NOTHING,
    Disconnect,
    Error,
    HistoryRequest,
    HistoryResult,
    PresenceRequest,
    PresenceResult,
    PresenceStatsRequest,
    PresenceStatsResult,
    Publication,
    PublishRequest,
    PublishResult,
    RefreshRequest,
    RpcRequest,
    RpcResult,
    SendRequest,
    SubRefreshRequest,
    UnsubscribeRequest,
    UnsubscribeResult,
)
from .session.outcomes import Outcome, Refreshed, Sent
from .session.session import Session
from .stream import Position
from .version import version

logger = logging.getLogger(__name__)

Passing = (
    UnsubscribeRequest
    | PublishRequest
    | PresenceRequest
    | PresenceStatsRequest
    | HistoryRequest
    | SendRequest
    | RpcRequest
    | RefreshRequest
    | SubRefreshRequest
)
"""Requests that are answered and forgotten."""


class ServiceLimits(NamedTuple):
    """What one client may cost. `publications`: in one answer about the past."""

    session: SessionLimits
    queue_bytes: int
    publications: int

    @property
    def answer_bytes(self) -> int:
        """Payloads in one answer about the past: with what is around them it still fits the queue."""
        return self.queue_bytes * 3 // 4


class Room:
    """Bytes there are for what was missed in one answer, however many channels it is about."""

    AROUND = 64
    """Bytes around the payload of one publication."""

    def __init__(self, size: int) -> None:
        self._left = size

    def take(self, missed: list[stream.Publication]) -> bool:
        """Whether all of it fits; only then it takes room."""
        size = sum(len(publication.data or b"") + self.AROUND for publication in missed)
        if size > self._left:
            return False
        self._left -= size
        return True


class Service:
    """What clients are served with."""

    def __init__(self, hub: Hub, node: Node, exchange: Exchange, backend: Backend, limits: ServiceLimits) -> None:
        self.hub = hub
        self.node = node
        self.exchange = exchange
        self.backend = backend
        self.limits = limits
        self.version = version()
        self._formats: dict[Framing, Format] = {}

    def format(self, framing: Framing) -> Format:
        """How clients of this framing receive publications: the same object for all of them."""
        found = self._formats.get(framing)
        if found is None:
            found = self._formats[framing] = formatting(framing, self._has_offsets)
        return found

    def session(self, codec: Codec, *, emulated: bool = False, pings: bool = True) -> Session:
        """The session of a new client. `emulated`: its transport lets it send nothing; `pings`: the protocol's own."""
        limits = self.limits.session
        return Session(
            str(uuid.uuid4()),
            codec,
            limits if pings else limits._replace(ping=0, pong=0),
            asyncio.get_running_loop().time(),
            session_id=secrets.token_hex(16) if emulated else "",
            node=self.node.id if emulated else "",
            jitter=random.random(),
        )

    def room(self) -> Room:
        """For what a client missed, in the next answer to it."""
        return Room(self.limits.answer_bytes)

    def options(self, channel: str) -> ChannelOptions:
        """What `channel` offers. Raises `ReplyError`, `ChannelError`."""
        check_public(channel)
        options = self.backend.options(channel)
        if options is None:
            raise refused(codes.UNKNOWN_CHANNEL)
        return options

    async def answer(self, request: Passing, session: Session, codec: Codec, caller: Caller) -> Outcome:
        """Do what a client asks for. Raises what `outcome_of` understands."""
        match request:
            case UnsubscribeRequest():
                await self.exchange.told()
                return UnsubscribeResult()
            case PublishRequest():
                return await self._publish(request, session)
            case PresenceRequest(channel=channel):
                self._permit(channel, Operation.PRESENCE, session)
                return PresenceResult(await self.exchange.read(channel))
            case PresenceStatsRequest(channel=channel):
                self._permit(channel, Operation.PRESENCE, session)
                present = await self.exchange.read(channel)
                return PresenceStatsResult(len(present), len({info.user for info in present.values()}))
            case HistoryRequest():
                return await self._history(request, session, codec)
            case SendRequest(data=data):
                await self.backend.message(bytes(data), caller)
                return Sent()
            case RpcRequest(method=method, data=data):
                return RpcResult(payload(codec, await self.backend.rpc(method, bytes(data), caller)))
            case RefreshRequest(token=token):
                return Refreshed(seconds_until(await self.backend.refresh(token, caller)))
            case SubRefreshRequest(channel=channel, token=token):
                return Refreshed(seconds_until(await self.backend.sub_refresh(channel, token, caller)))

    async def _publish(self, request: PublishRequest, session: Session) -> PublishResult:
        self._permit(request.channel, Operation.PUBLISH, session)
        said = self.backend.validate(request.channel, bytes(request.data))
        info = encode_info(session.client_info(request.channel))
        data = content.pack(content.Content(said, info, binary=not content.is_json(said)))
        if len(data) > self.hub.max_bytes:
            raise refused(codes.LIMIT_EXCEEDED)
        await self.hub.publish_bytes(request.channel, data)
        return PublishResult()

    async def _history(self, request: HistoryRequest, session: Session, codec: Codec) -> HistoryResult:
        self._permit(request.channel, Operation.HISTORY, session)
        most = self.limits.publications
        page = await read(
            self.hub.bus,
            request.channel,
            since=Position(request.since.epoch, request.since.offset) if request.since else None,
            limit=most if request.limit < 0 else min(request.limit, most),
            reverse=request.reverse,
            max_bytes=self.limits.answer_bytes,
        )
        return HistoryResult(publications(codec, page.publications, offsets=True), page.top.epoch, page.top.offset)

    def _permit(self, channel: str, operation: Operation, session: Session) -> None:
        """Raise `ReplyError` unless the client may do this."""
        subscribed = channel in session.subscriptions
        error = refusal(self.options(channel), operation, user=session.user, subscribed=subscribed)
        if error is not None:
            raise refused(error)

    def _has_offsets(self, channel: str) -> bool:
        options = self.backend.options(channel)
        return options is not None and options.history is not None


def outcome_of(error: Exception) -> Error | Disconnect:
    """What a client is told whose request has failed."""
    match error:
        case ReplyError():
            return Error(error.code, error.message, error.temporary)
        case Disconnection():
            return Disconnect(error.code, error.reason)
        case ChannelError():
            return codes.BAD_REQUEST
        case BusError():
            logger.warning("a client's request failed: %s", error)
        case _:
            logger.error("a client's request failed", exc_info=error)
    return codes.INTERNAL


def payload(codec: Codec, data: bytes | Raw) -> Raw:
    """`data` for a client, empty or not. Raises `Disconnection`."""
    given = bytes(data)
    try:
        return codec.payload(given) if given else NOTHING
    except ValueError:
        raise closing(codes.CLOSE_INAPPROPRIATE_PROTOCOL) from None


def publications(codec: Codec, found: list[stream.Publication], *, offsets: bool) -> list[Publication]:
    """Publications for a client. Raises `Disconnection`."""
    try:
        return [codec.publication(publication, offsets) for publication in found]
    except ValueError:
        raise closing(codes.CLOSE_INAPPROPRIATE_PROTOCOL) from None


def seconds_until(expire_at: float | None) -> float | None:
    """The time to live of what expires at a Unix time."""
    return None if expire_at is None else max(expire_at - time.time(), 0.0)
