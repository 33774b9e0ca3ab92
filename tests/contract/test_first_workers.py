"""Workers that are the first ones an engine ever sees, all at the same moment."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from .engine_nats import Nats
from .reading import publish


@pytest.mark.parametrize("attempt", range(4))
async def test_they_begin_one_log_together(attempt: int) -> None:
    server = Nats()
    try:
        server.start()
        async with AsyncExitStack() as stack:
            buses = [await stack.enter_async_context(server.connect()) for _ in range(8)]
            for _ in range(2):
                positions = await asyncio.gather(*(publish(bus, "channel") for bus in buses))
                assert len({position.epoch for position in positions}) == 1
                assert len({position.offset for position in positions}) == len(buses)
    finally:
        server.close()
