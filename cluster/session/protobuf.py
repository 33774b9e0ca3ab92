"""The protocol as Protobuf messages, each after its length.

`client.binpb` describes them; their names and fields are those of the structs of `commands`.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from msgspec import Raw, Struct

from .. import content, stream
from . import commands
from .codec import MAX_COMMANDS, unpack
from .commands import Command, EmulationRequest, Publication, Push, Reply, raw

# A pool of its own: an SDK in the same process has messages of the same names.
_pool = DescriptorPool()
for _file in FileDescriptorSet.FromString(files(__package__).joinpath("client.binpb").read_bytes()).file:
    _pool.Add(_file)


def message_class(name: str) -> Any:
    """The class of the protocol's Protobuf messages of this name."""
    return GetMessageClass(_pool.FindMessageTypeByName(f"cluster.session.{name}"))


class ProtobufCodec:
    """Payloads are any bytes."""

    binary = True

    def __init__(self) -> None:
        self._command = message_class("Command")
        self._emulation = message_class("EmulationRequest")
        self._reply = message_class("Reply")
        # A push of a payload alone, which is most of what is ever encoded, is filled in anew each time.
        self._pushed = self._reply()
        self._push = self._pushed.push
        self._pub = self._push.pub

    def decode(self, frame: bytes) -> list[Command]:
        found: list[Command] = []
        start = 0
        while start < len(frame):
            length, start = read_varint(frame, start)
            end = start + length
            if end > len(frame) or len(found) == MAX_COMMANDS:
                raise ValueError("a command is not complete, or there are too many")
            found.append(_struct(_parsed(self._command, frame[start:end])))
            start = end
        if not found:
            raise ValueError("no command")
        return found

    def encode(self, reply: Reply) -> bytes:
        message = self._reply()
        _fill(message, reply)
        return _framed(message)

    def push(self, publication: stream.Publication, positioned: bool) -> bytes:
        data = publication.data or b""
        if data[:1] == content.MARK:
            return self.encode(Reply(push=Push(publication.channel, self.publication(publication, positioned))))
        self._push.channel = publication.channel
        self._pub.data = data
        self._pub.offset = publication.offset if positioned else 0
        return _framed(self._pushed)

    def publication(self, publication: stream.Publication, positioned: bool) -> Publication:
        return unpack(publication, positioned)[0]

    def payload(self, data: bytes) -> Raw:
        return raw(data)

    @staticmethod
    def join(replies: list[bytes]) -> bytes:
        return b"".join(replies)

    def emulation(self, body: bytes) -> EmulationRequest:
        request = _parsed(self._emulation, body)
        return EmulationRequest(request.session, request.node, request.data)


def read_varint(data: bytes, start: int) -> tuple[int, int]:
    """The number that begins at `start`, and where it ends. Raises `ValueError`."""
    number = shift = 0
    for at in range(start, min(start + 10, len(data))):
        number |= (data[at] & 0x7F) << shift
        if data[at] < 0x80:
            return number, at + 1
        shift += 7
    raise ValueError("a number is not complete")


def write_varint(number: int) -> bytes:
    if number < 0x80:
        return bytes((number,))
    if number < 0x4000:
        return bytes((number & 0x7F | 0x80, number >> 7))
    return bytes((number & 0x7F | 0x80,)) + write_varint(number >> 7)


def _framed(message: Message) -> bytes:
    encoded = message.SerializeToString()
    return write_varint(len(encoded)) + encoded


def _parsed(kind: Any, data: bytes) -> Any:
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise ValueError(str(error)) from None


def _struct(message: Message) -> Any:
    """The struct with the fields of `message`."""
    values = {field.name: _value(field, value) for field, value in message.ListFields()}
    return getattr(commands, message.DESCRIPTOR.name)(**values)


def _value(field: Any, value: Any) -> Any:
    if isinstance(value, str | int):
        return value
    if isinstance(value, bytes):
        return raw(value)
    if isinstance(value, Message):
        return _struct(value)
    item = field.message_type.fields_by_name["value"]
    return {key: _value(item, value) for key, value in value.items()}


def _fill(message: Any, struct: Struct) -> None:
    """Set the fields of `message` that `struct` has."""
    for name in struct.__struct_fields__:
        value = getattr(struct, name)
        if not value:
            continue
        if isinstance(value, Raw):
            setattr(message, name, bytes(value))
        elif isinstance(value, Struct):
            field = getattr(message, name)
            field.SetInParent()
            _fill(field, value)
        elif isinstance(value, list):
            for item in value:
                _fill(getattr(message, name).add(), item)
        elif isinstance(value, dict):
            _fill_map(getattr(message, name), value)
        else:
            setattr(message, name, value)


def _fill_map(field: Any, items: dict[str, Any]) -> None:
    for key, item in items.items():
        if isinstance(item, Struct):
            _fill(field[key], item)
        else:
            field[key] = item


PROTOBUF = ProtobufCodec()
