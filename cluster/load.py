"""The demonstration's load: one worker publishes so many messages a second, for as long as someone asks for it."""

from __future__ import annotations

import asyncio
import os
import time
from functools import cached_property

from fastapi import APIRouter

from .integration import Hub
from .messages import LoadOrder, LoadRequest, LoadSample
from .stream import Publication, Retention

SECONDS = 10.0
"""For how long an order is good: a page that is closed asks no more."""
STEP = 0.01
"""Seconds of load published at a time."""


class Load:
    """The load of one application: its channels, and the worker's part in it."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._rate = 0
        self._until = 0.0
        self._running = False
        self._number = 0
        self._samples = hub.channel("load", publishes=LoadSample, history=Retention(0, 0), allow_subscribe="anyone")
        self._orders = hub.channel("load-orders", publishes=LoadOrder)
        self._orders.on_publication(self._take)

    @cached_property
    def router(self) -> APIRouter:
        """`POST /api/demo/load`."""
        router = APIRouter(tags=["demo"])

        @router.post("/api/demo/load")
        async def load(request: LoadRequest) -> LoadOrder:
            """Have publications sent on the channel `load` for 10 seconds; ask again to have it go on."""
            host, pid = self._worker
            order = LoadOrder(rate=request.rate, host=host, pid=pid, seconds=SECONDS)
            await self._orders.publish(order)
            return order

        return router

    @property
    def _worker(self) -> tuple[str, int]:
        """Host and PID: containers have PIDs of their own, and a PID alone may be a worker's in each of them."""
        return self._hub.heartbeat.host, os.getpid()

    def _take(self, order: LoadOrder, publication: Publication) -> None:
        self._rate = order.rate if (order.host, order.pid) == self._worker else 0
        self._until = time.monotonic() + order.seconds
        if self._rate and not self._running:
            self._running = True
            self._hub.spawn(self._run(), "load")

    async def _run(self) -> None:
        try:
            due = 0.0
            last = time.monotonic()
            while self._rate and last < self._until:
                await asyncio.sleep(STEP)
                now = time.monotonic()
                # What could not be published in time is not made up for: a second of it at most is ever due.
                due = min(due + (now - last) * self._rate, self._rate)
                last = now
                count = int(due)
                due -= count
                await asyncio.gather(*(self._samples.publish(self._sample()) for _ in range(count)))
        finally:
            self._running = False

    def _sample(self) -> LoadSample:
        self._number += 1
        host, pid = self._worker
        return LoadSample(number=self._number, host=host, pid=pid, sent_at=time.time() * 1000)
