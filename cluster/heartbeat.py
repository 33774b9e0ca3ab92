"""Every worker's report to the others, and the roster each of them keeps."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable

import psutil
from pydantic import ValidationError

from .audience import Subscriber
from .errors import BusError
from .hub import Hub
from .roster import Roster, WorkerReport
from .stream import Publication, Retention

logger = logging.getLogger(__name__)

CHANNEL = "/cluster/workers"
"""Channel of the reports. Names that begin with `/` are the cluster's own."""

FORGET = Retention(0, 0)


class Heartbeat(Subscriber):
    """Reports this process over the bus and listens to the others. Also a subscriber of its channel."""

    def __init__(self, hub: Hub, interval: float, describe: Callable[[], tuple[bool, int]]) -> None:
        """`describe` gives readiness and the number of connections; `interval` is in seconds."""
        self._hub = hub
        self._interval = interval
        self._describe = describe
        self._roster = Roster()
        self._process = psutil.Process()
        self.host = socket.gethostname()
        self._started = time.monotonic()
        self._port: int | None = None

    def workers(self) -> list[WorkerReport]:
        """All workers known, this one included."""
        return self._roster.workers(time.monotonic())

    async def run(self) -> None:
        """Report until cancelled."""
        await self._hub.keep_subscribed(CHANNEL, self)
        while True:
            await self._publish(leaving=False)
            await asyncio.sleep(self._interval)

    async def leave(self) -> None:
        """Say that this worker goes."""
        await self._publish(leaving=True)

    async def _publish(self, *, leaving: bool) -> None:
        report = self._report(leaving).model_dump_json().encode()
        try:
            await self._hub.publish_bytes(CHANNEL, report, retention=FORGET)
        except BusError as error:
            logger.warning("not reported: %s", error)

    def _report(self, leaving: bool) -> WorkerReport:
        ready, connections = self._describe()
        if self._port is None:
            self._port = _listening_port(self._process)
        with self._process.oneshot():
            return WorkerReport(
                host=self.host,
                pid=os.getpid(),
                port=self._port,
                uptime=round(time.monotonic() - self._started, 3),
                ready=ready,
                connections=connections,
                channels=self._hub.channels,
                published=self._hub.published,
                received=self._hub.received,
                delivered=self._hub.delivered,
                cpu_percent=self._process.cpu_percent(),
                rss_bytes=self._process.memory_info().rss,
                interval=self._interval,
                leaving=leaving,
            )

    def deliver(self, frame: Publication) -> None:
        try:
            report = WorkerReport.model_validate_json(frame.data or b"")
        except ValidationError as error:
            logger.warning("unreadable report of a worker: %s", error)
            return
        self._roster.take(report, time.monotonic())


def _listening_port(process: psutil.Process) -> int | None:
    """The lowest TCP port this process listens on; None if there is none it may know of."""
    try:
        connections = process.net_connections(kind="tcp")
    except psutil.Error:
        return None
    ports = [found.laddr.port for found in connections if found.status == psutil.CONN_LISTEN]
    return min(ports, default=None)
