"""How commands are taken up and answered."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.session import codes
from cluster.session.checks import SessionLimits
from cluster.session.commands import (
    ClientInfo,
    HistoryResult,
    PresenceResult,
    PresenceStatsResult,
    Publication,
    PublishResult,
    RpcResult,
    SendRequest,
)
from cluster.session.outcomes import Connected, Outcome, Refreshed, Sent, Subscribed

from .client import PLACE, connected, raw, subscribed

ANN = ClientInfo("ann", "a-client", raw({"name": "Ann"}))

ANSWERS: list[tuple[dict[str, Any], Outcome, dict[str, Any]]] = [
    ({"publish": {"channel": "news", "data": {"a": 1}}}, PublishResult(), {"publish": {}}),
    (
        {"presence": {"channel": "news"}},
        PresenceResult({"a-client": ANN}),
        {"presence": {"presence": {"a-client": {"user": "ann", "client": "a-client", "conn_info": {"name": "Ann"}}}}},
    ),
    (
        {"presence_stats": {"channel": "news"}},
        PresenceStatsResult(2, 1),
        {"presence_stats": {"num_clients": 2, "num_users": 1}},
    ),
    (
        {"history": {"channel": "news", "limit": -1, "since": {"offset": 1, "epoch": "e"}, "reverse": True}},
        HistoryResult([Publication(raw(1), ANN, 7)], "e", 7),
        {
            "history": {
                "publications": [
                    {
                        "data": 1,
                        "offset": 7,
                        "info": {"user": "ann", "client": "a-client", "conn_info": {"name": "Ann"}},
                    }
                ],
                "epoch": "e",
                "offset": 7,
            }
        },
    ),
    ({"history": {"channel": "news", "reverse": True}}, HistoryResult(), {"history": {}}),
    ({"rpc": {"method": "add", "data": [1, 2]}}, RpcResult(raw(3)), {"rpc": {"data": 3}}),
    ({"rpc": {}}, RpcResult(), {"rpc": {}}),
    (
        {"refresh": {"token": "t"}},
        Refreshed(600.0),
        {"refresh": {"client": "a-client", "expires": True, "ttl": 600}},
    ),
    ({"refresh": {"token": "t"}}, Refreshed(), {"refresh": {"client": "a-client"}}),
    (
        {"sub_refresh": {"channel": "news", "token": "t"}},
        Refreshed(600.0),
        {"sub_refresh": {"expires": True, "ttl": 600}},
    ),
]


@pytest.mark.parametrize(("command", "outcome", "answer"), ANSWERS, ids=["-".join(answer[0]) for answer in ANSWERS])
def test_a_command_is_answered_by_its_outcome(
    command: dict[str, Any], outcome: Outcome, answer: dict[str, Any]
) -> None:
    client = subscribed()
    step = client.says(command)
    assert step.request is not None
    assert client.told() == []
    client.is_answered(outcome)
    assert client.told() == [{"id": 3} | answer]


@pytest.mark.parametrize(("command", "outcome", "answer"), ANSWERS, ids=["-".join(answer[0]) for answer in ANSWERS])
def test_a_command_that_fails_is_answered_by_the_error(
    command: dict[str, Any], outcome: Outcome, answer: dict[str, Any]
) -> None:
    client = subscribed()
    client.says(command)
    client.is_answered(codes.INTERNAL)
    assert client.told() == [{"id": 3, "error": {"code": 100, "message": "internal server error", "temporary": True}}]
    assert client.closed is None


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ({"ping": {}}, 108),
        ({"publish": {"channel": "news"}}, 107),
        ({"publish": {"channel": "news", "data": 1, "type": 1}}, 108),
        ({"publish": {"channel": "x" * 256, "data": 1}}, 107),
        ({"presence": {"channel": "x" * 256}}, 107),
        ({"presence_stats": {"channel": "x" * 256}}, 107),
        ({"history": {"channel": "x" * 256}}, 107),
        ({"history": {"channel": "news", "reverse": True, "since": {"epoch": "e"}}}, 107),
        ({"sub_refresh": {"channel": "other", "token": "t"}}, 103),
        ({"sub_refresh": {"channel": "news"}}, 107),
        ({"sub_refresh": {"channel": "news", "token": "t", "type": 1}}, 108),
    ],
)
def test_a_command_that_cannot_be_done_is_answered_at_once_with(command: dict[str, Any], code: int) -> None:
    client = subscribed()
    assert client.says(command).request is None
    assert [(reply["id"], reply["error"]["code"]) for reply in client.told()] == [(3, code)]
    assert client.closed is None


@pytest.mark.parametrize(
    "command",
    [
        *[{name: {}} for name in ("subscribe", "unsubscribe", "publish", "presence", "presence_stats", "history")],
        {"sub_refresh": {"token": "t"}},
        {"refresh": {}},
        {"nonsense": {}},
        {"publish": None},
        {"id": 0, "publish": {"channel": "news", "data": 1}},
        {"id": 0, "publish": {"channel": "news", "data": 1}, "send": {}},
    ],
)
def test_a_command_that_makes_no_sense_ends_the_connection(command: dict[str, Any]) -> None:
    client = connected()
    client.says(command)
    assert client.closed == codes.CLOSE_BAD_REQUEST
    assert client.told() == []


def test_the_first_request_of_a_command_is_the_one_that_counts() -> None:
    client = connected()
    step = client.says({"rpc": {"method": "a"}, "send": {}})
    assert isinstance(step.request, SendRequest)


def test_what_is_unknown_in_a_command_is_passed_over() -> None:
    client = connected()
    client.says({"rpc": {"method": "a", "shape": [1]}, "mood": {}})
    client.is_answered(RpcResult())
    assert client.told() == [{"id": 2, "rpc": {}}]


def test_a_message_to_the_application_is_not_answered() -> None:
    client = connected()
    step = client.says({"send": {"data": {"a": 1}}})
    assert isinstance(step.request, SendRequest)
    assert bytes(step.request.data) == b'{"a": 1}'
    client.is_answered(Sent())
    client.says({"send": {}})
    client.is_answered(codes.INTERNAL)
    assert client.told() == []


def test_a_message_nobody_takes_ends_the_connection() -> None:
    client = connected()
    client.says({"send": {}})
    client.is_answered(codes.CLOSE_NOT_AVAILABLE)
    assert client.closed == codes.CLOSE_NOT_AVAILABLE


def test_commands_wait_for_the_one_before_them() -> None:
    client = connected()
    first = client.says({"rpc": {"method": "slow"}}, {"unsubscribe": {"channel": "news"}}, {"rpc": {"method": "fast"}})
    second = client.says({"ping": {}})
    assert first.request is not None
    assert second.request is None
    assert client.told() == []
    third = client.is_answered(RpcResult())
    assert third.request is not None
    client.is_answered(RpcResult())
    assert [reply["id"] for reply in client.told()] == [2, 3, 4, 5]


def test_too_many_waiting_commands_end_the_connection() -> None:
    client = connected(limits=SessionLimits(max_pending=2))
    client.says(*[{"rpc": {}}] * 3)
    assert client.closed is None
    client.says({"rpc": {}})
    assert client.closed == codes.CLOSE_TOO_MANY_REQUESTS
    assert client.is_answered(RpcResult()).request is None
    assert client.told() == []


def test_nothing_is_asked_for_a_client_that_sent_too_many_commands_at_once() -> None:
    client = connected(limits=SessionLimits(max_pending=2))
    step = client.says(*[{"rpc": {}}] * 4)
    assert (step.request, step.close) == (None, codes.CLOSE_TOO_MANY_REQUESTS)


def test_too_many_commands_a_second_end_the_connection() -> None:
    client = connected(limits=SessionLimits(rate=1, burst=3))
    for _ in range(10):
        client.now += 1
        client.says({"ping": {}})
    client.says({"ping": {}}, {"ping": {}})
    assert client.closed is None
    client.says({"ping": {}})
    assert client.closed == codes.CLOSE_TOO_MANY_REQUESTS


def test_an_outcome_that_closes_ends_the_connection_and_its_subscriptions() -> None:
    client = subscribed()
    client.says({"publish": {"channel": "news", "data": 1}}, {"rpc": {}})
    step = client.is_answered(codes.CLOSE_PERMISSION_DENIED)
    assert (client.closed, step.request, step.left) == (codes.CLOSE_PERMISSION_DENIED, None, ["news"])
    assert client.told() == []


def test_a_closed_session_says_and_asks_nothing_more() -> None:
    client = subscribed()
    client.says({"subscribe": {"channel": "other"}})
    client.took(client.session.close(codes.CLOSE_SHUTDOWN))
    assert (client.closed, client.left) == (codes.CLOSE_SHUTDOWN, ["news"])
    client.closed = None
    client.is_answered(PLACE)
    assert client.left == ["news", "other"]
    client.says({"rpc": {}})
    client.waits(1000)
    client.took(client.session.message(raw(1)))
    client.took(client.session.close(codes.CLOSE_FORCED))
    client.took(client.session.lose("news"))
    client.took(client.session.unsubscribe("news", codes.UNSUBSCRIBED))
    assert client.took(client.session.subscribe("news", PLACE, client.now)).left == ["news"]
    assert client.told() == []
    assert client.closed is None
    assert client.session.deadline == float("inf")


def test_the_last_word_to_a_client_without_close_frames_is_a_push() -> None:
    client = connected(session_id="s", node="n")
    client.took(client.session.close(codes.CLOSE_SHUTDOWN))
    assert client.told() == [{"push": {"disconnect": {"code": 3001, "reason": "shutdown"}}}]
    assert client.closed == codes.CLOSE_SHUTDOWN


def test_the_application_can_send_a_message() -> None:
    client = connected()
    client.took(client.session.message(raw({"a": 1})))
    assert client.told() == [{"push": {"message": {"data": {"a": 1}}}}]


def test_an_outcome_of_another_request_is_an_error_of_the_owner() -> None:
    client = connected()
    with pytest.raises(ValueError, match="nothing was asked"):
        client.is_answered(RpcResult())
    client.says({"rpc": {}})
    with pytest.raises(ValueError, match="no answer"):
        client.is_answered(Connected())


def test_what_a_refresh_brings_is_told_to_others_from_then_on() -> None:
    client = subscribed(Subscribed(info=raw("old")))
    client.says({"refresh": {"token": "t"}}, {"sub_refresh": {"channel": "news", "token": "t"}})
    client.is_answered(Refreshed(info=raw("new")))
    client.is_answered(Refreshed(info=raw("newer")))
    info = client.session.client_info("news")
    assert (bytes(info.conn_info), bytes(info.chan_info)) == (b'"new"', b'"newer"')


def test_a_subscription_that_ended_while_it_was_refreshed_stays_ended() -> None:
    client = subscribed()
    client.says({"sub_refresh": {"channel": "news", "token": "t"}})
    client.took(client.session.unsubscribe("news", codes.UNSUBSCRIBED))
    client.is_answered(Refreshed(10.0))
    assert client.session.subscriptions == {}
    client.says({"unsubscribe": {"channel": "news"}})
    assert client.told()[-1] == {"id": 4, "unsubscribe": {}}
