"""What is written to a client: whole messages, few writes, no frame that a client would not take."""

from __future__ import annotations

import pytest
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from cluster.framing import EVENTS, FRAME_BYTES, STREAM, Framing
from cluster.session.codec import JSON
from cluster.session.commands import Error, Reply
from cluster.session.protobuf import PROTOBUF
from cluster.sink import AsgiSink, DeflatingSink, TransportSink

SOCKETS = [TransportSink.framings[JSON], TransportSink.framings[PROTOBUF]]
DEFLATING = [DeflatingSink.framings[JSON], DeflatingSink.framings[PROTOBUF]]


def frames(written: bytes, *, deflated: bool) -> list[Frame]:
    """The WebSocket frames in what was written."""
    extensions = [PerMessageDeflate(False, False, 15, 15)] if deflated else []
    reader = StreamReader()
    reader.feed_data(written)
    reader.feed_eof()
    found = []
    while not _at_end(reader):
        parsing = Frame.parse(reader.read_exact, mask=False, max_size=None, extensions=extensions)
        try:
            next(parsing)
        except StopIteration as stop:
            found.append(stop.value)
    return found


def _at_end(reader: StreamReader) -> bool:
    try:
        next(reader.at_eof())
    except StopIteration as stop:
        return bool(stop.value)
    return False


def written(framing: Framing, replies: list[Reply]) -> bytes:
    assert framing.join is not None
    whole: bytes = framing.join([framing.piece(framing.codec.encode(reply)) for reply in replies])
    return whole


@pytest.mark.parametrize("size", [0, 40, 200, 70_000])
@pytest.mark.parametrize("framing", SOCKETS + DEFLATING)
def test_messages_share_a_frame_of_the_codecs_kind(framing: Framing, size: int) -> None:
    replies = [Reply(1, Error(100, "x" * size)), Reply(2)]
    (frame,) = frames(written(framing, replies), deflated=framing in DEFLATING)
    assert frame.opcode is (Opcode.BINARY if framing.codec.binary else Opcode.TEXT)
    assert bytes(frame.data) == framing.codec.join([framing.codec.encode(reply) for reply in replies])


@pytest.mark.parametrize("framing", SOCKETS)
def test_more_than_a_client_takes_in_one_frame_goes_into_several(framing: Framing) -> None:
    replies = [Reply(number, Error(100, "x" * 60_000)) for number in range(1, 21)]
    found = frames(written(framing, replies), deflated=False)
    assert len(found) > 1
    assert all(len(frame.data) <= FRAME_BYTES + 20 for frame in found)
    payloads = [bytes(frame.data) for frame in found]
    assert framing.codec.join(payloads) == framing.codec.join([framing.codec.encode(reply) for reply in replies])


def test_a_message_that_is_larger_has_a_frame_of_its_own() -> None:
    framing = SOCKETS[0]
    replies = [Reply(1), Reply(2, Error(100, "x" * 2 * FRAME_BYTES)), Reply(3)]
    assert len(frames(written(framing, replies), deflated=False)) == 3


def test_events_are_lines_of_data() -> None:
    assert written(EVENTS, [Reply(1), Reply(2)]) == b'data: {"id":1}\n\ndata: {"id":2}\n\n'


def test_a_stream_has_a_message_in_each_line_or_after_its_length() -> None:
    assert written(STREAM[JSON], [Reply(1), Reply(2)]) == b'{"id":1}\n{"id":2}\n'
    assert written(STREAM[PROTOBUF], [Reply(1), Reply(2)]) == b"\x02\x08\x01\x02\x08\x02"


def test_other_servers_are_given_text_or_bytes() -> None:
    assert AsgiSink.framings[JSON].piece(JSON.encode(Reply(1))) == '{"id":1}'
    assert AsgiSink.framings[PROTOBUF].piece(PROTOBUF.encode(Reply(1))) == b"\x02\x08\x01"
