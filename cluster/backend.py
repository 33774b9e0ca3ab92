"""What a client of the client protocol needs of the application: who may come, who may do what, and the answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from msgspec import Raw

from .access import ANONYMOUS, ChannelOptions, Grant, Identity
from .session.commands import NOTHING, ConnectRequest, SubscribeRequest


class Caller(NamedTuple):
    """Who asks: a client. `info` is told to others with its presence; `scope` is ASGI's of its handshake.

    `subject`: whose tokens refresh the connection. `emulated`: the headers it put into its `connect`, as they came.
    """

    client: str
    user: str = ANONYMOUS
    info: Raw = NOTHING
    scope: Mapping[str, Any] = {}
    subject: str = ANONYMOUS
    emulated: Mapping[str, str] = {}


class Backend(Protocol):
    """Each method may raise `ReplyError`, the answer to the command, or `Disconnection`."""

    def options(self, channel: str) -> ChannelOptions | None:
        """What `channel` offers; None for one that is not declared. Pure and fast: asked for every publication."""

    async def connect(self, request: ConnectRequest, client: str, scope: Mapping[str, Any]) -> Identity:
        """Who the client is that says `connect`; `client` is the id it has been given, `scope` ASGI's."""

    async def authorize(
        self, channel: str, options: ChannelOptions, caller: Caller, request: SubscribeRequest
    ) -> Grant:
        """Let `caller` subscribe."""

    async def refresh(self, token: str, caller: Caller) -> float | None:
        """When the connection expires now: Unix time, None for never."""

    async def sub_refresh(self, channel: str, token: str, caller: Caller) -> float | None:
        """When the subscription expires now: Unix time, None for never."""

    def validate(self, channel: str, data: bytes) -> bytes:
        """What to publish when a client publishes `data`: checked against the channel's model."""

    async def rpc(self, method: str, data: bytes, caller: Caller) -> bytes:
        """The answer to a call."""

    async def message(self, data: bytes, caller: Caller) -> None:
        """Take a message that is not answered."""
