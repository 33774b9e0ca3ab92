"""The other end of a codec, made of other means than the codec itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Protocol

from msgspec import Raw, Struct

from cluster.session.codec import JSON, Codec
from cluster.session.protobuf import PROTOBUF, message_class, read_varint, write_varint

PAYLOADS = {"data", "conn_info", "chan_info"}


class Peer(Protocol):
    codec: Codec

    def frame(self, *commands: dict[str, Any]) -> bytes:
        """A frame of commands, payloads given as what they are in JSON."""

    def read(self, frame: bytes) -> list[Any]:
        """The replies in a frame, alike."""


def said(value: Any) -> Any:
    """A decoded command as it would be said."""
    match value:
        case Raw():
            return json.loads(bytes(value))
        case Struct():
            given = {name: getattr(value, name) for name in value.__struct_fields__}
            return {name: said(item) for name, item in given.items() if item}
        case dict():
            return {name: said(item) for name, item in value.items()}
    return value


class JsonPeer:
    codec: Codec = JSON

    def frame(self, *commands: dict[str, Any]) -> bytes:
        return "\n".join(map(json.dumps, commands)).encode()

    def read(self, frame: bytes) -> list[Any]:
        return [json.loads(line) for line in frame.split(b"\n")]


class ProtobufPeer:
    codec: Codec = PROTOBUF

    def frame(self, *commands: dict[str, Any]) -> bytes:
        frame = b""
        for command in commands:
            encoded = message_class("Command")(**_with_bytes(command)).SerializeToString()
            frame += write_varint(len(encoded)) + encoded
        return frame

    def read(self, frame: bytes) -> list[Any]:
        replies = []
        start = 0
        while start < len(frame):
            length, start = read_varint(frame, start)
            assert start + length <= len(frame)
            replies.append(_told(message_class("Reply").FromString(frame[start : start + length])))
            start += length
        return replies


PEERS: Sequence[Peer] = (JsonPeer(), ProtobufPeer())


def _with_bytes(value: dict[str, Any]) -> dict[str, Any]:
    """A command with its payloads as bytes."""
    return {
        name: json.dumps(item).encode() if name in PAYLOADS else _with_bytes(item) if isinstance(item, dict) else item
        for name, item in value.items()
    }


def _told(message: Any) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for field, value in message.ListFields():
        if field.name in PAYLOADS:
            told[field.name] = _payload(value)
        elif field.message_type and field.message_type.GetOptions().map_entry:
            told[field.name] = {
                key: _told(item) if hasattr(item, "ListFields") else item for key, item in value.items()
            }
        elif isinstance(value, str | int):
            told[field.name] = value
        elif hasattr(value, "ListFields"):
            told[field.name] = _told(value)
        else:
            told[field.name] = [_told(item) for item in value]
    return told


def _payload(value: bytes) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value
