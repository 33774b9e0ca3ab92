"""Two containers on one engine, which a module names."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import pytest

from tests.cluster.harness import SHOWN
from tests.cluster.sdk import SECRET
from tests.contract.engines import Server

from .container import WORKERS, Container
from .network import Loopback, network, refusal

BUS_TIMEOUT = 4.0
"""Seconds until a publication fails: less than a link is cut for."""


class Site(NamedTuple):
    """The containers, and what joins them."""

    network: Loopback
    engine: Server
    containers: tuple[Container, Container]

    def run(self) -> None:
        """Have both containers running, whatever the test before did to them."""
        for container in self.containers:
            container.start()
        for container in self.containers:
            container.wait_until_ready(len(self.containers) * WORKERS)


@contextmanager
def site(make: Callable[[], Server]) -> Iterator[Site]:
    """Two containers that run, and an engine; nothing is left of them."""
    with network() as between, ExitStack() as stack:
        engine = make()
        engine.host = between.host
        stack.callback(engine.close)
        engine.start()
        settings = {
            "bus_url": engine.url,
            "bus_timeout": BUS_TIMEOUT,
            "admin_token": "that of both",
            "token_hmac_secret": SECRET,
        }
        first, second = (Container(between, number, **settings) for number in (1, 2))
        for container in (first, second):
            stack.callback(container.close)
        found = Site(between, engine, (first, second))
        try:
            found.run()
        except BaseException as error:
            for container in (first, second):
                error.add_note(f"{container.name}:\n{container.output()[-SHOWN:]}")
            raise
        yield found


@pytest.fixture
def containers(place: Site) -> tuple[Container, Container]:
    """Both, running."""
    place.run()
    return place.containers


@pytest.fixture
def linked(place: Site) -> Loopback:
    """The network, for tests that need one of their own."""
    if not place.network.isolated:
        pytest.skip(f"network namespaces are not permitted here: {refusal()}")
    return place.network


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    place = getattr(item, "funcargs", {}).get("place")
    if report.failed and place is not None:
        for container in place.containers:
            report.sections.append((f"output of {container.name}", container.output()[-SHOWN:]))
    return report
