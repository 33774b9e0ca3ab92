"""What worker and forwarder say to each other over ZeroMQ: MessagePack arrays, one message part each.

A worker's PUB socket carries `Batch`; its DEALER socket carries `HistoryRequest` and `ClearRequest` and receives
`Acknowledged`, `Refused` and `HistoryReply`. The forwarder's XPUB socket carries a topic followed by a `Fanout`.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from .errors import BusError
from .sequencer import Item
from .stream import History, Position, Publication, Retention, beacon, chain

MAX_CHANNEL_NAME = 255
"""Characters in a channel's name."""


T = TypeVar("T")


class Batch(msgspec.Struct, array_like=True, tag="batch"):
    """Publications of one worker, in its order. `reply_to` is its DEALER identity; an empty batch is a ping."""

    reply_to: bytes
    number: int
    items: list[Item]


class Acknowledged(msgspec.Struct, array_like=True, tag="ack"):
    """Batch `number` is kept: the offsets of its items, in their order."""

    number: int
    epoch: str
    offsets: list[int]


class Refused(msgspec.Struct, array_like=True, tag="refused"):
    """Not all of batch `number` is kept, and why. `offsets` as in `Acknowledged`, 0 for what is not; empty: nothing."""

    number: int
    reason: str
    epoch: str = ""
    offsets: list[int] = []


class HistoryRequest(msgspec.Struct, array_like=True, tag="history"):
    """Asks for what followed `since`; see `Bus.history`."""

    number: int
    channel: str
    since: Position | None
    limit: int


class ClearRequest(msgspec.Struct, array_like=True, tag="clear"):
    """Asks to let go of `channel` up to `through`. Answered as a batch without items is."""

    number: int
    channel: str
    through: Position


class HistoryReply(msgspec.Struct, array_like=True, tag="past"):
    """Answers a `HistoryRequest`. Items follow one another, the first one after offset `prev`."""

    number: int
    epoch: str
    top: int
    complete: bool
    prev: int
    items: list[tuple[int, str, bytes]]


class Fanout(msgspec.Struct, array_like=True, gc=False):
    """Publications of one channel that follow one another, the first one after `prev`; none: a beacon."""

    epoch: str
    prev: int
    items: list[tuple[int, str, bytes]]


Request = HistoryRequest | ClearRequest
Reply = Acknowledged | Refused | HistoryReply

encode = msgspec.msgpack.Encoder().encode
_decode_batch = msgspec.msgpack.Decoder(Batch)
_decode_request: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_decode_reply: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)
_decode_fanout = msgspec.msgpack.Decoder(Fanout)


def encode_item(channel: str, id: str, data: bytes, retention: Retention) -> msgspec.Raw:
    """An `Item`, ready to be put into a batch. Raises what says why it cannot be sent."""
    return msgspec.Raw(encode(Item(channel, id, data, retention)))


def encode_batch(reply_to: bytes, number: int, items: list[msgspec.Raw]) -> bytes:
    """A `Batch` of encoded items."""
    return encode(("batch", reply_to, number, items))


class WireError(BusError):
    """A bus message could not be read; it is dropped and counted."""


def decode_batch(message: bytes) -> Batch:
    return _decode(_decode_batch, message)


def decode_request(message: bytes) -> Request:
    return _decode(_decode_request, message)


def decode_reply(message: bytes) -> Reply:
    return _decode(_decode_reply, message)


def topic(channel: str) -> bytes:
    """The ZeroMQ topic of a channel. The NUL keeps it from being a prefix of another channel's."""
    return channel.encode() + b"\0"


def channel_of(topic: bytes) -> str:
    """The channel of a ZeroMQ topic."""
    if not topic.endswith(b"\0"):
        raise WireError("a topic must end with NUL")
    try:
        return topic[:-1].decode()
    except UnicodeDecodeError as error:
        raise WireError(f"a topic must be UTF-8: {error}") from None


def encode_fanout(publications: list[Publication]) -> bytes:
    """The fan-out message of publications of one channel that follow one another, or of one beacon."""
    first = publications[0]
    items = [(p.offset, p.id, p.data) for p in publications if p.data is not None]
    return topic(first.channel) + encode(Fanout(first.epoch, first.prev, items))


def decode_fanout(message: bytes) -> list[Publication]:
    """The publications, or the one beacon, of a fan-out message."""
    end = message.find(b"\0") + 1
    channel = channel_of(message[:end])
    fanout = _decode(_decode_fanout, memoryview(message)[end:])
    if not fanout.items:
        return [beacon(channel, Position(fanout.epoch, fanout.prev))]
    return chain(fanout.epoch, channel, fanout.prev, fanout.items)


def history_reply(number: int, history: History) -> HistoryReply:
    items = [(p.offset, p.id, p.data or b"") for p in history.publications]
    prev = history.publications[0].prev if history.publications else history.top.offset
    return HistoryReply(number, history.top.epoch, history.top.offset, history.complete, prev, items)


def history_of(reply: HistoryReply, channel: str) -> History:
    publications = chain(reply.epoch, channel, reply.prev, reply.items)
    return History(publications, Position(reply.epoch, reply.top), reply.complete)


def _decode(decoder: msgspec.msgpack.Decoder[T], message: bytes | memoryview) -> T:
    try:
        return decoder.decode(message)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"unreadable bus message: {error}") from None
