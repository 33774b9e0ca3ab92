"""What the workers of a cluster say to each other, and which of them are there. Pure."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from .presence import Ask, Changed, Whole
from .stream import Position

MISSED = 3.5
"""Intervals of silence after which a worker counts as gone."""
SETTLED = 0.9
"""Intervals of listening after which every worker that is there has been heard: who comes asks all of them. Intervals
count as 0.25 s at least, as it takes to answer, and as 1 s at most."""


class Alive(msgspec.Struct, array_like=True, tag="alive"):
    """Said every `interval` seconds. `presence` is the version of what it has told of its clients; `report`: what
    people want to know of it, a `WorkerReport`."""

    node: str
    interval: float
    presence: int
    report: bytes = b""


class Leaving(msgspec.Struct, array_like=True, tag="leaving"):
    """A worker's last word."""

    node: str


class Target(msgspec.Struct, array_like=True, frozen=True):
    """The connections of a user that are meant: all of them, or the one with this client or session id."""

    user: str
    client: str = ""
    session: str = ""


class DisconnectClients(msgspec.Struct, array_like=True, tag="disconnect"):
    """Close the target's connections, except those of the clients to `keep`."""

    target: Target
    code: int
    reason: str
    keep: list[str] = []


class UnsubscribeClients(msgspec.Struct, array_like=True, tag="unsubscribe"):
    """End the target's subscriptions of `channel`; of all channels when it is empty."""

    target: Target
    channel: str


class SubscribeClients(msgspec.Struct, array_like=True, tag="subscribe"):
    """Subscribe the target's connections to `channel`.

    `expire_at`: Unix time, None for never. `info` is told to others in the channel, `data` to the client. `since`:
    deliver what followed. The rest overrides the channel's options; None leaves them as they are.
    """

    target: Target
    channel: str
    expire_at: float | None = None
    info: bytes = b""
    data: bytes = b""
    since: Position | None = None
    presence: bool | None = None
    join_leave: bool | None = None
    recoverable: bool | None = None
    positioned: bool | None = None


class MessageClients(msgspec.Struct, array_like=True, tag="message"):
    """Send the target's connections `data`, which is JSON and belongs to no channel."""

    target: Target
    data: bytes


class Cleared(msgspec.Struct, array_like=True, tag="cleared"):
    """The history of a channel was let go of: workers have no use for their own copies."""

    channel: str


class Survey(msgspec.Struct, array_like=True, tag="survey"):
    """Asks every worker `question`; answers go to the inbox of `asker`."""

    id: int
    asker: str
    question: str


class Answer(msgspec.Struct, array_like=True, tag="answer"):
    """Part `part` of `parts` of a worker's answer to survey `id`."""

    id: int
    node: str
    part: int
    parts: int
    data: bytes


class Emulated(msgspec.Struct, array_like=True, tag="emulated"):
    """What the client of `session` sent, received by another worker than the one that has its stream."""

    session: str
    data: bytes


Order = DisconnectClients | UnsubscribeClients | SubscribeClients | MessageClients
"""What the server does to clients, wherever they are connected."""

Message = (
    Alive
    | Leaving
    | Changed
    | Whole
    | Ask
    | DisconnectClients
    | UnsubscribeClients
    | SubscribeClients
    | MessageClients
    | Cleared
    | Survey
    | Answer
    | Emulated
)

encode = msgspec.msgpack.Encoder().encode
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def decode(data: bytes) -> Message:
    """A message of another worker. Raises `ValueError` when it is none."""
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"unreadable: {error}") from None


class _Heard(NamedTuple):
    at: float
    interval: float


class Peers:
    """The workers there are, as one of them hears them; itself among them.

    Silence counts only while this worker hears itself: when the bus is away nobody is thought to be gone, and the
    time a worker was stopped is not held against the others.
    """

    def __init__(self, me: str, interval: float) -> None:
        """`interval`: seconds between what a worker says, unless it has told its own."""
        self._me = me
        self._interval = interval
        self._heard: dict[str, _Heard] = {}
        self._listened = 0.0
        self._last: float | None = None

    @property
    def settled(self) -> bool:
        """Whether every worker that was there when this one came has been heard."""
        return self._listened >= SETTLED * min(max(self._interval, 0.25), 1.0)

    @property
    def nodes(self) -> set[str]:
        """The workers there are, by id."""
        return set(self._heard)

    def hear(self, node: str, now: float, interval: float | None = None) -> None:
        """`node` said something at `now` (seconds), and perhaps how often it does."""
        if node == self._me:
            if self._last is not None:
                self._listened += min(now - self._last, self._interval * 2)
            self._last = now
        before = self._heard.get(node)
        if interval is None:
            interval = self._interval if before is None else before.interval
        self._heard[node] = _Heard(self._listened, interval)

    def forget(self, node: str) -> None:
        """`node` said that it leaves."""
        self._heard.pop(node, None)

    def gone(self) -> list[str]:
        """The workers that have been silent for too long; they are forgotten."""
        gone = [node for node, heard in self._heard.items() if self._listened - heard.at > heard.interval * MISSED]
        for node in gone:
            del self._heard[node]
        return gone
