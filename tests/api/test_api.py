"""What the API does and answers."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest
from msgspec import Raw

from cluster.content import Content, pack
from cluster.errors import BusError, BusUnavailable
from cluster.peers import SubscribeClients, Target
from cluster.session.commands import ClientInfo
from cluster.stream import Position

from ..presence.test_node import Client
from ..waiting import until
from .support import Caller


async def connected(api: Caller, *clients: Client) -> None:
    for client in clients:
        api.service.node.clients.add(client)
    await until(lambda: api.service.node.peers.settled, "the worker knows the others")


async def carried_out(api: Caller, method: str, **body: Any) -> None:
    """Call it, and wait until this worker has heard of it."""
    assert await api.result(method, **body) == {}
    await api.service.node.fence()


async def test_what_is_published_is_in_the_history(api: Caller) -> None:
    first = await api.result("publish", channel="room:1", data={"a": [1, "é", None]})
    second = await api.result("publish", channel="room:1", data="text", tags={"kind": "test"})
    assert (first["offset"], second["offset"]) == (1, 2)
    assert await api.result("history", channel="room:1", limit=-1) == {
        "publications": [
            {"offset": 1, "data": {"a": [1, "é", None]}},
            {"offset": 2, "data": "text", "tags": {"kind": "test"}},
        ],
        "offset": 2,
        "epoch": first["epoch"],
    }


async def test_bytes_can_be_published(api: Caller) -> None:
    await api.result("publish", channel="room:1", b64data=b64encode(b"\xff\x00").decode())
    await api.result("publish", channel="room:1", b64data=b64encode(b'{"a":1.10}').decode())
    history = await api.http.post("/api/history", json={"channel": "room:1", "limit": 2})
    assert history.json()["result"]["publications"][0] == {"offset": 1, "data": None, "b64data": "/wA="}
    assert '"data":{"a":1.10}' in history.text


async def test_the_same_key_again_is_the_same_publication(api: Caller) -> None:
    body = {"channel": "room:1", "idempotency_key": "1"}
    first = await api.result("publish", **body, data=1)
    assert await api.result("publish", **body, data=2) == first
    other = await api.result("publish", channel="room:2", idempotency_key="1", data=3)
    assert other["offset"] == 1
    assert (await api.result("history", channel="room:1", limit=9))["publications"] == [{"offset": 1, "data": 1}]


async def test_a_publication_of_a_client_says_whose_it_is(api: Caller) -> None:
    data = pack(Content(b'"hi"', b'{"user":"ann","client":"x"}'))
    await api.hub.publish_bytes("room:1", data)
    publications = (await api.result("history", channel="room:1", limit=1))["publications"]
    assert publications == [{"offset": 1, "data": "hi", "info": {"user": "ann", "client": "x"}}]


async def test_a_channel_without_clients_of_the_protocol_is_published_to_as_well(api: Caller) -> None:
    assert (await api.result("publish", channel="never declared", data=1))["offset"] == 1


async def test_a_broadcast_is_answered_channel_by_channel(api: Caller) -> None:
    result = await api.result("broadcast", channels=["room:1", "/cluster/nodes", "room:2", "orders"], data={"id": "x"})
    first, own, second, typed = result["responses"]
    assert first["result"]["offset"] == second["result"]["offset"] == 1
    assert own["error"]["code"] == 107
    assert typed["error"]["code"] == 107
    assert "orders" in typed["error"]["message"]


@pytest.mark.parametrize(
    ("method", "body", "code", "said"),
    [
        ("publish", {"data": 1}, 107, "channel"),
        ("publish", {"channel": "room:1"}, 107, "neither data nor b64data"),
        ("publish", {"channel": 1, "data": 1}, 107, "channel"),
        ("publish", {"channel": "", "data": 1}, 107, "1 to 255"),
        ("publish", {"channel": "/cluster/nodes", "data": 1}, 107, "the cluster's own"),
        ("publish", {"channel": "room:1", "b64data": "?"}, 107, "b64data"),
        ("publish", {"channel": "room:1", "data": "\ud800"}, 107, "JSON"),
        ("publish", {"channel": "room:1", "data": 1, "tags": {"a": "\ud800"}}, 107, "tags"),
        ("publish", {"channel": "room:1", "data": 1, "skip_history": True}, 108, "skip_history"),
        ("publish", {"channel": "orders", "data": {"id": "x"}}, 107, "id"),
        ("publish", {"channel": "orders", "b64data": "/wA="}, 107, "orders"),
        ("publish", {"channel": "room:1", "data": "x" * 70_000}, 106, "limit"),
        ("broadcast", {"channels": [], "data": 1}, 107, "channels"),
        ("presence", {"channel": "unknown"}, 102, "unknown channel"),
        ("presence", {"channel": "plain"}, 108, "not available"),
        ("presence_stats", {"channel": "plain"}, 108, "not available"),
        ("presence", {"channel": "/cluster/nodes"}, 107, "the cluster's own"),
        ("history", {"channel": "unknown"}, 102, "unknown channel"),
        ("history", {"channel": "plain"}, 108, "not available"),
        ("history", {"channel": "orders", "limit": -2}, 107, "limit"),
        ("history", {"channel": "orders", "limit": 1, "since": {"offset": -1}}, 107, "since.offset"),
        ("history", {"channel": "orders", "limit": 1, "since": {"epoch": "other"}}, 112, "unrecoverable position"),
        ("history", {"channel": "orders", "limit": 1, "since": {}, "reverse": True}, 107, "offset 0"),
        ("history_remove", {"channel": "plain"}, 108, "not available"),
        ("subscribe", {"user": "ann", "channel": "unknown"}, 102, "unknown channel"),
        ("subscribe", {"channel": "room:1"}, 107, "user"),
        ("unsubscribe", {"user": "ann", "channel": "unknown"}, 102, "unknown channel"),
        ("disconnect", {}, 107, "user"),
        ("disconnect", {"user": "ann", "disconnect": {"code": 1000}}, 107, "disconnect.code"),
        ("disconnect", {"user": "ann", "disconnect": {"code": 4000, "reason": "é" * 62}}, 107, "disconnect.reason"),
        ("disconnect", {"user": "ann", "disconnect": {"code": 4000, "reason": "123"}}, 107, "disconnect.reason"),
        ("channels", {"pattern": 1}, 107, "pattern"),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_what_cannot_be_done_is_answered_with_a_reason(
    shared: Caller, method: str, body: dict[str, Any], code: int, said: str
) -> None:
    told = await shared.error(method, **body)
    assert told[0] == code
    assert said in told[1]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'"text"', b"[" * 100_000, b'{"data":' * 100_000])
@pytest.mark.asyncio(loop_scope="module")
async def test_what_is_no_request_is_a_bad_one(shared: Caller, body: bytes) -> None:
    response = await shared.http.post("/api/publish", content=body)
    assert response.status_code == 200
    assert response.json()["error"]["code"] == 107


async def test_too_deep_a_payload_is_refused(api: Caller) -> None:
    deep: Any = 1
    for _ in range(100):
        deep = [deep]
    assert (await api.error("publish", channel="room:1", data=deep)) == (107, "data: the JSON is nested too deep")


async def test_the_body_s_type_does_not_matter(api: Caller) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}  # as `curl --data` has it
    response = await api.http.post("/api/publish", content=b'{"channel":"orders","data":{"id":1}}', headers=form)
    assert response.json()["result"]["offset"] == 1


async def test_history_is_read_from_both_ends_and_from_a_position(api: Caller) -> None:
    for number in range(1, 6):
        await api.result("publish", channel="orders", data={"id": number})

    async def ids(**asked: Any) -> list[int]:
        result = await api.result("history", channel="orders", **asked)
        assert result["offset"] == 5
        return [publication["data"]["id"] for publication in result["publications"]]

    assert await ids() == await ids(limit=0) == []
    assert await ids(limit=2) == [1, 2]
    assert await ids(limit=-1) == [1, 2, 3, 4, 5]
    assert await ids(limit=2, reverse=True) == [5, 4]
    assert await ids(limit=2, since={"offset": 2}) == [3, 4]
    assert await ids(limit=9, since={"offset": 3}, reverse=True) == [2, 1]


async def test_history_can_be_removed_and_positions_go_on(api: Caller) -> None:
    epoch = (await api.result("publish", channel="orders", data={"id": 1}))["epoch"]
    await carried_out(api, "history_remove", channel="orders")
    assert await api.result("history", channel="orders", limit=-1) == {"publications": [], "offset": 1, "epoch": epoch}
    assert (await api.result("publish", channel="orders", data={"id": 2}))["offset"] == 2


async def test_a_bus_that_cannot_remove_history_is_said_to(api: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    async def cannot(channel: str) -> None:
        raise BusError("this bus cannot")

    monkeypatch.setattr(api.hub.bus, "clear", cannot)
    assert await api.error("history_remove", channel="orders") == (108, "this bus cannot")


async def test_a_bus_that_is_away_is_an_internal_error(api: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*arguments: object, **options: object) -> None:
        raise BusUnavailable("it is away")

    for verb in ("publish", "history", "clear"):
        monkeypatch.setattr(api.hub.bus, verb, away)
    for method, body in (
        ("publish", {"channel": "orders", "data": {"id": 1}}),
        ("history", {"channel": "orders"}),
        ("history_remove", {"channel": "orders"}),
        ("presence", {"channel": "room:1"}),
        ("disconnect", {"user": "ann"}),
        ("channels", {}),
    ):
        assert await api.error(method, **body) == (100, "internal server error")


async def test_presence_shows_who_is_there(api: Caller) -> None:
    enter = api.service.exchange.enter
    await enter("room:1", ClientInfo("ann", "x", Raw(b'{"name":"Ann"}'), Raw(b"\xff")))
    await enter("room:1", ClientInfo("ann", "y"))
    await enter("room:1", ClientInfo("bob", "z"))
    await enter("room:2", ClientInfo("eve", "w"))
    assert (await api.result("presence", channel="room:1"))["presence"] == {
        "x": {"user": "ann", "client": "x", "conn_info": {"name": "Ann"}},
        "y": {"user": "ann", "client": "y"},
        "z": {"user": "bob", "client": "z"},
    }
    assert await api.result("presence_stats", channel="room:1") == {"num_clients": 3, "num_users": 2}
    assert await api.result("presence", channel="room:3") == {"presence": {}}


async def test_a_user_s_clients_are_subscribed(api: Caller) -> None:
    client = Client("x")
    await connected(api, client)
    await carried_out(api, "subscribe", user="ann", channel="room:1")
    await carried_out(
        api,
        "subscribe",
        user="ann",
        client="x",
        channel="room:2",
        info={"a": 1},
        b64data=b64encode(b"\xff").decode(),
        expire_at=2_000_000_000,
        recover_since={"offset": 3, "epoch": "e"},
        override={"presence": {"value": False}, "join_leave": {"value": True}, "force_recovery": {"value": True}},
    )
    await carried_out(api, "subscribe", user="bob", channel="room:1")
    assert client.subscribed == [
        SubscribeClients(Target("ann"), "room:1"),
        SubscribeClients(
            Target("ann", "x"),
            "room:2",
            expire_at=2_000_000_000,
            info=b'{"a":1}',
            data=b"\xff",
            since=Position("e", 3),
            presence=False,
            join_leave=True,
            recoverable=True,
        ),
    ]


async def test_a_user_s_clients_are_unsubscribed(api: Caller) -> None:
    client = Client("x")
    await connected(api, client)
    await carried_out(api, "unsubscribe", user="ann", channel="room:1")
    await carried_out(api, "unsubscribe", user="ann", channel="")
    assert [(channel, why.code) for channel, why in client.unsubscribed] == [
        ("room:1", 2000),
        ("", 2000),
    ]


async def test_a_user_s_clients_are_disconnected(api: Caller) -> None:
    one, two = Client("x"), Client("y")
    await connected(api, one, two)
    await carried_out(api, "disconnect", user="ann", whitelist=["y"])
    await carried_out(api, "disconnect", user="ann", client="y", disconnect={"code": 4000, "reason": "enough"})
    assert [(why.code, why.reason) for why in one.closed + two.closed] == [(3503, "force disconnect"), (4000, "enough")]


async def test_channels_and_clients_are_counted(api: Caller) -> None:
    await connected(api, Client("x", channels=["a:1", "b"]), Client("y", channels=["a:1", "a:2"]), Client("z", "bob"))
    channels = {"a:1": {"num_clients": 2}, "a:2": {"num_clients": 1}, "b": {"num_clients": 1}}
    assert await api.result("channels") == {"channels": channels}
    assert (await api.result("channels", pattern="a:*"))["channels"].keys() == {"a:1", "a:2"}
    assert (await api.result("channels", pattern="?"))["channels"].keys() == {"b"}
    assert (await api.result("channels", pattern="["))["channels"] == {}
    (node,) = (await api.result("info"))["nodes"]
    assert node["uid"] == api.service.node.id
    assert (node["num_clients"], node["num_users"], node["num_subs"], node["num_channels"]) == (3, 2, 4, 3)
    assert node["process"]["rss"] > 0
