"""Two containers and the engine between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from tests.cluster.harness import SHOWN
from tests.cluster.sdk import SECRET
from tests.contract.engines import Server

from .container import WORKERS, Container
from .network import Loopback, network

Pair = tuple[Container, Container]

CUT = 5.0
"""Seconds for which a link is cut."""
BUS_TIMEOUT = 4.0
"""Seconds until a publication fails: less than a link is cut for."""


class Site(NamedTuple):
    """The containers, and what joins them."""

    network: Loopback
    engine: Server
    containers: Pair

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
