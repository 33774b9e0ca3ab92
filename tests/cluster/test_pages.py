"""What a cluster answers over HTTP."""

from __future__ import annotations

import psutil
import pytest

from tests.waiting import wait_for

from .harness import RunningCluster


def test_a_program_that_gets_the_root_is_told_the_name(demo: RunningCluster) -> None:
    answer = demo.get("/", accept="application/json")
    assert answer.json() == {"api_name": "FastAPI WebSocket Sync"}


def test_a_browser_that_gets_the_root_is_shown_a_page(demo: RunningCluster) -> None:
    answer = demo.get("/", accept="text/html,application/xhtml+xml,*/*;q=0.8")
    assert answer.headers["content-type"].startswith("text/html")
    assert "<!doctype html>" in answer.text


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_the_documentation_is_there(demo: RunningCluster, path: str) -> None:
    answer = demo.get(path)
    assert answer.status_code == 200
    assert "openapi.json" in answer.text


def test_the_openapi_document_describes_the_paths(demo: RunningCluster) -> None:
    assert {"/", "/healthz", "/readyz", "/api/cluster"} <= demo.get("/openapi.json").json()["paths"].keys()


def test_an_unknown_path_is_not_found(demo: RunningCluster) -> None:
    assert demo.get("/nothing").status_code == 404


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_each_worker_is_alive_and_ready(demo: RunningCluster, path: str) -> None:
    for pid in demo.worker_pids():
        assert demo.get(path, pid).status_code == 200


def test_each_worker_lists_all_workers(demo: RunningCluster) -> None:
    pids = demo.worker_pids()

    def known_to(pid: int) -> bool:
        workers = demo.get("/api/cluster", pid).json()["workers"]
        return [worker["pid"] for worker in workers if worker["port"] and worker["ready"]] == pids

    for pid in pids:
        wait_for(lambda: known_to(pid), "every worker has reported")  # noqa: B023
        report = demo.get("/api/cluster", pid).json()
        assert report["answered_by"] == pid
        assert [worker["pid"] for worker in report["workers"]] == pids
        for worker in report["workers"]:
            assert worker["port"] == demo.worker_port(worker["pid"])
            assert 0 < worker["uptime"] < 3600
            assert worker["connections"] >= 0
            assert worker["channels"] >= 1
            assert worker["cpu_percent"] >= 0
            assert worker["rss_bytes"] == pytest.approx(psutil.Process(worker["pid"]).memory_info().rss, rel=0.5)


def test_an_answer_has_the_id_its_log_lines_have(demo: RunningCluster) -> None:
    answer = demo.get("/")
    assert f" {answer.headers['x-request-id']} " in demo.output()
