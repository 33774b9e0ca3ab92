"""`cluster verify`: does what one worker publishes reach the clients of every worker?"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from typing import NamedTuple

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from .control import Reach, answer
from .errors import ClusterError
from .roster import ClusterReport

CONNECTIONS_PER_WORKER = 50
"""Connections tried per worker until each worker has one."""
REFRESH = 10
"""Connections after which the workers that are expected are looked up again."""
PAUSE = 0.5
WAIT = 10.0
"""Seconds to wait for connections and for probes."""

Node = tuple[str, int]
"""A worker: its host and PID."""


class Matrix(NamedTuple):
    """Who received whose probe: `seen[publisher, receiver]` counts it."""

    nodes: list[Node]
    seen: dict[tuple[Node, Node], int]

    @property
    def whole(self) -> bool:
        """Whether every worker's client received every worker's probe exactly once."""
        return all(self.seen.get((a, b), 0) == 1 for a in self.nodes for b in self.nodes)

    def __str__(self) -> str:
        names = _names(self.nodes)
        width = max(len(name) for name in [*names, "published by \\ received by"])
        column = max(len(name) for name in names) + 2
        lines = ["published by \\ received by".ljust(width) + "".join(name.rjust(column) for name in names)]
        for publisher, name in zip(self.nodes, names, strict=True):
            counts = (self.seen.get((publisher, receiver), 0) for receiver in self.nodes)
            cells = ("." if count == 0 else "yes" if count == 1 else f"{count} times" for count in counts)
            lines.append(name.ljust(width) + "".join(cell.rjust(column) for cell in cells))
        return "\n".join(lines)


async def verify(reach: Reach, others: Sequence[str] = ()) -> Matrix:
    """Connect until each worker has a client, publish once from each, and see who receives it.

    `others` are addresses of further clusters on the same bus, http://HOST:PORT. Raises `ClusterError` when a
    cluster cannot be reached, or workers cannot be.
    """
    expected = await _workers(reach)
    async with AsyncExitStack() as stack:
        clients = await _client_per_worker(reach, others, expected, stack)
        nonce = secrets.token_hex(8)
        for (host, pid), client in clients.items():
            await client.send(json.dumps({"host": host, "pid": pid, "nonce": nonce}))
        seen: dict[tuple[Node, Node], int] = {}
        received = await asyncio.gather(*(_probes(client, nonce, len(clients)) for client in clients.values()))
        for receiver, publishers in zip(clients, received, strict=True):
            for publisher in publishers:
                cell = (publisher, receiver)
                seen[cell] = seen.get(cell, 0) + 1
    return Matrix(sorted(clients), seen)


async def _client_per_worker(
    reach: Reach, others: Sequence[str], expected: set[Node], stack: AsyncExitStack
) -> dict[Node, ClientConnection]:
    clients: dict[Node, ClientConnection] = {}
    places = [f"ws://{reach.host}:{reach.port}", *(re.sub("^http", "ws", other.rstrip("/")) for other in others)]
    for count in range(1, len(expected) * CONNECTIONS_PER_WORKER + 1):
        url = f"{places[count % len(places)]}/api/cluster/probe"
        try:
            client = await stack.enter_async_context(
                connect(
                    url,
                    additional_headers={"Authorization": f"Bearer {reach.admin_token}"},
                    open_timeout=WAIT,
                    proxy=None,
                )
            )
            hello = json.loads(await asyncio.wait_for(client.recv(), WAIT))
        except (OSError, WebSocketException, TimeoutError) as error:
            raise ClusterError(f"cannot connect to {url}: {error or type(error).__name__}") from None
        clients.setdefault((hello["host"], hello["pid"]), client)
        if count % REFRESH == 0:
            # A worker that was killed is reported for a while; one that is gone need not be reached.
            expected = await _workers(reach)
            await asyncio.sleep(PAUSE)
        if clients.keys() >= expected:
            return {node: client for node, client in clients.items() if node in expected}
    missing = ", ".join(_names(sorted(expected - clients.keys())))
    raise ClusterError(f"no connection reached {missing}; `cluster verify URL` also connects to another cluster")


async def _probes(client: ClientConnection, nonce: str, count: int) -> list[Node]:
    """Who published what `client` receives: `count` probes and what comes right after, or until `WAIT`."""
    publishers: list[Node] = []
    deadline = asyncio.get_running_loop().time() + WAIT
    try:
        while True:
            now = asyncio.get_running_loop().time()
            probe = json.loads(
                await asyncio.wait_for(client.recv(), 0.3 if len(publishers) >= count else deadline - now)
            )
            if probe.get("nonce") == nonce:
                publishers.append((probe["host"], probe["pid"]))
    except (TimeoutError, ConnectionClosed):
        return publishers


async def _workers(reach: Reach) -> set[Node]:
    """The workers there are, once there are as many as there should be."""
    deadline = asyncio.get_running_loop().time() + WAIT
    while True:
        found = {(worker.host, worker.pid) for worker in _report(reach).workers}
        if len(found) >= reach.workers:
            return found
        if asyncio.get_running_loop().time() > deadline:
            raise ClusterError(f"{len(found)} of {reach.workers} workers report; `cluster status` may tell why")
        await asyncio.sleep(0.2)


def _report(reach: Reach) -> ClusterReport:
    url = f"http://{reach.host}:{reach.port}/api/cluster"
    try:
        return ClusterReport.model_validate_json(answer(url, WAIT))
    except (OSError, ValueError) as error:
        raise ClusterError(
            f"{url} does not answer as expected ({error}); does the application include hub.router?"
        ) from None


def _names(nodes: Iterable[Node]) -> list[str]:
    nodes = list(nodes)
    one_host = len({host for host, _ in nodes}) == 1
    return [str(pid) if one_host else f"{host}:{pid}" for host, pid in nodes]
