"""How a connection begins."""

from __future__ import annotations

import pytest

from cluster.session import codes
from cluster.session.checks import SessionLimits
from cluster.session.commands import Publication
from cluster.session.outcomes import Connected, Subscribed
from cluster.stream import Position

from .client import ID, PLACE, Client, connected, raw


def test_a_client_that_connects_is_told_its_id_and_when_pings_come() -> None:
    client = Client()
    step = client.says({"connect": {"token": "abc", "data": {"a": 1}}})
    assert step.request is not None
    assert step.replies == []
    client.is_answered(Connected(user="ann", data=raw({"hello": 1})))
    assert client.told() == [{"id": 1, "connect": {"client": ID, "data": {"hello": 1}, "ping": 25, "pong": True}}]
    assert client.session.user == "ann"


def test_a_client_that_need_not_answer_pings_is_told_no_pong() -> None:
    client = Client(SessionLimits(pong=0))
    client.says({"connect": {}})
    client.is_answered(Connected())
    assert client.told() == [{"id": 1, "connect": {"client": ID, "ping": 25}}]


def test_a_client_without_a_way_back_is_told_where_its_commands_go() -> None:
    client = Client(session_id="s", node="n")
    client.says({"connect": {}})
    client.is_answered(Connected())
    (reply,) = client.told()
    assert (reply["connect"]["session"], reply["connect"]["node"]) == ("s", "n")


def test_a_connection_that_expires_says_when_in_whole_seconds() -> None:
    client = Client()
    client.says({"connect": {}})
    client.is_answered(Connected(ttl=59.2))
    (reply,) = client.told()
    assert (reply["connect"]["expires"], reply["connect"]["ttl"]) == (True, 60)


@pytest.mark.parametrize(
    "command",
    [{"subscribe": {"channel": "news"}}, {"rpc": {"method": "a"}}, {"id": 0, "send": {}}, {"ping": {}}, {}, "{}"],
)
def test_whatever_comes_before_connect_is_a_bad_request(command: dict[str, object]) -> None:
    client = Client()
    step = client.says(command, {"connect": {}})
    assert client.closed == codes.CLOSE_BAD_REQUEST
    assert step.request is None
    assert client.told() == []


def test_a_second_connect_is_a_bad_request() -> None:
    client = connected()
    client.says({"connect": {}})
    assert client.closed == codes.CLOSE_BAD_REQUEST


def test_a_second_connect_in_the_same_frame_is_a_bad_request_after_the_first_is_answered() -> None:
    client = Client()
    client.says({"connect": {}}, {"connect": {}})
    assert client.closed is None
    client.is_answered(Connected())
    assert [reply["id"] for reply in client.told()] == [1]
    assert client.closed == codes.CLOSE_BAD_REQUEST


@pytest.mark.parametrize(
    "frame", ["", "\n", "nonsense", "[]", "1", '{"id":-1}', '{"id":4294967296}', "{", '{"id":"1"}']
)
def test_a_frame_that_is_no_commands_is_a_bad_request(frame: str) -> None:
    client = connected()
    client.says(frame)
    assert client.closed == codes.CLOSE_BAD_REQUEST


def test_subscriptions_sent_along_with_connect_are_taken_up_after_it() -> None:
    client = Client()
    step = client.says({"connect": {}}, {"subscribe": {"channel": "a"}}, {"subscribe": {"channel": "b"}})
    assert step.request is not None
    requests = [step.request]
    for outcome in (Connected(), Subscribed(), Subscribed()):
        step = client.is_answered(outcome)
        requests += [step.request] if step.request else []
    assert [type(request).__name__ for request in requests] == [
        "ConnectRequest",
        "SubscribeRequest",
        "SubscribeRequest",
    ]
    assert [reply["id"] for reply in client.told()] == [1, 2, 3]
    assert list(client.session.subscriptions) == ["a", "b"]


def test_after_a_refused_connect_nothing_more_is_read() -> None:
    client = Client()
    client.says({"connect": {}}, {"subscribe": {"channel": "a"}})
    step = client.is_answered(codes.TOKEN_EXPIRED)
    assert step.request is None
    assert client.told() == [{"id": 1, "error": {"code": 109, "message": "token expired"}}]
    assert client.says({"connect": {}}) == client.says("nonsense")
    assert client.told() == []
    assert client.closed is None
    client.waits(15)
    assert client.closed == codes.CLOSE_STALE


def test_an_invalid_token_ends_the_connection_without_an_answer() -> None:
    client = Client()
    client.says({"connect": {}})
    client.is_answered(codes.CLOSE_INVALID_TOKEN)
    assert client.told() == []
    assert client.closed == codes.CLOSE_INVALID_TOKEN


def test_the_subscriptions_the_server_made_are_told_in_the_connect_result() -> None:
    client = Client()
    client.says({"connect": {"subs": {"news": {"recover": True, "epoch": "epoch", "offset": 5}}}})
    missed = [Publication(raw(1), offset=6), Publication(raw(2), offset=7)]
    recovered = PLACE._replace(was_recovering=True, recovered=True, publications=missed)
    client.is_answered(Connected(subs={"news": recovered, "#ann": Subscribed()}))
    (reply,) = client.told()
    assert reply["connect"]["subs"] == {
        "news": {
            "recoverable": True,
            "positioned": True,
            "epoch": "epoch",
            "offset": 5,
            "recovered": True,
            "was_recovering": True,
            "publications": [{"data": 1, "offset": 6}, {"data": 2, "offset": 7}],
        },
        "#ann": {},
    }
    assert {name: kept.server_side for name, kept in client.session.subscriptions.items()} == {
        "news": True,
        "#ann": True,
    }


def test_more_subscriptions_by_the_server_than_a_client_may_have_end_the_connection() -> None:
    client = Client(SessionLimits(max_channels=1))
    client.says({"connect": {}})
    client.is_answered(Connected(subs={"a": Subscribed(), "b": Subscribed()}))
    assert client.closed == codes.CLOSE_CHANNEL_LIMIT
    assert client.left == ["a", "b"]
    assert client.told() == []


def test_what_was_granted_to_a_client_that_is_gone_is_given_back() -> None:
    client = Client()
    client.says({"connect": {}})
    client.waits(15)
    assert client.closed == codes.CLOSE_STALE
    step = client.is_answered(Connected(subs={"a": Subscribed(position=Position("e", 1))}))
    assert step.left == ["a"]
    assert client.told() == []
