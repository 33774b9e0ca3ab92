"""What the machine does besides, and what it is (Linux)."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from typing import NamedTuple

import psutil


class Busy(NamedTuple):
    """CPU seconds of all cores since the start of the machine, at a time (monotonic seconds)."""

    at: float
    busy: float
    steal: float

    @classmethod
    def now(cls) -> Busy:
        times = psutil.cpu_times()
        # Time given to guests of this machine is in `user` already.
        busy = times.user + times.system + times.irq + times.softirq
        return cls(time.monotonic(), busy, times.steal)

    def foreign(self, own: float) -> float:
        """The share of the machine that somebody else has used since, if the measurement itself used `own` seconds."""
        now = Busy.now()
        passed = (now.at - self.at) * cpus()
        return max(0.0, (now.busy - self.busy + now.steal - self.steal - own) / passed)


def cpus() -> int:
    return len(os.sched_getaffinity(0))


def cpu_seconds(pid: int) -> float:
    """CPU time of a process so far; 0 if it is gone."""
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0.0
    return times.user + times.system


def resident_kb(pid: int) -> int:
    """Resident memory of a process in kB; 0 if it is gone."""
    try:
        return int(psutil.Process(pid).memory_info().rss // 1024)
    except psutil.Error:
        return 0


def description() -> dict[str, str]:
    """What a reader needs to know about the machine."""
    return {
        "cpu": _cpu_model(),
        "cpus": str(cpus()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.freedesktop_os_release().get('PRETTY_NAME', 'Linux')}, kernel {platform.release()}",
        "python": platform.python_version(),
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
