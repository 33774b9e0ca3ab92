"""The channels of one client."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from msgspec import Raw

from ..stream import Position
from .commands import Subscribe, SubscribeResult
from .outcomes import Subscribed

LONGEST_TTL = 365 * 24 * 3600
"""Seconds. SDKs count milliseconds in few bits, and refresh again when this is over."""


@dataclass(slots=True)
class Subscription:
    """`server_side`: the server made it. `offsets`: publications carry them. `positioned`: the client is told when
    one is lost. `join_leave`: it is told who comes and goes. `info` is what the channel's others are told of it.

    `ends_at`: when it ends for want of a refresh.
    """

    server_side: bool
    offsets: bool
    positioned: bool
    join_leave: bool
    info: Raw
    ends_at: float


def subscription(granted: Subscribed, server_side: bool, ends_at: float) -> Subscription:
    """What is kept of a subscription."""
    return Subscription(
        server_side=server_side,
        offsets=granted.position is not None,
        positioned=granted.positioned,
        join_leave=granted.join_leave,
        info=granted.info,
        ends_at=ends_at,
    )


def result(granted: Subscribed, since: int) -> SubscribeResult:
    """What the client is told that asked for what came after offset `since`."""
    epoch, offset = _start(granted, since)
    return SubscribeResult(
        expires=granted.ttl is not None,
        ttl=seconds(granted.ttl),
        recoverable=granted.recoverable,
        positioned=granted.positioned,
        epoch=epoch,
        offset=offset,
        recovered=granted.recovered,
        was_recovering=granted.was_recovering,
        publications=list(granted.publications) if granted.recovered else [],
        data=granted.data,
    )


def announcement(granted: Subscribed, since: int) -> Subscribe:
    """What a client is told that the server subscribes, with what came after offset `since`."""
    epoch, offset = _start(granted, since)
    return Subscribe(granted.recoverable, epoch, offset, granted.positioned, granted.data)


def _start(granted: Subscribed, since: int) -> Position:
    """Where the client goes on: what was recovered after `since` follows it, publication by publication.

    Without that it is the channel's top.
    """
    epoch, top = granted.position or ("", 0)
    if not granted.recovered:
        return Position(epoch, top)
    # The newest publication is also recovered from another epoch, whose offsets may be beyond this one's.
    return Position(epoch, min(since, max(top - len(granted.publications), 0)))


def seconds(ttl: float | None) -> int:
    """A time to live as it is told; 0 when there is no end."""
    return 0 if ttl is None else min(max(ceil(ttl), 1), LONGEST_TTL)
