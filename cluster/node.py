"""This worker among the others: its id, its inbox, what it does for them and asks of them."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from typing import TypeVar

from .audience import Subscriber
from .hub import Hub
from .peers import (
    Message,
    Peers,
)
from .registry import Clients
from .stream import Position, Retention

logger = logging.getLogger(__name__)

M = TypeVar("M")

CHANNEL = "/cluster/nodes"
"""What all workers hear."""
INBOX = "/cluster/node/"
"""What only the worker with the id that follows hears."""
KEPT = Retention(256, 60.0)
"""Kept so that a short absence leaves no gap."""
PATIENCE = 2.0
"""Seconds the others have to answer a survey."""
PART = 64 * 1024
"""Bytes of an answer sent at a time."""


class Node(Subscriber):
    """One worker of the cluster. Also the subscriber of the two channels it listens to.

    All workers hear one another on one channel, so what one says is heard by all in one order.
    """

    def __init__(self, hub: Hub, interval: float) -> None:
        """`interval`: seconds between two signs of life."""
        self.clients = Clients()
        self.id = ""
        self.presence = 0
        """Version of what this worker has told of its clients."""
        self._hub = hub
        self._interval = interval
        self.start()

    def start(self) -> None:
        """Begin anew, as a worker nobody has met. Processes that were forked must not share an id."""
        self.id = secrets.token_hex(8)
        self.peers = Peers(self.id, self._interval)

    async def run(self) -> None:
        """Listen, and give signs of life until cancelled."""

    async def leave(self) -> None:
        """Say that this worker goes."""

    def handle(self, kind: type[M], handler: Callable[[M], None]) -> None:
        """Call `handler` with every message of this kind that a worker says, this one included."""

    async def say(self, message: Message, id: str | None = None) -> Position:
        """Tell all workers, this one included; the place of the message. Raises `PublishError`."""
        raise NotImplementedError

    async def fence(self) -> None:
        """Wait until this worker has heard all that any worker said before this call. Raises `BusUnavailable`."""

    async def emulate(self, node: str, session: str, data: bytes) -> bool:
        """Hand `data` to the client of `session`, which worker `node` has. False: there is no such worker.

        Raises `PublishError`.
        """
        raise NotImplementedError

    def answer(self, question: str, answer: Callable[[], bytes]) -> None:
        """Answer surveys about `question` with what `answer` returns."""

    async def survey(self, question: str) -> dict[str, bytes]:
        """Ask all workers; their answers by node id. Who does not answer within two seconds is left out.

        Raises `BusError`.
        """
        raise NotImplementedError
