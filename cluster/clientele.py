"""What the application does to clients of the client protocol, on whichever worker they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
from pydantic_core import to_json

from .channel import encode
from .errors import PayloadError, usable_code, usable_reason
from .peers import DisconnectClients, MessageClients, SubscribeClients, Target, UnsubscribeClients
from .service import Service
from .session.codes import CLOSE_FORCED


class Present(NamedTuple):
    """A client in a channel. `info` is what its token or the application said of it, `channel_info` of it there."""

    user: str
    client_id: str
    info: Any
    channel_info: Any


class Clientele:
    """`hub.clients`. Each method raises `BusError` when the other workers cannot be told or asked now.

    What is ordered of a user's clients is done to those that are connected when it reaches their worker; a
    `client_id` makes it one of them.
    """

    def __init__(self, service: Callable[[], Service]) -> None:
        self._service = service

    async def presence(self, channel: str) -> list[Present]:
        """Who is in `channel`, which was declared with presence."""
        found = await self._service().exchange.read(channel)
        return [
            Present(info.user, info.client, _value(info.conn_info), _value(info.chan_info)) for info in found.values()
        ]

    async def disconnect(
        self, user: str, *, client_id: str = "", code: int = CLOSE_FORCED.code, reason: str = CLOSE_FORCED.reason
    ) -> None:
        """Close the connections of `user`. Codes 3000 to 3499 and 4000 to 4499 let the client connect again.

        Raises `ValueError` when `code` is not from 3000 to 4999, or `reason` not text as in `Disconnection`.
        """
        order = DisconnectClients(Target(user, client_id), usable_code(code), usable_reason(reason))
        await self._service().node.say(order)

    async def subscribe(
        self, user: str, channel: str, *, client_id: str = "", info: Any = None, data: Any = None
    ) -> None:
        """Subscribe the clients of `user` to `channel`. `info` is told to others in it, `data` to the clients."""
        target = Target(user, client_id)
        await self._service().node.say(SubscribeClients(target, channel, info=_json(info), data=_json(data)))

    async def unsubscribe(self, user: str, channel: str, *, client_id: str = "") -> None:
        """End the subscriptions to `channel` that the clients of `user` have."""
        await self._service().node.say(UnsubscribeClients(Target(user, client_id), channel))

    async def send(self, user: str, message: Any, *, client_id: str = "") -> None:
        """Send the clients of `user` a Pydantic model, or anything JSON can hold. Who is away does not get it."""
        data = encode(message)
        if len(data) > self._service().hub.max_bytes:
            raise PayloadError(f"{len(data)} bytes are more than MAX_MESSAGE_BYTES allows")
        await self._service().node.say(MessageClients(Target(user, client_id), data))


def _value(raw: msgspec.Raw) -> Any:
    return msgspec.json.decode(raw) if bytes(raw) else None


def _json(value: Any) -> bytes:
    return b"" if value is None else to_json(value)
