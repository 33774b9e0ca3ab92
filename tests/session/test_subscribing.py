"""How subscriptions begin and end."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.session import codes
from cluster.session.checks import SessionLimits
from cluster.session.commands import Publication, UnsubscribeRequest, UnsubscribeResult
from cluster.session.outcomes import Subscribed
from cluster.stream import Position

from .client import PLACE, Client, connected, raw, subscribed

NEWS = {"channel": "news"}


def test_a_subscription_to_a_channel_without_history_has_no_position() -> None:
    client = connected()
    client.says({"subscribe": NEWS})
    client.is_answered(Subscribed())
    assert client.told() == [{"id": 2, "subscribe": {}}]
    assert not client.session.subscriptions["news"].offsets


def test_a_subscription_to_a_channel_with_history_starts_at_its_top() -> None:
    client = connected()
    client.says({"subscribe": NEWS})
    client.is_answered(PLACE._replace(data=raw({"rules": []}), ttl=30.0))
    assert client.told() == [
        {
            "id": 2,
            "subscribe": {
                "expires": True,
                "ttl": 30,
                "recoverable": True,
                "positioned": True,
                "epoch": "epoch",
                "offset": 7,
                "data": {"rules": []},
            },
        }
    ]
    assert client.session.subscriptions["news"].offsets


def recovering(flag: int, **granted: Any) -> Client:
    client = connected()
    client.says({"subscribe": NEWS | {"recover": True, "epoch": "epoch", "offset": 5, "flag": flag}})
    client.is_answered(PLACE._replace(was_recovering=True, **granted))
    return client


def test_a_recovered_subscription_goes_on_from_where_the_client_was() -> None:
    client = recovering(0, recovered=True, publications=[Publication(raw("x"), offset=6, tags={"a": "b"})])
    (reply,) = client.told()
    assert reply["subscribe"]["offset"] == 5
    assert reply["subscribe"]["recovered"]
    assert reply["subscribe"]["publications"] == [{"data": "x", "offset": 6, "tags": {"a": "b"}}]


def test_a_subscription_that_could_not_be_recovered_goes_on_from_the_top() -> None:
    client = recovering(0, publications=[Publication(raw("x"), offset=6)])
    (reply,) = client.told()
    assert reply["subscribe"]["offset"] == 7
    assert reply["subscribe"]["was_recovering"]
    assert "recovered" not in reply["subscribe"]
    assert "publications" not in reply["subscribe"]


def test_who_wants_all_or_nothing_is_not_subscribed_when_it_could_not_be_recovered() -> None:
    client = recovering(2)
    assert client.told() == [{"id": 2, "error": {"code": 112, "message": "unrecoverable position"}}]
    assert client.left == ["news"]
    assert client.session.subscriptions == {}


def test_who_wants_all_or_nothing_is_subscribed_when_it_was_recovered() -> None:
    client = recovering(3, recovered=True)
    assert client.told()[0]["subscribe"]["recovered"]


def test_a_subscription_that_was_denied_is_none() -> None:
    client = connected()
    client.says({"subscribe": NEWS})
    client.is_answered(codes.PERMISSION_DENIED)
    assert client.told() == [{"id": 2, "error": {"code": 103, "message": "permission denied"}}]
    assert client.session.subscriptions == {}
    assert client.closed is None


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (NEWS, 105),
        ({"channel": "x" * 256}, 107),
        ({"channel": "other", "type": 1}, 108),
        ({"channel": "other", "tf": {"op": "and"}}, 107),
    ],
)
def test_a_subscription_that_cannot_be_is_answered_with(request_: dict[str, Any], code: int) -> None:
    client = subscribed()
    step = client.says({"subscribe": request_})
    assert step.request is None
    assert [reply["error"]["code"] for reply in client.told()] == [code]


def test_the_longest_channel_name_can_be_subscribed_to() -> None:
    assert connected().says({"subscribe": {"channel": "x" * 255}}).request is not None


def test_a_client_has_a_limited_number_of_channels() -> None:
    client = subscribed(limits=SessionLimits(max_channels=1))
    client.says({"subscribe": {"channel": "other"}})
    assert client.told() == [{"id": 3, "error": {"code": 106, "message": "limit exceeded"}}]


def test_a_subscription_without_a_channel_is_a_bad_request() -> None:
    client = connected()
    client.says({"subscribe": {}})
    assert client.closed == codes.CLOSE_BAD_REQUEST


def test_who_unsubscribes_is_answered_when_the_others_know() -> None:
    client = subscribed()
    step = client.says({"unsubscribe": NEWS})
    assert isinstance(step.request, UnsubscribeRequest)
    assert step.left == ["news"]
    assert client.told() == []
    client.is_answered(UnsubscribeResult())
    assert client.told() == [{"id": 3, "unsubscribe": {}}]
    assert client.session.subscriptions == {}


def test_to_unsubscribe_from_an_unknown_channel_is_fine() -> None:
    client = connected()
    step = client.says({"unsubscribe": NEWS})
    assert (step.request, step.left) == (None, [])
    assert client.told() == [{"id": 2, "unsubscribe": {}}]


def test_a_channel_can_be_subscribed_to_again() -> None:
    client = subscribed()
    client.says({"unsubscribe": NEWS}, {"subscribe": NEWS})
    client.is_answered(UnsubscribeResult())
    client.is_answered(PLACE)
    assert [reply["id"] for reply in client.told()] == [3, 4]
    assert "news" in client.session.subscriptions


def test_the_server_can_end_a_subscription() -> None:
    client = subscribed()
    client.took(client.session.unsubscribe("news", codes.UNSUBSCRIBED))
    assert client.told() == [
        {"push": {"channel": "news", "unsubscribe": {"code": 2000, "reason": "server unsubscribe"}}}
    ]
    assert client.left == ["news"]
    client.took(client.session.unsubscribe("news", codes.UNSUBSCRIBED))
    assert client.told() == []


def test_a_subscription_that_the_server_ends_while_it_is_made_ends_right_after_its_answer() -> None:
    client = connected()
    client.says({"subscribe": NEWS})
    client.took(client.session.unsubscribe("news", codes.UNSUBSCRIBED))
    assert client.told() == []
    client.is_answered(PLACE)
    assert [list(reply) for reply in client.told()] == [["id", "subscribe"], ["push"]]
    assert client.left == ["news"]
    client.says({"subscribe": NEWS})
    client.is_answered(PLACE)
    assert "news" in client.session.subscriptions


def test_the_server_can_subscribe_a_client() -> None:
    client = connected()
    client.took(client.session.subscribe("news", PLACE._replace(data=raw(1)), client.now))
    assert client.told() == [
        {
            "push": {
                "channel": "news",
                "subscribe": {"recoverable": True, "epoch": "epoch", "offset": 7, "positioned": True, "data": 1},
            }
        }
    ]
    assert client.session.subscriptions["news"].server_side


def told_offsets(client: Client) -> list[int]:
    """The position that was announced, and the offsets of the publications after it."""
    announced, *missed = [reply["push"] for reply in client.told()]
    return [announced["subscribe"].get("offset", 0), *(push["pub"]["offset"] for push in missed)]


def test_what_the_server_recovers_for_a_client_follows_the_position_it_is_told() -> None:
    client = connected()
    missed = [Publication(raw(offset), offset=offset) for offset in (6, 7)]
    granted = PLACE._replace(was_recovering=True, recovered=True, publications=missed)
    client.took(client.session.subscribe("news", granted, client.now, since=5))
    assert told_offsets(client) == [5, 6, 7]


def test_who_the_server_cannot_recover_goes_on_from_the_top() -> None:
    client = connected()
    client.took(client.session.subscribe("news", PLACE._replace(was_recovering=True), client.now, since=5))
    assert told_offsets(client) == [7]


def test_the_newest_publication_follows_the_position_also_when_offsets_began_anew() -> None:
    client = connected()
    newest = PLACE._replace(was_recovering=True, recovered=True, publications=[Publication(raw(1), offset=7)])
    client.took(client.session.subscribe("news", newest, client.now, since=100))
    assert told_offsets(client) == [6, 7]


def test_the_server_subscribes_a_client_only_once_and_not_beyond_its_limit() -> None:
    client = subscribed(limits=SessionLimits(max_channels=1))
    assert client.took(client.session.subscribe("news", PLACE, client.now)).left == []
    assert client.took(client.session.subscribe("other", PLACE, client.now)).left == ["other"]
    assert client.told() == []
    assert list(client.session.subscriptions) == ["news"]


def test_the_server_subscribes_no_client_that_is_not_connected() -> None:
    client = Client()
    assert client.took(client.session.subscribe("news", PLACE, client.now)).left == ["news"]
    assert client.told() == []


def test_a_client_asks_in_vain_for_what_the_server_did_meanwhile() -> None:
    client = connected()
    client.says({"subscribe": NEWS})
    client.took(client.session.subscribe("news", PLACE, client.now))
    client.told()
    client.is_answered(PLACE)
    assert client.told() == [{"id": 2, "error": {"code": 105, "message": "already subscribed"}}]
    assert client.left == []


def test_what_is_lost_is_told_to_who_counts_on_it() -> None:
    client = subscribed()
    client.took(client.session.lose("news"))
    assert client.told() == [
        {"push": {"channel": "news", "unsubscribe": {"code": 2500, "reason": "insufficient state"}}}
    ]
    assert client.left == ["news"]
    assert client.closed is None


def test_what_is_lost_of_a_subscription_by_the_server_ends_the_connection() -> None:
    client = connected()
    client.took(client.session.subscribe("news", PLACE, client.now))
    client.took(client.session.lose("news"))
    assert client.closed == codes.CLOSE_INSUFFICIENT_STATE
    assert client.left == ["news"]


def test_what_is_lost_to_one_without_position_is_nobody_s_trouble() -> None:
    client = subscribed(Subscribed(position=Position("epoch", 7)))
    client.took(client.session.lose("news"))
    client.took(client.session.lose("other"))
    assert client.told() == []
    assert "news" in client.session.subscriptions


def test_others_are_told_who_a_client_is_in_a_channel() -> None:
    client = subscribed(Subscribed(info=raw({"role": "admin"})))
    info = client.session.client_info("news")
    assert (info.user, info.client, bytes(info.conn_info), bytes(info.chan_info)) == (
        "ann",
        "a-client",
        b'{"name":"Ann"}',
        b'{"role":"admin"}',
    )
    assert bytes(client.session.client_info("other").chan_info) == b""
