"""What an engine that knows no channels carries: publications of one worker as one message of the engine."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from .sequencer import Item
from .stream import Position
from .wire import WireError

SPAN = 1024
"""Places a parcel takes in its log, and more than the items a parcel has."""


class Parcel(msgspec.Struct, array_like=True, gc=False):
    """Publications in their worker's order, sent at `at` (seconds since 1970), and channels to clear up to a place.

    `mark` tells this sending from every other. `epoch` is the log's as the sender knows it, empty: not yet.
    `void`: that epoch is over, as the log has lost what somebody had read of it.
    """

    mark: str
    epoch: str
    at: float
    items: list[Item]
    clears: list[tuple[str, Position]] = []
    void: bool = False


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(Parcel)


def encode_parcel(
    mark: str,
    epoch: str,
    at: float,
    items: Iterable[msgspec.Raw] = (),
    clears: Iterable[tuple[str, Position]] = (),
    void: bool = False,
) -> bytes:
    """A `Parcel` of encoded items."""
    return _encode((mark, epoch, at, list(items), list(clears), void))


def decode_parcel(message: bytes) -> Parcel:
    """Raises `WireError`."""
    try:
        parcel = _decoder.decode(message)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"unreadable message: {error}") from None
    if len(parcel.items) >= SPAN:
        raise WireError(f"a message with {len(parcel.items)} publications")
    return parcel
