"""A hub that knows what an application declares: typed channels, and the functions that answer clients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BaseModel

from . import hub
from .access import ChannelOptions, Recovery, Who
from .application import Application
from .bus import connect
from .calls import Function
from .channel import Channel, encode
from .declarations import Declarations
from .errors import ChannelError
from .events import EventForwarder, EventName
from .settings import Settings
from .stream import Position, Retention

P = TypeVar("P")
F = TypeVar("F", bound=Function)


def _itself(payload: Any) -> Any:
    return payload


class DeclaringHub(hub.Hub):
    """The part of the hub that is used before the application starts, and `publish`."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(
            connect(settings),
            retention=Retention(settings.history_size, settings.history_seconds),
            max_bytes=settings.max_message_bytes,
        )
        self.settings = settings
        self.events = EventForwarder()
        self._declarations = Declarations()
        self._application = Application(settings, self._declarations, recoverable=self.bus.capabilities.recoverable)

    @property
    def declared(self) -> tuple[Channel[Any], ...]:
        """The channels declared, in the order they were."""
        return tuple(self._declarations.channels)

    def declaration(self, channel: str) -> Channel[Any] | None:
        """What `channel` was declared as, or the family it belongs to."""
        return self._declarations.find(channel)

    def channel(
        self,
        pattern: str,
        *,
        publishes: type[P] | None = None,
        accepts: type[Any] | None = None,
        history: Retention | None = None,
        recovery: Recovery = "off",
        presence: bool = False,
        join_leave: bool = False,
        allow_subscribe: Who = "nobody",
        allow_publish: Who = "nobody",
        allow_history: Who = "nobody",
        allow_presence: Who = "nobody",
        authorize: Function | None = None,
    ) -> Channel[P]:
        """Declare a channel, or with `{parameters}` a family of channels.

        `publishes`: the type every publication is checked against, a Pydantic model as a rule. `history`: what
        is kept, else HISTORY_SIZE and HISTORY_SECONDS. Raises `ChannelError` when it is declared already.

        The rest is for clients of the client protocol, who without it may do nothing here. `accepts`: the type of
        what they publish, else `publishes`. `recovery`: what they get that they missed. `presence`: who is in the
        channel is known. `join_leave`: they are told who comes and goes. `authorize`: who may subscribe is decided
        by this function and not by `allow_subscribe`; it takes the pattern's parameters, dependencies and the
        `Call`, and returns True or an `Allow`.
        """
        may_recover = recovery != "off" or allow_history != "nobody"
        options = ChannelOptions(
            history=self.retention if history is None and may_recover else history,
            recovery=recovery,
            presence=presence,
            join_leave=join_leave,
            allow_subscribe=allow_subscribe,
            allow_publish=allow_publish,
            allow_history=allow_history,
            allow_presence=allow_presence,
        )
        declared = Channel(pattern, publishes, history, self._publish_encoded, accepts=accepts, options=options)
        if authorize is not None and allow_subscribe != "nobody":
            raise ChannelError(f"channel {pattern!r}: say who may subscribe by authorize or by allow_subscribe")
        self._declarations.add(declared)
        if authorize is not None:
            self._application.set_authorize(pattern, sorted(declared.parameters), authorize)
        return declared

    def rpc(self, name: str) -> Callable[[F], F]:
        """Answer what clients call `name`. A decorator of a function like an endpoint's, see `cluster.calls`."""

        def register(function: F) -> F:
            self._application.add_rpc(name, function)
            return function

        return register

    def on_connect(self, function: F) -> F:
        """Ask `function` about every client that connects, after its token was verified. A decorator.

        It returns a `Welcome`, or None: then the token alone decides, and who has none is sent away.
        """
        self._application.set_on_connect(function)
        return function

    def on_message(self, function: F) -> F:
        """Give `function` what clients send that is no command and not answered. A decorator."""
        self._application.set_on_message(function)
        return function

    async def publish(self, channel: str, message: Any, *, id: str | None = None) -> Position:
        """Publish `message` to every client of `channel`, in every worker, and return its place.

        `message` is a Pydantic model or anything JSON can hold; a declared channel's type is enforced. The same
        `id` again is the same publication: use it to repeat after a `PublishError`. Raises `PayloadError`,
        `ChannelError`, `PublishError`, `PublishRefused`.
        """
        hub.check_public(channel)
        declared = self._declarations.find(channel)
        if declared is None:
            return await self.publish_bytes(channel, encode(message), id=id)
        return await self.publish_bytes(channel, declared.encode(message), id=id)

    def forward(
        self,
        event: type[BaseModel] | EventName,
        *,
        to: str | Channel[Any] | Callable[[Any], str],
        message: Callable[[Any], Any] = _itself,
    ) -> None:
        """Publish every dispatched `event` on the channel `to`, or on the one that `to(payload)` names.

        What is published is `message(payload)`, by default the payload itself.
        """
        if isinstance(to, Channel):
            to = to.name()

        async def publish(payload: Any) -> Position:
            return await self.publish(to if isinstance(to, str) else to(payload), message(payload))

        self.events.forward(event, publish)

    def retention_of(self, channel: str) -> Retention:
        declared = self._declarations.find(channel)
        return self.retention if declared is None or declared.retention is None else declared.retention

    async def _publish_encoded(
        self, channel: str, data: bytes, id: str | None, retention: Retention | None
    ) -> Position:
        return await self.publish_bytes(channel, data, id=id, retention=retention)
