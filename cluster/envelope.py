"""What a plain WebSocket client is sent: the bare payload, or the payload with its place in the channel."""

from __future__ import annotations

import msgspec

from .stream import Position, Publication


class Envelope(msgspec.Struct, omit_defaults=True):
    """A publication with its position; or, without `data`, a notice of where a client now stands.

    `recovered` answers a client that came back with a position: true, what it missed follows; false, something
    is lost, the position is where it goes on. It may come again with false when something is lost later. Where
    nothing can be recovered there is no position.
    """

    channel: str
    epoch: str | None = None
    offset: int | None = None
    recovered: bool | None = None
    data: msgspec.Raw | None = None


_encode = msgspec.json.Encoder().encode


def payload(publication: Publication) -> bytes:
    """Only what was published."""
    return publication.data or b""


def envelope(publication: Publication) -> bytes:
    """What was published, with its place."""
    data = msgspec.Raw(publication.data or b"null")
    return _encode(Envelope(publication.channel, publication.epoch, publication.offset, data=data))


def placeless(publication: Publication) -> bytes:
    """What was published, with its channel."""
    return _encode(Envelope(publication.channel, data=msgspec.Raw(publication.data or b"null")))


def notice(channel: str, position: Position | None, recovered: bool | None) -> bytes:
    """Where a client stands, if that can be told."""
    epoch, offset = position or (None, None)
    return _encode(Envelope(channel, epoch, offset, recovered))
