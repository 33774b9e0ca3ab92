"""What an engine is to publish goes on being sent, whatever its client library does."""

from __future__ import annotations

import asyncio

from cluster.bus.outbox import Outbox, Outgoing
from cluster.stream import Position
from tests.waiting import PATIENCE


async def test_a_client_library_that_cancels_what_it_was_waited_for_ends_nothing() -> None:
    attempts = 0

    async def send(batch: list[Outgoing[str]]) -> None:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            confirmation: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            confirmation.cancel()
            await confirmation
        for outgoing in batch:
            outgoing.accepted(Position("epoch", attempts))

    outbox = Outbox(send, timeout=PATIENCE, limit=10, name="the engine")
    outbox.open()
    try:
        assert await outbox.publish("id", "item", 1) == Position("epoch", 2)
        assert await outbox.publish("another id", "item", 1) == Position("epoch", 3)
    finally:
        async with asyncio.timeout(PATIENCE):
            await outbox.close()
