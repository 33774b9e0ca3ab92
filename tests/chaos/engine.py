"""The engine behind the bus as one more process that is killed and held still."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from tests.contract.engine_nats import Nats
from tests.contract.engine_redis import Redis
from tests.contract.engines import Server

ENGINES: dict[str, type[Server]] = {"nats://": Nats, "redis://": Redis}
"""What is started for a BUS_URL that names no host."""
RESTART = 1.0
"""Seconds until a killed engine is started again, as whatever supervises it would."""


@contextmanager
def running(scheme: str) -> Iterator[Server]:
    """An engine of its own, ended and removed at the end."""
    engine = ENGINES[scheme]()
    try:
        engine.start()
        yield engine
    finally:
        engine.close()


async def keep_running(engine: Server) -> None:
    """Start it again whenever it was killed, until cancelled."""
    while True:
        if not pids(engine):
            await asyncio.sleep(RESTART)
            engine.restart()
        await asyncio.sleep(0.05)


def pids(engine: Server | None) -> list[int]:
    """Its process, if it has one now."""
    return [engine.process.pid] if engine and engine.process and engine.process.poll() is None else []
