"""Who is in which channel, cluster-wide: what each worker tells of its own clients, and the copy the others keep. Pure.

A worker numbers what it tells: a copy that meets a gap knows that it is behind, and asks for the whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from .session.commands import ClientInfo, raw


class Entered(msgspec.Struct, array_like=True, frozen=True, tag=1):
    """A client is in a channel."""

    channel: str
    client: str
    user: str
    conn_info: bytes = b""
    chan_info: bytes = b""

    @property
    def size(self) -> int:
        """About the bytes of it in a message, if no text goes beyond ASCII."""
        texts = len(self.channel) + len(self.client) + len(self.user)
        return texts + len(self.conn_info) + len(self.chan_info) + 16

    @property
    def info(self) -> ClientInfo:
        return ClientInfo(self.user, self.client, raw(self.conn_info), raw(self.chan_info))


class Left(msgspec.Struct, array_like=True, frozen=True, tag=0):
    """A client is in a channel no more."""

    channel: str
    client: str

    @property
    def size(self) -> int:
        """As `Entered.size`."""
        return len(self.channel) + len(self.client) + 16


class Changed(msgspec.Struct, array_like=True, tag="changed"):
    """What changed among the clients of `node`, in its order. `version` counts what a node tells, from 1."""

    node: str
    version: int
    changes: list[Entered | Left]


class Whole(msgspec.Struct, array_like=True, tag="whole"):
    """Part `part` of `parts` of all the clients `node` has. All parts have one `version`, counted as in `Changed`."""

    node: str
    version: int
    part: int
    parts: int
    entries: list[Entered]


class Ask(msgspec.Struct, array_like=True, tag="ask"):
    """These nodes shall tell the whole; all of them when none is named."""

    nodes: list[str]


class Event(NamedTuple):
    """A client has come into a channel, or has gone."""

    joined: bool
    channel: str
    info: ClientInfo


Entries = dict[str, dict[str, ClientInfo]]
"""Clients by channel and id."""


class _Node:
    """What is known of one worker's clients. `behind`: something was missed, only the whole helps."""

    __slots__ = ("behind", "entries", "parts", "version")

    def __init__(self) -> None:
        self.version = 0
        self.behind = True
        self.entries: Entries = {}
        self.parts: list[Whole] = []


class Presence:
    """One worker's copy of what all of them tell."""

    def __init__(self) -> None:
        self._nodes: dict[str, _Node] = {}

    def knows(self, node: str) -> bool:
        """Whether all that `node` told up to now is known."""
        known = self._nodes.get(node)
        return known is not None and not known.behind

    @property
    def behind(self) -> list[str]:
        """The nodes that have to be asked for the whole."""
        return [name for name, node in self._nodes.items() if node.behind]

    def clients(self, channel: str) -> dict[str, ClientInfo]:
        """Who is in `channel`, by client id."""
        found: dict[str, ClientInfo] = {}
        for node in self._nodes.values():
            found.update(node.entries.get(channel, {}))
        return found

    def take(self, message: Changed | Whole) -> list[Event]:
        """Learn what a worker tells. What comes twice, or late, changes nothing."""
        node = self._nodes.get(message.node)
        if node is None:
            node = self._nodes[message.node] = _Node()
        if isinstance(message, Changed):
            return _change(node, message)
        return _replace(node, message)

    def expect(self, name: str, version: int) -> None:
        """Worker `name` says that it has told `version`."""
        node = self._nodes.setdefault(name, _Node())
        if version > node.version:
            node.behind = True

    def doubt(self) -> None:
        """Messages were lost; nobody knows whose."""
        for node in self._nodes.values():
            node.behind = True

    def drop(self, name: str) -> list[Event]:
        """Worker `name` is gone, and its clients with it."""
        node = self._nodes.pop(name, None)
        return [] if node is None else [Event(False, channel, info) for channel, info in _all(node.entries)]


def _change(node: _Node, message: Changed) -> list[Event]:
    if message.version <= node.version:
        return []
    if message.version > node.version + 1:
        node.behind = True
        return []
    node.version = message.version
    events = []
    for change in message.changes:
        clients = node.entries.get(change.channel, {})
        if isinstance(change, Entered):
            if change.client not in clients:
                events.append(Event(True, change.channel, change.info))
            node.entries.setdefault(change.channel, clients)[change.client] = change.info
        elif (info := clients.pop(change.client, None)) is not None:
            events.append(Event(False, change.channel, info))
            if not clients:
                del node.entries[change.channel]
    return events


def _replace(node: _Node, message: Whole) -> list[Event]:
    if message.version < node.version or (message.version == node.version and not node.behind):
        return []
    if node.parts and node.parts[0].version != message.version:
        node.parts.clear()
    if message.part != len(node.parts):
        return []
    node.parts.append(message)
    if len(node.parts) < message.parts:
        return []
    entries: Entries = {}
    for part in node.parts:
        for entry in part.entries:
            entries.setdefault(entry.channel, {})[entry.client] = entry.info
    before = node.entries
    node.entries, node.version, node.behind = entries, message.version, False
    node.parts.clear()
    left = [
        Event(False, channel, info) for channel, info in _all(before) if info.client not in entries.get(channel, {})
    ]
    joined = [
        Event(True, channel, info) for channel, info in _all(entries) if info.client not in before.get(channel, {})
    ]
    return left + joined


def _all(entries: Entries) -> Iterator[tuple[str, ClientInfo]]:
    for channel, clients in entries.items():
        for info in clients.values():
            yield channel, info
