"""What speaks against a request before anybody is asked."""

from __future__ import annotations

from collections.abc import Container, Sized
from typing import NamedTuple, Protocol

from . import codes
from .commands import (
    Command,
    ConnectRequest,
    Disconnect,
    Error,
    HistoryRequest,
    PingRequest,
    PresenceRequest,
    PresenceStatsRequest,
    PublishRequest,
    RefreshRequest,
    Request,
    RpcRequest,
    SendRequest,
    SubRefreshRequest,
    SubscribeRequest,
    UnsubscribeRequest,
)


class SessionLimits(NamedTuple):
    """Times are in seconds. `pong`, which must be shorter than `ping`, may be 0: then no answer is wanted."""

    max_channels: int = 128
    max_name: int = 255
    max_pending: int = 2000
    """Commands waiting for the one before them."""
    rate: float = 200.0
    """Commands per second, `burst` of them at once."""
    burst: float = 2000.0
    stale: float = 15.0
    """Until a client must be connected."""
    ping: float = 25.0
    pong: float = 10.0
    grace: float = 25.0
    """For a refresh, after a connection or a subscription has expired."""


ChannelRequest = (
    SubscribeRequest
    | UnsubscribeRequest
    | PublishRequest
    | PresenceRequest
    | PresenceStatsRequest
    | HistoryRequest
    | SubRefreshRequest
)


class Channels(Container[str], Sized, Protocol):
    """The channels a client is subscribed to."""


def examine(
    command: Command, connected: bool, channels: Channels, limits: SessionLimits
) -> Request | Error | Disconnect:
    """The request to do for a client, or why it is answered with an error or ends the connection."""
    request = command.request
    if request is None or isinstance(request, ConnectRequest) is connected:
        return codes.CLOSE_BAD_REQUEST
    if not command.id and not isinstance(request, SendRequest):
        return codes.CLOSE_BAD_REQUEST
    match request:
        case ConnectRequest() | SendRequest() | RpcRequest():
            return request
        case PingRequest():
            return codes.NOT_AVAILABLE
        case RefreshRequest():
            return request if request.token else codes.CLOSE_BAD_REQUEST
    if not request.channel:
        return codes.CLOSE_BAD_REQUEST
    return _objection(request, channels, limits) or request


def _objection(request: ChannelRequest, channels: Channels, limits: SessionLimits) -> Error | None:
    match request:
        case UnsubscribeRequest():
            return None
        case _ if len(request.channel) > limits.max_name:
            return codes.BAD_REQUEST
        case SubscribeRequest():
            return _no_subscription(request, channels, limits)
        case PublishRequest() if request.type:
            return codes.NOT_AVAILABLE
        case PublishRequest() if not request.data:
            return codes.BAD_REQUEST
        case HistoryRequest(reverse=True) if request.since and not request.since.offset:
            return codes.BAD_REQUEST
        case SubRefreshRequest():
            return _no_refresh(request, channels)
    return None


def _no_subscription(request: SubscribeRequest, channels: Channels, limits: SessionLimits) -> Error | None:
    if request.type:
        return codes.NOT_AVAILABLE
    if request.tf:
        return codes.BAD_REQUEST
    if request.channel in channels:
        return codes.ALREADY_SUBSCRIBED
    return codes.LIMIT_EXCEEDED if len(channels) >= limits.max_channels else None


def _no_refresh(request: SubRefreshRequest, channels: Channels) -> Error | None:
    if request.channel not in channels:
        return codes.PERMISSION_DENIED
    if request.type:
        return codes.NOT_AVAILABLE
    return None if request.token else codes.BAD_REQUEST
