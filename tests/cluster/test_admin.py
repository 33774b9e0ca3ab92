"""The processes of a cluster, looked at and acted on over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError

from tests.waiting import PATIENCE, until, wait_for

from .harness import RunningCluster

TOKEN = {"Authorization": "Bearer the right one"}


@pytest.fixture(scope="module")
def cluster() -> Iterator[RunningCluster]:
    with RunningCluster(workers=2, admin_token="the right one") as running:
        yield running


@pytest.fixture(scope="module")
def http(cluster: RunningCluster) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=cluster.url, trust_env=False, timeout=PATIENCE) as client:
        yield client


@pytest.fixture(autouse=True)
def ready(cluster: RunningCluster) -> None:
    """Whatever the test before has ended is back."""
    cluster.wait_until_ready()


def report(http: httpx.Client) -> Any:
    return http.get("/api/cluster").raise_for_status().json()


def process(http: httpx.Client, name: str) -> Any:
    return next(each for each in report(http)["processes"] if each["name"] == name)


def kinds(http: httpx.Client, name: str) -> list[str]:
    return [event["kind"] for event in report(http)["events"] if event["process"] == name]


def test_every_process_is_shown_with_its_pid(cluster: RunningCluster, http: httpx.Client) -> None:
    wait_for(lambda: {each["state"] for each in report(http)["processes"]} == {"RUNNING"}, "all run")
    found = {each["name"]: each["pid"] for each in report(http)["processes"]}
    assert set(found) == {"api-0", "api-1", "forwarder", "nginx", "watchdog"}
    assert {found["api-0"], found["api-1"]} == set(cluster.worker_pids())
    assert all(each["rss_bytes"] > 0 for each in report(http)["processes"])


def test_a_worker_killed_over_http_comes_back_with_a_new_pid(http: httpx.Client) -> None:
    before = process(http, "api-0")["pid"]
    assert http.post("/api/cluster/processes/api-0/kill", headers=TOKEN).status_code == 202
    wait_for(lambda: process(http, "api-0")["pid"] not in (None, before), "a new PID")
    wait_for(lambda: kinds(http, "api-0")[-2:] == ["died", "respawned"], "what happened is told")


def test_a_worker_restarted_over_http_is_told_to_stop_first(http: httpx.Client) -> None:
    before = process(http, "api-1")["pid"]
    assert http.post("/api/cluster/processes/api-1/restart", headers=TOKEN).status_code == 202
    wait_for(lambda: process(http, "api-1")["pid"] not in (None, before), "a new PID")
    wait_for(lambda: kinds(http, "api-1")[-3:] == ["draining", "stopped", "started"], "it was drained")


def test_a_host_that_is_not_the_one_meant_says_so_and_does_nothing(http: httpx.Client) -> None:
    kill = "/api/cluster/processes/api-0/kill"
    here, died = report(http)["host"], kinds(http, "api-0").count("died")
    refused = http.post(kill, headers=TOKEN, params={"host": "another"})
    assert refused.status_code == 409
    assert refused.json()["detail"].startswith(f"{here} answered, but api-0 of another was meant")
    before = process(http, "api-0")["pid"]
    assert http.post(kill, headers=TOKEN, params={"host": here}).status_code == 202
    wait_for(lambda: process(http, "api-0")["pid"] not in (None, before), "a new PID")
    wait_for(lambda: kinds(http, "api-0").count("died") > died, "what happened is told")
    assert kinds(http, "api-0").count("died") == died + 1


def test_the_forwarder_restarts(http: httpx.Client) -> None:
    before = process(http, "forwarder")["pid"]
    assert http.post("/api/cluster/processes/forwarder/restart", headers=TOKEN).status_code == 202
    wait_for(lambda: process(http, "forwarder")["pid"] not in (None, before), "a new PID")


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer the wrong one"}, {"Cookie": "the right one"}])
def test_nobody_else_may_act(cluster: RunningCluster, http: httpx.Client, headers: dict[str, str]) -> None:
    before = process(http, "nginx")["pid"]
    assert http.post("/api/cluster/processes/nginx/kill", headers=headers).status_code == 403
    assert http.get("/api/cluster/admin", headers=headers).status_code == 403
    assert process(http, "nginx")["pid"] == before
    assert "a wrong admin token for /api/cluster/processes/nginx/kill" in cluster.log.read_text()


def test_the_token_can_be_tried(http: httpx.Client) -> None:
    assert http.get("/api/cluster/admin", headers=TOKEN).status_code == 204


def test_only_processes_there_are_and_actions_there_are(http: httpx.Client) -> None:
    assert http.post("/api/cluster/processes/api-9/kill", headers=TOKEN).status_code == 404
    assert http.post("/api/cluster/processes/api-0/forget", headers=TOKEN).status_code == 422
    assert http.get("/api/cluster/processes/api-0/kill", headers=TOKEN).status_code in (404, 405)


def test_guesses_are_refused_after_a_few_and_the_token_is_taken_again_soon(http: httpx.Client) -> None:
    wrong = {"Authorization": "Bearer a guess"}
    wait_for(lambda: http.get("/api/cluster/admin", headers=wrong).status_code == 429, "no more guesses")
    wait_for(lambda: http.get("/api/cluster/admin", headers=TOKEN).status_code == 204, "the token is right")


async def test_a_probe_with_a_wrong_token_is_refused_and_logged(cluster: RunningCluster) -> None:
    url = f"ws://127.0.0.1:{cluster.port}/api/cluster/probe"
    async with connect(url, additional_headers={"Authorization": "Bearer a guess"}, proxy=None) as probe:
        with pytest.raises(ConnectionClosedError) as closed:
            await probe.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4403
    assert "a wrong admin token for /api/cluster/probe" in cluster.log.read_text()


def test_too_many_actions_are_refused(http: httpx.Client) -> None:
    def act() -> int:
        return http.post("/api/cluster/processes/api-9/kill", headers=TOKEN).status_code

    wait_for(lambda: act() == 429, "no more actions")


async def test_too_many_looks_are_refused(cluster: RunningCluster) -> None:
    """Everybody may look, but not keep a worker busy with it."""
    worker = f"http://127.0.0.1:{cluster.worker_port(cluster.worker_pids()[0])}"
    async with httpx.AsyncClient(base_url=worker, trust_env=False, timeout=PATIENCE) as http:

        async def refused() -> bool:
            answers = await asyncio.gather(*(http.get("/api/cluster") for _ in range(100)))
            return {answer.status_code for answer in answers} == {200, 429}

        await until(refused, "some are refused")
