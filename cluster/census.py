"""How many clients there are and in which channels, counted over all workers."""

from __future__ import annotations

import os
import socket
import time
from collections import Counter
from collections.abc import Collection
from typing import Any

import msgspec
import psutil

from .connection import Connection
from .node import Node
from .version import version

CHANNELS = "channels"
WORKER = "worker"


class Worker(msgspec.Struct):
    """What one worker answers. Clients without the client protocol have no user. `uptime` is in seconds."""

    name: str
    version: str
    clients: int
    users: int
    subscriptions: int
    channels: int
    uptime: int
    cpu_percent: float
    rss_bytes: int


class Census:
    """Counts the clients of this worker, those with the client protocol and those without, and asks the others."""

    def __init__(self, node: Node, connections: Collection[Connection[Any]]) -> None:
        self._node = node
        self._connections = connections
        self._process = psutil.Process()
        self._started = time.monotonic()
        node.answer(CHANNELS, lambda: msgspec.msgpack.encode(self._channels()))
        node.answer(WORKER, lambda: msgspec.msgpack.encode(self._worker()))

    async def channels(self) -> Counter[str]:
        """The channels that have subscribers, and how many. Raises `BusError`."""
        total: Counter[str] = Counter()
        for answer in (await self._node.survey(CHANNELS)).values():
            total.update(msgspec.msgpack.decode(answer, type=dict[str, int]))
        return total

    async def workers(self) -> dict[str, Worker]:
        """Every worker by its node id. Raises `BusError`."""
        answers = await self._node.survey(WORKER)
        return {node: msgspec.msgpack.decode(answer, type=Worker) for node, answer in sorted(answers.items())}

    def _channels(self) -> Counter[str]:
        return Counter(
            channel
            for clients in (self._node.clients, self._connections)
            for client in clients
            for channel in client.channels
        )

    def _worker(self) -> Worker:
        channels = self._channels()
        with self._process.oneshot():
            return Worker(
                name=f"{socket.gethostname()}:{os.getpid()}",
                version=version(),
                clients=len(self._node.clients) + len(self._connections),
                users=self._node.clients.users,
                subscriptions=channels.total(),
                channels=len(channels),
                uptime=int(time.monotonic() - self._started),
                cpu_percent=self._process.cpu_percent(),
                rss_bytes=self._process.memory_info().rss,
            )
