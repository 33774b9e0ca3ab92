"""What one client of the client protocol may do next, and what it is told: the protocol without its transport."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import NamedTuple

from msgspec import Raw

from .codec import Codec
from .commands import (
    ClientInfo,
    Disconnect,
    Request,
    Unsubscribe,
)
from .outcomes import Outcome, Refreshed, Subscribed

LONGEST_TTL = 365 * 24 * 3600
"""Seconds. SDKs count in 32 bits."""


class SessionLimits(NamedTuple):
    """Times are in seconds. `pong`, which must be shorter than `ping`, may be 0: then no answer is wanted."""

    max_channels: int = 128
    max_name: int = 255
    max_pending: int = 1000
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


@dataclass(slots=True)
class Step:
    """What its owner is to do for a session now, in this order."""

    replies: list[bytes] = field(default_factory=list)
    """To be joined and written."""
    left: list[str] = field(default_factory=list)
    """Channels the client is not subscribed to, or not any more."""
    request: Request | None = None
    """To be done for the client; the outcome goes to `finish`."""
    close: Disconnect | None = None
    """End the connection, once the replies are written. Nothing follows."""


class State(Enum):
    NEW = auto()
    CONNECTED = auto()
    REFUSED = auto()
    """The answer to connect was an error: the client goes by itself."""
    CLOSED = auto()


class Session:
    """One client. `now` is in seconds of a clock that never goes back; `deadline` is when `tick` is wanted next.

    At most one request is with the owner; the commands after it wait.
    """

    __slots__ = (
        "_bucket",
        "_codec",
        "_command",
        "_ended_early",
        "_expires_at",
        "_limits",
        "_ping_at",
        "_pinged",
        "_pong_at",
        "_stale_at",
        "_state",
        "_waiting",
        "client_id",
        "deadline",
        "info",
        "node",
        "session_id",
        "subscriptions",
        "user",
    )

    def __init__(
        self,
        client_id: str,
        codec: Codec,
        limits: SessionLimits,
        now: float,
        *,
        session_id: str = "",
        node: str = "",
        jitter: float,
    ) -> None:
        """`session_id` and `node` are for clients whose transport needs emulation.

        `jitter`, 0 to 1, is how late within the second half of the interval the first ping is.
        """

    def receive(self, frame: bytes, now: float) -> Step:
        """Take a frame from the client."""
        return Step()

    def finish(self, outcome: Outcome, now: float) -> Step:
        """Take the outcome of the request."""
        return Step()

    def tick(self, now: float) -> Step:
        """Do what is due."""
        return Step()

    def subscribe(self, channel: str, granted: Subscribed, now: float) -> Step:
        """The server subscribes the client."""
        return Step()

    def unsubscribe(self, channel: str, why: Unsubscribe) -> Step:
        """The server ends a subscription."""
        return Step()

    def lose(self, channel: str) -> Step:
        """Publications of `channel` are lost to this client."""
        return Step()

    def refresh(self, refreshed: Refreshed, now: float) -> Step:
        """The connection expires at another time."""
        return Step()

    def message(self, data: Raw) -> Step:
        """The application sends `data`, which `Codec.payload` has let pass."""
        return Step()

    def close(self, why: Disconnect) -> Step:
        """End the connection."""
        return Step()

    def client_info(self, channel: str) -> ClientInfo:
        """What others in `channel` are told of this client."""
        return ClientInfo()
