"""The channels of one client."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from msgspec import Raw

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
    """What the client is told that asked for what came after offset `since`.

    When that is recovered it goes on from there, publication by publication; else from the channel's top.
    """
    epoch, top = granted.position or ("", 0)
    return SubscribeResult(
        expires=granted.ttl is not None,
        ttl=seconds(granted.ttl),
        recoverable=granted.recoverable,
        positioned=granted.positioned,
        epoch=epoch,
        offset=since if granted.recovered else top,
        recovered=granted.recovered,
        was_recovering=granted.was_recovering,
        publications=list(granted.publications) if granted.recovered else [],
        data=granted.data,
    )


def announcement(granted: Subscribed) -> Subscribe:
    """What a client is told that the server subscribes."""
    epoch, top = granted.position or ("", 0)
    return Subscribe(granted.recoverable, epoch, top, granted.positioned, granted.data)


def seconds(ttl: float | None) -> int:
    """A time to live as it is told; 0 when there is no end."""
    return 0 if ttl is None else min(max(ceil(ttl), 1), LONGEST_TTL)
