"""Every law is stated once and holds for every engine."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from .engine_nats import Nats
from .engine_rabbitmq import RabbitMq
from .engine_redis import Redis
from .engine_sqs import Sqs
from .engines import Engine, Memory, Zmq

ENGINES: dict[str, Callable[[], Engine]] = {
    "memory": Memory,
    # One with a journal and one without: what an engine's death means depends on that, not on how it is reached.
    "zmq+ipc": Zmq,
    "zmq+tcp": lambda: Zmq(tcp=True, journal=False),
    "nats": Nats,
    "redis": Redis,
    "redis, keeping nothing": lambda: Redis(durable=False),
    "rabbitmq": RabbitMq,
    "sns+sqs": Sqs,
}

_numbers = itertools.count()


@pytest.fixture(scope="session", params=ENGINES)
def running(request: pytest.FixtureRequest) -> Iterator[Engine]:
    engine = ENGINES[request.param]()
    try:
        engine.start()
        yield engine
    finally:
        engine.close()


@pytest.fixture
def engine(running: Engine) -> Engine:
    """The engine, running whatever the test before did to it."""
    running.start()
    return running


@pytest.fixture
def keeping(engine: Engine) -> Engine:
    """The engine, for laws about the past: one that declares to keep nothing is under a law of its own."""
    if not engine.connect().capabilities.recoverable:
        pytest.skip("this bus declares that it keeps nothing")
    return engine


@pytest.fixture
def process(engine: Engine) -> Engine:
    """The engine, for laws about one that can die."""
    if not engine.restarts:
        pytest.skip("this engine lives and dies with the process that uses it")
    return engine


@pytest.fixture
def channel() -> str:
    """A channel nobody has used."""
    return f"channel-{next(_numbers)}"
