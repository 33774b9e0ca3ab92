"""What goes wrong: one random process at a time is killed, or stopped for a while. Reproducible by its seed."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress

Victims = Callable[[], Mapping[str, list[int]]]
"""The living processes by kind; each kind is as likely to be hit as the others."""

KILLS = 0.85
"""Share of faults that are SIGKILL; the others are SIGSTOP."""


class Faults:
    """Every 1 to 2 s a victim is SIGKILLed or SIGSTOPped for 1 to 3 s, until cancelled; then all run again."""

    def __init__(self, victims: Victims, seed: int) -> None:
        self._victims = victims
        self._random = random.Random(seed)
        self.killed: Counter[str] = Counter()
        self.stopped: Counter[str] = Counter()

    async def run(self) -> None:
        resuming: set[asyncio.Task[None]] = set()
        try:
            while True:
                await asyncio.sleep(self._random.uniform(1, 2))
                # Every choice is made, also those not needed: so the sequence depends on the seed alone.
                choice, place, kill, seconds = (
                    self._random.random(), self._random.random(), self._random.random() < KILLS,
                    self._random.uniform(1, 3),
                )  # fmt: skip
                victims = self._victims()
                kinds = sorted(kind for kind, pids in victims.items() if pids)
                if not kinds:
                    continue
                kind = kinds[int(choice * len(kinds))]
                pid = victims[kind][int(place * len(victims[kind]))]
                if kill:
                    _signal(pid, signal.SIGKILL)
                    self.killed[kind] += 1
                else:
                    _signal(pid, signal.SIGSTOP)
                    self.stopped[kind] += 1
                    resuming.add(asyncio.create_task(_resume(pid, seconds)))
        finally:
            for task in resuming:
                task.cancel()
            await asyncio.gather(*resuming, return_exceptions=True)


async def _resume(pid: int, seconds: float) -> None:
    try:
        await asyncio.sleep(seconds)
    finally:
        _signal(pid, signal.SIGCONT)


def _signal(pid: int, signum: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signum)
