"""The channels of one client."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from msgspec import Raw

from .commands import NOTHING
from .outcomes import Subscribed


@dataclass(slots=True)
class Subscription:
    """`server_side`: the server made it. `offsets`: publications carry them. `positioned`: the client must be told
    when one is lost. `join_leave`: it is told who comes and goes. `info` is what the channel's others are told of it.

    `ends_at`: when it ends for want of a refresh, in the session's time.
    """

    server_side: bool
    offsets: bool
    positioned: bool
    join_leave: bool
    info: Raw = NOTHING
    ends_at: float = inf


def subscription(granted: Subscribed, server_side: bool, ends_at: float) -> Subscription:
    """What is kept of a subscription that was `granted`."""
    return Subscription(
        server_side=server_side,
        offsets=granted.position is not None,
        positioned=granted.positioned,
        join_leave=granted.join_leave,
        info=granted.info,
        ends_at=ends_at,
    )
