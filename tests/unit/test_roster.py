"""The workers of a cluster, as their reports show them."""

from __future__ import annotations

from typing import Any

from cluster.roster import MISSED_REPORTS, Roster, WorkerReport


def report(pid: int, **changes: Any) -> WorkerReport:
    values: dict[str, Any] = {
        "host": "host",
        "pid": pid,
        "port": None,
        "uptime": 1.0,
        "ready": True,
        "connections": 0,
        "channels": 0,
        "published": 0,
        "received": 0,
        "delivered": 0,
        "cpu_percent": 0.0,
        "rss_bytes": 0,
        "interval": 1.0,
    }
    return WorkerReport(**values | changes)


def hear(roster: Roster, pid: int, now: float = 0.0, **changes: Any) -> None:
    """Take a report of the worker whose node id is its pid."""
    roster.take(str(pid), report(pid, **changes), now)


def pids(roster: Roster, now: float) -> list[int]:
    return [worker.pid for worker in roster.workers(now)]


def test_nobody_is_known_at_first() -> None:
    assert Roster().workers(0.0) == []


def test_the_newest_report_of_a_worker_counts() -> None:
    roster = Roster()
    hear(roster, 1, 0.0, connections=1)
    hear(roster, 1, 1.0, connections=2)
    assert [worker.connections for worker in roster.workers(1.0)] == [2]


def test_one_pid_on_two_hosts_is_two_workers() -> None:
    roster = Roster()
    roster.take("a", report(1, host="one"), 0.0)
    roster.take("b", report(1, host="two"), 0.0)
    assert [worker.host for worker in roster.workers(0.0)] == ["one", "two"]


def test_a_worker_that_leaves_is_gone_at_once() -> None:
    roster = Roster()
    hear(roster, 1, 0.0)
    hear(roster, 2, 0.0)
    roster.forget("1")
    assert pids(roster, 0.5) == [2]


def test_who_leaves_without_having_been_known_is_not_known() -> None:
    roster = Roster()
    roster.forget("1")
    assert roster.workers(0.0) == []


def test_a_worker_that_falls_silent_is_gone_after_a_few_of_its_own_intervals() -> None:
    roster = Roster()
    hear(roster, 1, 0.0, interval=1.0)
    hear(roster, 2, 0.0, interval=10.0)
    assert pids(roster, MISSED_REPORTS) == [1, 2]
    assert pids(roster, MISSED_REPORTS + 0.1) == [2]
    assert pids(roster, MISSED_REPORTS * 10 + 0.1) == []


def test_a_worker_that_was_silent_is_back_with_its_next_report() -> None:
    roster = Roster()
    hear(roster, 1, 0.0)
    assert pids(roster, 60.0) == []
    hear(roster, 1, 60.0)
    assert pids(roster, 60.0) == [1]


def test_workers_are_listed_by_host_and_port() -> None:
    roster = Roster()
    for pid, host, port in ((4, "b", 8100), (3, "a", 8101), (2, "a", 8100), (1, "b", None)):
        hear(roster, pid, 0.0, host=host, port=port)
    assert pids(roster, 0.0) == [2, 3, 1, 4]


def test_a_report_of_a_newer_version_is_understood() -> None:
    values = report(1).model_dump() | {"a_field_of_tomorrow": True}
    assert WorkerReport.model_validate(values) == report(1)
