"""What the bus carries as a publication's data: the payload alone, or with who published it and its tags. Pure."""

from __future__ import annotations

import msgspec

MARK = b"\xc1"
"""First byte of data that is more than a payload. No JSON and no UTF-8 text begins with it."""


class Content(msgspec.Struct, array_like=True, frozen=True):
    """`info` is an encoded `ClientInfo`, empty when the application published. `binary`: the payload is not JSON."""

    payload: bytes
    info: bytes = b""
    tags: dict[str, str] = {}
    binary: bool = False


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Content).decode


def pack(content: Content) -> bytes:
    """The data of a publication with this content."""
    if not (content.info or content.tags or content.binary or content.payload.startswith(MARK)):
        return content.payload
    return MARK + _encode(content)


def unpack(data: bytes) -> Content:
    """The content of a publication with this data. Raises `ValueError` when there is none."""
    return _decode(memoryview(data)[1:]) if data.startswith(MARK) else Content(data)
