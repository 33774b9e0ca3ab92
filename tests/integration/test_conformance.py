"""What RFC 6455 asks of a server, case by case, frame by frame: a client that may do everything wrong."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import struct
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import pytest

from tests.cluster.harness import free_ports
from tests.waiting import PATIENCE

from .serving import answers, process

LONGEST = 65_536
"""Bytes of a message the server takes."""
RUNNER = (
    "from cluster.settings import load; from cluster.worker import serve; serve(load(), 'tests.apps.echo:app', {port})"
)

CONTINUATION, TEXT, CLOSE, PING, PONG = 0x0, 0x1, 0x8, 0x9, 0xA
NORMAL, PROTOCOL_ERROR, INVALID_DATA, TOO_BIG = 1000, 1002, 1007, 1009
NO_CODE = 1005
"""Stands for a close frame without a code (RFC 6455, 7.4.1)."""


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, reserved: int = 0, masked: bool = True) -> bytes:
    """One frame as a client sends it; `reserved` are the three bits after FIN."""
    head = bytes([fin << 7 | reserved << 4 | opcode])
    mark = 0x80 if masked else 0
    if len(payload) < 126:
        head += bytes([mark | len(payload)])
    elif len(payload) < 65_536:
        head += bytes([mark | 126]) + struct.pack("!H", len(payload))
    else:
        head += bytes([mark | 127]) + struct.pack("!Q", len(payload))
    if not masked:
        return head + payload
    key = os.urandom(4)
    return head + key + bytes(byte ^ key[place % 4] for place, byte in enumerate(payload))


def text(payload: bytes | str, *, fin: bool = True) -> bytes:
    return frame(TEXT, payload.encode() if isinstance(payload, str) else payload, fin=fin)


def rest(payload: bytes, *, fin: bool = True) -> bytes:
    """A fragment that is not the first."""
    return frame(CONTINUATION, payload, fin=fin)


def closing(code: int | None = NORMAL, reason: bytes = b"") -> bytes:
    return frame(CLOSE, b"" if code is None else struct.pack("!H", code) + reason)


@dataclass
class Heard:
    """Everything the server has sent until it ended the connection."""

    texts: list[str] = field(default_factory=list)
    pongs: list[bytes] = field(default_factory=list)
    code: int | None = None


class Case(NamedTuple):
    """What a client sends, and what it hears. `closes`: once it has heard all of it, it closes."""

    name: str
    sent: bytes
    heard: Heard
    closes: bool = False


def answered(name: str, sent: bytes, *texts: str, pongs: Sequence[bytes] = ()) -> Case:
    return Case(name, sent, Heard(list(texts), list(pongs), NORMAL), closes=True)


def closed(name: str, sent: bytes, code: int) -> Case:
    """The server answers a close frame."""
    return Case(name, sent, Heard(code=code))


def fails(name: str, sent: bytes, code: int = PROTOCOL_ERROR) -> Case:
    """The server closes, and takes no notice of what follows."""
    return Case(name, sent + text("too late"), Heard(code=code))


GREEK = "Hello-µ@ßöäüàá-κόσμε"
ENDS = "\x7f\x80\u07ff\u0800\uffff\U00010000\U0010ffff"
"""The first and last characters of every length in UTF-8."""

CASES = [
    *(
        answered(f"a text of {size} bytes", text("*" * size), "*" * size)
        for size in (0, 1, 125, 126, 127, 65_535, LONGEST)
    ),
    fails("a text beyond the limit", text("*" * (LONGEST + 1)), TOO_BIG),
    fails("a length of 64 bits", b"\x81\xff" + b"\xff" * 8 + bytes(4), TOO_BIG),
    fails("an unmasked text", frame(TEXT, b"text", masked=False)),
    fails("an unmasked ping", frame(PING, masked=False)),
    # Control frames (5.5)
    answered("a ping without payload", frame(PING), pongs=[b""]),
    answered("a ping of any bytes", frame(PING, b"\0\xff\xfe"), pongs=[b"\0\xff\xfe"]),
    answered("a ping of 125 bytes", frame(PING, bytes(125)), pongs=[bytes(125)]),
    answered("ten pings", b"".join(frame(PING, b"%d" % n) for n in range(10)), pongs=[b"%d" % n for n in range(10)]),
    answered("a pong nobody asked for", frame(PONG, b"unasked") + text("then"), "then"),
    fails("a ping of 126 bytes", frame(PING, bytes(126))),
    fails("a pong of 126 bytes", frame(PONG, bytes(126))),
    fails("a ping in fragments", frame(PING, b"a", fin=False) + rest(b"b")),
    fails("a pong in fragments", frame(PONG, b"a", fin=False) + rest(b"b")),
    # What is reserved (5.2)
    *(fails(f"reserved bits {bits:03b} in a text", frame(TEXT, b"text", reserved=bits)) for bits in range(1, 8)),
    fails("a reserved bit in a ping", frame(PING, reserved=1)),
    fails("a reserved bit in a close", frame(CLOSE, b"\x03\xe8", reserved=2)),
    fails("a reserved bit between fragments", text("a", fin=False) + frame(PING, reserved=4)),
    *(fails(f"opcode {opcode}", frame(opcode)) for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)),
    # Fragments (5.4)
    answered("two fragments", text("frag", fin=False) + rest(b"ments"), "fragments"),
    answered("empty fragments", text("", fin=False) + rest(b"", fin=False) + rest(b""), ""),
    answered("an empty fragment between others", text("a", fin=False) + rest(b"", fin=False) + rest(b"b"), "ab"),
    answered("a ping between fragments", text("a", fin=False) + frame(PING, b"p") + rest(b"b"), "ab", pongs=[b"p"]),
    answered("a pong between fragments", text("a", fin=False) + frame(PONG) + rest(b"b"), "ab"),
    answered(
        "pings between many fragments",
        text("0", fin=False) + b"".join(frame(PING, b"%d" % n) + rest(b"%d" % n, fin=n == 9) for n in range(1, 10)),
        "0123456789",
        pongs=[b"%d" % n for n in range(1, 10)],
    ),
    answered("fragments up to the limit", text("*" * 40_000, fin=False) + rest(b"*" * 25_536), "*" * LONGEST),
    fails("fragments beyond the limit", text("*" * 40_000, fin=False) + rest(b"*" * 25_537), TOO_BIG),
    fails("nothing to continue", rest(b"a")),
    fails("nothing to continue, and more to come", rest(b"a", fin=False)),
    fails("a new text among fragments", text("a", fin=False) + text("b")),
    fails("new fragments among fragments", text("a", fin=False) + text("b", fin=False) + rest(b"c")),
    # UTF-8 (8.1)
    answered("text of several scripts", text(GREEK), GREEK),
    answered("a character in two fragments", text(GREEK.encode()[:7], fin=False) + rest(GREEK.encode()[7:]), GREEK),
    answered(
        "a fragment for every byte",
        text("", fin=False) + b"".join(rest(bytes([byte]), fin=False) for byte in GREEK.encode()) + rest(b""),
        GREEK,
    ),
    answered("characters of every length", text(ENDS), ENDS),
    answered("what is no character", text("\ufffe\ufdd0"), "\ufffe\ufdd0"),
    fails("a stray byte", text(b"good \x80"), INVALID_DATA),
    fails("the beginning of a character", text(b"good \xce"), INVALID_DATA),
    fails("the beginning of a character and another", text(b"good \xce\x28"), INVALID_DATA),
    fails("an overlong character", text(b"good \xc0\xaf"), INVALID_DATA),
    fails("a surrogate", text(b"good \xed\xa0\x80"), INVALID_DATA),
    fails("a character beyond the last", text(b"good \xf4\x90\x80\x80"), INVALID_DATA),
    fails("a character of five bytes", text(b"good \xf8\x88\x80\x80\x80"), INVALID_DATA),
    fails("a byte that never occurs", text(b"good \xff"), INVALID_DATA),
    fails("a surrogate in the second fragment", text("good", fin=False) + rest(b"\xed\xa0\x80"), INVALID_DATA),
    fails("half a character at the end of fragments", text("good", fin=False) + rest(b"\xce"), INVALID_DATA),
    # Closing (5.5.1, 7.4)
    closed("a close without a code", closing(None), NO_CODE),
    closed("a close with the longest reason", closing(NORMAL, b"*" * 123), NORMAL),
    *(
        closed(f"a close with {code}", closing(code), code)
        for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
    ),
    *(
        fails(f"a close with {code}", closing(code))
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535)
    ),
    fails("a close with half a code", frame(CLOSE, b"\x03")),
    fails("a close with a reason too long", closing(NORMAL, b"*" * 124)),
    fails("a close with a reason that is no UTF-8", closing(NORMAL, b"\xed\xa0\x80"), INVALID_DATA),
]

AFTER_CLOSE = [
    closed("a second close", closing(4000) + closing(4001), 4000),
    closed("a ping after the close", closing() + frame(PING, b"too late"), NORMAL),
    closed("a text after the close", closing() + text("too late"), NORMAL),
    # Allowed, and answered as if it were not: see docs/decisions/0004.
    closed("a close between fragments", text("a", fin=False) + closing() + rest(b"b"), PROTOCOL_ERROR),
]

SHORT = [case for case in CASES if len(case.sent) < 600]
"""Those that are sent byte by byte as well."""


async def stop(port: int, sent: bytes) -> None:
    """Send this after the handshake, and vanish."""
    _, writer = await connect(port)
    writer.write(sent)
    writer.close()


async def connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection after the handshake."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    key = base64.b64encode(os.urandom(16)).decode()
    writer.write(
        f"GET /echo HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
    )
    assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
    return reader, writer


async def hear(port: int, case: Case, step: int | None = None) -> Heard:
    """Have a conversation, sending everything at once or `step` bytes at a time, until the server ends it."""
    async with asyncio.timeout(PATIENCE):
        reader, writer = await connect(port)
        try:
            step = step or len(case.sent)
            for start in range(0, len(case.sent), step):
                writer.write(case.sent[start : start + step])
                await asyncio.sleep(0)
            return await _listen(reader, writer, case)
        finally:
            writer.close()


async def _listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, case: Case) -> Heard:
    heard = Heard()
    while True:
        if case.closes and (heard.texts, heard.pongs, heard.code) == (case.heard.texts, case.heard.pongs, None):
            writer.write(closing())
        try:
            first, size = await reader.readexactly(2)
            if size == 126:
                (size,) = struct.unpack("!H", await reader.readexactly(2))
            elif size == 127:
                (size,) = struct.unpack("!Q", await reader.readexactly(8))
            payload = await reader.readexactly(size)
        except (asyncio.IncompleteReadError, ConnectionResetError):
            return heard
        assert heard.code is None, "nothing follows a close frame"
        opcode = first & 0xF
        if opcode == TEXT:
            heard.texts.append(json.loads(payload))
        elif opcode == PONG:
            heard.pongs.append(payload)
        elif opcode == CLOSE:
            heard.code = struct.unpack("!H", payload[:2])[0] if payload else NO_CODE
            writer.write(frame(CLOSE, payload[:2]))


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """An application served as the runner does it."""
    port = free_ports(1)
    with process(
        *(sys.executable, "-c", RUNNER.format(port=port)),
        ready=lambda: answers(f"http://127.0.0.1:{port}/readyz"),
        bus_url="memory://conformance",
        max_message_bytes=LONGEST,
    ):
        yield port


@pytest.mark.parametrize("case", [*CASES, *AFTER_CLOSE], ids=lambda case: case.name)
async def test_a_conversation(port: int, case: Case) -> None:
    assert await hear(port, case) == case.heard


@pytest.mark.parametrize("case", SHORT, ids=lambda case: case.name)
async def test_a_conversation_byte_by_byte(port: int, case: Case) -> None:
    assert await hear(port, case, step=1) == case.heard


async def test_a_client_that_stops_in_the_middle_of_a_frame_leaves_the_server_well(port: int) -> None:
    case = answered("the next", text("still here"), "still here")
    for end in range(1, len(case.sent)):
        await stop(port, case.sent[:end])
    assert await hear(port, case) == case.heard
