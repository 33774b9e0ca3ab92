"""What a client is told, in which order, and what it is never told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from cluster import Hub
from cluster.client import Client
from cluster.content import Content, pack
from cluster.framing import STREAM
from cluster.peers import SubscribeClients, Target
from cluster.session.codec import JSON
from cluster.session.codes import UNSUBSCRIBED
from cluster.stream import History, Position, Publication
from tests.waiting import until

from .test_client_leaving import Written, command, connected, nothing_left
from .test_client_leaving import hub as hub  # the fixture


@pytest.fixture
async def outlet() -> Written:
    return Written()


@pytest.fixture
async def client(hub: Hub, outlet: Written) -> AsyncIterator[Client]:
    """A client that is connected, in no channel yet."""
    client = connected(hub, outlet)
    await until(lambda: outlet.reply(1), "it is connected")
    yield client
    client.leave()


async def answer(client: Client, outlet: Written, id: int, **request: Any) -> dict[str, Any]:
    command(client, id, **request)
    await until(lambda: outlet.reply(id), f"{request} is answered")
    return outlet.reply(id) or {}


def pushes(outlet: Written, kind: str) -> list[Any]:
    return [message["push"][kind] for message in outlet.messages if kind in message.get("push", ())]


def lose(hub: Hub, channel: str) -> None:
    """The bus lets go of everything, and begins anew."""
    live = hub._channels[channel]
    live.take(Publication(channel, "another", 0, 1, "id", b"1"), 0.0)
    live.fill(History([], Position("another", 1), complete=False), 0.0)
    live.take(Publication(channel, "another", 1, 2, "id", b'"behind the gap"'), 0.0)


def held_up(hub: Hub) -> asyncio.Event:
    """Nobody comes into a channel that is new to the worker until this is set."""
    subscribe, go_on = hub.bus.subscribe, asyncio.Event()

    async def slow(channel: str) -> Position:
        await go_on.wait()
        return await subscribe(channel)

    hub.bus.subscribe = slow  # type: ignore[method-assign]
    return go_on


async def settle() -> None:
    """Let what was delivered be written."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_what_is_published_while_it_connects_comes_after_the_answer(hub: Hub, outlet: Written) -> None:
    """The second channel has to wait for the bus, while there are publications in the first."""
    subscribe, go_on = hub.bus.subscribe, asyncio.Event()

    async def slow(channel: str) -> Position:
        if channel == "room:b":
            await go_on.wait()
        return await subscribe(channel)

    hub.bus.subscribe = slow  # type: ignore[method-assign]
    client = connected(hub, outlet, "room:a", "room:b")
    await until(lambda: "room:a" in client._attached, "it is in the first")
    for number in range(3):
        await hub.publish("room:a", number)
    await settle()
    assert outlet.messages == []
    go_on.set()
    await until(lambda: len(pushes(outlet, "pub")) == 3, "they are delivered")
    assert outlet.messages[0]["connect"]["subs"]["room:a"].get("offset", 0) == 0
    assert [publication["offset"] for publication in pushes(outlet, "pub")] == [1, 2, 3]
    client.leave()


async def test_too_much_while_it_connects_closes_it(hub: Hub, outlet: Written) -> None:
    hub.bus.subscribe, subscribe = None, hub.bus.subscribe  # type: ignore[method-assign, assignment]

    async def slow(channel: str) -> Position:
        if channel == "room:b":
            await asyncio.Event().wait()
        return await subscribe(channel)

    hub.bus.subscribe = slow  # type: ignore[method-assign]
    client = connected(hub, outlet, "room:a", "room:b")
    await until(lambda: "room:a" in client._attached, "it is in the first")
    for _ in range(30):
        await hub.publish("room:a", "x" * 50_000)
    await until(lambda: outlet.closed, "it is closed")
    assert outlet.closed == (3008, "slow")
    await nothing_left(hub)


async def test_a_loss_ends_the_subscription_and_nothing_behind_it_is_sent(
    hub: Hub, client: Client, outlet: Written
) -> None:
    await answer(client, outlet, 2, subscribe={"channel": "room:a"})
    lose(hub, "room:a")
    await settle()
    assert outlet.messages[-1]["push"] == {
        "channel": "room:a",
        "unsubscribe": {"code": 2500, "reason": "insufficient state"},
    }
    assert pushes(outlet, "pub") == []
    assert outlet.closed is None


async def test_a_loss_in_a_channel_of_the_servers_choice_closes_it(hub: Hub, outlet: Written) -> None:
    connected(hub, outlet, "room:a")
    await until(lambda: outlet.reply(1), "it is connected")
    lose(hub, "room:a")
    await settle()
    assert outlet.closed == (3010, "insufficient state")
    assert pushes(outlet, "pub") == []
    await nothing_left(hub)


async def test_a_loss_reaches_every_client_of_a_channel(hub: Hub) -> None:
    outlets = [Written() for _ in range(5)]
    clients = [connected(hub, outlet) for outlet in outlets]
    for client, outlet in zip(clients, outlets, strict=True):
        await answer(client, outlet, 2, subscribe={"channel": "room:a"})
    lose(hub, "room:a")
    await settle()
    assert [len(pushes(outlet, "unsubscribe")) for outlet in outlets] == [1] * 5
    for client in clients:
        client.leave()
    await nothing_left(hub)


async def test_what_is_not_json_closes_those_who_speak_json(hub: Hub) -> None:
    outlets = [Written() for _ in range(3)]
    clients = [connected(hub, outlet) for outlet in outlets]
    for client, outlet in zip(clients, outlets, strict=True):
        await answer(client, outlet, 2, subscribe={"channel": "room:a"})
    await hub.publish_bytes("room:a", pack(Content(b"\xff", binary=True)))
    await until(lambda: all(outlet.closed for outlet in outlets), "all are closed")
    assert [outlet.closed and outlet.closed[0] for outlet in outlets] == [3506] * 3
    await nothing_left(hub)


async def test_a_client_is_told_of_itself_after_its_answer_and_once(hub: Hub, client: Client, outlet: Written) -> None:
    await answer(client, outlet, 2, subscribe={"channel": "room:a"})
    other = connected(hub, Written())
    command(other, 2, subscribe={"channel": "room:a"})
    await until(lambda: len(pushes(outlet, "join")) == 2, "the other is seen")
    assert [join["info"]["client"] for join in pushes(outlet, "join")] == [client.client_id, other.client_id]
    other.leave()
    await until(lambda: pushes(outlet, "leave"), "the other is gone")
    assert len(pushes(outlet, "join")) == 2
    assert "subscribe" in outlet.messages[1]


async def test_more_than_fits_an_answer_is_not_recovered(hub: Hub, client: Client, outlet: Written) -> None:
    for _ in range(20):
        await hub.publish("room:a", "x" * 60_000)
    found = await answer(client, outlet, 2, subscribe={"channel": "room:a", "recover": True, "epoch": ""})
    assert "recovered" not in found["subscribe"]
    assert found["subscribe"]["was_recovering"]
    assert "publications" not in found["subscribe"]
    assert found["subscribe"]["offset"] == 20


@pytest.mark.parametrize(("queue", "channels", "size"), [(1 << 20, 2, 6200), (10_000, 4, 1)], ids=["large", "small"])
async def test_what_several_channels_have_missed_fits_one_answer(
    hub: Hub, queue: int, channels: int, size: int
) -> None:
    """An answer that is too large for the queue would close the client each time it comes back."""
    service = hub._running_service()
    service.limits = service.limits._replace(queue_bytes=queue)
    names = [f"room:{number}" for number in range(channels)]
    for name in names:
        for _ in range(100):
            await hub.publish(name, "x" * size)
    outlet = Written()
    client = Client(service, service.session(JSON, emulated=True), STREAM[JSON], outlet, {})
    missed = {name: {"recover": True, "epoch": "", "offset": 0} for name in names}
    command(client, 1, connect={"data": names, "subs": missed})
    await until(lambda: outlet.reply(1), "it is connected")
    subs = outlet.messages[0]["connect"]["subs"]
    assert len(json.dumps(outlet.messages[0], separators=(",", ":"))) < queue
    first, *others = (subs[name] for name in names)
    assert first["recovered"]
    assert (first.get("offset", 0), len(first["publications"])) == (0, 100)
    for other in others:
        assert other["was_recovering"]
        assert not other.keys() & {"recovered", "publications"}
        assert other["offset"] == 100
    client.leave()


async def test_history_from_both_ends(hub: Hub, client: Client, outlet: Written) -> None:
    for number in range(1, 11):
        await hub.publish("room:a", number)

    async def read(id: int, **request: Any) -> list[int]:
        found = await answer(client, outlet, id, history={"channel": "room:a", **request})
        assert found["history"]["offset"] == 10
        return [publication["data"] for publication in found["history"].get("publications", [])]

    assert await read(2) == []
    assert await read(3, limit=-1) == list(range(1, 11))
    assert await read(4, limit=3) == [1, 2, 3]
    assert await read(5, limit=3, reverse=True) == [10, 9, 8]
    epoch = hub._channels["room:a"].position.epoch if "room:a" in hub._channels else ""
    assert await read(6, limit=3, since={"offset": 4, "epoch": epoch}) == [5, 6, 7]
    assert await read(7, limit=3, since={"offset": 4, "epoch": epoch}, reverse=True) == [3, 2, 1]
    assert await read(8, limit=-1, since={"offset": 10, "epoch": epoch}) == []
    wrong = await answer(client, outlet, 9, history={"channel": "room:a", "since": {"offset": 1, "epoch": "wrong"}})
    assert wrong["error"]["code"] == 112


async def test_history_is_cut_where_it_would_not_fit(hub: Hub, client: Client, outlet: Written) -> None:
    for number in range(20):
        await hub.publish("room:a", f"{number:>60000}")
    for id, reverse in ((2, False), (3, True)):
        found = await answer(client, outlet, id, history={"channel": "room:a", "limit": -1, "reverse": reverse})
        numbers = [int(publication["data"]) for publication in found["history"]["publications"]]
        whole = list(range(20))[:: -1 if reverse else 1]
        assert 1 < len(numbers) < 20
        assert numbers == whole[: len(numbers)]


class TestOrders:
    async def test_what_the_server_subscribes_is_told_with_what_was_missed(
        self, hub: Hub, client: Client, outlet: Written
    ) -> None:
        for number in range(1, 6):
            await hub.publish("room:a", number)
        client.subscribe(SubscribeClients(Target("ann"), "room:a", data=b'"hello"', since=Position("", 1)))
        await until(lambda: pushes(outlet, "join"), "it is subscribed")
        kinds = [next(kind for kind in message["push"] if kind != "channel") for message in outlet.messages[1:]]
        assert kinds == ["subscribe", "pub", "pub", "pub", "pub", "join"]
        assert pushes(outlet, "subscribe")[0]["data"] == "hello"
        assert pushes(outlet, "subscribe")[0]["offset"] == 1
        assert [publication["offset"] for publication in pushes(outlet, "pub")] == [2, 3, 4, 5]
        client.unsubscribe("room:a", UNSUBSCRIBED)
        assert pushes(outlet, "unsubscribe") == [{"code": 2000, "reason": "server unsubscribe"}]
        client.leave()
        await nothing_left(hub)

    async def test_who_cannot_be_told_what_was_missed_is_closed(
        self, hub: Hub, client: Client, outlet: Written
    ) -> None:
        await hub.publish_bytes("room:a", pack(Content(b"\xff", binary=True)))
        client.subscribe(SubscribeClients(Target("ann"), "room:a", since=Position("", 0)))
        await until(lambda: not client._tasks, "it was tried")
        assert outlet.closed == (3506, "inappropriate protocol")
        assert pushes(outlet, "subscribe") == []
        await nothing_left(hub)

    async def test_what_is_ended_before_it_has_begun_does_not_begin(
        self, hub: Hub, client: Client, outlet: Written
    ) -> None:
        client.subscribe(SubscribeClients(Target("ann"), "room:a"))
        client.unsubscribe("room:a", UNSUBSCRIBED)
        await until(lambda: not client._tasks, "it was tried")
        assert list(client.channels) == []
        await hub.publish("room:a", 1)
        await settle()
        assert outlet.messages[1:] == []
        client.subscribe(SubscribeClients(Target("ann"), "room:a"))
        await until(lambda: pushes(outlet, "join"), "it is subscribed later")
        client.leave()
        await nothing_left(hub)

    async def test_what_is_ended_may_be_wanted_again_at_once(self, hub: Hub, client: Client, outlet: Written) -> None:
        go_on = held_up(hub)
        client.subscribe(SubscribeClients(Target("ann"), "room:a", data=b'"first"'))
        await until(lambda: client._entering, "it is on the way")
        client.unsubscribe("room:a", UNSUBSCRIBED)
        client.subscribe(SubscribeClients(Target("ann"), "room:a", data=b'"second"'))
        client.subscribe(SubscribeClients(Target("ann"), "room:a", data=b'"third"'))
        go_on.set()
        await until(lambda: not client._tasks, "it was done")
        assert [subscribe["data"] for subscribe in pushes(outlet, "subscribe")] == ["second"]
        assert list(client.channels) == ["room:a"]
        client.leave()
        await nothing_left(hub)

    async def test_all_channels_are_also_those_it_is_not_in_yet(
        self, hub: Hub, client: Client, outlet: Written
    ) -> None:
        await answer(client, outlet, 2, subscribe={"channel": "cache:c"})
        go_on = held_up(hub)
        client.subscribe(SubscribeClients(Target("ann"), "room:a"))
        command(client, 3, subscribe={"channel": "room:b"})
        await until(lambda: len(client._entering) == 2, "both are on the way")
        await hub.clients.unsubscribe("ann", "")
        await hub._running_service().node.fence()
        go_on.set()
        await until(lambda: outlet.reply(3) and not client._tasks, "both were tried")
        assert list(client.channels) == []
        ended = [message["push"]["channel"] for message in outlet.messages if "unsubscribe" in message.get("push", ())]
        assert sorted(ended) == ["cache:c", "room:b"]
        assert pushes(outlet, "subscribe") == []
        client.leave()
        await nothing_left(hub)

    async def test_who_is_subscribed_already_stays_so(self, hub: Hub, client: Client, outlet: Written) -> None:
        await answer(client, outlet, 2, subscribe={"channel": "room:a"})
        client.subscribe(SubscribeClients(Target("ann"), "room:a"))
        await settle()
        assert pushes(outlet, "subscribe") == []
        client.leave()
        await nothing_left(hub)

    async def test_server_and_client_may_want_it_at_once(self, hub: Hub, client: Client, outlet: Written) -> None:
        client.subscribe(SubscribeClients(Target("ann"), "room:a"))
        command(client, 2, subscribe={"channel": "room:a"})
        await until(lambda: outlet.reply(2), "it is answered")
        await hub.publish("room:a", 1)
        await until(lambda: pushes(outlet, "pub"), "it is delivered")
        await settle()
        assert len(pushes(outlet, "pub")) == 1
        client.leave()
        await nothing_left(hub)

    async def test_who_is_in_too_many_channels_hears_nothing_of_one_more(
        self, hub: Hub, client: Client, outlet: Written
    ) -> None:
        client.session._limits = client.session._limits._replace(max_channels=1)
        await answer(client, outlet, 2, subscribe={"channel": "room:a"})
        before = len(outlet.messages)
        await hub.publish("room:b", 1)
        client.subscribe(SubscribeClients(Target("ann"), "room:b", since=Position("", 0)))
        await until(lambda: not client._tasks, "it was tried")
        assert outlet.messages[before:] == []
        assert list(client.channels) == ["room:a"]
        client.leave()
        await nothing_left(hub)

    async def test_an_unknown_channel_is_nobodys(self, hub: Hub, client: Client, outlet: Written) -> None:
        client.subscribe(SubscribeClients(Target("ann"), "unknown"))
        await settle()
        assert client.channels == {}
        assert json.dumps(outlet.messages[1:]) == "[]"
