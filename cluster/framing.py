"""How encoded messages become what is written to a client of the client protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from .audience import Format, Join
from .protocol import Frame
from .session.codec import JSON, Codec
from .session.protobuf import PROTOBUF
from .stream import Publication

FRAME_BYTES = 256 * 1024
"""Bytes of messages joined into one WebSocket frame; more go into several. Clients limit what they take in one."""


def unchanged(message: bytes) -> bytes:
    return message


class Framing(NamedTuple):
    """`piece` is made of one encoded message; `join` makes one write of several pieces, where that is possible.

    There is one object for each way, so that equal audiences are recognised as equal.
    """

    codec: Codec
    piece: Callable[[bytes], Any]
    join: Join | None


def formatting(framing: Framing, has_offsets: Callable[[str], bool]) -> Format:
    """The format of an audience; `has_offsets` tells it of a channel."""
    push, piece = framing.codec.push, framing.piece

    def format(publication: Publication) -> Any:
        return piece(push(publication, has_offsets(publication.channel)))

    return format


def websocket_frames(codec: Codec, frame: Frame) -> Framing:
    """Ready-made WebSocket frames, each of several messages."""

    def join(messages: list[bytes]) -> bytes:
        if len(messages) == 1 or sum(map(len, messages)) <= FRAME_BYTES:
            return frame(codec.join(messages))
        frames: list[bytes] = []
        together: list[bytes] = []
        size = 0
        for message in messages:
            if together and size + len(message) > FRAME_BYTES:
                frames.append(frame(codec.join(together)))
                together, size = [], 0
            together.append(message)
            size += len(message)
        frames.append(frame(codec.join(together)))
        return b"".join(frames)

    return Framing(codec, unchanged, join)


def websocket_messages(codec: Codec) -> Framing:
    """ASGI's WebSocket messages: text, or bytes; each of one message."""
    return Framing(codec, unchanged if codec.binary else bytes.decode, None)


def messages_of_a_stream(codec: Codec) -> Framing:
    """A message in each line; after its length if it is binary."""
    return Framing(codec, unchanged if codec.binary else lambda message: message + b"\n", b"".join)


STREAM: Mapping[Codec, Framing] = {codec: messages_of_a_stream(codec) for codec in (JSON, PROTOBUF)}
EVENTS = Framing(JSON, lambda message: b"data: " + message + b"\n\n", b"".join)
"""Server-sent events."""
