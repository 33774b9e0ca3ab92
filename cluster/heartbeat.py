"""Every worker's report to the others, and the roster each of them keeps."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable

import psutil
from pydantic import ValidationError

from .hub import Hub
from .peers import Alive, Message
from .roster import Roster, WorkerReport

logger = logging.getLogger(__name__)


class Heartbeat:
    """What goes with this worker's signs of life, and what came with the others'. An observer of the node."""

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

    def report(self) -> bytes:
        """How this worker is now, a `WorkerReport` as JSON."""
        ready, connections = self._describe()
        if self._port is None:
            self._port = _listening_port(self._process)
        with self._process.oneshot():
            report = WorkerReport(
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
            )
        return report.model_dump_json().encode()

    def heard(self, message: Message) -> None:
        if not isinstance(message, Alive) or not message.report:
            return
        try:
            report = WorkerReport.model_validate_json(message.report)
        except ValidationError as error:
            logger.warning("unreadable report of a worker: %s", error)
            return
        self._roster.take(message.node, report, time.monotonic())

    def gone(self, node: str) -> None:
        self._roster.forget(node)

    def lost(self) -> None:
        pass


def _listening_port(process: psutil.Process) -> int | None:
    """The lowest TCP port this process listens on; None if there is none it may know of."""
    try:
        connections = process.net_connections(kind="tcp")
    except psutil.Error:
        return None
    ports = [found.laddr.port for found in connections if found.status == psutil.CONN_LISTEN]
    return min(ports, default=None)
