"""How a publication lies in a Redis stream: a length, then its id and data; several of them may be joined."""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct

import msgspec

from ..sequencer import Item
from ..stream import Publication, chain

LENGTH = Struct(">I")


def frame(item: Item) -> bytes:
    content = msgspec.msgpack.encode((item.id, item.data))
    return LENGTH.pack(len(content)) + content


def announced(channel: str, message: bytes) -> list[Publication]:
    """What the server tells that it has appended: the epoch, the first one's offset, the frames."""
    epoch, first, frames = message.split(b" ", 2)
    return publications(channel, epoch.decode(), int(first), frames)


def publications(channel: str, epoch: str, first: int, frames: bytes) -> list[Publication]:
    """The publications of joined `frames`, the first one at offset `first`."""
    items = [(offset, id, data) for offset, (id, data) in enumerate(_contents(frames), first)]
    return chain(epoch, channel, first - 1, items)


def _contents(frames: bytes) -> Iterator[tuple[str, bytes]]:
    view, at = memoryview(frames), 0
    while at < len(view):
        (length,) = LENGTH.unpack_from(view, at)
        at += LENGTH.size + length
        yield _decode(view[at - length : at])


_decode = msgspec.msgpack.Decoder(tuple[str, bytes]).decode
