"""Other ways to the workers: by Unix sockets, directly, compressed, and handed off to the protocol object."""

from __future__ import annotations

import json
import urllib.parse

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin

from tests.waiting import PATIENCE, until

from .client import Client, one_client_per_worker
from .harness import RunningCluster

PUSH = json.dumps({"sent_message_type": "user-initiated"})


async def notified(socket: ClientConnection) -> bool:
    return bool(json.loads(await socket.recv())["push_type"] == "notified_by")


async def test_nginx_reaches_the_workers_by_unix_sockets() -> None:
    with RunningCluster(workers=2, upstream="socket") as cluster:
        async with one_client_per_worker(cluster.ws_url, 2) as (one, other):
            await one.push()
            await one.expect(pid=one.pid)
            await other.expect(pid=one.pid)
            cluster.kill(other.pid)
            await until(lambda: len(set(cluster.worker_pids()) - {other.pid}) == 2, "the killed worker is back")
        cluster.wait_until_ready()
        assert cluster.command("verify").returncode == 0


async def test_clients_may_connect_directly_to_the_worker_with_the_fewest_connections() -> None:
    with RunningCluster(workers=2, direct=True) as cluster:
        ports = {cluster.worker_port(pid) for pid in cluster.worker_pids()}

        async def endpoint() -> str:
            async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as program:
                answer = await program.get(f"{cluster.url}/api/cluster/endpoint")
            if answer.status_code == 503:
                return ""
            found = answer.json()
            assert found["host"] == "127.0.0.1"
            assert found["port"] in ports
            return f"ws://{found['host']}:{found['port']}/ws"

        await until(endpoint, "workers have reported their ports")
        first = await endpoint()
        async with await Client.open(first) as one:

            async def moved() -> bool:
                return await endpoint() != first

            await until(moved, "the other worker has fewer connections")
            async with await Client.open(await endpoint()) as other:
                assert one.pid != other.pid
                await one.push()
                await other.expect(pid=one.pid)


async def test_a_page_of_the_cluster_may_connect_directly_and_another_may_not() -> None:
    with RunningCluster(workers=1, direct=True) as cluster:
        (pid,) = cluster.worker_pids()
        worker = f"127.0.0.1:{cluster.worker_port(pid)}"
        url = f"ws://{worker}/connection/websocket"
        async with connect(url, proxy=None, origin=Origin(cluster.url)) as socket:
            await socket.send('{"id": 1, "connect": {}}')
            assert json.loads(await socket.recv())["id"] == 1
        with pytest.raises(InvalidStatus, match="403"):
            await connect(url, proxy=None, origin=Origin("http://127.0.0.1:1"))
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as browser:
            asked = await browser.options(f"http://{worker}/connection/http_stream", headers={"origin": cluster.url})
        assert asked.headers["access-control-allow-origin"] == cluster.url


def test_without_the_setting_nobody_is_sent_to_a_worker_s_own_port(demo: RunningCluster) -> None:
    assert demo.get("/api/cluster/endpoint").status_code == 404


@pytest.mark.parametrize("length", [1, 5000])
async def test_who_offers_compression_and_who_does_not_receive_the_same(length: int) -> None:
    channel = f"chat:{'x' * min(length, 200)}"
    with RunningCluster(workers=1, deflate=True) as cluster:
        url = f"{cluster.ws_url}?channel={urllib.parse.quote(channel)}"
        async with (
            connect(url, proxy=None, compression="deflate") as small,
            connect(url, proxy=None, compression="deflate") as smaller,
            connect(url, proxy=None, compression=None) as plain,
        ):
            assert small.protocol.extensions
            assert not plain.protocol.extensions
            for socket in (small, smaller, plain):
                assert "connected_to" in str(await socket.recv())
                assert json.loads(await socket.recv())["channel"] == channel
            for _ in range(3):
                await small.send(PUSH)
            for _ in range(3):
                received = [await socket.recv() for socket in (small, smaller, plain)]
                assert received[0] == received[1] == received[2]
                assert json.loads(received[0])["data"]["push_type"] == "notified_by"


async def test_a_connection_whose_endpoint_has_ended_goes_on(demo: RunningCluster) -> None:
    """The demo's endpoint ends with `serve`: sending, receiving, limits and leaving are the protocol object's then."""
    async with await Client.open(demo.ws_url) as client:
        for _ in range(3):
            await client.push()
            await client.expect(pid=client.pid)
        await client.send({"sent_message_type": "other"})
        assert (await client.receive())["error"]["field"] == "sent_message_type"
        await client.push()
        await client.expect(pid=client.pid)

    def left() -> bool:
        return all(worker["connections"] == 0 for worker in demo.get("/api/cluster").json()["workers"])

    await until(left, "the connection is counted no more")
