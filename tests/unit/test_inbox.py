"""What a bus has received and its consumer has not yet taken."""

from __future__ import annotations

import asyncio

from cluster.bus.inbox import YIELD_AFTER, Inbox
from cluster.stream import Publication, chain


def publications(count: int) -> list[Publication]:
    return chain("epoch", "channel", 0, ((offset, "", b"") for offset in range(1, count + 1)))


async def test_gives_out_what_was_put_in_its_order() -> None:
    inbox = Inbox()
    found = publications(5)
    inbox.put(found[:2])
    inbox.put(found[2:])
    assert len(inbox) == 5
    assert [await inbox.take() for _ in found] == found
    assert len(inbox) == 0


async def test_who_takes_from_an_empty_one_waits() -> None:
    inbox = Inbox()
    taking = asyncio.create_task(inbox.take())
    await asyncio.sleep(0)
    assert not taking.done()
    (found,) = publications(1)
    inbox.put([found])
    assert await taking is found


async def test_nothing_is_lost_when_the_one_who_waits_gives_up() -> None:
    inbox = Inbox()
    taking = asyncio.create_task(inbox.take())
    await asyncio.sleep(0)
    (found,) = publications(1)
    inbox.put([found])
    taking.cancel()
    await asyncio.gather(taking, return_exceptions=True)
    assert await inbox.take() is found


async def test_a_full_one_does_not_keep_the_rest_of_the_process_waiting() -> None:
    inbox = Inbox()
    inbox.put(publications(3 * YIELD_AFTER))
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count_turns())
    for _ in range(3 * YIELD_AFTER):
        await inbox.take()
    counting.cancel()
    assert turns >= 2
