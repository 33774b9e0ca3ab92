"""The application's own functions as clients of the client protocol meet them: rpc, authorize, connect, messages."""

from __future__ import annotations

import json
import logging
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Annotated, Any

import jwt
import pytest
from fastapi import Body, Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, RootModel
from websockets.asyncio.client import connect

from cluster import (
    Allow,
    BusError,
    Call,
    ConfigurationError,
    Disconnection,
    Hub,
    HubDependency,
    PayloadError,
    ReplyError,
    Retention,
    Welcome,
)
from tests.waiting import until

from .protocol import Ended, ProtocolClient, Socket, opened
from .serving import serving

UNUSABLE = [
    (1000, "done"),
    (1006, "x"),
    (2999, "x"),
    (5000, "x"),
    (4500, ""),
    (4500, "banned because " + "x" * 130),
    (4500, "é" * 62),
    (4500, "123"),
    (4500, '{"reconnect": true}'),
]
"""Codes and reasons that cannot be sent, or that SDKs take for something else."""
SECRET = "a secret that is long enough for HS256 and its tests"


class Order(BaseModel):
    number: int = Field(ge=1)
    note: str = "none"


class Place(BaseModel):
    at: int


class Anything(RootModel[Order | Place]):
    pass


class Missing(Exception):
    pass


STEPS: list[str] = []
"""What the last transactions did."""


async def transaction() -> AsyncIterator[list[str]]:
    STEPS.append("begin")
    try:
        yield STEPS
    except HTTPException:
        STEPS.append("rollback")
        raise
    STEPS.append("commit")


def language(request: Request) -> str:
    return request.headers["accept-language"]


@pytest.fixture
def hub() -> Hub:
    return a_hub()


def a_hub(**settings: Any) -> Hub:
    bus = f"memory://{secrets.token_hex(4)}"
    return Hub.from_env(bus_url=bus, heartbeat_interval=0.1, **{"token_hmac_secret": SECRET, **settings})


def an_app(hub: Hub) -> FastAPI:
    app = FastAPI(lifespan=hub.lifespan)
    app.include_router(hub.router)
    return app


def token(user: str = "ann", **claims: Any) -> str:
    return jwt.encode({"sub": user, **claims}, SECRET, "HS256")


@asynccontextmanager
async def connected(hub: Hub, user: str = "ann", app: FastAPI | None = None) -> AsyncIterator[ProtocolClient]:
    """A client of `user`, connected to an application of `hub`."""
    async with serving(app or an_app(hub)) as host, opened(host, token=token(user)) as client:
        assert client.connected["error"] is None
        yield client


async def call(client: ProtocolClient, method: str, data: object = None) -> Any:
    """What a handler answers."""
    reply = await client.ask(rpc={"method": method} | ({} if data is None else {"data": data}))
    assert "rpc" in reply, reply
    return reply["rpc"]["data"]


async def failed(client: ProtocolClient, **command: Any) -> tuple[int, str]:
    """Code and message a command is answered with."""
    error = (await client.ask(**command))["error"]
    return error["code"], error["message"]


async def told(opening: AbstractAsyncContextManager[ProtocolClient]) -> int:
    """The code a client that connects is answered or closed with."""
    try:
        async with opening as client:
            error = client.connected["error"]
            return 0 if error is None else int(error["code"])
    except Ended as ended:
        return ended.code


class TestRpc:
    async def test_models_go_in_and_come_out(self, hub: Hub) -> None:
        @hub.rpc("place")
        async def place(order: Order) -> Place:
            return Place(at=order.number * 10)

        async with connected(hub) as client:
            assert await call(client, "place", {"number": 4}) == {"at": 40}

    async def test_a_handler_may_run_in_a_thread_and_take_no_data(self, hub: Hub) -> None:
        @hub.rpc("one")
        def one() -> int:
            return 1

        async with connected(hub) as client:
            assert await call(client, "one") == 1
            assert await call(client, "one", {"ignored": True}) == 1

    async def test_data_that_does_not_fit_is_answered_with_the_field_at_fault(self, hub: Hub) -> None:
        @hub.rpc("place")
        async def place(order: Order) -> None:
            raise AssertionError("it is not called")

        async with connected(hub) as client:
            code, message = await failed(client, rpc={"method": "place", "data": {"number": 0}})
            assert code == 107
            assert message.startswith("number: ")
            assert (await failed(client, rpc={"method": "place"}))[0] == 107
            assert (await failed(client, rpc={"method": "place", "data": "text"}))[0] == 107

    async def test_a_call_of_nothing_is_answered(self, hub: Hub) -> None:
        async with connected(hub) as client:
            assert (await failed(client, rpc={"method": "place"}))[0] == 104

    async def test_a_handler_knows_who_calls(self, hub: Hub) -> None:
        @hub.rpc("who")
        async def who(call: Call, data: Annotated[dict[str, str], Body()]) -> list[Any]:
            return [call.user, call.client_id, call.channel, call.cookies, data]

        async with serving(an_app(hub)) as host:
            cookies = {"Cookie": "session=1"}
            async with connect(f"ws://{host}/connection/websocket", additional_headers=cookies, proxy=None) as socket:
                client = Socket(socket)
                await client.write(json.dumps(client.connect_command(token=token("ann"))))
                id = (await client.reply())["connect"]["client"]
                assert await call(client, "who", {"a": "b"}) == ["ann", id, "", {"session": "1"}, {"a": "b"}]

    async def test_dependencies_are_those_of_endpoints(self, hub: Hub) -> None:
        @hub.rpc("use")
        async def use(
            given: HubDependency,
            steps: Annotated[list[str], Depends(transaction)],
            language: Annotated[str, Depends(language)],
            fail: Annotated[bool, Body()],
        ) -> list[object]:
            steps.append("use")
            if fail:
                raise HTTPException(409, "taken")
            return [given is hub, language]

        async with serving(an_app(hub)) as host:
            headers = {"Accept-Language": "de"}
            async with connect(f"ws://{host}/connection/websocket", additional_headers=headers, proxy=None) as socket:
                client = Socket(socket)
                await client.write(json.dumps(client.connect_command(token=token())))
                await client.reply()
                STEPS.clear()
                assert await call(client, "use", False) == [True, "de"]
                assert await failed(client, rpc={"method": "use", "data": True}) == (409, "taken")
        assert STEPS == ["begin", "use", "commit", "begin", "use", "rollback"]

    async def test_dependencies_are_overridden_as_endpoints_are(self, hub: Hub) -> None:
        @hub.rpc("use")
        async def use(language: Annotated[str, Depends(language)]) -> str:
            return language

        app = an_app(hub)
        app.dependency_overrides[language] = lambda: "fr"
        async with connected(hub, app=app) as client:
            assert await call(client, "use") == "fr"
            app.dependency_overrides = {language: lambda: "it"}
            assert await call(client, "use") == "it"

    @pytest.mark.parametrize(
        ("raised", "code", "message"),
        [
            (ReplyError(1234, "no more of it"), 1234, "no more of it"),
            (HTTPException(400, "nonsense"), 107, "nonsense"),
            (HTTPException(401), 101, "Unauthorized"),
            (HTTPException(403, "not you"), 103, "not you"),
            (HTTPException(404, "no such order"), 404, "no such order"),
            (HTTPException(429), 111, "Too Many Requests"),
            (HTTPException(418, {"any": "detail"}), 418, "failed"),
            (Missing("order"), 404, "nothing there: order"),
            (BusError("away"), 100, "internal server error"),
            (ZeroDivisionError(), 100, "internal server error"),
        ],
        ids=repr,
    )
    async def test_what_is_raised_is_answered(self, hub: Hub, raised: Exception, code: int, message: str) -> None:
        @hub.rpc("fail")
        async def fail() -> None:
            raise raised

        app = an_app(hub)

        @app.exception_handler(Missing)
        async def missing(request: Request, error: Missing) -> JSONResponse:
            return JSONResponse({"detail": f"nothing there: {error}"}, 404)

        async with connected(hub, app=app) as client:
            assert await failed(client, rpc={"method": "fail"}) == (code, message)
            assert (await failed(client, rpc={"method": "fail"}))[0] == code, "the client stays connected"

    async def test_a_handler_may_close_the_connection(self, hub: Hub) -> None:
        @hub.rpc("leave")
        async def leave() -> None:
            raise Disconnection(4999, "you wanted it")

        async with connected(hub) as client:
            await client.write('{"id": 9, "rpc": {"method": "leave"}}')
            assert await client.end() == (4999, "you wanted it")

    @pytest.mark.parametrize(("code", "reason"), UNUSABLE)
    async def test_a_handler_is_told_what_no_client_can_be_closed_with(self, hub: Hub, code: int, reason: str) -> None:
        refused = []

        @hub.rpc("leave")
        async def leave() -> None:
            try:
                raise Disconnection(code, reason)
            except ValueError as error:
                refused.append(str(error))
                raise Disconnection(4500, "banned") from error

        async with connected(hub) as client:
            await client.write('{"id": 9, "rpc": {"method": "leave"}}')
            assert await client.end() == (4500, "banned")
        assert [("3000 to 4999" in said or "1 to 123 bytes" in said) for said in refused] == [True]

    def test_a_name_is_taken_once(self, hub: Hub) -> None:
        hub.rpc("one")(lambda: 1)
        with pytest.raises(ConfigurationError, match="one"):
            hub.rpc("one")(lambda: 2)


class TestConnect:
    async def test_without_a_token_nobody_comes_in(self, hub: Hub) -> None:
        async with serving(an_app(hub)) as host:
            with pytest.raises(Ended) as ended:
                async with opened(host):
                    pass
        assert (ended.value.code, ended.value.reason) == (3501, "a token is needed")

    async def test_a_function_may_let_the_anonymous_in(self, hub: Hub) -> None:
        @hub.on_connect
        async def welcome(call: Call) -> Welcome:
            return Welcome(data={"hello": call.user or "stranger"})

        async with serving(an_app(hub)) as host:
            async with opened(host) as client:
                assert client.connected["data"] == {"hello": "stranger"}
            async with opened(host, token=token("ann")) as client:
                assert client.connected["data"] == {"hello": "ann"}

    async def test_a_function_that_says_nothing_leaves_it_to_the_token(self, hub: Hub) -> None:
        @hub.on_connect
        async def look(call: Call) -> None:
            pass

        async with serving(an_app(hub)) as host:
            async with opened(host, token=token()) as client:
                assert client.connected["error"] is None
            with pytest.raises(Ended):
                async with opened(host):
                    pass

    async def test_a_cookie_says_who_it_is(self, hub: Hub) -> None:
        @hub.on_connect
        async def by_cookie(call: Call) -> Welcome:
            if call.cookies.get("session") != "of ann":
                raise HTTPException(401, "log in")
            return Welcome(user="ann", info={"name": "Ann"}, channels=["news"])

        @hub.rpc("who")
        async def who(call: Call) -> str:
            return call.user

        hub.channel("news", presence=True, allow_presence="users")
        async with serving(an_app(hub)) as host:
            async with opened(host) as client:
                assert client.connected["error"] == {"code": 101, "message": "log in"}
            cookies = {"Cookie": "session=of ann"}
            async with connect(f"ws://{host}/connection/websocket", additional_headers=cookies, proxy=None) as socket:
                client = Socket(socket)
                await client.write(json.dumps(client.connect_command()))
                answer = (await client.reply())["connect"]
                assert list(answer["subs"]) == ["news"]
                assert await call(client, "who") == "ann"
                present = (await client.ask(presence={"channel": "news"}))["presence"]["presence"]
                assert list(present.values()) == [
                    {"user": "ann", "client": answer["client"], "conn_info": {"name": "Ann"}}
                ]

    async def test_it_is_given_what_the_client_says(self, hub: Hub) -> None:
        @hub.on_connect
        async def twice(order: Order) -> Welcome:
            return Welcome(user="ann", data={"number": order.number * 2})

        async with serving(an_app(hub)) as host:
            async with opened(host, data={"number": 4}) as client:
                assert client.connected["data"] == {"number": 8}
            async with opened(host, data={"number": 0}) as client:
                assert client.connected["error"]["code"] == 107

    async def test_a_channel_that_is_not_declared_is_told(self, hub: Hub) -> None:
        hub.on_connect(lambda: Welcome(channels=["nowhere"]))
        async with serving(an_app(hub)) as host, opened(host) as client:
            assert client.connected["error"]["code"] == 102

    async def test_what_is_no_welcome_lets_nobody_in(self, hub: Hub, caplog: pytest.LogCaptureFixture) -> None:
        hub.on_connect(lambda: {"usr": "ann"})
        async with serving(an_app(hub)) as host, opened(host) as client:
            assert client.connected["error"]["code"] == 100
        assert "usr" in caplog.text

    @pytest.mark.parametrize(
        ("claims", "outcome"),
        [
            ({"exp": 1}, 109),
            ({"channels": ["nowhere"]}, 102),
            ({"channel": "news"}, 3500),
            ({"nbf": time.time() + 1000}, 3500),
        ],
    )
    async def test_a_token_that_is_not_good_is_told(self, hub: Hub, claims: dict[str, Any], outcome: int) -> None:
        async with serving(an_app(hub)) as host:
            assert await told(opened(host, token=token(**claims))) == outcome

    async def test_a_token_subscribes(self, hub: Hub) -> None:
        hub.channel("chat:{room}", history=Retention(5, 60))
        override = {"force_recovery": {"value": True}}
        subs = {"$chat:a": {"data": "for you", "override": override}}
        async with serving(an_app(hub)) as host, opened(host, token=token(subs=subs)) as client:
            assert client.connected["subs"]["$chat:a"]["data"] == "for you"
            assert client.connected["subs"]["$chat:a"]["recoverable"] is True
            await hub.publish("$chat:a", "hello")
            assert (await client.push())["pub"]["data"] == "hello"

    async def test_insecure_clients_are_warned_of_and_may_do_everything(self, caplog: pytest.LogCaptureFixture) -> None:
        hub = a_hub(insecure_clients=True)
        hub.channel("chat:{room}", history=Retention(5, 60), presence=True)
        with caplog.at_level(logging.WARNING):
            async with serving(an_app(hub)) as host:
                assert "INSECURE_CLIENTS" in caplog.text
                async with opened(host) as client:
                    assert "subscribe" in await client.ask(subscribe={"channel": "$chat:a#ann"})
                    assert "publish" in await client.ask(publish={"channel": "chat:b", "data": 1})
                    assert "history" in await client.ask(history={"channel": "chat:b", "limit": 1})
                    assert (await client.ask(subscribe={"channel": "other"}))["error"]["code"] == 102
                with pytest.raises(Ended):
                    async with opened(host, token=token() + "x"):
                        pass


class TestAuthorize:
    async def test_a_function_decides_by_the_names_parameters(self, hub: Hub) -> None:
        asked = []

        async def member(room: str, house: str, call: Call) -> bool:
            asked.append((house, room, call.user, call.channel))
            return room == "b/c?d e"

        hub.channel("room:{house}:{room}", authorize=member)
        async with connected(hub) as client:
            assert "subscribe" in await client.ask(subscribe={"channel": "room:a:b/c?d e"})
            assert (await failed(client, subscribe={"channel": "room:a:z"}))[0] == 103
        assert asked == [("a", "b/c?d e", "ann", "room:a:b/c?d e"), ("a", "z", "ann", "room:a:z")]

    @pytest.mark.parametrize(
        ("answer", "code"), [(None, 103), (False, 103), (1, 100), ("yes", 100), ({"info": 5, "more": 6}, 100)]
    )
    async def test_anything_but_true_or_allow_denies(self, hub: Hub, answer: object, code: int) -> None:
        hub.channel("room:{name}", authorize=lambda: answer)
        async with connected(hub) as client:
            assert (await failed(client, subscribe={"channel": "room:a"}))[0] == code

    @pytest.mark.parametrize(("raised", "code"), [(HTTPException(403), 103), (ReplyError(1000, "full"), 1000)])
    async def test_what_is_raised_is_answered(self, hub: Hub, raised: Exception, code: int) -> None:
        async def full(name: str) -> bool:
            raise raised

        hub.channel("room:{name}", authorize=full)
        async with connected(hub) as client:
            assert (await failed(client, subscribe={"channel": "room:a"}))[0] == code

    async def test_it_may_say_what_others_and_the_client_are_told(self, hub: Hub) -> None:
        async def member(name: str, wish: Order) -> Allow:
            return Allow(info={"seat": wish.number}, data=f"welcome to {name}")

        hub.channel("room:{name}", presence=True, allow_presence="subscribers", authorize=member)
        async with connected(hub) as client:
            subscribed = await client.ask(subscribe={"channel": "room:a", "data": {"number": 7}})
            assert subscribed["subscribe"]["data"] == "welcome to a"
            (present,) = (await client.ask(presence={"channel": "room:a"}))["presence"]["presence"].values()
            assert present["chan_info"] == {"seat": 7}

    async def test_a_name_s_gate_is_before_it_and_a_token_instead(self, hub: Hub) -> None:
        def never(name: str) -> bool:
            raise AssertionError("it is not asked")

        hub.channel("room:{name}", authorize=never)
        async with connected(hub) as client:
            assert (await failed(client, subscribe={"channel": "$room:a"}))[0] == 103
            assert (await failed(client, subscribe={"channel": "room:a#bob"}))[0] == 103
            for channel in ("room:a", "$room:a", "room:a#bob"):
                answer = await client.ask(subscribe={"channel": channel, "token": token(channel=channel)})
                assert "subscribe" in answer

    @pytest.mark.parametrize(
        ("claims", "outcome"),
        [
            ({"channel": "room:a", "exp": 1}, 109),
            ({"channel": "room:b"}, 3500),
            ({"channel": "room:a", "sub": "bob"}, 3500),
            ({"channel": "room:a", "client": "another"}, 3500),
            ({}, 103),
        ],
    )
    async def test_a_token_that_is_not_good_is_told(self, hub: Hub, claims: dict[str, Any], outcome: int) -> None:
        hub.channel("room:{name}", allow_subscribe="anyone")
        async with connected(hub) as client:
            await client.write(json.dumps({"id": 9, "subscribe": {"channel": "room:a", "token": token(**claims)}}))
            try:
                code = (await client.reply())["error"]["code"]
            except Ended as ended:
                code = ended.code
            assert code == outcome

    async def test_what_is_not_declared_is_unknown_and_what_is_declared_denied(self, hub: Hub) -> None:
        hub.channel("orders")
        async with connected(hub) as client:
            for command, denied in {"subscribe": 103, "publish": 103, "history": 108, "presence": 108}.items():
                data = {"data": 1} if command == "publish" else {}
                assert (await failed(client, **{command: {"channel": "other"} | data}))[0] == 102
                assert (await failed(client, **{command: {"channel": "orders"} | data}))[0] == denied
            assert (await failed(client, subscribe={"channel": "/cluster/nodes"}))[0] == 107

    def test_who_may_subscribe_is_said_once(self, hub: Hub) -> None:
        with pytest.raises(Exception, match="authorize or by allow_subscribe"):
            hub.channel("room:{name}", allow_subscribe="users", authorize=lambda: True)


class TestPublications:
    async def test_clients_publish_what_the_channel_carries(self, hub: Hub) -> None:
        hub.channel("orders", publishes=Order, allow_subscribe="users", allow_publish="subscribers")
        async with connected(hub) as client:
            assert (await failed(client, publish={"channel": "orders", "data": {"number": 1}}))[0] == 103
            await client.ask(subscribe={"channel": "orders"})
            code, message = await failed(client, publish={"channel": "orders", "data": {"number": 0}})
            assert code == 107
            assert message.startswith("number: ")
            await client.ask(publish={"channel": "orders", "data": {"number": 5, "unknown": "left out"}})
            push = await client.push()
            assert push["pub"]["data"] == {"number": 5, "note": "none"}
            assert push["pub"]["info"]["user"] == "ann"

    async def test_clients_may_publish_less_than_the_application(self, hub: Hub) -> None:
        hub.channel("orders", publishes=Anything, accepts=Place, allow_subscribe="users", allow_publish="subscribers")
        async with connected(hub) as client:
            await client.ask(subscribe={"channel": "orders"})
            assert (await failed(client, publish={"channel": "orders", "data": {"number": 1}}))[0] == 107
            assert "publish" in await client.ask(publish={"channel": "orders", "data": {"at": 1}})
            await hub.publish("orders", Anything(Order(number=2)))
            pushed = [await client.push() for _ in range(2)]
        assert [push["pub"]["data"] for push in pushed] == [{"at": 1}, {"number": 2, "note": "none"}]
        assert "info" not in pushed[1]["pub"]


class TestMessages:
    async def test_a_message_is_taken(self, hub: Hub) -> None:
        taken = []

        @hub.on_message
        async def take(order: Order, call: Call) -> None:
            taken.append((call.user, order.number))

        async with connected(hub) as client:
            for number in (1, 0, 2):
                await client.write(json.dumps({"send": {"data": {"number": number}}}))
            await until(lambda: len(taken) == 2, "what fits is taken")
            assert taken == [("ann", 1), ("ann", 2)]

    async def test_where_nobody_takes_it_the_client_is_told(self, hub: Hub) -> None:
        async with connected(hub) as client:
            await client.write('{"send": {"data": 1}}')
            assert (await client.end())[0] == 3508


class TestRefresh:
    async def test_a_connection_and_a_subscription_last_longer_with_a_new_token(self, hub: Hub) -> None:
        hub.channel("news")
        async with serving(an_app(hub)) as host, opened(host, token=token(exp=time.time() + 1000)) as client:
            assert client.connected["expires"] is True
            assert 990 <= client.connected["ttl"] <= 1000
            refreshed = (await client.ask(refresh={"token": token(exp=time.time() + 5000)}))["refresh"]
            assert 4990 <= refreshed["ttl"] <= 5000
            first, second = (token(channel="news", exp=time.time() + seconds) for seconds in (100, 900))
            subscribed = (await client.ask(subscribe={"channel": "news", "token": first}))["subscribe"]
            assert 90 <= subscribed["ttl"] <= 100
            refreshed = (await client.ask(sub_refresh={"channel": "news", "token": second}))["sub_refresh"]
            assert 890 <= refreshed["ttl"] <= 900
            assert (await failed(client, sub_refresh={"channel": "news", "token": token(channel="news", exp=1)}))[
                0
            ] == 109

    @pytest.mark.parametrize(
        ("claims", "code"), [({"exp": 1}, 3005), ({"sub": "bob"}, 3500), ({"channel": "news"}, 3500)]
    )
    async def test_a_token_that_is_not_good_ends_it(self, hub: Hub, claims: dict[str, Any], code: int) -> None:
        async with connected(hub) as client:
            await client.write(json.dumps({"id": 5, "refresh": {"token": token(**claims)}}))
            assert (await client.end())[0] == code


class TestClientele:
    @pytest.fixture
    def open_hub(self, hub: Hub) -> Hub:
        hub.channel("news", presence=True, allow_subscribe="users")
        return hub

    async def test_the_application_subscribes_looks_and_unsubscribes(self, open_hub: Hub) -> None:
        async with connected(open_hub) as client:
            await open_hub.clients.subscribe("ann", "news", info={"seat": 1}, data="hello")
            push = await client.push()
            assert (push["channel"], push["subscribe"]["data"]) == ("news", "hello")
            (present,) = await open_hub.clients.presence("news")
            assert (present.user, present.client_id, present.channel_info) == (
                "ann",
                client.connected["client"],
                {"seat": 1},
            )
            await open_hub.clients.unsubscribe("ann", "news")
            assert (await client.push())["unsubscribe"]["code"] == 2000
            assert await open_hub.clients.presence("news") == []

    async def test_the_application_closes_a_users_connections(self, open_hub: Hub) -> None:
        async with (
            serving(an_app(open_hub)) as host,
            opened(host, token=token("ann")) as ann,
            opened(host, token=token("bob")) as bob,
        ):
            await open_hub.clients.disconnect("ann", code=4500, reason="enough")
            assert await ann.end() == (4500, "enough")
            await open_hub.clients.subscribe("bob", "news")
            assert (await bob.push())["channel"] == "news"

    @pytest.mark.parametrize(("code", "reason"), UNUSABLE)
    async def test_the_application_is_told_what_no_client_can_be_closed_with(
        self, open_hub: Hub, code: int, reason: str
    ) -> None:
        async with connected(open_hub) as client:
            with pytest.raises(ValueError, match=r"3000 to 4999|1 to 123 bytes"):
                await open_hub.clients.disconnect("ann", code=code, reason=reason)
            await open_hub.clients.disconnect("ann", code=4999, reason="é" * 61)
            assert await client.end() == (4999, "é" * 61)

    async def test_the_application_sends_a_user_a_message(self, open_hub: Hub) -> None:
        async with (
            serving(an_app(open_hub)) as host,
            opened(host, token=token("ann")) as ann,
            opened(host, token=token("bob")) as bob,
        ):
            await open_hub.clients.send("ann", {"text": "hello"})
            assert (await ann.push())["message"] == {"data": {"text": "hello"}}
            await open_hub.clients.send("bob", "for you")
            assert (await bob.push())["message"] == {"data": "for you"}

    async def test_a_message_that_is_too_large_is_not_sent(self, open_hub: Hub) -> None:
        async with connected(open_hub):
            with pytest.raises(PayloadError, match="MAX_MESSAGE_BYTES"):
                await open_hub.clients.send("ann", "x" * open_hub.settings.max_message_bytes)
