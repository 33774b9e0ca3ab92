"""An AsyncAPI 3 document of the channels a hub declares: `cluster asyncapi myapp:hub`, `/asyncapi.json`."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator
from itertools import count
from typing import Any, Literal, NamedTuple

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from .channel import Channel

VERSION = "3.0.0"

_MODES: dict[str, JsonSchemaMode] = {"send": "serialization", "receive": "validation"}


class Operation(NamedTuple):
    """Seen from the application: it sends what a channel publishes and receives what clients may publish there."""

    channel: str
    action: Literal["send", "receive"]
    model: Any

    @property
    def name(self) -> str:
        return f"{self.channel}{self.action.capitalize()}"


def asyncapi(channels: Iterable[Channel[Any]], *, title: str, version: str) -> dict[str, Any]:
    """The document, ready to be made JSON."""
    by_key: dict[str, Channel[Any]] = {}
    for channel in channels:
        by_key[_key(channel.pattern, by_key)] = channel
    operations = [operation for key, channel in by_key.items() for operation in _operations(key, channel)]
    schemas, definitions = TypeAdapter.json_schemas(
        [(operation.name, _MODES[operation.action], TypeAdapter(operation.model)) for operation in operations],
        ref_template="#/components/schemas/{model}",
    )
    return {
        "asyncapi": VERSION,
        "info": {"title": title, "version": version},
        "defaultContentType": "application/json",
        "channels": {
            key: _channel(channel, [operation.name for operation in operations if operation.channel == key])
            for key, channel in by_key.items()
        },
        "operations": {
            operation.name: {
                "action": operation.action,
                "channel": {"$ref": f"#/channels/{operation.channel}"},
                "messages": [{"$ref": f"#/channels/{operation.channel}/messages/{operation.name}"}],
            }
            for operation in operations
        },
        "components": {
            "messages": {
                name: {"name": name, "payload": _discriminated(schema)} for (name, _), schema in schemas.items()
            },
            "schemas": _discriminated(definitions.get("$defs", {})),
        },
    }


def _operations(key: str, channel: Channel[Any]) -> Iterator[Operation]:
    yield Operation(key, "send", Any if channel.publishes is None else channel.publishes)
    if channel.options.allow_publish != "nobody":
        yield Operation(key, "receive", Any if channel.accepts is None else channel.accepts)


def _channel(channel: Channel[Any], messages: Iterable[str]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "address": channel.pattern,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
    }
    if channel.parameters:
        about = "One or more characters other than a colon."
        described["parameters"] = {name: {"description": about} for name in sorted(channel.parameters)}
    return described


def _discriminated(schema: Any) -> Any:
    """The schema with every discriminator as AsyncAPI has it: the name of the property alone."""
    if isinstance(schema, list):
        return [_discriminated(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: _discriminated(value) for name, value in schema.items()}
    match found.get("discriminator"):
        case {"propertyName": name, "mapping": _}:
            found["discriminator"] = name
    return found


def _key(pattern: str, taken: Container[str]) -> str:
    """A name for the channel made of the words in its pattern."""
    first, *others = re.findall(r"[A-Za-z0-9]+", pattern) or ["channel"]
    key = first + "".join(word.capitalize() for word in others)
    return next(name for number in count(1) if (name := key if number == 1 else f"{key}{number}") not in taken)
