"""What a session wants done."""

from __future__ import annotations

from dataclasses import dataclass, field

from .commands import Disconnect, Request


@dataclass(slots=True)
class Step:
    """What its owner is to do for a session now, in this order."""

    replies: list[bytes] = field(default_factory=list)
    """To be joined and written."""
    left: list[str] = field(default_factory=list)
    """Channels that are no longer the client's, or never came to be."""
    request: Request | None = None
    """To be done for the client; the outcome goes to `finish`."""
    close: Disconnect | None = None
    """End the connection once the replies are written. Nothing follows."""
