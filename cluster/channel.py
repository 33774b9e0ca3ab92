"""Declared channels: a name or a pattern of names, the models they carry, what they keep."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, to_json

from .errors import ChannelError, PayloadError
from .stream import Position, Publication, Retention

P = TypeVar("P")

_PARAMETER = re.compile(r"\{([a-z_][a-z0-9_]*)\}")

PublicationHandler = Callable[[Any, Publication], Awaitable[None] | None]


class Channel(Generic[P]):
    """A channel, or with `{parameters}` in its pattern a family of channels, that carries models of one type.

    Made by `Hub.channel`. A parameter stands for one or more characters other than `:`.
    """

    def __init__(
        self,
        pattern: str,
        publishes: type[P] | None,
        retention: Retention | None,
        publish: Callable[[str, bytes, str | None, Retention | None], Awaitable[Position]],
    ) -> None:
        self.pattern = pattern
        self.publishes = publishes
        self.retention = retention
        self.handlers: list[PublicationHandler] = []
        parameters = _PARAMETER.findall(pattern)
        self.parameters = frozenset(parameters)
        if len(parameters) != len(self.parameters):
            raise ChannelError(f"{pattern!r}: a parameter may stand in a pattern once")
        self._publish = publish
        self._adapter: TypeAdapter[P] | None = None if publishes is None else TypeAdapter(publishes)
        pieces = _PARAMETER.split(pattern)
        names = (f"(?P<{piece}>[^:]+)" if i % 2 else re.escape(piece) for i, piece in enumerate(pieces))
        self._names = re.compile("".join(names))

    def name(self, **parameters: str) -> str:
        """The channel's name, its pattern filled in. Raises `ChannelError`."""
        if parameters.keys() != self.parameters:
            raise ChannelError(f"{self.pattern!r} needs {sorted(self.parameters)}, not {sorted(parameters)}")
        name = _PARAMETER.sub(lambda found: parameters[found[1]], self.pattern)
        if not self.matches(name):
            raise ChannelError(f"{name!r} does not fit {self.pattern!r}: a parameter may be neither empty nor have ':'")
        return name

    def matches(self, name: str) -> bool:
        """Whether `name` is this channel's or one of this family's."""
        return self._names.fullmatch(name) is not None

    def encode(self, message: P) -> bytes:
        """`message` as JSON, checked against the model. Raises `PayloadError`."""
        if self._adapter is None:
            return encode(message)
        try:
            return self._adapter.dump_json(self._adapter.validate_python(message))
        except (ValidationError, PydanticSerializationError) as error:
            raise PayloadError(f"channel {self.pattern!r} carries {self.publishes}: {error}") from None

    def decode(self, data: bytes) -> Any:
        """What `encode` made JSON of. Raises `PayloadError`."""
        try:
            return (self._adapter or _ANYTHING).validate_json(data)
        except ValidationError as error:
            raise PayloadError(f"channel {self.pattern!r} carries {self.publishes}: {error}") from None

    async def publish(self, message: P, *, id: str | None = None, **parameters: str) -> Position:
        """Publish on this channel, or on the one of this family that `parameters` name; see `Hub.publish`."""
        return await self._publish(self.name(**parameters), self.encode(message), id, self.retention)

    def on_publication(self, handler: PublicationHandler) -> PublicationHandler:
        """Call `handler(message, publication)` in every worker for every publication. A decorator.

        Publications are handled one after another; only a channel without parameters can be listened to.
        """
        if self.parameters:
            raise ChannelError(f"{self.pattern!r} has parameters: only a single channel can have a handler")
        self.handlers.append(handler)
        return handler


_ANYTHING: TypeAdapter[Any] = TypeAdapter(Any)


def encode(message: Any) -> bytes:
    """`message` (a Pydantic model, or anything JSON can hold) as JSON. Raises `PayloadError`."""
    try:
        return to_json(message, inf_nan_mode="null")
    except ValueError as error:
        raise PayloadError(f"cannot be made JSON: {error}") from None
