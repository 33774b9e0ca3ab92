"""Two containers on SNS and SQS: one order for all who are there. Nobody has a position, nothing can be recovered."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from tests.chaos.checker import Delivery
from tests.chaos.client import Subscriber
from tests.contract.engine_sqs import Sqs
from tests.waiting import until

from .clients import PlainClient, SdkClient, Traffic, jitter, writer
from .network import Loopback
from .site import CUT, Pair, Site, site


class PlainListener(PlainClient):
    def take(self, text: str) -> None:
        message = json.loads(text)
        assert "offset" not in message, "it is given no position"
        self.record.start = ("", 0)
        if "data" in message:
            self.record.deliveries.append(Delivery("", 0, message["data"]["id"]))


class SdkListener(SdkClient):
    def _take_place(self, result: dict[str, Any]) -> None:
        assert not result.get("recoverable"), "it is told that nothing can be recovered"
        self.record.start = ("", 0)

    def _take_publication(self, publication: dict[str, Any]) -> None:
        assert "offset" not in publication, "it is given no position"
        self.record.deliveries.append(Delivery("", 0, publication["data"]["id"]))


@pytest.fixture(scope="module")
def place() -> Iterator[Site]:
    with site(Sqs) as found:
        yield found


def listeners(channel: str, *homes: str) -> list[Subscriber]:
    """One of each kind, first connected to the first of `homes`."""
    return [PlainListener(homes, channel, jitter), SdkListener(homes, channel, jitter)]


def received(client: Subscriber) -> list[str]:
    return [delivery.id for delivery in client.record.deliveries]


async def all_received_in_one_order(accepted: Iterable[str], clients: list[Subscriber]) -> None:
    """Each exactly once."""
    accepted = set(accepted)
    await until(lambda: all(accepted <= set(received(client)) for client in clients), "all has arrived")
    first, *others = map(received, clients)
    assert len(first) == len(accepted)
    for other in others:
        assert other == first


def test_verify_is_whole(containers: Pair) -> None:
    here, there = containers
    shown = here.command("verify", there.url)
    assert shown.returncode == 0, shown.stdout + shown.stderr


async def test_what_is_published_in_either_reaches_the_clients_of_both_in_one_order(containers: Pair) -> None:
    here, there = (container.ws_url for container in containers)
    everyone = [*listeners("chaos:both", here), *listeners("chaos:both", there)]
    async with Traffic("chaos:both", [writer("chaos:both", here), writer("chaos:both", there)], everyone) as traffic:
        await traffic.flows()
        await all_received_in_one_order(await traffic.stop(), everyone)


async def test_a_link_to_the_engine_that_is_cut_under_traffic_delays_and_loses_nothing(
    linked: Loopback, containers: Pair
) -> None:
    """The queues keep what their workers cannot fetch."""
    here, there = (container.ws_url for container in containers)
    everyone = [*listeners("chaos:cut", here), *listeners("chaos:cut", there)]
    behind, before = writer("chaos:cut", here), writer("chaos:cut", there)
    async with Traffic("chaos:cut", [behind, before], everyone) as traffic:
        await traffic.flows(more=5)
        linked.cut(containers[0].number)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(asyncio.sleep(CUT))
                tasks.create_task(traffic.flows(before, more=5))
        finally:
            linked.heal(containers[0].number)
        await traffic.flows(more=5)
        await all_received_in_one_order(await traffic.stop(), everyone)
    assert all("publish again with the same id" in error for error in behind.errors)


async def test_the_clients_of_a_container_that_is_killed_whole_go_on_in_the_other_one(containers: Pair) -> None:
    dying, living = containers
    movers = listeners("chaos:killed", dying.ws_url, living.ws_url)
    stayers = listeners("chaos:killed", living.ws_url)
    author = writer("chaos:killed", living.ws_url)
    async with Traffic("chaos:killed", [author], [*movers, *stayers]) as traffic:
        await traffic.flows(more=5)
        dying.kill()
        await until(lambda: all(mover.connects > 1 for mover in movers), "the clients have moved")
        for mover in movers:
            seen = len(received(mover))
            await until(lambda: len(received(mover)) > seen, "it gets what is new")  # noqa: B023
        await all_received_in_one_order(await traffic.stop(), stayers)
        last = received(stayers[0])[-1]
        await until(lambda: all(received(mover)[-1] == last for mover in movers), "the last one has arrived")
    for mover in movers:
        # What it missed is missing, and what it got last where it was may come again where it is: it has no position.
        # The rest is what the others got, in their order.
        got = list(dict.fromkeys(received(mover)))
        assert got == [id for id in received(stayers[0]) if id in got]
