"""What the demo application does with what clients should not send."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from websockets.exceptions import ConnectionClosed

from tests.waiting import until

from .client import Client
from .harness import RunningCluster


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("no json", ""),
        ("{}", "sent_message_type"),
        ('{"sent_message_type": "something else"}', "sent_message_type"),
        ('{"sent_message_type": "user-initiated", "more": 1}', "more"),
        ("[]", ""),
        ('"' + "é" * 1000 + '"', ""),
    ],
)
async def test_an_unusable_message_is_answered_and_the_socket_stays_open(
    demo: RunningCluster, text: str, field: str
) -> None:
    async with await Client.open(demo.ws_url) as client:
        await client.socket.send(text)
        answer = await client.receive()
        assert answer["error"]["field"] == field
        assert answer["error"]["message"]
        await client.push()
        await client.expect(push_type="notified_by", pid=client.pid)


async def test_a_binary_message_closes_with_1003(demo: RunningCluster) -> None:
    async with await Client.open(demo.ws_url) as client:
        await client.socket.send(b'{"sent_message_type": "user-initiated"}')
        code, reason = await client.closed()
        assert (code, bool(reason)) == (1003, True)


async def test_text_that_is_no_utf_8_closes_with_1007_and_is_a_line_of_the_log(demo: RunningCluster) -> None:
    async with await Client.open(demo.ws_url) as client:
        await client.socket.send(b"\xff", text=True)
        assert (await client.closed())[0] == 1007
    await until(lambda: "Invalid UTF-8" in demo.output(), "it is in the log")
    assert "UnicodeDecodeError" not in demo.output()


@pytest.mark.parametrize("text", ["x" * (64 * 1024 + 1), "é" * (32 * 1024 + 1), "x" * 4_000_000])
async def test_a_message_beyond_64_kib_closes_with_1009(demo: RunningCluster, text: str) -> None:
    async with await Client.open(demo.ws_url) as client:
        with suppress(ConnectionClosed):  # the server need not read to the end
            await client.socket.send(text)
        code, reason = await client.closed()
        assert (code, bool(reason)) == (1009, True)


async def test_a_message_of_64_kib_is_read(demo: RunningCluster) -> None:
    message = json.dumps({"sent_message_type": "user-initiated"})
    async with await Client.open(demo.ws_url) as client:
        await client.socket.send(message + " " * (64 * 1024 - len(message)))
        await client.expect(push_type="notified_by")


async def test_a_message_in_fragments_is_one_message(demo: RunningCluster) -> None:
    async with await Client.open(demo.ws_url) as client:
        await client.socket.send(['{"sent_message', '_type": "user', '-initiated"}'])
        await client.expect(push_type="notified_by")


async def test_endless_garbage_closes_with_1008(demo: RunningCluster) -> None:
    async with await Client.open(demo.ws_url) as client:
        for _ in range(11):
            await client.socket.send("garbage")
        code, reason = await client.closed()
        assert (code, bool(reason)) == (1008, True)


async def test_garbage_between_usable_messages_is_forgiven(demo: RunningCluster) -> None:
    async with await Client.open(demo.ws_url) as client:
        for _ in range(3):
            for _ in range(10):
                await client.socket.send("garbage")
                assert "error" in await client.receive()
            await client.push()
            await client.expect(push_type="notified_by")


async def test_endless_pushing_closes_with_1008(demo: RunningCluster) -> None:
    async with await Client.open(demo.ws_url) as client:
        with suppress(ConnectionClosed):
            for _ in range(3000):
                await client.push()
        code, reason = await client.closed()
        assert (code, bool(reason)) == (1008, True)
