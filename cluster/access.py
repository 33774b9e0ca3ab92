"""What a channel offers its clients, and who may do what there. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Literal, NamedTuple

from msgspec import Raw

from .session.codes import NOT_AVAILABLE, PERMISSION_DENIED
from .session.commands import NOTHING, Error, SubscribeRequest
from .stream import Retention

Who = Literal["nobody", "subscribers", "users", "anyone"]
"""Each includes the ones before it: a user is who has proved an identity, anyone is who connected at all."""

Recovery = Literal["off", "stream", "cache"]
"""`stream`: who comes back gets all it missed. `cache`: it gets the last publication."""

ANONYMOUS = ""
"""The user id of clients that have proved no identity."""


class Operation(Enum):
    SUBSCRIBE = "subscribe"
    PUBLISH = "publish"
    HISTORY = "history"
    PRESENCE = "presence"


class ChannelOptions(NamedTuple):
    """One declared channel or family of channels, as clients of the client protocol see it. Default: deny.

    `history` None: nothing is kept for clients. `positioned`: a subscriber to what is kept learns when something is
    lost to it, also where nothing is recovered. `join_leave`: joins and leaves are pushed to every subscriber.
    """

    history: Retention | None = None
    recovery: Recovery = "off"
    positioned: bool = False
    presence: bool = False
    join_leave: bool = False
    allow_subscribe: Who = "nobody"
    allow_publish: Who = "nobody"
    allow_history: Who = "nobody"
    allow_presence: Who = "nobody"

    def opened(self) -> ChannelOptions:
        """The same for clients that may do everything."""
        return self._replace(
            allow_subscribe="anyone", allow_publish="anyone", allow_history="anyone", allow_presence="anyone"
        )

    def narrowed(self) -> ChannelOptions:
        """The same where nobody may do anything but those who were let in."""
        return self._replace(
            allow_publish=_subscribers_at_most(self.allow_publish),
            allow_history=_subscribers_at_most(self.allow_history),
            allow_presence=_subscribers_at_most(self.allow_presence),
        )


DENY = ChannelOptions()


class Grant(NamedTuple):
    """A subscription that is allowed.

    `options` are the channel's, or what the token made of them. `expire_at`: Unix seconds, None for never. `info`
    is told to the others in the channel, `data` to the client itself; both are JSON.
    """

    options: ChannelOptions
    expire_at: float | None = None
    info: Raw = NOTHING
    data: Raw = NOTHING


class Identity(NamedTuple):
    """Who a client is. `info` is told to others, `data` to the client itself; both are JSON.

    `expire_at`: Unix seconds, None for never. `subs` are the channels it is subscribed to without asking. `subject`:
    whose tokens refresh the connection, the one its token names even if the application calls the client otherwise.
    """

    user: str = ANONYMOUS
    info: Raw = NOTHING
    expire_at: float | None = None
    data: Raw = NOTHING
    subs: Mapping[str, Grant] = MappingProxyType({})
    subject: str = ANONYMOUS


class Terms(NamedTuple):
    """What a subscription comes with. `positioned`: the client learns when something is lost to it."""

    positioned: bool
    recoverable: bool
    join_leave: bool


def needs_token(channel: str) -> bool:
    """Whether only a token lets a client subscribe: the name begins with `$`."""
    return channel.startswith("$")


def users_named(channel: str) -> frozenset[str] | None:
    """The users a channel is for: what follows the last `#`, with commas between. None when it names none."""
    _, mark, users = channel.rpartition("#")
    return frozenset(users.split(",")) if mark else None


def bare_name(channel: str) -> str:
    """The name that is declared: without the `$` before it and the users after it."""
    name = channel.removeprefix("$")
    before, mark, _ = name.rpartition("#")
    return before if mark else name


def options_of(channel: str, declared: ChannelOptions) -> ChannelOptions:
    """The options of this one channel: who a private one or one that names its users is for is decided at its gate."""
    return declared.narrowed() if needs_token(channel) or users_named(channel) is not None else declared


def admits(who: Who, *, user: str, subscribed: bool) -> bool:
    """Whether `who` includes this client."""
    match who:
        case "anyone":
            return True
        case "users":
            return subscribed or user != ANONYMOUS
        case "subscribers":
            return subscribed
        case "nobody":
            return False


def refusal(options: ChannelOptions, operation: Operation, *, user: str, subscribed: bool) -> Error | None:
    """The error that answers a client which may not do this; None when it may."""
    match operation:
        case Operation.SUBSCRIBE:
            who, available = options.allow_subscribe, True
        case Operation.PUBLISH:
            who, available = options.allow_publish, True
        case Operation.HISTORY:
            who, available = options.allow_history, options.history is not None
        case Operation.PRESENCE:
            who, available = options.allow_presence, options.presence
    if not available:
        return NOT_AVAILABLE
    return None if admits(who, user=user, subscribed=subscribed) else PERMISSION_DENIED


def gate(channel: str, user: str) -> Error | None:
    """What a client without a subscription token meets first: private channels, and those that name their users.

    None lets it go on to what the channel declares.
    """
    if needs_token(channel):
        return PERMISSION_DENIED
    named = users_named(channel)
    return None if named is None or (user != ANONYMOUS and user in named) else PERMISSION_DENIED


def terms(options: ChannelOptions, request: SubscribeRequest, *, user: str) -> Terms:
    """What a subscription comes with: what the channel gives everyone, and what this client asks for and may have."""
    kept = options.history is not None
    may_recover = refusal(options, Operation.HISTORY, user=user, subscribed=True) is None
    may_see = refusal(options, Operation.PRESENCE, user=user, subscribed=True) is None
    recoverable = (kept and options.recovery != "off") or (request.recoverable and may_recover)
    return Terms(
        positioned=recoverable or (kept and options.positioned) or (request.positioned and may_recover),
        recoverable=recoverable,
        join_leave=options.join_leave or (request.join_leave and may_see),
    )


def _subscribers_at_most(who: Who) -> Who:
    return "nobody" if who == "nobody" else "subscribers"
