"""A NATS client library that does not say what happened to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from nats.aio.client import Client

from .engine_nats import Nats
from .reading import publish, received_until


@pytest.fixture
def server() -> Iterator[Nats]:
    server = Nats()
    try:
        server.start()
        yield server
    finally:
        server.close()


async def test_a_connection_that_ends_without_a_word_is_replaced(server: Nats, monkeypatch: pytest.MonkeyPatch) -> None:
    """It writes what is left before it tells anybody: where that fails nobody is told."""

    async def close(client: Client, status: int, do_cbs: bool = True) -> None:
        client._status = status
        raise ConnectionResetError

    monkeypatch.setattr(Client, "_close", close)
    async with server.connect() as bus:
        await bus.subscribe("channel")
        await publish(bus, "channel")
        server.restart()
        await publish(bus, "channel", b"again")
        await received_until(bus, "channel", b"again")
