"""The clients of the client protocol that are connected to this worker."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Protocol

from .peers import SubscribeClients, Target
from .session.commands import Disconnect, Unsubscribe


class ConnectedClient(Protocol):
    """What the cluster may do to a client. Every method returns at once."""

    @property
    def client_id(self) -> str: ...

    @property
    def session_id(self) -> str:
        """Names it in `/emulation`; empty where the client itself can send."""

    @property
    def user(self) -> str: ...

    @property
    def channels(self) -> Collection[str]:
        """The channels it is subscribed to."""

    def received(self, frame: bytes) -> None:
        """The client sent `frame`."""

    def close(self, why: Disconnect) -> None:
        """End the connection."""

    def subscribe(self, order: SubscribeClients) -> None:
        """Subscribe it by order of the server; nothing happens where that cannot be."""

    def unsubscribe(self, channel: str, why: Unsubscribe) -> None:
        """End a subscription by order of the server, also one that is being made; nothing happens when there is none.

        An empty `channel` stands for all of them.
        """

    def message(self, data: bytes) -> None:
        """Send it JSON that belongs to no channel."""


class Clients:
    """Connected clients by id, session and user. A client is here from its connect reply to its end."""

    def __init__(self) -> None:
        self._clients: dict[str, ConnectedClient] = {}
        self._sessions: dict[str, ConnectedClient] = {}
        self._users: dict[str, dict[str, ConnectedClient]] = {}

    def __len__(self) -> int:
        return len(self._clients)

    def __iter__(self) -> Iterator[ConnectedClient]:
        return iter(list(self._clients.values()))

    @property
    def users(self) -> int:
        """Different users connected; all anonymous ones count as one."""
        return len(self._users)

    def add(self, client: ConnectedClient) -> None:
        """`client` has connected: its user is known from now on."""
        self._clients[client.client_id] = client
        self._users.setdefault(client.user, {})[client.client_id] = client

    def add_session(self, client: ConnectedClient) -> None:
        """`client` sends through `/emulation`, its connect command perhaps included."""
        self._sessions[client.session_id] = client

    def remove(self, client: ConnectedClient) -> None:
        """`client` is gone. Nothing happens when it was not here."""
        self._sessions.pop(client.session_id, None)
        if self._clients.pop(client.client_id, None) is not None:
            connections = self._users[client.user]
            del connections[client.client_id]
            if not connections:
                del self._users[client.user]

    def of_session(self, session: str) -> ConnectedClient | None:
        return self._sessions.get(session)

    @property
    def sessions(self) -> list[ConnectedClient]:
        """The clients that send through `/emulation`."""
        return list(self._sessions.values())

    def matching(self, target: Target) -> list[ConnectedClient]:
        """The connections of a user that are meant."""
        return [
            client
            for client in self._users.get(target.user, {}).values()
            if target.client in ("", client.client_id) and target.session in ("", client.session_id)
        ]
