"""The codes of the client protocol, each with the text that goes with it."""

from __future__ import annotations

from ..errors import Disconnection, ReplyError
from .commands import Disconnect, Error, Unsubscribe

INTERNAL = Error(100, "internal server error", temporary=True)
UNAUTHORIZED = Error(101, "unauthorized")
UNKNOWN_CHANNEL = Error(102, "unknown channel")
PERMISSION_DENIED = Error(103, "permission denied")
METHOD_NOT_FOUND = Error(104, "method not found")
ALREADY_SUBSCRIBED = Error(105, "already subscribed")
LIMIT_EXCEEDED = Error(106, "limit exceeded")
BAD_REQUEST = Error(107, "bad request")
NOT_AVAILABLE = Error(108, "not available")
TOKEN_EXPIRED = Error(109, "token expired")
EXPIRED = Error(110, "expired")
TOO_MANY_REQUESTS = Error(111, "too many requests", temporary=True)
UNRECOVERABLE_POSITION = Error(112, "unrecoverable position")

UNSUBSCRIBED = Unsubscribe(2000, "server unsubscribe")
INSUFFICIENT_STATE = Unsubscribe(2500, "insufficient state")
SUBSCRIPTION_EXPIRED = Unsubscribe(2501, "subscription expired")

# The client connects again after these,
CLOSE_SHUTDOWN = Disconnect(3001, "shutdown")
CLOSE_INTERNAL = Disconnect(3004, "internal server error")
CLOSE_EXPIRED = Disconnect(3005, "connection expired")
CLOSE_SUBSCRIPTION_EXPIRED = Disconnect(3006, "subscription expired")
CLOSE_SLOW = Disconnect(3008, "slow")
CLOSE_INSUFFICIENT_STATE = Disconnect(3010, "insufficient state")
CLOSE_FORCE_RECONNECT = Disconnect(3011, "force reconnect")
CLOSE_NO_PONG = Disconnect(3012, "no pong")
CLOSE_TOO_MANY_REQUESTS = Disconnect(3013, "too many requests")
# and stays away after these.
CLOSE_INVALID_TOKEN = Disconnect(3500, "invalid token")
CLOSE_BAD_REQUEST = Disconnect(3501, "bad request")
CLOSE_STALE = Disconnect(3502, "stale")
CLOSE_FORCED = Disconnect(3503, "force disconnect")
CLOSE_CONNECTION_LIMIT = Disconnect(3504, "connection limit")
CLOSE_CHANNEL_LIMIT = Disconnect(3505, "channel limit")
CLOSE_INAPPROPRIATE_PROTOCOL = Disconnect(3506, "inappropriate protocol")
CLOSE_PERMISSION_DENIED = Disconnect(3507, "permission denied")
CLOSE_NOT_AVAILABLE = Disconnect(3508, "not available")
CLOSE_TOO_MANY_ERRORS = Disconnect(3509, "too many errors")


def refused(error: Error, message: str = "") -> ReplyError:
    """One of the protocol's errors, to be raised; `message` says more than its own."""
    return ReplyError(error.code, message or error.message, temporary=error.temporary)


def closing(why: Disconnect, reason: str = "") -> Disconnection:
    """One of the protocol's codes to close with, to be raised; `reason` says more than its own."""
    return Disconnection(why.code, reason or why.reason)
