"""Waiting for conditions, never for time to pass."""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

PATIENCE = 90.0
"""Seconds after which what should have happened has not. Says nothing about speed: a machine may be that busy."""
INTERVAL = 0.05
"""Seconds between two looks at a condition."""


def wait_for(condition: Callable[[], object], what: str) -> None:
    """Block until `condition()` is true. Raises `AssertionError` that says `what` did not happen."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"not within {PATIENCE:g} s: {what}"
        time.sleep(INTERVAL)


def hold_still(pid: int) -> None:
    """SIGSTOP a process, and wait until each of its threads stands: on a busy machine some run on for a while."""
    os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: all(_stands(thread) for thread in Path(f"/proc/{pid}/task").iterdir()), f"{pid} stands still")


def _stands(thread: Path) -> bool:
    try:
        return (thread / "stat").read_text().rpartition(")")[2].split()[0] == "T"
    except OSError:  # it has just ended
        return False


async def until(condition: Callable[[], object | Awaitable[object]], what: str) -> None:
    """`wait_for` that lets the event loop run; the condition may be a coroutine function."""
    deadline = time.monotonic() + PATIENCE
    while True:
        met = condition()
        if await met if inspect.isawaitable(met) else met:
            return
        assert time.monotonic() < deadline, f"not within {PATIENCE:g} s: {what}"
        await asyncio.sleep(INTERVAL)
