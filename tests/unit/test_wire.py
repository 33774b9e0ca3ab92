"""What worker and forwarder say to each other survives the wire, and what is not theirs is turned away."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from cluster.sequencer import Item
from cluster.stream import History, Position, Publication, Retention, beacon, chain
from cluster.wire import (
    Acknowledged,
    Batch,
    ClearRequest,
    HistoryRequest,
    Refused,
    Reply,
    WireError,
    channel_of,
    decode_batch,
    decode_fanout,
    decode_reply,
    decode_request,
    encode,
    encode_fanout,
    history_of,
    history_reply,
    topic,
)

names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
numbers = st.integers(0, 2**63 - 1)
retentions = st.builds(Retention, st.integers(0, 2**31), st.floats(0, 1e9))
positions = st.builds(Position, texts, numbers)
items = st.builds(Item, names, texts, st.binary(max_size=50), retentions)
replies = st.one_of(
    st.builds(Acknowledged, numbers, texts, st.lists(numbers, max_size=5)),
    st.builds(Refused, numbers, texts),
)


@st.composite
def streams(draw: st.DrawFn, *, least: int = 0) -> list[Publication]:
    """Publications of one channel that follow one another, at offsets that may be sparse."""
    offset = prev = draw(st.integers(0, 1000))
    found = []
    for jump in draw(st.lists(st.integers(1, 1000), min_size=least, max_size=6)):
        offset += jump
        found.append((offset, draw(texts), draw(st.binary(max_size=50))))
    return chain(draw(texts), draw(names), prev, found)


@given(st.binary(max_size=20), numbers, st.lists(items, max_size=5))
def test_a_batch_survives_the_wire(reply_to: bytes, number: int, items: list[Item]) -> None:
    batch = Batch(reply_to, number, items)
    assert decode_batch(encode(batch)) == batch


@given(st.builds(HistoryRequest, numbers, names, st.none() | positions, numbers))
def test_a_request_for_history_survives_the_wire(request: HistoryRequest) -> None:
    found = decode_request(encode(request))
    assert found == request
    assert isinstance(found, HistoryRequest)
    assert found.since is None or type(found.since) is Position


@given(st.builds(ClearRequest, numbers, names, positions))
def test_a_request_to_clear_survives_the_wire(request: ClearRequest) -> None:
    assert decode_request(encode(request)) == request


@given(replies)
def test_a_reply_survives_the_wire(reply: Reply) -> None:
    assert decode_reply(encode(reply)) == reply


@given(streams(least=1), st.booleans(), st.integers(0, 1000), numbers)
def test_a_history_survives_the_wire(found: list[Publication], complete: bool, unseen: int, number: int) -> None:
    last = found[-1]
    history = History(found, Position(last.epoch, last.offset + unseen), complete)
    reply = decode_reply(encode(history_reply(number, history)))
    assert not isinstance(reply, Acknowledged | Refused)
    assert reply.number == number
    assert history_of(reply, last.channel) == history


@given(positions, st.booleans())
def test_an_empty_history_survives_the_wire(top: Position, complete: bool) -> None:
    history = History([], top, complete)
    reply = decode_reply(encode(history_reply(1, history)))
    assert not isinstance(reply, Acknowledged | Refused)
    assert history_of(reply, "channel") == history


@given(streams(least=1))
def test_publications_survive_the_fan_out(found: list[Publication]) -> None:
    assert decode_fanout(encode_fanout(found)) == found


@given(names, positions)
def test_a_beacon_survives_the_fan_out(channel: str, top: Position) -> None:
    assert decode_fanout(encode_fanout([beacon(channel, top)])) == [beacon(channel, top)]


@given(names)
def test_a_fan_out_begins_with_the_topic_of_its_channel(channel: str) -> None:
    assert encode_fanout([beacon(channel, Position("epoch", 0))]).startswith(topic(channel))
    assert channel_of(topic(channel)) == channel


@given(names, names)
@example("a", "ab")
@example("a", "a ")
def test_a_topic_is_never_the_beginning_of_another_channels(one: str, another: str) -> None:
    assume(one != another)
    assert not topic(another).startswith(topic(one))


DECODERS: list[Callable[[bytes], Any]] = [decode_batch, decode_request, decode_reply, decode_fanout, channel_of]

MESSAGES = [
    encode(Batch(b"me", 7, [Item("channel", "id", b"data", Retention(10, 2.5))])),
    encode(HistoryRequest(7, "channel", Position("epoch", 3), 100)),
    encode(ClearRequest(7, "channel", Position("epoch", 3))),
    encode(Acknowledged(7, "epoch", [1, 2])),
    encode(Refused(7, "no")),
    encode(history_reply(7, History(chain("epoch", "channel", 0, [(1, "id", b"data")]), Position("epoch", 1), True))),
    encode_fanout(chain("epoch", "channel", 0, [(1, "id", b"data")])),
]


def every_decoder_reads_or_refuses(message: bytes) -> None:
    """Anything but `WireError` would end the process that reads."""
    for decode in DECODERS:
        with suppress(WireError):
            decode(message)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(message: bytes) -> None:
    every_decoder_reads_or_refuses(message)
    every_decoder_reads_or_refuses(b"channel\0" + message)


@given(st.lists(st.none() | st.integers(-(2**63), 2**64 - 1) | texts | st.binary() | st.lists(numbers), max_size=6))
def test_any_values_are_read_or_refused(values: list[Any]) -> None:
    for kind in ("batch", "ack", "refused", "history", "clear", "past"):
        every_decoder_reads_or_refuses(encode([kind, *values]))
    every_decoder_reads_or_refuses(b"channel\0" + encode(values))


def test_every_message_cut_short_is_read_or_refused() -> None:
    for message in MESSAGES:
        for end in range(len(message)):
            every_decoder_reads_or_refuses(message[:end])


@pytest.mark.parametrize(
    "message", MESSAGES, ids=["batch", "request", "clear", "acknowledged", "refused", "history", "fanout"]
)
def test_a_message_nested_endlessly_is_refused(message: bytes) -> None:
    start = len(b"channel\0") if message.startswith(b"channel\0") else 0
    assert message[start] & 0xF0 == 0x90, "a short array"
    one_field_more = bytes([message[start] + 1])
    every_decoder_reads_or_refuses(
        message[:start] + one_field_more + message[start + 1 :] + b"\x91" * 100_000 + b"\xc0"
    )


@pytest.mark.parametrize(
    ("decode", "message"),
    [
        (decode_batch, b""),
        (decode_batch, MESSAGES[3]),
        (decode_request, MESSAGES[0]),
        (decode_reply, MESSAGES[1]),
        (decode_reply, encode(["ack", 7, "epoch", ["1"]])),
        (decode_batch, encode(["batch", b"me", 7, [["channel", "id", b"data", [1]]]])),
        (decode_fanout, b""),
        (decode_fanout, b"no topic"),
        (decode_fanout, b"channel\0"),
        (decode_fanout, b"\xff\xfe\0" + encode(["epoch", 0, []])),
        (channel_of, b"channel"),
        (channel_of, b"\xff\0"),
    ],
)
def test_what_is_not_the_message_expected_is_an_error(decode: Callable[[bytes], Any], message: bytes) -> None:
    with pytest.raises(WireError):
        decode(message)
