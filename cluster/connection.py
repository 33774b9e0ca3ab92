"""A WebSocket attached to the hub: what it sends comes out of `async for`, its channels go in by themselves."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Callable, Collection
from functools import cache
from typing import Any, Generic, TypeVar

from starlette.types import Message
from starlette.websockets import WebSocket

from .audience import Format, Subscriber
from .channel import encode
from .envelope import envelope, notice, payload, placeless
from .errors import ChannelError, CloseCode
from .hub import Hub, check_public
from .intake import ClientLimits, Intake, Refusal
from .sink import Sink, sink_for
from .stream import Position

logger = logging.getLogger(__name__)

A = TypeVar("A")


@cache
def _format(make: Any, frame: Any) -> Format:
    """One function object per combination, so that equal audiences are recognised as equal."""
    return lambda publication: frame(make(publication))


def _ignore(connection: Connection[Any], message: Any) -> None:
    pass


class Connection(Subscriber, Generic[A]):
    """One accepted WebSocket. `accepts` checks and types what the client sends; None: any text.

    With `positions` every message is an `Envelope`, so that the client can come back and go on where it was;
    without, a message is what was published and nothing else.
    """

    __slots__ = (
        "_channels",
        "_hub",
        "_intake",
        "_limits",
        "_on_leave",
        "_places",
        "_positions",
        "_sink",
        "deliver",
        "format",
        "handed_off",
        "join",
    )

    def __init__(
        self,
        hub: Hub,
        websocket: WebSocket,
        limits: ClientLimits,
        on_leave: Callable[[Connection[A]], None],
        *,
        accepts: type[A] | None,
        positions: bool,
    ) -> None:
        self._hub = hub
        self._limits = limits
        self._on_leave = on_leave
        self._intake = Intake(accepts, limits)
        self._positions = positions
        self._channels: tuple[str, ...] = ()
        self.handed_off = False
        self._sink: Sink = sink_for(websocket, limits.queue_bytes)
        self.join = self._sink.join
        # On the way of every publication to every client: no detour.
        self.deliver = self._sink.write  # type: ignore[method-assign]
        # Where nothing is recovered a position would promise what nobody keeps.
        self._places = hub.bus.capabilities.recoverable
        make = (envelope if self._places else placeless) if positions else payload
        self.format = _format(make, type(self._sink).frame)

    @property
    def channels(self) -> Collection[str]:
        """The channels it is subscribed to."""
        return self._channels

    async def subscribe(self, channel: str, since: Position | None = None) -> None:
        """Send what is published on `channel` to this client, after `since` or from now on.

        Effective when it returns. Raises `ChannelError`, `BusUnavailable`.
        """
        check_public(channel)
        if channel in self._channels:
            raise ChannelError(f"already subscribed to {channel!r}")
        if len(self._channels) >= self._limits.max_channels:
            raise ChannelError(f"a client may have {self._limits.max_channels} channels")
        self._channels += (channel,)
        try:
            await self._hub.subscribe(channel, self, since)
        except BaseException:
            self._forget(channel)
            raise

    def unsubscribe(self, channel: str) -> None:
        """Send no more of `channel`."""
        if channel not in self._channels:
            raise ChannelError(f"not subscribed to {channel!r}")
        self._forget(channel)
        self._hub.unsubscribe(channel, self)

    def send(self, message: Any) -> None:
        """Send a Pydantic model, or anything JSON can hold, to this client alone."""
        self.deliver(self._sink.frame(encode(message)))

    def close(self, code: int, reason: str) -> None:
        """Close the WebSocket; what has not left yet is dropped."""
        self._sink.close(code, reason)

    async def __aiter__(self) -> AsyncIterator[A]:
        """What the client sends, until it goes. Unusable messages are answered with an error, not yielded."""
        while (message := await self._sink.receive())["type"] != "websocket.disconnect":
            accepted = self._intake.take(message, time.monotonic())
            if not isinstance(accepted, Refusal):
                yield accepted
            elif not self._refuse(accepted):
                return

    async def closed(self) -> None:
        """Wait until the client has gone; what it sends meanwhile is discarded."""
        async for _ in self:
            pass

    async def serve(self, on_message: Callable[[Connection[A], A], None] = _ignore) -> None:
        """Call `on_message` for what the client sends until it goes. The last thing an endpoint does.

        Under the runner it returns at once: the server's protocol object keeps the connection, the endpoint may
        end, and an idle connection costs a fraction of the memory. Elsewhere it returns when the client has gone.
        """

        def receive(message: Message) -> None:
            if message["type"] == "websocket.disconnect":
                self.leave()
            elif isinstance(accepted := self._intake.take(message, time.monotonic()), Refusal):
                self._refuse(accepted)
            else:
                self._call(on_message, accepted)

        self.handed_off = self._sink.hand_off(receive)
        if not self.handed_off:
            async for message in self:
                self._call(on_message, message)

    def leave(self) -> None:
        """Receive no channel any more."""
        for channel in self._channels:
            self.unsubscribe(channel)
        self._on_leave(self)

    async def finish(self) -> None:
        """Leave every channel and let what was sent reach the client."""
        self.leave()
        await self._sink.finish()

    def subscribed(self, channel: str, position: Position, recovered: bool | None) -> None:
        if self._positions:
            self._notify(channel, position, recovered)

    def reset(self, channel: str, position: Position) -> None:
        if self._positions:
            self._notify(channel, position, False)

    async def room(self) -> None:
        await self._sink.room()

    def _notify(self, channel: str, position: Position, recovered: bool | None) -> None:
        self.deliver(self._sink.frame(notice(channel, position if self._places else None, recovered)))

    def _call(self, on_message: Callable[[Connection[A], A], None], message: A) -> None:
        try:
            on_message(self, message)
        except Exception:
            logger.exception("handling a client's message failed")
            self.close(CloseCode.INTERNAL_ERROR, "internal error")

    def _forget(self, channel: str) -> None:
        self._channels = tuple(other for other in self._channels if other != channel)

    def _refuse(self, refusal: Refusal) -> bool:
        """Answer or close; whether the client may go on."""
        if refusal.answer is None:
            self.close(refusal.code, refusal.reason)
            return False
        self.send({"error": refusal.answer})
        return True
