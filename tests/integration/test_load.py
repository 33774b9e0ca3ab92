"""The demonstration's load where workers of two hosts have the same PID, as those of two containers may."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx
import pytest
from fastapi import FastAPI

from cluster import Hub
from cluster.load import Load
from cluster.messages import LoadOrder, LoadSample
from cluster.stream import Publication
from tests.waiting import PATIENCE, until

from .serving import serving

RATE = 1000
SAMPLES = 200


class Hosts:
    """Two hosts with a worker each, both of this process: their PIDs are equal."""

    def __init__(self) -> None:
        self.addresses: dict[str, str] = {}
        self.samples: list[str] = []
        """The hosts that those received tell, in the order they came."""
        self.heard: set[str] = set()
        """The hosts that received an order."""

    async def start(self, stack: AsyncExitStack) -> None:
        bus_url = f"memory://load-{secrets.token_hex(4)}"
        for host in ("here", "there"):
            hub = Hub.from_env(bus_url=bus_url)
            hub.heartbeat.host = host
            app = FastAPI(lifespan=hub.lifespan)
            app.include_router(Load(hub).router)
            self._listen(hub, host)
            self.addresses[host] = await stack.enter_async_context(serving(app))

    async def order(self, host: str, rate: int) -> LoadOrder:
        """Ask this host's worker for load."""
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as http:
            answer = await http.post(f"http://{self.addresses[host]}/api/demo/load", json={"rate": rate})
        return LoadOrder.model_validate_json(answer.raise_for_status().content)

    def _listen(self, hub: Hub, host: str) -> None:
        def ordered(order: LoadOrder, publication: Publication) -> None:
            self.heard.add(host)

        def received(sample: LoadSample, publication: Publication) -> None:
            assert sample.pid == os.getpid()
            self.samples.append(sample.host)

        handlers = {"load-orders": ordered} | ({"load": received} if host == "here" else {})
        for channel, handler in handlers.items():
            declared = hub.declaration(channel)
            assert declared is not None
            declared.on_publication(handler)


@pytest.fixture
async def hosts() -> AsyncIterator[Hosts]:
    async with AsyncExitStack() as stack:
        found = Hosts()
        await found.start(stack)
        yield found


@pytest.mark.parametrize("host", ["here", "there"])
async def test_only_the_worker_that_was_asked_publishes_though_another_host_has_its_pid(
    hosts: Hosts, host: str
) -> None:
    order = await hosts.order(host, RATE)
    assert (order.host, order.pid) == (host, os.getpid())
    await until(lambda: hosts.heard == {"here", "there"}, "both hosts have heard the order")
    await until(lambda: len(hosts.samples) >= SAMPLES, "load arrives")
    assert set(hosts.samples) == {host}


async def test_an_order_to_a_worker_ends_what_another_host_s_worker_with_its_pid_publishes(hosts: Hosts) -> None:
    await hosts.order("here", RATE)
    await until(lambda: "here" in hosts.samples, "load arrives")
    await hosts.order("there", RATE)
    await until(lambda: hosts.samples[-SAMPLES:] == ["there"] * SAMPLES, "only the other host's arrives")
