"""What a socket does is the same whether frames go straight to the runner's transport or through ASGI's `send`."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import suppress

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode

from tests.cluster.client import Client
from tests.cluster.harness import free_ports
from tests.waiting import PATIENCE, until

from .raw import RawClient
from .serving import answers, process

QUEUE_BYTES = 100_000
TOO_MUCH = 200
"""Publications of 50 kB that the kernel does not take over for a client that does not read."""
RUNNER = "from cluster.settings import load; from cluster.worker import serve; serve(load(), {app!r}, {port})"


@pytest.fixture(scope="module", params=["runner", "uvicorn"])
def host(request: pytest.FixtureRequest) -> Iterator[str]:
    """One process of the relay, served as the runner does it, or by plain uvicorn."""
    port = free_ports(1)
    app = "tests.apps.relay:app"
    commands = {
        "runner": (sys.executable, "-c", RUNNER.format(app=app, port=port)),
        "uvicorn": (sys.executable, "-m", "uvicorn", app, "--port", str(port)),
    }
    with process(
        *commands[request.param],
        ready=lambda: answers(f"http://127.0.0.1:{port}/readyz"),
        bus_url="memory://sockets",
        client_queue_bytes=QUEUE_BYTES,
        messages_per_second=1000,
        heartbeat_interval=0.2,
    ):
        yield f"127.0.0.1:{port}"


async def connections(host: str) -> int:
    """How many sockets the worker says are attached."""
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE, verify=False) as client:
        report = (await client.get(f"http://{host}/api/cluster")).json()
    return int(report["workers"][0]["connections"])


async def until_attached(host: str, count: int) -> None:
    async def attached() -> bool:
        return await connections(host) == count

    await until(attached, f"{count} sockets are attached")


async def relay(host: str, *channels: str) -> Client:
    query = "&".join(f"channel={channel}" for channel in channels)
    return await Client.open(f"ws://{host}/relay?{query}")


@pytest.mark.parametrize("size", [0, 1, 123, 124, 65_000, 65_533])
async def test_a_message_of_any_length_arrives_as_it_was_published(host: str, size: int) -> None:
    """The payload with its quotes is 125, 126, … bytes long, where the frame's header changes, up to the limit."""
    async with await relay(host, "lengths") as client:
        text = "x" * (size - 1) + "y" if size else ""
        await client.send({"channel": "lengths", "data": text})
        if size > 65_400:  # the request around it is over the limit of one message
            assert (await client.closed())[0] == CloseCode.MESSAGE_TOO_BIG
        else:
            assert await client.receive() == text


async def test_text_of_any_script_arrives_as_it_was_published(host: str) -> None:
    text = 'Grüße, мир, 世界, 🎉 " \\ \n \u2028'
    async with await relay(host, "scripts") as client:
        await client.send({"channel": "scripts", "data": text})
        assert await client.receive() == text


async def test_publications_arrive_in_order(host: str) -> None:
    async with await relay(host, "order") as client, await relay(host) as publisher:
        for number in range(500):
            await publisher.send({"channel": "order", "data": number})
        assert [await client.receive() for _ in range(500)] == list(range(500))


async def test_one_client_receives_several_channels(host: str) -> None:
    async with await relay(host, "a", "b") as client:
        for channel, data in (("a", 1), ("b", 2), ("c", 3), ("a", 4), ("b", 5)):
            await client.send({"channel": channel, "data": data})
        received = [await client.receive() for _ in range(4)]
    assert [data for data in received if data in (1, 4)] == [1, 4]
    assert [data for data in received if data in (2, 5)] == [2, 5]


async def test_an_unusable_message_is_answered_and_the_socket_stays_open(host: str) -> None:
    async with await relay(host, "open") as client:
        await client.send({"channel": 1, "data": 2})
        assert (await client.receive())["error"]["field"] == "channel"
        await client.send({"channel": "open", "data": 2})
        assert await client.receive() == 2


async def test_a_binary_message_closes_with_1003(host: str) -> None:
    async with await relay(host) as client:
        await client.socket.send(b"binary")
        code, reason = await client.closed()
        assert (code, bool(reason)) == (1003, True)


@pytest.mark.parametrize("size", [64 * 1024 + 1, 1024 * 1024])
async def test_an_oversized_message_closes_with_1009(host: str, size: int) -> None:
    async with await relay(host) as client:
        with suppress(ConnectionClosed):
            await client.socket.send("x" * size)
        code, reason = await client.closed()
        assert (code, bool(reason)) == (1009, True)


async def test_endless_garbage_closes_with_1008(host: str) -> None:
    async with await relay(host) as client:
        for _ in range(11):
            await client.socket.send("garbage")
        code, reason = await client.closed()
        assert (code, bool(reason)) == (1008, True)


async def test_an_endpoint_that_fails_closes_with_1011(host: str) -> None:
    async with await relay(host) as client:
        await client.send({"channel": "counted", "data": "no number"})
        code, reason = await client.closed()
        assert (code, bool(reason)) == (1011, True)


@pytest.mark.parametrize(("count", "size"), [(0, 0), (1, 10), (300, 100), (3, 30_000)])
async def test_what_an_endpoint_sent_before_it_ended_arrives_before_the_close(host: str, count: int, size: int) -> None:
    client = RawClient(host, f"/farewell?count={count}&size={size}")
    await client.open()
    texts, code, _ = await asyncio.to_thread(client.read_until_close)
    assert [len(json.loads(text)) for text in texts] == [size] * count
    assert code == 1000


async def test_a_client_that_goes_without_a_word_is_forgotten(host: str) -> None:
    async with await relay(host, "gone") as other:
        await until_attached(host, 1)
        client = RawClient(host, "/relay?channel=gone")
        await client.open()
        await until_attached(host, 2)
        client.abort()
        await other.send({"channel": "gone", "data": 1})
        assert await other.receive() == 1
        await until_attached(host, 1)


async def test_a_client_that_does_not_read_is_closed_with_3008_and_delays_nobody(host: str) -> None:
    slow = RawClient(host, "/relay?channel=slow", receive_buffer=4096)
    await slow.open()
    async with await relay(host, "slow") as reader, await relay(host) as publisher:
        for number in range(TOO_MUCH):
            await publisher.send({"channel": "slow", "data": f"{number:>50000}"})
            assert int(await reader.receive()) == number
        texts, code, reason = await asyncio.to_thread(slow.read_until_close)
    received = [int(text.strip('"')) for text in texts if "pid" not in text]
    assert received == list(range(len(received)))
    assert len(received) < TOO_MUCH
    assert (code, bool(reason)) == (3008, True)


async def test_a_client_that_never_reads_is_forgotten(host: str) -> None:
    stuck = RawClient(host, "/relay?channel=stuck", receive_buffer=4096)
    await stuck.open()
    try:
        async with await relay(host, "stuck") as reader, await relay(host) as publisher:
            await until_attached(host, 3)
            for number in range(TOO_MUCH):
                await publisher.send({"channel": "stuck", "data": f"{number:>50000}"})
                assert int(await reader.receive()) == number
            await until_attached(host, 2)
    finally:
        stuck.abort()
