"""A WebSocket attached to the hub: what it sends comes out of `async for`, its channels go in by themselves."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator
from functools import cache
from typing import Any, Generic, TypeVar

import msgspec
from pydantic import TypeAdapter, ValidationError
from starlette.websockets import WebSocket

from .audience import Format, Subscriber
from .channel import encode
from .envelope import envelope, notice, payload
from .errors import ChannelError, CloseCode
from .hub import Hub, check_public
from .limits import TokenBucket
from .sink import Sink, sink_for
from .stream import Position

A = TypeVar("A")


class ConnectionLimits(msgspec.Struct, frozen=True):
    """What one client may cost; the settings of the same names say more."""

    max_message_bytes: int
    max_channels: int
    max_invalid_messages: int
    messages_per_second: float
    queue_bytes: int


@cache
def _format(make: Any, frame: Any) -> Format:
    """One function object per combination, so that equal audiences are recognised as equal."""
    return lambda publication: frame(make(publication))


class Connection(Subscriber, Generic[A]):
    """One accepted WebSocket. `accepts` checks and types what the client sends; None: any text.

    With `positions` every message is an `Envelope`, so that the client can come back and go on where it was;
    without, a message is what was published and nothing else.
    """

    def __init__(
        self,
        hub: Hub,
        websocket: WebSocket,
        limits: ConnectionLimits,
        *,
        accepts: TypeAdapter[A] | None = None,
        positions: bool = False,
    ) -> None:
        self.id = secrets.token_hex(8)
        self.websocket = websocket
        self._hub = hub
        self._limits = limits
        self._accepts = accepts
        self._positions = positions
        self._channels: set[str] = set()
        self._invalid = 0
        self._rate = TokenBucket(limits.messages_per_second, limits.messages_per_second * 10)
        self._sink: Sink = sink_for(websocket, limits.queue_bytes)
        self.concatenates = self._sink.concatenates
        # On the way of every publication to every client: no detour.
        self.deliver = self._sink.write  # type: ignore[method-assign]
        self.format = _format(envelope if positions else payload, type(self._sink).frame)

    async def subscribe(self, channel: str, since: Position | None = None) -> None:
        """Send what is published on `channel` to this client, after `since` or from now on.

        Effective when it returns. Raises `ChannelError`, `BusUnavailable`.
        """
        check_public(channel)
        if channel in self._channels:
            raise ChannelError(f"already subscribed to {channel!r}")
        if len(self._channels) >= self._limits.max_channels:
            raise ChannelError(f"a client may have {self._limits.max_channels} channels")
        self._channels.add(channel)
        try:
            await self._hub.subscribe(channel, self, since)
        except BaseException:
            self._channels.discard(channel)
            raise

    def unsubscribe(self, channel: str) -> None:
        """Send no more of `channel`."""
        if channel not in self._channels:
            raise ChannelError(f"not subscribed to {channel!r}")
        self._channels.discard(channel)
        self._hub.unsubscribe(channel, self)

    def send(self, message: Any) -> None:
        """Send a Pydantic model, or anything JSON can hold, to this client alone."""
        self.deliver(self._sink.frame(encode(message)))

    def close(self, code: int, reason: str) -> None:
        """Close the WebSocket; what has not left yet is dropped."""
        self._sink.close(code, reason)

    async def __aiter__(self) -> AsyncIterator[A]:
        """What the client sends, until it goes. Unusable messages are answered with an error, not yielded."""
        while (text := await self._receive()) is not None:
            if not self._rate.take(time.monotonic()):
                self.close(CloseCode.POLICY_VIOLATION, "too many messages")
                return
            if self._accepts is None:
                yield text  # type: ignore[misc]
                continue
            try:
                message = self._accepts.validate_json(text)
            except ValidationError as error:
                self._invalid += 1
                if self._invalid > self._limits.max_invalid_messages:
                    self.close(CloseCode.POLICY_VIOLATION, "too many unusable messages")
                    return
                self.send({"error": _explain(error)})
                continue
            self._invalid = 0
            yield message

    async def closed(self) -> None:
        """Wait until the client has gone; what it sends meanwhile is discarded."""
        async for _ in self:
            pass

    async def finish(self) -> None:
        """Leave every channel and let what was sent reach the client."""
        for channel in list(self._channels):
            self.unsubscribe(channel)
        await self._sink.finish()

    def subscribed(self, channel: str, position: Position, recovered: bool | None) -> None:
        if self._positions:
            self.deliver(self._sink.frame(notice(channel, position, recovered)))

    def reset(self, channel: str, position: Position) -> None:
        if self._positions:
            self.deliver(self._sink.frame(notice(channel, position, False)))

    async def room(self) -> None:
        await self._sink.room()

    async def _receive(self) -> str | None:
        """The next text message; None when the client is gone or was closed for what it sent."""
        message = await self._sink.receive()
        if message["type"] == "websocket.disconnect":
            return None
        text = message.get("text")
        if text is None:
            self.close(CloseCode.UNSUPPORTED_DATA, "binary messages are not supported, send text")
        elif len(text) > self._limits.max_message_bytes or len(text.encode()) > self._limits.max_message_bytes:
            self.close(CloseCode.MESSAGE_TOO_BIG, f"more than {self._limits.max_message_bytes} bytes")
        else:
            return str(text)
        return None


def _explain(error: ValidationError) -> dict[str, str]:
    """The first thing wrong with a message: which field, and what about it."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return {"field": ".".join(str(part) for part in first["loc"]), "message": first["msg"]}
