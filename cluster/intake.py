"""What a client sends, judged message by message: usable, answered with an error, or a reason to close."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Generic, NamedTuple, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from .errors import CloseCode
from .limits import TokenBucket

A = TypeVar("A")


class ClientLimits(NamedTuple):
    """What one client may cost; the settings of the same names say more."""

    max_message_bytes: int
    max_channels: int
    max_invalid_messages: int
    messages_per_second: float
    queue_bytes: int


class Refusal(NamedTuple):
    """A message that cannot be used: what to answer, or else with what to close."""

    answer: dict[str, str] | None
    code: int = 0
    reason: str = ""


class Intake(Generic[A]):
    """Judges the messages of one client. `accepts` is what they must be; None: any text."""

    __slots__ = ("_accepts", "_invalid", "_limits", "_rate")

    def __init__(self, accepts: type[A] | None, limits: ClientLimits) -> None:
        self._accepts = None if accepts is None else adapter(cast(Any, accepts))
        self._limits = limits
        self._invalid = 0
        self._rate: TokenBucket | None = None  # most clients never send anything

    def take(self, message: Mapping[str, Any], now: float) -> A | Refusal:
        """The usable content of an ASGI `websocket.receive` that arrived at `now` (seconds), or why there is none."""
        limits = self._limits
        text = message.get("text")
        if text is None:
            return Refusal(None, CloseCode.UNSUPPORTED_DATA, "binary messages are not supported, send text")
        if len(text) > limits.max_message_bytes or len(text.encode()) > limits.max_message_bytes:
            return Refusal(None, CloseCode.MESSAGE_TOO_BIG, f"more than {limits.max_message_bytes} bytes")
        if self._rate is None:
            self._rate = TokenBucket(limits.messages_per_second, limits.messages_per_second * 10)
        if not self._rate.take(now):
            return Refusal(None, CloseCode.POLICY_VIOLATION, "too many messages")
        if self._accepts is None:
            return text  # type: ignore[no-any-return]
        try:
            accepted: A = self._accepts.validate_json(text)
        except ValidationError as error:
            self._invalid += 1
            if self._invalid > limits.max_invalid_messages:
                return Refusal(None, CloseCode.POLICY_VIOLATION, "too many unusable messages")
            return Refusal(_explain(error))
        self._invalid = 0
        return accepted


@cache
def adapter(accepts: Any) -> TypeAdapter[Any]:
    """The adapter of a type, made once: making one takes longer than a connection does otherwise."""
    return TypeAdapter(accepts)


def _explain(error: ValidationError) -> dict[str, str]:
    """The first thing wrong with a message: which field, and what about it."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return {"field": ".".join(str(part) for part in first["loc"]), "message": first["msg"]}
