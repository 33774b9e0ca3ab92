"""How messages become bytes and back, and which of them a frame holds."""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol

import msgspec
from msgspec import Raw

from .. import content, stream
from .commands import ClientInfo, Command, EmulationRequest, Publication, Reply, raw

MAX_COMMANDS = 1000
"""In one frame: a client that comes back subscribes to all its channels at once."""


class Codec(Protocol):
    """One encoding of the protocol.

    The payloads of one publication serve both: JSON is bytes to those who speak Protobuf, and what is not JSON is a
    `ValueError` to those who speak JSON.
    """

    binary: bool
    """Whether WebSocket frames are binary ones."""

    def decode(self, frame: bytes) -> list[Command]:
        """The commands in a frame, at least one. Raises `ValueError`."""

    def encode(self, reply: Reply) -> bytes:
        """One reply, to be joined."""

    def push(self, publication: stream.Publication, positioned: bool) -> bytes:
        """One publication as it is pushed to subscribers, to be joined. Raises `ValueError`.

        `positioned`: with its offset.
        """

    def publication(self, publication: stream.Publication, positioned: bool) -> Publication:
        """One publication as it stands in results. Raises `ValueError`."""

    def payload(self, data: bytes) -> Raw:
        """`data` as it may stand in results and pushes; nothing if it is empty. Raises `ValueError`."""

    def join(self, replies: list[bytes]) -> bytes:
        """A frame of several encoded replies."""

    def emulation(self, body: bytes) -> EmulationRequest:
        """What a client sent beside its stream. Raises `ValueError`."""


_decode_info = msgspec.json.Decoder(ClientInfo).decode
_encode = msgspec.json.Encoder().encode


def encode_info(info: ClientInfo) -> bytes:
    """`info` as publications carry it on the bus (see `content`)."""
    return _encode(info)


def unpack(publication: stream.Publication, positioned: bool) -> tuple[Publication, bool]:
    """What a publication on the bus holds, and whether its payload is not JSON. Raises `ValueError`."""
    held = content.unpack(publication.data or b"")
    info = _decode_info(held.info) if held.info else None
    offset = publication.offset if positioned else 0
    return Publication(raw(held.payload), info, offset, held.tags), held.binary


class JsonCodec:
    """One JSON text per line."""

    binary = False

    def __init__(self) -> None:
        self._commands = msgspec.json.Decoder(Command)
        self._emulation = msgspec.json.Decoder(_Emulation)

    def decode(self, frame: bytes) -> list[Command]:
        if frame.count(b"\n") > MAX_COMMANDS:
            raise ValueError("too many commands")
        str(frame, "utf-8")  # Payloads are passed over, not looked into.
        try:
            commands = self._commands.decode_lines(frame)
        except RecursionError:
            raise ValueError("too deep") from None
        content.check_depth(frame)
        if not 0 < len(commands) <= MAX_COMMANDS:
            raise ValueError("no command or too many")
        return commands

    def encode(self, reply: Reply) -> bytes:
        return one_line(_encode(reply))

    def push(self, publication: stream.Publication, positioned: bool) -> bytes:
        data = publication.data or b""
        more = b',"offset":%d' % publication.offset if positioned else b""
        if data[:1] == content.MARK:
            held = content.unpack(data)
            if held.binary:
                raise ValueError("the payload is not JSON")
            data = held.payload
            if held.info:
                more += b',"info":' + held.info
            if held.tags:
                more += b',"tags":' + _encode(held.tags)
        if not data:
            raise ValueError("there is no payload")
        return one_line(b"%b%b%b}}}" % (_head(publication.channel), data, more))

    def publication(self, publication: stream.Publication, positioned: bool) -> Publication:
        result, binary = unpack(publication, positioned)
        if binary:
            raise ValueError("the payload is not JSON")
        return result

    def payload(self, data: bytes) -> Raw:
        if data and not content.is_json(data):
            raise ValueError("the payload is not JSON")
        return raw(data)

    @staticmethod
    def join(replies: list[bytes]) -> bytes:
        return b"\n".join(replies)

    def emulation(self, body: bytes) -> EmulationRequest:
        request = self._emulation.decode(body)
        return EmulationRequest(request.session, request.node, request.data.encode())


class _Emulation(msgspec.Struct):
    session: str = ""
    node: str = ""
    data: str = ""


@lru_cache(4096)
def _head(channel: str) -> bytes:
    return b'{"push":{"channel":%b,"pub":{"data":' % _encode(channel)


def one_line(text: bytes) -> bytes:
    """The same JSON without line breaks: they end a message. Those within strings are escaped anyhow."""
    return text.translate(_SPACES) if LF in text or CR in text else text


LF, CR = b"\n\r"
_SPACES = bytes.maketrans(b"\n\r", b"  ")

JSON = JsonCodec()
