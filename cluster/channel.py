"""Declared channels: a name or a pattern of names, the models they carry, what they keep, what clients may do."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, to_json

from .access import DENY, ChannelOptions, bare_name
from .errors import ChannelError, PayloadError
from .stream import Position, Publication, Retention

P = TypeVar("P")

_PARAMETER = re.compile(r"\{([a-z_][a-z0-9_]*)\}")

PublicationHandler = Callable[[Any, Publication], Awaitable[None] | None]


class Channel(Generic[P]):
    """A channel, or with `{parameters}` in its pattern a family of channels, that carries models of one type.

    Made by `Hub.channel`. A parameter stands for one or more characters other than `:`. What is declared for
    `chat:{room}` also holds for the private `$chat:lobby` and for `chat:lobby#ann,bob`, which is for these two.

    `options`: what clients of the client protocol may do. `accepts`: what they may publish.
    """

    def __init__(
        self,
        pattern: str,
        publishes: type[P] | None,
        retention: Retention | None,
        publish: Callable[[str, bytes, str | None, Retention | None], Awaitable[Position]],
        *,
        accepts: type[Any] | None = None,
        options: ChannelOptions = DENY,
    ) -> None:
        self.pattern = pattern
        self.publishes = publishes
        self.accepts = accepts or publishes
        self.retention = retention
        self.options = options
        self.handlers: list[PublicationHandler] = []
        parameters = _PARAMETER.findall(pattern)
        self.parameters = frozenset(parameters)
        if len(parameters) != len(self.parameters):
            raise ChannelError(f"{pattern!r}: a parameter may stand in a pattern once")
        self._publish = publish
        self._adapter: TypeAdapter[P] | None = None if publishes is None else TypeAdapter(publishes)
        self._accepted: TypeAdapter[Any] | None = None if self.accepts is None else TypeAdapter(self.accepts)
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
        return self.values(name) is not None

    def values(self, name: str) -> dict[str, str] | None:
        """What stands for the parameters in `name`; None if it is none of this family's."""
        found = self._names.fullmatch(bare_name(name)) or self._names.fullmatch(name)
        return None if found is None else found.groupdict()

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

    def accept(self, data: bytes) -> bytes:
        """What to publish when a client publishes `data`: checked, and only what the model knows of it.

        Without a model it is anything. Raises `PayloadError` that names the first field at fault.
        """
        if self._accepted is None:
            return data
        try:
            return self._accepted.dump_json(self._accepted.validate_json(data))
        except ValidationError as error:
            problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
            field = ".".join(map(str, problem["loc"]))
            raise PayloadError(f"{field}: {problem['msg']}" if field else problem["msg"]) from None
        except PydanticSerializationError as error:
            raise PayloadError(str(error)) from None

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
