"""What a channel offers its clients, and who may do what there. Pure."""

from __future__ import annotations

from enum import Enum
from typing import Literal, NamedTuple

from .stream import Retention

Who = Literal["nobody", "subscribers", "users", "anyone"]
"""Each includes the ones before it: a user is who has proved an identity, anyone is who connected at all."""

Recovery = Literal["off", "stream", "cache"]
"""`stream`: who comes back gets all it missed. `cache`: it gets the last publication."""


class Operation(Enum):
    SUBSCRIBE = "subscribe"
    PUBLISH = "publish"
    HISTORY = "history"
    PRESENCE = "presence"


class ChannelOptions(NamedTuple):
    """One declared channel or family of channels, as clients of the client protocol see it. Default: deny.

    `history` None: nothing is kept for clients. `join_leave`: joins and leaves are pushed to every subscriber.
    `private`: a subscription token is needed. `for_users`: the name ends with `#` and the users it is for.
    """

    history: Retention | None = None
    recovery: Recovery = "off"
    presence: bool = False
    join_leave: bool = False
    allow_subscribe: Who = "nobody"
    allow_publish: Who = "nobody"
    allow_history: Who = "nobody"
    allow_presence: Who = "nobody"
