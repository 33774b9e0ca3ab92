"""What the bus carries as a publication's data: the payload alone, or with who published it and its tags. Pure."""

from __future__ import annotations

import re

import msgspec

MARK = b"\xc1"
"""First byte of data that is more than a payload. No JSON and no UTF-8 text begins with it."""


MAX_DEPTH = 64
"""Arrays and objects within one another, in a payload and what is around it."""


class Content(msgspec.Struct, array_like=True, frozen=True):
    """`info` is a `ClientInfo` as JSON, empty when the application published. `binary`: the payload is not JSON."""

    payload: bytes
    info: bytes = b""
    tags: dict[str, str] = {}
    binary: bool = False


_validate = msgspec.json.Decoder(msgspec.Raw).decode
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


def is_json(payload: bytes) -> bool:
    """Whether `payload` is one JSON value, nested no deeper than `MAX_DEPTH`."""
    try:
        str(payload, "utf-8")
        _validate(payload)
        check_depth(payload)
    except (ValueError, RecursionError):
        return False
    return True


def check_depth(text: bytes) -> None:
    """Raises `ValueError` when `text`, JSON values of any number, is nested deeper than `MAX_DEPTH`."""
    if text.count(b"[") + text.count(b"{") <= MAX_DEPTH:
        return
    brackets = _STRING.sub(b"", text).translate(_ROUND, _OTHERS)
    for _ in range(MAX_DEPTH):
        brackets = brackets.replace(b"()", b"")
        if not brackets:
            return
    raise ValueError("the JSON is nested too deep")


_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')
_ROUND = bytes.maketrans(b"[{}]", b"(())")
_OTHERS = bytes(set(range(256)) - set(b"[{}]"))
