"""What a token or the server changes of a channel's options, as the client is told of it."""

from __future__ import annotations

from typing import Any

import pytest

from cluster import Hub, Retention
from cluster.peers import SubscribeClients, Target

from .protocol import opened
from .serving import serving
from .test_client import lose
from .test_handlers import an_app, connected, token
from .test_handlers import hub as hub  # the fixture

KEPT = Retention(5, 60)
POSITIONED = {"force_positioning": {"value": True}}


def terms(told: dict[str, Any]) -> tuple[bool, bool]:
    """Whether a subscription is positioned, and whether it is recoverable."""
    return told.get("positioned", False), told.get("recoverable", False)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ({}, (False, False)),
        (POSITIONED, (True, False)),
        ({"force_positioning": {"value": False}}, (False, False)),
        ({"force_recovery": {"value": True}, "force_positioning": {"value": False}}, (True, True)),
    ],
)
async def test_a_token_has_a_subscription_positioned(
    hub: Hub, override: dict[str, Any], expected: tuple[bool, bool]
) -> None:
    hub.channel("chat:{room}", history=KEPT)
    async with connected(hub) as client:
        asked = {"channel": "chat:a", "token": token(channel="chat:a", override=override)}
        answer = (await client.ask(subscribe=asked))["subscribe"]
        assert terms(answer) == expected
        assert answer["epoch"]


async def test_who_is_positioned_by_a_token_learns_of_a_loss(hub: Hub) -> None:
    hub.channel("chat:{room}", history=KEPT)
    async with connected(hub) as client:
        await client.ask(subscribe={"channel": "chat:a", "token": token(channel="chat:a", override=POSITIONED)})
        lose(hub, "chat:a")
        assert (await client.push())["unsubscribe"]["code"] == 2500


async def test_a_token_has_what_it_subscribes_positioned(hub: Hub) -> None:
    hub.channel("chat:{room}", history=KEPT)
    subs = {"chat:a": {"override": POSITIONED}}
    async with serving(an_app(hub)) as host, opened(host, token=token(subs=subs)) as client:
        assert terms(client.connected["subs"]["chat:a"]) == (True, False)


async def test_nothing_is_positioned_where_nothing_is_kept(hub: Hub) -> None:
    hub.channel("plain")
    async with connected(hub) as client:
        asked = {"channel": "plain", "token": token(channel="plain", override=POSITIONED)}
        assert terms((await client.ask(subscribe=asked))["subscribe"]) == (False, False)


@pytest.mark.parametrize(
    ("recovery", "changes", "expected"),
    [
        ("off", {"positioned": True}, (True, False)),
        ("off", {"recoverable": True, "positioned": False}, (True, True)),
        ("stream", {"recoverable": False, "positioned": True}, (True, False)),
        ("stream", {"recoverable": False}, (False, False)),
        ("stream", {"positioned": False}, (True, True)),
    ],
)
async def test_the_server_s_order_means_the_same(
    hub: Hub, recovery: Any, changes: dict[str, Any], expected: tuple[bool, bool]
) -> None:
    hub.channel("chat:{room}", history=KEPT, recovery=recovery)
    async with connected(hub) as client:
        await hub._running_service().node.say(SubscribeClients(Target("ann"), "chat:a", **changes))
        assert terms((await client.push())["subscribe"]) == expected
