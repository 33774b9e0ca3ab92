"""Clients with a stream and no way back, through nginx and whichever worker takes what they send."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import quote

import httpx
import psutil
import pytest

from tests.integration.protocol import TRANSPORTS, Streaming, opened
from tests.waiting import PATIENCE, until

from .harness import RunningCluster


@pytest.fixture(scope="module")
def cluster() -> Iterator[RunningCluster]:
    with RunningCluster("tests.apps.parlour:app", workers=3) as cluster:
        yield cluster


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_nothing_is_held_up_by_nginx(cluster: RunningCluster, transport: str) -> None:
    host = f"127.0.0.1:{cluster.port}"
    async with opened(host, transport) as client, opened(host) as publisher:
        await client.ask(subscribe={"channel": f"news:{transport}"})
        for number in range(20):
            await publisher.ask(publish={"channel": f"news:{transport}", "data": number})
            assert (await client.push())["pub"]["data"] == number


@pytest.mark.parametrize("transport", ["sse", "http_stream"])
async def test_what_a_client_sends_may_arrive_at_any_worker(cluster: RunningCluster, transport: str) -> None:
    first, *others = (f"127.0.0.1:{cluster.worker_port(pid)}" for pid in cluster.worker_pids())
    async with opened(first, transport) as client, httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as http:
        assert isinstance(client, Streaming)
        whole = {"session": client.connected["session"], "node": client.connected["node"]}
        for number, other in enumerate([first, *others], 10):
            command = f'{{"id":{number},"rpc":{{"method":"echo","data":{number}}}}}'

            async def taken(other: str = other, command: str = command) -> bool:
                """A worker that has just started may not know the other one yet."""
                sent = await http.post(f"http://{other}/emulation", json=whole | {"data": command})
                return sent.status_code == 204

            await until(taken, "it is taken")
            assert (await client.reply())["rpc"]["data"] == number


async def test_what_a_client_connects_with_is_not_in_the_log_when_its_worker_dies(cluster: RunningCluster) -> None:
    """An EventSource can send it, and so its token, in the URL only."""
    command = quote(json.dumps({"id": 1, "connect": {"name": "secret"}}))
    url = f"{cluster.url}/connection/sse?cf_connect={command}"
    pids = cluster.worker_pids()
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as http, http.stream("GET", url) as stream:
        assert stream.status_code == 200, await stream.aread()
        for pid in pids:
            psutil.Process(pid).kill()
        with pytest.raises(httpx.RemoteProtocolError):
            await stream.aread()
    cluster.wait_until_ready()
    assert "secret" not in cluster.output()
