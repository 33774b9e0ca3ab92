"""Mutates frames."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

CORPUS = Path(__file__).parent / "corpus"

TOKENS = [
    *(f'"{name}"'.encode() for name in ("id", "connect", "subscribe", "unsubscribe", "publish", "rpc", "send", "data")),
    *(b"{", b"}", b"[", b"]", b":", b",", b'"', b"\\", b"\n", b"null", b"true", b"-1", b"0.5", b"1e99", b"{}", b'""'),
    *(b"\\ud800", b"4294967296", b"18446744073709551616", b"\x00", b"\x7f", b"\x80", b"\xff", b"\xff\xff\xff\xff\x0f"),
    *(b"[" * 200, b"{}\n" * 20, b'{"id":7,"ping":{}}\n', b"\x02\x08\x07", b"\x00" * 8),
]


def frames(suffix: str) -> list[bytes]:
    """The frames of the corpus in one encoding."""
    return [path.read_bytes() for path in sorted(CORPUS.glob(f"*{suffix}"))]


def mutated(frame: bytes, corpus: list[bytes], random: Random) -> bytes:
    """`frame` after one to four mutations."""
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        frame = random.choice(MUTATIONS)(frame, corpus, random)
    return frame


def _flip(frame: bytes, corpus: list[bytes], random: Random) -> bytes:
    if not frame:
        return frame
    at = random.randrange(len(frame))
    return frame[:at] + bytes((frame[at] ^ 1 << random.randrange(8),)) + frame[at + 1 :]


def _overwrite(frame: bytes, corpus: list[bytes], random: Random) -> bytes:
    if not frame:
        return frame
    at = random.randrange(len(frame))
    return frame[:at] + bytes((random.randrange(256),)) + frame[at + 1 :]


def _insert(frame: bytes, corpus: list[bytes], random: Random) -> bytes:
    at = random.randint(0, len(frame))
    return frame[:at] + random.choice(TOKENS) + frame[at:]


def _replace(frame: bytes, corpus: list[bytes], random: Random) -> bytes:
    start, end = _slice(frame, random)
    return frame[:start] + random.choice(TOKENS) + frame[end:]


def _drop(frame: bytes, corpus: list[bytes], random: Random) -> bytes:
    start, end = _slice(frame, random)
    return frame[:start] + frame[end:]


def _repeat(frame: bytes, corpus: list[bytes], random: Random) -> bytes:
    start, end = _slice(frame, random)
    return frame[:end] + frame[start:]


def _truncate(frame: bytes, corpus: list[bytes], random: Random) -> bytes:
    return frame[: random.randint(0, len(frame))]


def _splice(frame: bytes, corpus: list[bytes], random: Random) -> bytes:
    other = random.choice(corpus)
    return frame[: random.randint(0, len(frame))] + other[random.randint(0, len(other)) :]


def _append(frame: bytes, corpus: list[bytes], random: Random) -> bytes:
    return frame + random.choice((b"", b"\n")) + random.choice(corpus)


MUTATIONS: list[Callable[[bytes, list[bytes], Random], bytes]] = [
    _flip,
    _overwrite,
    _insert,
    _replace,
    _drop,
    _repeat,
    _truncate,
    _splice,
    _append,
]


def _slice(frame: bytes, random: Random) -> tuple[int, int]:
    start = random.randint(0, len(frame))
    return start, min(len(frame), start + random.randint(1, 16))
