"""Without our runner: several processes of another server, and a forwarder, deliver across PIDs as well."""

from __future__ import annotations

import socket
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from cluster import Hub
from tests.cluster.client import Client, one_client_per_worker
from tests.cluster.harness import REPOSITORY, environment, free_ports
from tests.waiting import PATIENCE, until

from .serving import answers, process, run_directory

WORKERS = 4
APP = "tests.apps.relay:app"


@pytest.fixture(scope="module", params=["uvicorn", "gunicorn"])
def host(request: pytest.FixtureRequest) -> Iterator[str]:
    """Four processes of the relay and a forwarder."""
    port = free_ports(1)
    scripts = Path(sysconfig.get_path("scripts"))
    command = {
        "uvicorn": [str(scripts / "uvicorn"), APP, "--port", str(port), "--workers", str(WORKERS)],
        "gunicorn": [
            *(str(scripts / "gunicorn"), APP, "--bind", f"127.0.0.1:{port}", "--workers", str(WORKERS)),
            *("--worker-class", "uvicorn_worker.UvicornWorker"),
        ],
    }[request.param]
    with (
        run_directory() as directory,
        process(
            *(sys.executable, "-m", "cluster", "forwarder"),
            ready=lambda: (directory / "requests.sock").exists(),
            run_dir=directory,
        ),
        process(*command, ready=lambda: answers(f"http://127.0.0.1:{port}/readyz"), run_dir=directory),
    ):
        yield f"127.0.0.1:{port}"


async def test_what_each_pid_publishes_reaches_every_pid_once_and_in_one_order(host: str) -> None:
    async with one_client_per_worker(f"ws://{host}/relay?channel=all", WORKERS) as clients:
        for number in range(10):
            for client in clients:
                await client.send({"channel": "all", "data": [client.pid, number]})
        first, *others = [[await client.receive() for _ in range(10 * WORKERS)] for client in clients]
        for received in others:
            assert received == first
        for client in clients:
            assert [message for message in first if message[0] == client.pid] == [
                [client.pid, number] for number in range(10)
            ]
        await clients[0].send({"channel": "all", "data": "last"})
        assert [await client.receive() for client in clients] == ["last"] * WORKERS


async def test_a_handler_is_called_in_every_process(host: str) -> None:
    async with one_client_per_worker(f"ws://{host}/relay?channel=confirmed", WORKERS) as clients:
        await clients[0].send({"channel": "counted", "data": 7})
        confirmed = [await clients[1].receive() for _ in range(WORKERS)]
    assert sorted(each["pid"] for each in confirmed) == [client.pid for client in clients]
    assert {each["count"] for each in confirmed} == {7}


async def test_any_process_lists_all(host: str) -> None:
    async with one_client_per_worker(f"ws://{host}/relay", WORKERS) as clients:
        pids = [client.pid for client in clients]

        async def listed() -> bool:
            async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE, verify=False) as client:
                report = (await client.get(f"http://{host}/api/cluster")).json()
            return sorted(worker["pid"] for worker in report["workers"]) == pids

        await until(listed, f"{pids} are listed")


@pytest.mark.parametrize("scheme", ["ipc", "tcp"])
async def test_a_forwarder_needs_nothing_but_its_url(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where there has never been a run directory."""
    with run_directory() as elsewhere, run_directory() as directory:
        monkeypatch.setenv("TMPDIR", str(elsewhere))
        port = free_ports(3)
        url = {"ipc": f"zmq+ipc://{directory}", "tcp": f"zmq+tcp://127.0.0.1:{port}"}[scheme]
        ready = {"ipc": (directory / "requests.sock").exists, "tcp": lambda: _listens(port + 2)}[scheme]
        with process(sys.executable, "-m", "cluster", "forwarder", "--bus", url, ready=ready):
            hub = Hub.from_env(bus_url=url)
            async with hub.lifespan(FastAPI()):
                first = await hub.publish("news", "one")
                second = await hub.publish("news", "two")
    assert (second.epoch, second.offset) == (first.epoch, first.offset + 1)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def test_one_process_for_a_debugger_answers() -> None:
    port = free_ports(1)
    with process(
        *(sys.executable, "-m", "cluster.main", str(port)),
        ready=lambda: answers(f"http://127.0.0.1:{port}/readyz"),
        api_log_level="debug",
    ) as running:
        async with (
            httpx.AsyncClient(trust_env=False, timeout=PATIENCE, verify=False) as client,
            await Client.open(f"ws://127.0.0.1:{port}/ws") as one,
            await Client.open(f"ws://127.0.0.1:{port}/ws") as other,
        ):
            answer = await client.get(f"http://127.0.0.1:{port}/")
            assert answer.json() == {"api_name": "FastAPI WebSocket Sync"}
            assert one.pid == other.pid == running.pid
            await one.push()
            await one.expect(push_type="notified_by", pid=running.pid)
            await other.expect(push_type="notified_by", pid=running.pid)


@pytest.mark.parametrize("arguments", [[], ["port"], ["0"], ["70000"], ["1", "2"]])
def test_one_process_needs_a_port(arguments: list[str]) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "cluster.main", *arguments],
        cwd=REPOSITORY,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ended.returncode == 1
    assert "PORT" in ended.stderr
