"""How the requests of a session end: what its owner tells it has become of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from msgspec import Raw

from ..stream import Position
from .commands import (
    NOTHING,
    Disconnect,
    Error,
    HistoryResult,
    PresenceResult,
    PresenceStatsResult,
    Publication,
    PublishResult,
    RpcResult,
    UnsubscribeResult,
)


class Subscribed(NamedTuple):
    """The client is subscribed from `position` on; without one the channel has no offsets.

    `publications` are what it missed, oldest first, when all of it was `recovered`. `info` is what this channel's
    others are told of the client, `data` what the client itself is told. `ttl`: seconds until the subscription
    expires; None: never. `join_leave`: the client wants to be told who comes and goes.
    """

    ttl: float | None = None
    position: Position | None = None
    recoverable: bool = False
    positioned: bool = False
    was_recovering: bool = False
    recovered: bool = False
    publications: Sequence[Publication] = ()
    data: Raw = NOTHING
    info: Raw = NOTHING
    join_leave: bool = False


class Connected(NamedTuple):
    """The client is `user` ("": nobody in particular); `info` is what others are told of it.

    `ttl`: seconds until the connection expires; None: never. `subs` are the subscriptions the server made for it.
    `version` is the server's.
    """

    user: str = ""
    info: Raw = NOTHING
    ttl: float | None = None
    data: Raw = NOTHING
    subs: Mapping[str, Subscribed] = {}
    version: str = ""


class Refreshed(NamedTuple):
    """A connection or a subscription expires in `ttl` seconds; None: never. `info` replaces the former, if given."""

    ttl: float | None = None
    info: Raw = NOTHING


class Sent(NamedTuple):
    """The application has taken what the client sent, which is not answered."""


Result = UnsubscribeResult | PublishResult | PresenceResult | PresenceStatsResult | HistoryResult | RpcResult
"""What is told as it is."""

Outcome = Connected | Subscribed | Refreshed | Sent | Result | Error | Disconnect
