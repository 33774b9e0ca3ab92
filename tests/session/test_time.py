"""What time brings: pings, expiry, silence."""

from __future__ import annotations

import json

import pytest

from cluster.session import codes
from cluster.session.checks import SessionLimits
from cluster.session.codec import JSON
from cluster.session.commands import RpcResult
from cluster.session.outcomes import Connected, Refreshed, Subscribed
from cluster.session.session import Session

from .client import PLACE, Client, connected, subscribed

NO_PINGS = SessionLimits(ping=1e9)


def test_a_client_that_does_not_connect_is_stale() -> None:
    client = Client()
    client.waits(14.9)
    assert client.closed is None
    client.waits(0.1)
    assert client.closed == codes.CLOSE_STALE


def test_a_client_whose_connect_is_not_answered_in_time_is_stale_too() -> None:
    client = Client()
    client.says({"connect": {}})
    client.waits(15)
    assert client.closed == codes.CLOSE_STALE
    client.is_answered(Connected())
    assert client.told() == []


@pytest.mark.parametrize(("jitter", "first"), [(0.0, 12.5), (0.5, 18.75), (1.0, 25.0)])
def test_the_first_ping_is_in_the_second_half_of_the_interval(jitter: float, first: float) -> None:
    session = Session("c", JSON, SessionLimits(), 0.0, jitter=jitter)
    session.receive(json.dumps({"id": 1, "connect": {}}).encode(), 0.0)
    session.finish(Connected(), 10.0)
    assert session.deadline == 10 + first
    assert session.tick(10 + first - 0.1).replies == []
    assert session.tick(10 + first).replies == [b"{}"]
    session.receive(b"{}", 10 + first)
    assert session.deadline == 10 + first + 25


def test_a_client_that_answers_its_pings_stays() -> None:
    client = connected()
    client.waits(18.75)
    for _ in range(5):
        assert client.told() == [{}]
        client.waits(9.9)
        client.says("{}")
        client.waits(15.1)
    assert client.closed is None


def test_a_client_that_does_not_answer_a_ping_is_closed() -> None:
    client = connected()
    client.waits(18.75)
    assert client.session.deadline == client.now + 10
    client.waits(9.9)
    assert client.closed is None
    client.waits(0.1)
    assert client.closed == codes.CLOSE_NO_PONG


def test_a_client_that_need_not_answer_its_pings_stays() -> None:
    client = connected(limits=SessionLimits(pong=0))
    for _ in range(5):
        client.waits(25)
    assert client.told() == [{}] * 5
    assert client.closed is None


def test_an_answer_without_a_ping_is_a_bad_request() -> None:
    client = connected()
    client.says("{}")
    assert client.closed == codes.CLOSE_BAD_REQUEST


def test_a_second_answer_to_a_ping_is_a_bad_request() -> None:
    client = connected()
    client.waits(18.75)
    client.says("{}", "{}")
    assert client.closed == codes.CLOSE_BAD_REQUEST


def test_an_answer_to_a_ping_does_not_wait_behind_a_slow_request() -> None:
    client = connected()
    client.says({"rpc": {"method": "slow"}}, {"rpc": {"method": "next"}})
    client.waits(18.75)
    client.says("{}")
    client.waits(10)
    assert client.closed is None
    client.is_answered(RpcResult())
    client.is_answered(RpcResult())
    assert client.told() == [{}, {"id": 2, "rpc": {}}, {"id": 3, "rpc": {}}]


def test_a_connection_that_is_not_refreshed_ends_after_the_grace() -> None:
    client = connected(Connected(ttl=60.0), NO_PINGS)
    assert client.session.deadline == client.now + 85
    client.waits(84.9)
    assert client.closed is None
    client.waits(0.1)
    assert client.closed == codes.CLOSE_EXPIRED


def test_a_connection_that_is_refreshed_goes_on() -> None:
    client = connected(Connected(ttl=60.0), NO_PINGS)
    client.waits(60)
    client.says({"refresh": {"token": "t"}})
    client.is_answered(Refreshed(60.0))
    client.waits(60)
    client.session.refresh(Refreshed(None), client.now)
    client.waits(1000)
    assert client.closed is None


def test_a_subscription_that_is_not_refreshed_ends_after_the_grace() -> None:
    client = subscribed(PLACE._replace(ttl=60.0), limits=NO_PINGS)
    assert client.session.deadline == client.now + 85
    client.waits(84.9)
    assert client.told() == []
    client.waits(0.1)
    assert client.told() == [
        {"push": {"channel": "news", "unsubscribe": {"code": 2501, "reason": "subscription expired"}}}
    ]
    assert client.left == ["news"]
    assert client.closed is None


def test_a_subscription_that_is_refreshed_goes_on() -> None:
    client = subscribed(PLACE._replace(ttl=60.0), limits=NO_PINGS)
    client.waits(60)
    client.says({"sub_refresh": {"channel": "news", "token": "t"}})
    client.is_answered(Refreshed(60.0))
    client.waits(84)
    assert "news" in client.session.subscriptions


def test_a_subscription_by_the_server_that_expires_ends_the_connection() -> None:
    client = connected(Connected(subs={"news": Subscribed(ttl=60.0)}), NO_PINGS)
    client.waits(85)
    assert client.closed == codes.CLOSE_SUBSCRIPTION_EXPIRED
    assert client.left == ["news"]


@pytest.mark.parametrize(("ttl", "told"), [(0.01, 1), (-3.0, 1), (1.0, 1), (1e12, 365 * 24 * 3600)])
def test_a_time_to_live_is_told_in_seconds_an_sdk_can_count(ttl: float, told: int) -> None:
    client = Client()
    client.says({"connect": {}})
    client.is_answered(Connected(ttl=ttl))
    assert client.told()[0]["connect"]["ttl"] == told
