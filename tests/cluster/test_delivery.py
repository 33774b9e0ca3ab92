"""One message reaches every client of every PID."""

from __future__ import annotations

from typing import Any

from .client import Client, assert_everyone_is_notified_once, one_client_per_worker
from .harness import RunningCluster


async def test_a_push_from_each_pid_reaches_every_pid_once_and_in_one_order(demo: RunningCluster) -> None:
    async with one_client_per_worker(demo.ws_url, 3) as clients:
        assert [client.pid for client in clients] == sorted(demo.worker_pids())
        await assert_everyone_is_notified_once(clients, rounds=20)


async def test_a_client_is_told_its_worker(demo: RunningCluster) -> None:
    async with one_client_per_worker(demo.ws_url, 3) as clients:
        for client in clients:
            assert client.hello.keys() == {"push_type", "host", "pid", "initiated_by", "report_time"}
            assert client.hello["push_type"] == "connected_to"
            assert client.hello["initiated_by"] == "connect-initiated"


async def test_a_notification_names_its_origin(demo: RunningCluster) -> None:
    async with one_client_per_worker(demo.ws_url, 3) as (first, second, _):
        await first.push()
        message = await second.expect(push_type="notified_by", pid=first.pid, initiated_by="user-initiated")
        assert message["host"] == first.hello["host"]
        assert message["report_time"] >= first.hello["report_time"]


async def receive_with_places(client: Client, count: int) -> list[Any]:
    """The next `count` messages that say where in the channel the client is."""
    received: list[Any] = []
    while len(received) < count:
        message = await client.receive()
        if "offset" in message:
            received.append(message)
    return received


async def test_a_client_that_comes_back_to_another_worker_gets_what_it_missed(demo: RunningCluster) -> None:
    here, there, _ = (f"ws://127.0.0.1:{demo.worker_port(pid)}/ws?channel=chat:back" for pid in demo.worker_pids())
    async with await Client.open(there) as other:
        await receive_with_places(other, 1)
        async with await Client.open(here) as client:
            await receive_with_places(client, 1)
            await client.push()
            (seen,) = await receive_with_places(client, 1)
        for _ in range(3):
            await other.push()
        pushed = await receive_with_places(other, 4)
        assert pushed[0] == seen

        async with await Client.open(f"{there}&epoch={seen['epoch']}&offset={seen['offset']}") as back:
            notice, *missed = await receive_with_places(back, 4)
            assert notice["recovered"] is True
            assert missed == pushed[1:]
            await other.push()
            assert await receive_with_places(back, 1) == await receive_with_places(other, 1)


async def test_a_client_that_cannot_be_given_what_it_missed_is_told(demo: RunningCluster) -> None:
    url = f"{demo.ws_url}?channel=chat:lost&epoch=another&offset=7"
    async with await Client.open(url) as back:
        (notice,) = await receive_with_places(back, 1)
        assert notice["recovered"] is False
        await back.push()
        (pushed,) = await receive_with_places(back, 1)
        assert (pushed["epoch"], pushed["offset"]) == (notice["epoch"], notice["offset"] + 1)
