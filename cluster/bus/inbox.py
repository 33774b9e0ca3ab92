"""What a bus has received and its consumer has not yet taken."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable

from ..stream import Publication

YIELD_AFTER = 512
"""Publications taken without a pause before the rest of the process gets a turn."""


class Inbox:
    """A queue with one consumer. Taking from a non-empty one does not go through the event loop."""

    def __init__(self) -> None:
        self._publications: deque[Publication] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._taken = 0

    def __len__(self) -> int:
        return len(self._publications)

    def put(self, publications: Iterable[Publication]) -> None:
        self._publications.extend(publications)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def take(self) -> Publication:
        while not self._publications:
            self._taken = 0
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        self._taken += 1
        if self._taken >= YIELD_AFTER:
            self._taken = 0
            await asyncio.sleep(0)
        return self._publications.popleft()
