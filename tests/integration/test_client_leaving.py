"""A client that vanishes while it is served leaves nothing behind, wherever it was waited for."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from fastapi import FastAPI

from cluster import Hub, Retention, Welcome
from cluster.client import Client
from cluster.errors import BusUnavailable
from cluster.framing import STREAM
from cluster.live import LiveChannel
from cluster.peers import SubscribeClients, Target
from cluster.service import Service
from cluster.session.codec import JSON
from cluster.session.codes import CLOSE_FORCED
from cluster.stream import Position
from tests.waiting import until

CHANNELS = ["room:a", "room:b", "cache:c"]
MOST = 500
"""Turns of the event loop in which everything is done."""


class Written:
    """An outlet that keeps what it is given."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.closed: tuple[int, str] | None = None

    def write(self, frame: bytes) -> None:
        self.messages += map(json.loads, frame.splitlines())

    def close(self, code: int, reason: str) -> None:
        self.closed = (code, reason)

    def reply(self, id: int) -> dict[str, Any] | None:
        return next((message for message in self.messages if message.get("id") == id), None)


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    hub = Hub.from_env(bus_url=f"memory://{secrets.token_hex(4)}", heartbeat_interval=0.05)
    options: dict[str, Any] = {
        "history": Retention(100, 100),
        "presence": True,
        "join_leave": True,
        "allow_subscribe": "anyone",
        "allow_publish": "anyone",
        "allow_history": "anyone",
        "allow_presence": "anyone",
    }
    hub.channel("room:{name}", recovery="stream", **options)
    hub.channel("cache:{name}", recovery="cache", **options)

    @hub.on_connect
    async def welcome(channels: list[str] | None = None) -> Welcome:
        return Welcome(user="ann", channels=channels or [])

    @hub.rpc("echo")
    async def echo() -> int:
        await asyncio.sleep(0)
        return 1

    @hub.rpc("wait")
    async def wait() -> None:
        await asyncio.Event().wait()

    @hub.on_message
    async def take() -> None:
        await asyncio.sleep(0)

    async with hub.lifespan(FastAPI()):
        service = hub._running_service()
        await until(lambda: service.node.peers.settled, "the node is settled")
        yield hub


def connected(hub: Hub, outlet: Written, *channels: str, emulated: bool = False) -> Client:
    """A client that has said `connect` and is to be subscribed to `channels`."""
    service = hub._running_service()
    client = Client(service, service.session(JSON, emulated=emulated), STREAM[JSON], outlet, {})
    command(client, 1, connect={"data": list(channels)})
    return client


def command(client: Client, id: int, **request: Any) -> None:
    client.received(json.dumps({"id": id, **request}).encode())


def traces(service: Service) -> dict[str, Any]:
    """What the worker still knows of any client."""
    exchange, hub = service.exchange, service.hub
    return {
        "registry": list(service.node.clients) + service.node.clients.sessions,
        "present": list(exchange._own),
        "watchers": dict(exchange._watchers),
        "members": {name: members for name, live in hub._channels.items() if (members := _clients(live))},
        "claims": {name: live.claims for name, live in hub._channels.items() if live.claims and name[0] != "/"},
        "tasks": [task for task in asyncio.all_tasks() if "Client." in repr(task)],
    }


def _clients(live: LiveChannel) -> list[Client]:
    return [
        member for audience in live._audiences.values() for member in audience.members if isinstance(member, Client)
    ]


NO_TRACES: dict[str, Any] = {"registry": [], "present": [], "watchers": {}, "members": {}, "claims": {}, "tasks": []}

Step = Callable[[Client], None]


def ask(**request: Any) -> Step:
    return lambda client: command(client, 2, **request)


def several(client: Client) -> None:
    """Everything at once."""
    requests: list[dict[str, Any]] = [
        {"subscribe": {"channel": "room:b"}},
        {"publish": {"channel": "room:b", "data": 1}},
        {"unsubscribe": {"channel": "room:a"}},
        {"presence": {"channel": "room:b"}},
        {"subscribe": {"channel": "room:a"}},
    ]
    for number, request in enumerate(requests, 3):
        command(client, number, **request)
    command(client, 2, rpc={"method": "echo"})


def be_subscribed(client: Client) -> None:
    client.subscribe(SubscribeClients(Target("ann"), "room:b", since=Position("", 0)))


RECOVER = {"recover": True, "epoch": "", "offset": 0}
STEPS: dict[str, Step] = {
    "subscribe": ask(subscribe={"channel": "room:b"}),
    "recover": ask(subscribe={"channel": "room:b", **RECOVER}),
    "recover the newest": ask(subscribe={"channel": "cache:c", **RECOVER}),
    "unsubscribe": ask(unsubscribe={"channel": "room:a"}),
    "publish": ask(publish={"channel": "room:a", "data": 1}),
    "presence": ask(presence={"channel": "room:a"}),
    "history": ask(history={"channel": "room:a", "limit": -1}),
    "rpc": ask(rpc={"method": "echo"}),
    "everything": several,
    "be subscribed": be_subscribed,
}


@contextmanager
def slow_bus(hub: Hub) -> Iterator[None]:
    """Every answer of the bus takes a few turns of the loop."""
    names = ("publish", "subscribe", "history")
    quick = {name: getattr(hub.bus, name) for name in names}

    def slowed(verb: Any) -> Any:
        async def call(*args: Any, **options: Any) -> Any:
            await asyncio.sleep(0)
            found = await verb(*args, **options)
            await asyncio.sleep(0)
            return found

        return call

    for name in names:
        setattr(hub.bus, name, slowed(quick[name]))
    yield
    for name in names:
        delattr(hub.bus, name)


def end(client: Client, way: str) -> None:
    if way == "leaves":
        client.leave()
    else:
        client.close(CLOSE_FORCED)


async def nothing_left(hub: Hub) -> None:
    service = hub._running_service()
    await until(lambda: traces(service) == NO_TRACES, "nothing is left")
    await service.exchange.told()
    assert await service.exchange.read("room:a") == await service.exchange.read("room:b") == {}


ways = pytest.mark.parametrize("way", ["leaves", "is closed"])


@ways
@pytest.mark.parametrize("channels", [[], CHANNELS], ids=["no channels", "channels"])
async def test_who_goes_while_it_connects_leaves_nothing_behind(hub: Hub, channels: list[str], way: str) -> None:
    """One client goes at once, the next a turn of the event loop later, and so on until one is connected."""
    with slow_bus(hub):
        for turns in range(MOST):
            outlet = Written()
            client = connected(hub, outlet, *channels, emulated=turns % 2 == 1)
            for _ in range(turns):
                await asyncio.sleep(0)
            end(client, way)
            if outlet.reply(1):
                break
        assert outlet.reply(1), "one was connected"
        await nothing_left(hub)


@ways
@pytest.mark.parametrize("step", STEPS)
async def test_who_goes_while_it_is_served_leaves_nothing_behind(hub: Hub, step: str, way: str) -> None:
    """Likewise, until one is answered."""
    for channel in ("room:a", "room:b", "cache:c"):
        await hub.publish(channel, 0)
    with slow_bus(hub):
        for turns in range(MOST):
            outlet = Written()
            client = connected(hub, outlet, "room:a")
            await until(lambda: outlet.reply(1), "it is connected")  # noqa: B023
            STEPS[step](client)
            for _ in range(turns):
                await asyncio.sleep(0)
            answered = outlet.reply(2) or any("subscribe" in message.get("push", ()) for message in outlet.messages)
            end(client, way)
            if answered:
                break
        assert answered, "one was answered"
        await nothing_left(hub)


async def test_a_client_that_is_refused_keeps_none_of_its_channels(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    subscribe = hub.bus.subscribe

    async def not_all(channel: str) -> Position:
        if channel == CHANNELS[-1]:
            raise BusUnavailable("as it is in this test")
        return await subscribe(channel)

    monkeypatch.setattr(hub.bus, "subscribe", not_all)
    outlet = Written()
    client = connected(hub, outlet, *CHANNELS)
    await until(lambda: outlet.reply(1), "it is answered")
    assert outlet.messages[0]["error"]["code"] == 100
    assert outlet.closed is None
    await nothing_left(hub)
    client.leave()


async def test_a_client_that_cannot_be_told_why_it_is_closed_leaves_nothing_behind(hub: Hub) -> None:
    class Broken(Written):
        def close(self, code: int, reason: str) -> None:
            raise RuntimeError("as it is in this test")

    outlet = Broken()
    client = connected(hub, outlet, *CHANNELS)
    await until(lambda: outlet.reply(1), "it is connected")
    with pytest.raises(RuntimeError, match="in this test"):
        client.close(CLOSE_FORCED)
    await nothing_left(hub)


async def test_a_function_that_takes_long_ends_with_its_client(hub: Hub) -> None:
    outlet = Written()
    client = connected(hub, outlet)
    await until(lambda: outlet.reply(1), "it is connected")
    command(client, 2, rpc={"method": "wait"})
    await until(lambda: traces(hub._running_service())["tasks"], "it is called")
    client.leave()
    await nothing_left(hub)
