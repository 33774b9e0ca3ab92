"""What each engine costs behind the bus contract: one process that publishes and receives, and the engine itself.

python -m tests.benchmarks.engines [--into DIRECTORY]
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
import uvloop

from cluster.bus import Bus
from cluster.errors import BusError
from cluster.stream import Retention
from tests.contract.engine_nats import Nats
from tests.contract.engine_rabbitmq import RabbitMq
from tests.contract.engine_redis import Redis
from tests.contract.engine_sqs import Sqs
from tests.contract.engines import Engine, Zmq
from tests.waiting import PATIENCE

from .build import RESULTS
from .flood import CHANNEL, DATA
from .machine import Busy, cpu_seconds, description
from .ratios import Spread, spread
from .report import NONE, table

ENGINES: dict[str, Callable[[], Engine]] = {
    "ZeroMQ, journal on disk": Zmq,
    "ZeroMQ, no journal": lambda: Zmq(journal=False),
    "NATS JetStream": Nats,
    "Redis Streams, append-only file": Redis,
    "RabbitMQ stream": RabbitMq,
    "SNS + SQS, as moto plays them": Sqs,
}

RETENTION = Retention(1000, 300.0)
ROUNDS = 3
RATE = 50
"""Publications per second while the delay is measured."""
UNHURRIED = 100
UNDER_WAY = 256
SECONDS = 3.0

ids = map("{:x}".format, count())


class Figures(NamedTuple):
    """Milliseconds from `publish` to what is said; then as much as goes: per second, and CPU µs per publication."""

    accepted_p50: float
    received_p50: float
    received_p99: float
    per_second: float
    engine_cpu: float
    process_cpu: float
    foreign: float


async def figures(engine: Engine, pids: list[int]) -> Figures:
    """Publish now and then, then as much as is accepted with some under way. Raises `BusError`, `TimeoutError`."""
    async with asyncio.timeout(PATIENCE), engine.connect() as publisher, engine.connect() as subscriber:
        await subscriber.subscribe(CHANNEL)
        await publish(publisher)
        accepted, received = await _unhurried(publisher, subscriber)
        busy, own, theirs = Busy.now(), time.process_time(), sum(map(cpu_seconds, pids))
        published, seconds = await _flood(publisher, subscriber)
        own, theirs = time.process_time() - own, sum(map(cpu_seconds, pids)) - theirs
    return Figures(
        accepted_p50=_at(accepted, 0.5) * 1e3,
        received_p50=_at(received, 0.5) * 1e3,
        received_p99=_at(received, 0.99) * 1e3,
        per_second=published / seconds,
        engine_cpu=theirs * 1e6 / published,
        process_cpu=own * 1e6 / published,
        foreign=busy.foreign(own + theirs),
    )


async def publish(bus: Bus) -> str:
    """The id of what has just been accepted."""
    id = next(ids)
    await bus.publish(CHANNEL, DATA, id=id, retention=RETENTION)
    return id


async def _unhurried(publisher: Bus, subscriber: Bus) -> tuple[list[float], list[float]]:
    """Seconds until each publication was accepted, and until it was received."""
    arrived: dict[str, float] = {}
    reading = asyncio.create_task(_read(subscriber, arrived, UNHURRIED + 1))
    began: dict[str, float] = {}
    accepted = []
    for _ in range(UNHURRIED):
        start = time.monotonic()
        began[await publish(publisher)] = start
        accepted.append(time.monotonic() - start)
        await asyncio.sleep(max(0.0, start + 1 / RATE - time.monotonic()))
    await reading
    return accepted, [arrived[id] - start for id, start in began.items()]


async def _flood(publisher: Bus, subscriber: Bus) -> tuple[int, float]:
    """Publications accepted and received, and the seconds that took."""
    began = time.monotonic()

    async def publish_on() -> int:
        number = 0
        while time.monotonic() - began < SECONDS:
            await publish(publisher)
            number += 1
        return number

    arrived: dict[str, float] = {}
    reading = asyncio.create_task(_read(subscriber, arrived, None))
    published = sum(await asyncio.gather(*(publish_on() for _ in range(UNDER_WAY))))
    while len(arrived) < published:
        await asyncio.sleep(0.01)
    ended = time.monotonic()
    reading.cancel()
    await asyncio.wait((reading,))
    return published, ended - began


async def _read(bus: Bus, arrived: dict[str, float], many: int | None) -> None:
    """Note when each id arrives, until so many have."""
    while many is None or len(arrived) < many:
        publication = await bus.receive()
        if not publication.is_beacon:
            arrived[publication.id] = time.monotonic()


@contextmanager
def running(make: Callable[[], Engine]) -> Iterator[tuple[Engine, list[int]]]:
    """An engine and its processes."""
    me = psutil.Process()
    before = {child.pid for child in me.children(recursive=True)}
    engine = make()
    try:
        engine.start()
        uvloop.run(_answers(engine))
        yield engine, [child.pid for child in me.children(recursive=True) if child.pid not in before]
    finally:
        engine.close()


async def _answers(engine: Engine) -> None:
    async with asyncio.timeout(PATIENCE), engine.connect() as bus:
        while True:
            try:
                await publish(bus)
            except BusError:
                await asyncio.sleep(0.2)
            else:
                return


def measure() -> tuple[dict[str, list[Figures]], dict[str, str]]:
    """All engines in turn, `ROUNDS` times, and why some were not measured."""
    found: dict[str, list[Figures]] = {name: [] for name in ENGINES}
    missing: dict[str, str] = {}
    with ExitStack() as stack:
        started = {}
        for name, make in ENGINES.items():
            try:
                started[name] = stack.enter_context(running(make))
            except (pytest.skip.Exception, BusError, OSError, TimeoutError) as error:
                missing[name] = str(error) or type(error).__name__
        for number in range(ROUNDS):
            for name, (engine, pids) in started.items():
                try:
                    found[name].append(uvloop.run(figures(engine, pids)))
                except (BusError, TimeoutError) as error:
                    missing[f"{name}, round {number + 1}"] = str(error) or type(error).__name__
                print(name, found[name][-1:], missing, file=sys.stderr, flush=True)
    return found, missing


def markdown(found: dict[str, list[Figures]], missing: dict[str, str], at: str) -> str:
    """The whole of engines.md."""
    machine = description()
    foreign = [each.foreign for figures in found.values() for each in figures]
    rows = []
    for name, measured in found.items():
        if measured:
            columns = [spread(column) for column in zip(*measured, strict=True)][:-1]
            rows.append((name, *(_written(column) for column in columns)))
    head = (
        "engine",
        "accepted p50 ms",
        "received p50 ms",
        "received p99 ms",
        "publications / s",
        "engine CPU µs / publication",
        "process CPU µs / publication",
    )
    parts = [
        "# Engines\n",
        f"Written by `python -m tests.benchmarks.engines` on {at}. {machine['cpu']}, {machine['cpus']} CPUs, "
        f"{machine['system']}, Python {machine['python']}. Other programs used {_percent(foreign)} of the machine in "
        "the median measurement: with much more than a tenth, delays and publications per second say little.\n",
        "One process has two buses, one publishes and one receives, so both ends of a publication are in its CPU "
        "time. Delays: from the call of `publish` until it returns, and until the other bus has the publication, at "
        f"{RATE} a second. Then {UNDER_WAY} publications of {len(DATA)} bytes are under way on one channel at any "
        f"time, until everything is received. Medians of {ROUNDS} rounds in turn, lowest and highest in parentheses. "
        "Every engine runs on this machine, as the tests of the bus contract start it.\n",
        table(head, rows),
    ]
    if missing:
        parts.append("## Not measured\n\n" + table(("what", "why"), list(missing.items())))
    return "\n".join(parts)


def _written(column: Spread | None) -> str:
    return NONE if column is None else format(column)


def _percent(shares: list[float]) -> str:
    return f"{_at(shares, 0.5):.0%}" if shares else NONE


def _at(values: list[float], share: float) -> float:
    return sorted(values)[int(share * (len(values) - 1))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--into", type=Path, default=RESULTS, help="where to write engines.md")
    into = parser.parse_args().into
    at = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    text = markdown(*measure(), at)
    into.mkdir(parents=True, exist_ok=True)
    (into / "engines.md").write_text(text)


if __name__ == "__main__":
    main()
