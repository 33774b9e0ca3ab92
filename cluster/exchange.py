"""Cluster-wide presence: what this worker tells the others of its clients, and what it knows of theirs."""

from __future__ import annotations

from typing import Protocol

from .node import Node
from .session.commands import ClientInfo


class Watcher(Protocol):
    """Who wants to know of joins and leaves in a channel. Both methods must return at once."""

    def joined(self, channel: str, info: ClientInfo) -> None: ...

    def left(self, channel: str, info: ClientInfo) -> None: ...


class Exchange:
    """Presence in all channels. What a worker was told by `enter`, every `read` on any worker shows afterwards."""

    def __init__(self, node: Node) -> None: ...

    async def run(self) -> None:
        """Tell the others what changes until cancelled."""

    async def enter(self, channel: str, info: ClientInfo) -> None:
        """A client of this worker is in `channel`. When it returns, every worker knows or will know before it answers
        a `read`. Raises `BusUnavailable`, also when cancelled the client has not entered."""

    def leave(self, channel: str, client: str) -> None:
        """A client of this worker is in `channel` no more; nothing happens when it was not. `told` waits for it."""

    async def told(self) -> None:
        """Wait until the bus has accepted every `leave` so far. Raises `BusUnavailable`."""

    async def read(self, channel: str) -> dict[str, ClientInfo]:
        """Who is in `channel`, by client id. Raises `BusUnavailable`, as a rule for a moment only."""
        raise NotImplementedError

    def watch(self, channel: str, watcher: Watcher) -> None:
        """Tell `watcher` of joins and leaves in `channel`, also those of the client it stands for."""

    def unwatch(self, channel: str, watcher: Watcher) -> None:
        """Tell it no more; nothing happens when it was not told."""
