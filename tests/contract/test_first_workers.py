"""Workers that are the first ones an engine ever sees, all at the same moment."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import nats
import pytest

from cluster.bus import jetfind
from cluster.bus.natslink import target

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


async def test_one_that_died_while_it_created_the_log_holds_nobody_up() -> None:
    server = Nats()
    try:
        server.start()
        async with server.connect() as bus:
            await publish(bus, "channel")  # the server is up
        client = await nats.connect(server.url)
        streams = client.jetstream()
        for name in [str(each.config.name) for each in await streams.streams_info()]:
            await streams.delete_stream(name)
        await streams.add_stream(name="fws-lock", subjects=["fws.lock"], description="of a worker that is no more")
        await client.close()
        async with server.connect() as bus:
            assert (await publish(bus, "channel")).offset
    finally:
        server.close()


async def test_who_is_taken_for_dead_does_not_give_back_what_another_has_taken() -> None:
    streams: dict[str, dict[str, Any]] = {}

    async def server(question: str, **config: Any) -> dict[str, Any]:
        kind, _, name = question.removeprefix("STREAM.").partition(".")
        if kind == "NAMES":
            return {"streams": [name for name, stream in streams.items() if stream["subjects"] == [config["subject"]]]}
        if kind == "CREATE":
            streams[name] = config
            if name != "fws-lock":  # it took so long that another worker has the lock by now
                streams["fws-lock"]["description"] = "another"
        if kind == "DELETE":
            del streams[name]
        return {"config": streams.get(name, {})}

    name, last = await jetfind.find(server, target("nats://localhost:4222"), "", 0)
    assert (name in streams, last) == (True, 0)
    assert streams["fws-lock"]["description"] == "another"
