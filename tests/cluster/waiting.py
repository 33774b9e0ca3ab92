"""Waiting for conditions, never for time to pass."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable

INTERVAL = 0.05
"""Seconds between two looks at a condition."""


def wait_for(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Block until `condition()` is true. Raises `AssertionError` that says `what` did not happen."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(INTERVAL)


async def until(condition: Callable[[], object | Awaitable[object]], seconds: float, what: str) -> None:
    """`wait_for` that lets the event loop run; the condition may be a coroutine function."""
    deadline = time.monotonic() + seconds
    while True:
        met = condition()
        if await met if inspect.isawaitable(met) else met:
            return
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        await asyncio.sleep(INTERVAL)
