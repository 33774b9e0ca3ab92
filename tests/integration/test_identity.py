"""Who a client is: what its token says, and what the application makes of it."""

from __future__ import annotations

import time

import pytest

from cluster import Call, Hub, Welcome

from .protocol import TRANSPORTS, opened
from .serving import serving
from .test_handlers import an_app, call, token
from .test_handlers import hub as hub  # the fixture

SOON = time.time() + 5000


async def renamed(call: Call) -> Welcome:
    return Welcome(user=f"internal-{call.user or 'guest'}")


async def who(call: Call) -> str:
    return call.user


class TestRenamed:
    async def test_a_token_of_the_same_subject_refreshes_the_connection(self, hub: Hub) -> None:
        hub.on_connect(renamed)
        hub.rpc("who")(who)
        async with serving(an_app(hub)) as host, opened(host, token=token("ann", exp=SOON)) as client:
            answer = await client.ask(refresh={"token": token("ann", exp=SOON + 1)})
            assert answer["refresh"]["expires"] is True
            assert await call(client, "who") == "internal-ann", "it stays who it was"

    async def test_a_token_that_names_the_new_name_is_another_users(self, hub: Hub) -> None:
        hub.on_connect(renamed)
        async with serving(an_app(hub)) as host, opened(host, token=token("ann", exp=SOON)) as client:
            await client.write(f'{{"id": 9, "refresh": {{"token": "{token("internal-ann", exp=SOON)}"}}}}')
            assert (await client.end())[0] == 3500

    async def test_a_token_to_subscribe_is_for_the_new_name(self, hub: Hub) -> None:
        hub.channel("news")
        hub.on_connect(renamed)
        async with serving(an_app(hub)) as host, opened(host, token=token("ann")) as client:
            asked = {"channel": "news", "token": token("internal-ann", channel="news")}
            assert "subscribe" in await client.ask(subscribe=asked)

    async def test_who_came_without_a_token_is_refreshed_by_one_of_its_name(self, hub: Hub) -> None:
        hub.on_connect(renamed)
        async with serving(an_app(hub)) as host, opened(host) as client:
            assert "refresh" in await client.ask(refresh={"token": token("internal-guest", exp=SOON)})


class TestEmulatedHeaders:
    @pytest.mark.parametrize("transport", TRANSPORTS)
    async def test_the_application_is_given_what_a_browser_cannot_send(self, hub: Hub, transport: str) -> None:
        @hub.on_connect
        async def welcome(call: Call) -> Welcome:
            return Welcome(user="ann", data=call.emulated_headers)

        @hub.rpc("given")
        async def given(call: Call) -> dict[str, str]:
            return call.emulated_headers

        sent = {"Authorization": "Bearer of ann", "x-tenant": "1"}
        async with serving(an_app(hub)) as host, opened(host, transport, headers=sent) as client:
            read = {"authorization": "Bearer of ann", "x-tenant": "1"}
            assert client.connected["data"] == read
            assert await call(client, "given") == read

    async def test_they_are_none_of_the_handshakes(self, hub: Hub) -> None:
        @hub.on_connect
        async def welcome(call: Call) -> Welcome:
            names = {"x-forwarded-for", "cookie"}
            assert names.isdisjoint(call.headers)
            assert call.cookies == {}
            return Welcome(user=call.emulated_headers["x-forwarded-for"])

        hub.rpc("who")(who)
        forged = {"X-Forwarded-For": "10.0.0.1", "Cookie": "session=of ann"}
        async with serving(an_app(hub)) as host, opened(host, headers=forged) as client:
            assert await call(client, "who") == "10.0.0.1"

    async def test_without_them_there_are_none(self, hub: Hub) -> None:
        @hub.on_connect
        async def welcome(call: Call) -> Welcome:
            return Welcome(data=call.emulated_headers)

        async with serving(an_app(hub)) as host, opened(host) as client:
            assert client.connected["data"] == {}
