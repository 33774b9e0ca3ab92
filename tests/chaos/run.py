"""The chaos: a real cluster under load whose processes are killed and stopped, and a verdict on what arrived.

python -m tests.chaos.run --duration 60 --seed 1
"""

from __future__ import annotations

import argparse
import asyncio
import random
import secrets
import sys
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass

import psutil

from tests.cluster.harness import RunningCluster
from tests.contract.engines import Server
from tests.waiting import PATIENCE, until

from .checker import Verdict, check
from .client import Publisher, Subscriber
from .engine import ENGINES, keep_running, pids, running
from .faults import Faults
from .sdk import SdkSubscriber

APP = "tests.chaos.app:app"
WORKERS = 4
CHANNELS = 20
CLIENTS = 200
PUBLISHERS = 8
RATE = 240
"""Publications per second, all publishers together, while nothing is wrong."""


@dataclass
class Report:
    """What happened and what came of it."""

    verdict: Verdict
    publications: int
    attempts: int
    killed: Counter[str]
    stopped: Counter[str]
    reconnects: int
    recoveries: int
    longest_silence: float
    seed: int

    def __str__(self) -> str:
        verdict = self.verdict
        return "\n".join(
            [
                f"seed {self.seed}: {self.publications} publications acknowledged in {self.attempts} attempts, "
                f"{verdict.delivered} deliveries",
                f"killed {_counts(self.killed)}; stopped {_counts(self.stopped)}",
                f"{self.reconnects} reconnects, {self.recoveries} recoveries, "
                f"worst client-visible gap {self.longest_silence * 1000:.0f} ms",
                f"{verdict.lost} lost, {verdict.duplicated} duplicated, {verdict.reordered} reordered, "
                f"{verdict.told_losses} told of a loss",
            ]
        )


async def chaos(
    cluster: RunningCluster,
    duration: float,
    seed: int,
    *,
    engine: Server | None = None,
    clients: int = CLIENTS,
    forgetful: bool = False,
) -> Report:
    """Publish and break things for `duration` seconds, let it settle, and judge. An `engine` is broken too.

    With `forgetful` clients come back without their position: the verdict must then be bad.
    """
    jitter = random.Random(seed)
    url = f"ws://127.0.0.1:{cluster.port}"
    channels = [f"chaos:{n}" for n in range(CHANNELS)]
    # Of the clients of each channel one half is plain, the other speaks the client protocol.
    kinds: list[type[Subscriber]] = [Subscriber, SdkSubscriber]
    subscribers = [
        kinds[n // CHANNELS % 2](url, channels[n % CHANNELS], jitter, forgetful=forgetful) for n in range(clients)
    ]
    run = secrets.token_hex(4)  # a cluster that ran before would know the ids of the run before
    # Several publishers share each channel.
    publishers = [
        Publisher(url, f"{run}-{n}", channels[n % 2 :: 2], RATE / PUBLISHERS, jitter) for n in range(PUBLISHERS)
    ]
    faults = Faults(lambda: victims(cluster, engine), seed)
    tasks = [asyncio.create_task(subscriber.run()) for subscriber in subscribers]
    if engine is not None:
        tasks.append(asyncio.create_task(keep_running(engine)))
    try:
        await until(lambda: all(s.record.start for s in subscribers), "every client is subscribed")
        tasks += [asyncio.create_task(publisher.run()) for publisher in publishers]
        breaking = asyncio.create_task(faults.run())
        await asyncio.sleep(duration)
        breaking.cancel()
        await asyncio.gather(breaking, return_exceptions=True)
        for publisher in publishers:
            publisher.stopping = True
        for publisher in publishers:
            await asyncio.wait_for(publisher.idle.wait(), PATIENCE)
        acknowledged: dict[str, dict[str, tuple[str, int]]] = {channel: {} for channel in channels}
        for publisher in publishers:
            for channel, places in publisher.acknowledged.items():
                acknowledged[channel].update(places)
        await _settle(subscribers, acknowledged)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return Report(
        check(acknowledged, [subscriber.record for subscriber in subscribers]),
        sum(map(len, acknowledged.values())),
        sum(publisher.attempts for publisher in publishers),
        faults.killed,
        faults.stopped,
        sum(subscriber.connects - 1 for subscriber in subscribers),
        sum(subscriber.recoveries for subscriber in subscribers),
        max(subscriber.longest_silence for subscriber in subscribers),
        seed,
    )


def victims(cluster: RunningCluster, engine: Server | None = None) -> Mapping[str, list[int]]:
    """Whom faults may hit, as they live now."""
    found: dict[str, list[int]] = {
        "worker": cluster.worker_pids(),
        "forwarder": [],
        "engine": pids(engine),
        "nginx": [],
    }
    if (pid := cluster.forwarder_pid()) is not None:
        found["forwarder"].append(pid)
    if (pid := cluster.nginx_pid()) is not None:
        found["nginx"] = [pid, *(child.pid for child in psutil.Process(pid).children())]
    return found


async def _settle(subscribers: list[Subscriber], acknowledged: Mapping[str, Mapping[str, tuple[str, int]]]) -> None:
    """Wait until everyone has the last publication of its channel; who never gets it shows in the verdict."""
    top = {channel: max((at for _, at in places.values()), default=0) for channel, places in acknowledged.items()}
    try:
        await until(lambda: all(s.offset >= top[s.record.channel] for s in subscribers), "all has arrived")
    except AssertionError as error:
        print(error, file=sys.stderr)


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{count} × {kind}" for kind, count in sorted(counter.items())) or "none"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--duration", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bus", help=f"BUS_URL; one of {', '.join(ENGINES)} has an engine started, and broken too")
    parsed = parser.parse_args()
    with ExitStack() as stack:
        engine = stack.enter_context(running(parsed.bus)) if parsed.bus in ENGINES else None
        bus = engine.url if engine else parsed.bus
        cluster = stack.enter_context(RunningCluster(APP, workers=WORKERS, bus_url=bus))
        report = asyncio.run(chaos(cluster, parsed.duration, parsed.seed, engine=engine))
        print(report)
        if not report.verdict.kept:
            sys.exit(1)


if __name__ == "__main__":
    main()
