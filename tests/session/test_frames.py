"""Frames of both encodings: what is read from them, what is written into them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw

from cluster.content import MARK, MAX_DEPTH, Content, is_json, pack
from cluster.session.codec import JSON, MAX_COMMANDS, Codec, encode_info
from cluster.session.commands import (
    ClientInfo,
    ConnectResult,
    Disconnect,
    Error,
    HistoryResult,
    Join,
    Leave,
    Message,
    PresenceResult,
    Publication,
    Push,
    Reply,
    RpcResult,
    Subscribe,
    SubscribeResult,
    Unsubscribe,
    UnsubscribeResult,
)
from cluster.session.protobuf import PROTOBUF, message_class
from cluster.stream import Publication as Published

from .peer import PEERS, Peer
from .peer import said as as_said

BOTH = pytest.mark.parametrize("peer", PEERS, ids=lambda peer: type(peer).__name__)

COMMANDS: list[dict[str, Any]] = [
    {
        "id": 1,
        "connect": {
            "token": "t",
            "data": {"a": [1, "b"]},
            "subs": {"news": {"recover": True, "epoch": "e", "offset": 2**64 - 1}},
            "name": "js",
            "version": "5",
            "headers": {"cookie": "c"},
            "flag": -(2**63),
        },
    },
    {"id": 2**32 - 1, "subscribe": {"channel": "nëws", "positioned": True, "recoverable": True, "join_leave": True}},
    {"id": 3, "subscribe": {"channel": "news", "flag": 2, "type": -1, "delta": "fossil", "data": "x"}},
    {"id": 4, "unsubscribe": {"channel": "news"}},
    {"id": 5, "publish": {"channel": "news", "data": {"text": "line\nbreak"}}},
    {"id": 6, "presence": {"channel": "news"}},
    {"id": 7, "presence_stats": {"channel": "news"}},
    {"id": 8, "history": {"channel": "news", "limit": -1, "since": {"offset": 5, "epoch": "e"}, "reverse": True}},
    {"id": 9, "ping": {}},
    {"id": 10, "rpc": {"method": "add", "data": 1}},
    {"id": 11, "refresh": {"token": "t"}},
    {"id": 12, "sub_refresh": {"channel": "news", "token": "t"}},
    {"send": {"data": {}}},
    {},
]

INFO = ClientInfo("ann", "c", Raw(b'{"a":1}'), Raw(b"2"))

REPLIES: list[tuple[Reply, dict[str, Any]]] = [
    (Reply(), {}),
    (Reply(1, error=Error(100, "oh", True)), {"id": 1, "error": {"code": 100, "message": "oh", "temporary": True}}),
    (Reply(1, unsubscribe=UnsubscribeResult()), {"id": 1, "unsubscribe": {}}),
    (
        Reply(1, connect=ConnectResult("c", subs={"news": SubscribeResult(offset=2**64 - 1)}, ping=25, pong=True)),
        {"id": 1, "connect": {"client": "c", "subs": {"news": {"offset": 2**64 - 1}}, "ping": 25, "pong": True}},
    ),
    (
        Reply(1, presence=PresenceResult({"c": INFO})),
        {
            "id": 1,
            "presence": {"presence": {"c": {"user": "ann", "client": "c", "conn_info": {"a": 1}, "chan_info": 2}}},
        },
    ),
    (
        Reply(1, history=HistoryResult([Publication(Raw(b"1"), ClientInfo("u", "c"), 3, {"a": "b"})], "e", 3)),
        {
            "id": 1,
            "history": {
                "publications": [{"data": 1, "info": {"user": "u", "client": "c"}, "offset": 3, "tags": {"a": "b"}}],
                "epoch": "e",
                "offset": 3,
            },
        },
    ),
    (Reply(1, rpc=RpcResult(Raw(b'{"a":"\\n"}'))), {"id": 1, "rpc": {"data": {"a": "\n"}}}),
    (
        Reply(push=Push("n", join=Join(ClientInfo("u", "c")))),
        {"push": {"channel": "n", "join": {"info": {"user": "u", "client": "c"}}}},
    ),
    (
        Reply(push=Push("n", leave=Leave(ClientInfo("u", "c")))),
        {"push": {"channel": "n", "leave": {"info": {"user": "u", "client": "c"}}}},
    ),
    (
        Reply(push=Push("n", unsubscribe=Unsubscribe(2000, "r"))),
        {"push": {"channel": "n", "unsubscribe": {"code": 2000, "reason": "r"}}},
    ),
    (
        Reply(push=Push("n", subscribe=Subscribe(True, "e", 1, True, Raw(b"1")))),
        {
            "push": {
                "channel": "n",
                "subscribe": {"recoverable": True, "epoch": "e", "offset": 1, "positioned": True, "data": 1},
            }
        },
    ),
    (Reply(push=Push(message=Message(Raw(b"1")))), {"push": {"message": {"data": 1}}}),
    (Reply(push=Push(disconnect=Disconnect(3001, "r"))), {"push": {"disconnect": {"code": 3001, "reason": "r"}}}),
]


@BOTH
@pytest.mark.parametrize("said", COMMANDS, ids=lambda said: "-".join(said))
def test_a_command_is_read_as_it_was_said(peer: Peer, said: dict[str, Any]) -> None:
    (command,) = peer.codec.decode(peer.frame(said))
    assert as_said(command) == said


@BOTH
def test_a_frame_holds_several_commands(peer: Peer) -> None:
    assert [command.id for command in peer.codec.decode(peer.frame(*COMMANDS))] == [
        command.get("id", 0) for command in COMMANDS
    ]


@BOTH
@pytest.mark.parametrize(("reply", "read"), REPLIES, ids=[str(read)[:60] for _, read in REPLIES])
def test_a_reply_is_read_as_it_was_meant(peer: Peer, reply: Reply, read: dict[str, Any]) -> None:
    assert peer.read(peer.codec.join([peer.codec.encode(reply)])) == [read]


@BOTH
def test_replies_are_joined_into_a_frame(peer: Peer) -> None:
    frame = peer.codec.join([peer.codec.encode(reply) for reply, _ in REPLIES])
    assert peer.read(frame) == [read for _, read in REPLIES]


def test_the_same_function_joins_for_every_client() -> None:
    assert JSON.join is JSON.join
    assert PROTOBUF.join is PROTOBUF.join


@BOTH
@pytest.mark.parametrize(
    ("content", "read"),
    [
        (Content(b'{"a":1}'), {"data": {"a": 1}}),
        (Content(b'{"a":\r\n1}\n'), {"data": {"a": 1}}),
        (
            Content(b"1", encode_info(INFO)),
            {"data": 1, "info": {"user": "ann", "client": "c", "conn_info": {"a": 1}, "chan_info": 2}},
        ),
        (Content(b"1", tags={"a": "b", "c": "\n"}), {"data": 1, "tags": {"a": "b", "c": "\n"}}),
    ],
    ids=repr,
)
@pytest.mark.parametrize("positioned", [True, False])
def test_a_publication_is_pushed_and_told_in_results_alike(
    peer: Peer, content: Content, read: dict[str, Any], positioned: bool
) -> None:
    published = Published('n"\n', "e", 299, 300, "id", pack(content))
    if positioned:
        read = read | {"offset": 300}
    codec: Codec = peer.codec
    pushed = codec.join([codec.push(published, positioned)] * 2)
    assert peer.read(pushed) == [{"push": {"channel": 'n"\n', "pub": read}}] * 2
    result = Reply(1, history=HistoryResult([codec.publication(published, positioned)]))
    assert peer.read(codec.encode(result)) == [{"id": 1, "history": {"publications": [read]}}]


@pytest.mark.parametrize("payload", [b'{"a":\r\n[1,2]}\n', b"[1,\n2]", b"[1,\r2]"])
def test_no_line_break_of_a_payload_gets_into_a_json_frame(payload: bytes) -> None:
    published = Published("n", "e", 0, 1, "id", payload)
    for text in (JSON.push(published, True), JSON.encode(Reply(1, rpc=RpcResult(Raw(payload))))):
        assert b"\n" not in text
        assert b"\r" not in text
        json.loads(text)


def test_a_payload_that_is_not_json_has_no_place_in_a_json_frame() -> None:
    published = Published("n", "e", 0, 1, "id", pack(Content(b"\x00\x01", binary=True)))
    with pytest.raises(ValueError, match="not JSON"):
        JSON.push(published, True)
    with pytest.raises(ValueError, match="not JSON"):
        JSON.publication(published, True)
    with pytest.raises(ValueError, match="not JSON"):
        JSON.payload(b"\x00\x01")
    reply = message_class("Reply").FromString(PROTOBUF.push(published, True)[1:])
    assert reply.push.pub.data == b"\x00\x01"
    assert bytes(PROTOBUF.payload(b"\x00\x01")) == b"\x00\x01"


def test_a_payload_that_is_not_there_is_left_out() -> None:
    assert JSON.encode(Reply(1, rpc=RpcResult(JSON.payload(b"")))) == b'{"id":1,"rpc":{}}'
    with pytest.raises(ValueError, match="no payload"):
        JSON.push(Published("n", "e", 0, 1, "id", b""), True)


@pytest.mark.parametrize("codec", [JSON, PROTOBUF])
def test_data_that_holds_no_publication_is_a_value_error(codec: Codec) -> None:
    with pytest.raises(ValueError, match=r"."):
        codec.push(Published("n", "e", 0, 1, "id", MARK + b"nothing"), True)


@pytest.mark.parametrize(
    "text",
    [b"{}", b" [1]\n", b'"\xc3\xa4"', b"null", b"1e9", b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, b'["' + b"[" * 999 + b'"]'],
)
def test_json_is(text: bytes) -> None:
    assert is_json(text)
    json.loads(text)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"{} {}",
        b"\xff",
        b'"\xff"',
        b'"\n"',
        b"nul",
        b"NaN",
        b"\xc1{}",
        b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
        b"[" * 100_000 + b"]" * 100_000,
        b'"' + b'\\"' * 30_000,
    ],
    ids=lambda text: text[:9],
)
def test_json_is_not(text: bytes) -> None:
    assert not is_json(text)


def test_what_is_wide_is_not_deep() -> None:
    assert is_json(b"[" + b",".join([b'{"a":[]}'] * 1000) + b"]")
    assert not is_json(b"[" * 33 + b"[],{}," * 99 + b"[" * 32 + b"]" * 65)


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\n",
        b"nonsense",
        b'{"id":1.5}',
        b'{"id":-1}',
        b'{"id":4294967296}',
        b'{"id":1,"rpc":{"data":"\xff"}}',
        b'{"id":1,"rpc":{"data":[1,]}}',
        b'{"id":1,"subscribe":{"offset":18446744073709551616}}',
        b'{"id":1,"history":{"since":{"offset":-1}}}',
        b'{"id":1,"history":{"limit":2147483648}}',
        b'{"id":1,"rpc":{"data":' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}}",
        b'{"id":1,"x":' + b"[" * 9999 + b"]" * 9999 + b"}",
        b"{}\n" * (MAX_COMMANDS + 1),
        b"{}" * (MAX_COMMANDS + 1),
    ],
    ids=lambda frame: frame[:20],
)
def test_a_json_frame_is_refused(frame: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        JSON.decode(frame)


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\x80",
        b"\x05\x08",
        b"\x05\x08\x01",
        b"\x01\x08",
        b"\xff" * 11,
        b"\x02\x08\x01\xff",
        b"\x04\x2a\x02\x0a\xff",
        b"\x00" * (MAX_COMMANDS + 1),
    ],
    ids=lambda frame: frame[:9].hex(),
)
def test_a_protobuf_frame_is_refused(frame: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        PROTOBUF.decode(frame)


def test_a_protobuf_filter_is_noticed() -> None:
    # Field 13, a message with an operator.
    (command,) = PROTOBUF.decode(b"\x0b\x08\x01\x2a\x07\x6a\x05\x0a\x03and")
    assert command.subscribe
    assert command.subscribe.tf


@BOTH
def test_the_most_commands_of_a_frame_are_read(peer: Peer) -> None:
    assert len(peer.codec.decode(peer.frame(*[{}] * MAX_COMMANDS))) == MAX_COMMANDS


def test_what_comes_beside_a_stream_names_its_session() -> None:
    json_body = json.dumps({"session": "s", "node": "n", "data": '{"id":1}\n{}'}).encode()
    request = JSON.emulation(json_body)
    assert (request.session, request.node, request.data) == ("s", "n", b'{"id":1}\n{}')
    body = message_class("EmulationRequest")(session="s", node="n", data=b"\x00").SerializeToString()
    request = PROTOBUF.emulation(body)
    assert (request.session, request.node, request.data) == ("s", "n", b"\x00")
    for codec in (JSON, PROTOBUF):
        with pytest.raises(ValueError, match=r"."):
            codec.emulation(b"\xff")


def test_frames_are_text_or_binary() -> None:
    assert not JSON.binary
    assert PROTOBUF.binary
