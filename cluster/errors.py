"""Every exception the package raises, and the codes a WebSocket is closed with."""

from __future__ import annotations

from enum import IntEnum

from .content import is_json

MAX_REASON = 123
"""Bytes of text that a close frame holds."""


class ClusterError(Exception):
    """The base of every error of this package."""


class ConfigurationError(ClusterError):
    """A setting, a URL or a declaration cannot be used; the message says what is allowed."""


class ChannelError(ClusterError):
    """A channel name is not usable, or a channel was declared in a way that cannot work."""


class PayloadError(ClusterError):
    """What was to be published does not fit the model its channel declares."""


class BusError(ClusterError):
    """The bus between the worker processes could not do what was asked."""


class BusUnavailable(BusError):
    """Nothing answered at the bus's address within the time limit."""


class PublishError(BusError):
    """A publication was not confirmed. `id` is the publication's id.

    The outcome is unknown unless it is a `PublishRefused`: publishing again with the same `id` is safe,
    it will not appear twice where the bus deduplicates.
    """

    def __init__(self, message: str, *, id: str) -> None:
        super().__init__(f"{message} (id {id})")
        self.id = id


class PublishRefused(PublishError):
    """The bus answered that it did not and will not keep this publication."""


class TokenError(ClusterError):
    """A token is not one of ours: its signature, its claims, or what it is for."""


class TokenExpired(TokenError):
    """A token was good, and its time is over."""


class ReplyError(ClusterError):
    """Raise it in a handler to answer a client's command with an error.

    Codes of your own are 400 to 1999. `temporary`: the client tries again by itself.
    """

    def __init__(self, code: int, message: str, *, temporary: bool = False) -> None:
        super().__init__(f"{code} {message}")
        self.code = code
        self.message = message
        self.temporary = temporary


class Disconnection(ClusterError):
    """Raise it in a handler to close the client's connection.

    Codes of your own are 4000 to 4999; up to 4499 the client connects again. `reason` is text of 1 to 123 bytes that
    is not JSON. Raises `ValueError` when no client can be told so.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}")
        self.code = usable_code(code)
        self.reason = usable_reason(reason)


def usable_code(code: int) -> int:
    """`code`, when a client's connection may be closed with it. Raises `ValueError`."""
    if not 3000 <= code <= 4999:
        raise ValueError(f"clients are closed with codes from 3000 to 4999, not {code}")
    return code


def usable_reason(reason: str) -> str:
    """`reason`, when a client can be told it with a code. Raises `ValueError`."""
    said = reason.encode()
    # SDKs take no reason, and one that is JSON, for something else than what the code says.
    if not 1 <= len(said) <= MAX_REASON or is_json(said):
        raise ValueError(f"the reason for closing is text of 1 to {MAX_REASON} bytes that is not JSON, not {reason!r}")
    return reason


class CloseCode(IntEnum):
    """Codes this server closes WebSockets with: RFC 6455 below 3000, the client protocol's from there on.

    ABNORMAL is never sent: it stands for a connection that ended without a close frame.
    """

    UNSUPPORTED_DATA = 1003
    ABNORMAL = 1006
    POLICY_VIOLATION = 1008
    MESSAGE_TOO_BIG = 1009
    INTERNAL_ERROR = 1011
    TRY_AGAIN_LATER = 1013
    SHUTDOWN = 3001
    SLOW = 3008
