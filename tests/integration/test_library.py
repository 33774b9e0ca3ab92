"""The hub in an application of one's own: lifespan, dependency, router, typed channels, attached sockets."""

from __future__ import annotations

import asyncio
import json
import secrets
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import FrameType

import httpx
import pytest
from fastapi import FastAPI, WebSocket
from fastapi.testclient import TestClient
from pydantic import BaseModel
from websockets.asyncio.client import connect

from cluster import (
    ChannelError,
    ClusterError,
    Connection,
    Hub,
    HubDependency,
    PayloadError,
    Publication,
    PublishRefused,
    Retention,
    dispatch,
)
from cluster.peers import Alive
from tests.waiting import PATIENCE, until

from .serving import serving


class Order(BaseModel):
    number: int
    note: str = "none"


class Say(BaseModel):
    words: str


@pytest.fixture
def hub() -> Hub:
    return a_hub(secrets.token_hex(4))


@pytest.fixture
def deadline() -> Iterator[None]:
    """End a test that waits too long: Starlette's test client would wait for ever."""

    def give_up(signum: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"not within {PATIENCE:g} s")

    previous = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(int(PATIENCE))
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, previous)


def a_hub(bus: str, **settings: object) -> Hub:
    """A hub as another worker on the same bus would have it."""
    return Hub.from_env(bus_url=f"memory://{bus}", heartbeat_interval=0.1, **settings)


@asynccontextmanager
async def running(hub: Hub) -> AsyncIterator[Hub]:
    """`hub` without a server around it."""
    async with hub.lifespan(FastAPI()):
        yield hub


def test_the_hubs_lifespan_is_the_applications(hub: Hub) -> None:
    app = FastAPI(lifespan=hub.lifespan)
    app.include_router(hub.router)
    with TestClient(app) as client:
        assert client.get("/healthz").text == "alive"
        assert client.get("/readyz").text == "ready"
        report = client.get("/api/cluster").json()
    assert hub.ready is False
    assert report["answered_by"] > 0


def test_the_hubs_lifespan_within_ones_own(hub: Hub) -> None:
    steps: list[object] = []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        steps.append("database")
        async with hub.lifespan(app):
            steps.append(hub.ready)
            yield
            steps.append(hub.ready)
        steps.append(hub.ready)

    with TestClient(FastAPI(lifespan=lifespan)):
        steps.append("serving")
    assert steps == ["database", True, "serving", True, False]


def test_an_application_can_be_started_again(hub: Hub) -> None:
    app = FastAPI(lifespan=hub.lifespan)
    app.include_router(hub.router)
    for _ in range(2):
        with TestClient(app) as client:
            assert client.get("/readyz").status_code == 200


def test_endpoints_are_given_the_hub(hub: Hub) -> None:
    app = FastAPI(lifespan=hub.lifespan)

    @app.get("/")
    async def same(given: HubDependency) -> bool:
        return given is hub

    with TestClient(app) as client:
        assert client.get("/").json() is True


def test_a_websocket_is_sent_publications_and_yields_what_its_client_sends(hub: Hub, deadline: None) -> None:
    app = FastAPI(lifespan=hub.lifespan)
    heard: list[Say] = []

    @app.websocket("/ws/{room}")
    async def ws(websocket: WebSocket, room: str) -> None:
        async with hub.attach(websocket, f"room:{room}", accepts=Say) as connection:
            connection.send({"welcome": room})
            async for said in connection:
                heard.append(said)
                await hub.publish(f"room:{room}", said)

    with (
        TestClient(app) as client,
        client.websocket_connect("/ws/one") as one,
        client.websocket_connect("/ws/two") as two,
    ):
        assert one.receive_json() == {"welcome": "one"}
        assert two.receive_json() == {"welcome": "two"}
        one.send_json({"words": "hello"})
        assert one.receive_json() == {"words": "hello"}
        one.send_json({"word": "hello"})
        assert one.receive_json()["error"]["field"] == "words"
        two.send_json({"words": "hi"})
        assert two.receive_json() == {"words": "hi"}
    assert heard == [Say(words="hello"), Say(words="hi")]


def test_an_accepted_websocket_can_be_attached(hub: Hub, deadline: None) -> None:
    app = FastAPI(lifespan=hub.lifespan)

    @app.websocket("/ws")
    async def ws(websocket: WebSocket) -> None:
        await websocket.accept(subprotocol="mine")
        await websocket.send_text("first")
        attached: AbstractAsyncContextManager[Connection[str]] = hub.attach(websocket)
        async with attached as connection:
            connection.send("second")
            async for text in connection:
                connection.send(text.upper())

    with TestClient(app) as client, client.websocket_connect("/ws", subprotocols=["mine"]) as socket:
        assert socket.accepted_subprotocol == "mine"
        assert socket.receive_text() == "first"
        assert socket.receive_json() == "second"
        socket.send_text("text, not json")
        assert socket.receive_json() == "TEXT, NOT JSON"


async def test_a_client_that_goes_is_forgotten(hub: Hub) -> None:
    app = FastAPI(lifespan=hub.lifespan)

    @app.websocket("/ws")
    async def ws(websocket: WebSocket) -> None:
        async with hub.attach(websocket, "news", accepts=str) as connection:
            await connection.closed()

    async with serving(app) as host:
        async with connect(f"ws://{host}/ws", proxy=None):
            await until(lambda: len(hub.connections) == 1, "the client is known")
        await until(lambda: not hub.connections, "the client is forgotten")


async def test_a_client_comes_and_goes_with_its_channels(hub: Hub) -> None:
    app = FastAPI(lifespan=hub.lifespan)

    @app.websocket("/ws")
    async def ws(websocket: WebSocket) -> None:
        async with hub.attach(websocket, accepts=str) as connection:
            async for channel in connection:
                if channel.startswith("-"):
                    connection.unsubscribe(channel[1:])
                else:
                    await connection.subscribe(channel)
                connection.send(f"done {channel}")

    async with serving(app) as host, connect(f"ws://{host}/ws", proxy=None) as socket:

        async def receive() -> object:
            return json.loads(await asyncio.wait_for(socket.recv(), PATIENCE))

        for channel in ("a", "b"):
            await socket.send(json.dumps(channel))
            assert await receive() == f"done {channel}"
        await hub.publish("a", 1)
        await hub.publish("b", 2)
        assert {await receive(), await receive()} == {1, 2}
        await socket.send('"-a"')
        assert await receive() == "done -a"
        await hub.publish("a", 3)
        await hub.publish("b", 4)
        assert await receive() == 4


async def test_a_channel_carries_its_model(hub: Hub) -> None:
    orders = hub.channel("orders", publishes=Order)
    async with running(hub):
        await orders.publish(Order(number=1))
        await hub.publish("orders", Order(number=2))
        await hub.publish("orders", {"number": 3})
        kept = (await hub.bus.history("orders", None, 10)).publications
    assert [json.loads(publication.data or b"") for publication in kept] == [
        {"number": number, "note": "none"} for number in (1, 2, 3)
    ]


@pytest.mark.parametrize("message", [{"number": "many"}, {}, Say(words="no order"), "text", None, object()])
async def test_what_does_not_fit_the_model_is_not_published(hub: Hub, message: object) -> None:
    orders = hub.channel("orders", publishes=Order)
    async with running(hub):
        with pytest.raises(PayloadError, match="orders"):
            await hub.publish("orders", message)
        with pytest.raises(PayloadError, match="orders"):
            await orders.publish(message)  # type: ignore[arg-type]
        assert (await hub.bus.history("orders", None, 10)).publications == []


async def test_a_family_of_channels_shares_a_model(hub: Hub) -> None:
    rooms = hub.channel("room:{house}:{room}", publishes=Say)
    async with running(hub):
        await rooms.publish(Say(words="hi"), house="a", room="1")
        await hub.publish("room:a:1", Say(words="ho"))
        with pytest.raises(PayloadError):
            await hub.publish("room:a:1", Order(number=1))
        await hub.publish("room:a", Order(number=1))
        kept = (await hub.bus.history("room:a:1", None, 10)).publications
    assert [json.loads(publication.data or b"")["words"] for publication in kept] == ["hi", "ho"]


@pytest.mark.parametrize("parameters", [{}, {"house": "a"}, {"house": "a", "room": ""}, {"house": "a", "room": "b:c"}])
async def test_a_name_that_cannot_be_made_is_told(hub: Hub, parameters: dict[str, str]) -> None:
    rooms = hub.channel("room:{house}:{room}", publishes=Say)
    with pytest.raises(ChannelError):
        rooms.name(**parameters)


async def test_a_channel_keeps_what_it_declares(hub: Hub) -> None:
    hub.channel("last two", history=Retention(2, 60))
    async with running(hub):
        for number in range(5):
            await hub.publish("last two", number)
        kept = (await hub.bus.history("last two", None, 10)).publications
    assert [publication.data for publication in kept] == [b"3", b"4"]


async def test_a_handler_is_called_in_every_worker_in_order() -> None:
    handled: list[tuple[str, int, int]] = []
    hubs = {name: a_hub("shared") for name in ("one", "two", "three")}

    def listen(name: str, hub: Hub) -> None:
        @hub.channel("orders", publishes=Order).on_publication
        async def handle(order: Order, publication: Publication) -> None:
            await asyncio.sleep(0)
            handled.append((name, order.number, publication.offset))

    for name, hub in hubs.items():
        listen(name, hub)
    async with running(hubs["one"]) as hub, running(hubs["two"]), running(hubs["three"]):
        await until(lambda: all(each.channels == 1 for each in hubs.values()), "all listen")
        for number in range(20):
            await hub.publish("orders", Order(number=number))
        await until(lambda: len(handled) == 60, "each has handled each")
    for name in hubs:
        assert [each[1:] for each in handled if each[0] == name] == [(number, number + 1) for number in range(20)]


async def test_a_handler_that_fails_is_called_again_for_the_next(hub: Hub) -> None:
    handled = []

    @hub.channel("orders", publishes=Order).on_publication
    def handle(order: Order, publication: Publication) -> None:
        handled.append(order.number)
        raise RuntimeError("no luck")

    async with running(hub):
        await until(lambda: hub.channels == 1, "it listens")
        for number in range(3):
            await hub.publish("orders", Order(number=number))
        await until(lambda: handled == [0, 1, 2], "all were handled")


def test_a_family_cannot_have_a_handler(hub: Hub) -> None:
    with pytest.raises(ChannelError, match="parameters"):
        hub.channel("room:{room}").on_publication(lambda message, publication: None)


def test_a_channel_is_declared_once(hub: Hub) -> None:
    hub.channel("orders")
    with pytest.raises(ChannelError, match="already"):
        hub.channel("orders")


@pytest.mark.parametrize("channel", ["", "/cluster/workers", "x" * 256, "line\nbreak"])
async def test_an_unusable_channel_name_is_told(hub: Hub, channel: str) -> None:
    async with running(hub):
        with pytest.raises(ChannelError):
            await hub.publish(channel, "x")


async def test_a_message_that_is_too_large_is_refused(hub: Hub) -> None:
    async with running(hub):
        await hub.publish("news", "x" * (64 * 1024 - 2))
        with pytest.raises(PublishRefused, match="MAX_MESSAGE_BYTES=65536"):
            await hub.publish("news", "x" * (64 * 1024 - 1))


async def test_a_repeated_id_is_one_publication(hub: Hub) -> None:
    async with running(hub):
        first = await hub.publish("news", "once", id="mine")
        assert await hub.publish("news", "once", id="mine") == first
        assert len((await hub.bus.history("news", None, 10)).publications) == 1


async def test_an_event_by_name_is_forwarded_to_the_channel_it_chooses(hub: Hub) -> None:
    hub.forward("order placed", to=lambda payload: f"orders:{payload['shop']}")
    async with running(hub):
        dispatch("order placed", {"shop": "corner"})
        dispatch("something else", {"shop": "corner"})

        async def arrived() -> bool:
            return len((await hub.bus.history("orders:corner", None, 10)).publications) == 1

        await until(arrived, "the event was published")


async def test_without_a_running_hub_dispatching_and_publishing_say_so(hub: Hub) -> None:
    with pytest.raises(ClusterError, match="lifespan"):
        dispatch(Say(words="nobody"))
    with pytest.raises(ClusterError, match="lifespan"):
        await asyncio.to_thread(hub.publish_from_thread, "news", "nobody")


async def test_workers_know_of_each_other() -> None:
    one, two = a_hub("known"), a_hub("known")
    app = FastAPI(lifespan=one.lifespan)
    app.include_router(one.router)
    async with serving(app) as host, running(two), httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:

        async def known() -> bool:
            report = (await client.get(f"http://{host}/api/cluster")).json()
            pids = [worker["pid"] for worker in report["workers"]]
            return pids == [report["answered_by"]] * 2 == [worker.pid for worker in two.heartbeat.workers()]

        await until(known, "both, which share this process, are listed")


async def test_a_report_of_a_worker_that_cannot_be_read_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    hub = a_hub("unreadable")
    hub.heartbeat.heard(Alive("another", 1.0, 0, b"{"))
    assert hub.heartbeat.workers() == []
    assert "unreadable report" in caplog.text
