"""One message reaches every client of every PID."""

from __future__ import annotations

from .client import assert_everyone_is_notified_once, one_client_per_worker
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
