"""What becomes of supervisord's events."""

from __future__ import annotations

from cluster.tree import KEPT, Chronicle


def headers(process: str = "api-0", pid: int = 7, expected: str = "") -> dict[str, str]:
    return {"processname": process, "pid": str(pid), "expected": expected}


def test_a_process_that_dies_and_runs_again_has_respawned() -> None:
    chronicle = Chronicle()
    for state, pid in (("STARTING", 0), ("RUNNING", 7), ("EXITED", 7), ("STARTING", 0), ("RUNNING", 8)):
        chronicle.take(state, headers(pid=pid, expected="0"), 1.5)
    assert [(event.kind, event.pid) for event in chronicle.events] == [("started", 7), ("died", 7), ("respawned", 8)]
    assert [event.id for event in chronicle.events] == [1, 2, 3]
    assert {event.time for event in chronicle.events} == {1500}


def test_one_that_was_told_to_stop_drains_and_starts_again() -> None:
    chronicle = Chronicle()
    for state in ("RUNNING", "STOPPING", "STOPPED", "RUNNING"):
        chronicle.take(state, headers(), 0.0)
    assert [event.kind for event in chronicle.events] == ["started", "draining", "stopped", "started"]


def test_one_that_says_it_cannot_start_has_failed() -> None:
    chronicle = Chronicle()
    for state, expected in (("EXITED", "1"), ("BACKOFF", ""), ("FATAL", "")):
        chronicle.take(state, headers(expected=expected), 0.0)
    assert [event.kind for event in chronicle.events] == ["failed"] * 3


def test_only_the_last_events_are_kept() -> None:
    chronicle = Chronicle()
    for _ in range(KEPT + 10):
        chronicle.take("RUNNING", headers(), 0.0)
    assert len(chronicle.events) == KEPT
    assert chronicle.events[-1].id == KEPT + 10


def test_a_chronicle_goes_on_where_an_earlier_one_ended() -> None:
    earlier = Chronicle()
    earlier.take("RUNNING", headers(), 0.0)
    lines = ["half a li", *(event.model_dump_json() for event in earlier.events)]
    chronicle = Chronicle(lines)
    event = chronicle.take("EXITED", headers(), 1.0)
    assert event is not None
    assert [each.id for each in chronicle.events] == [1, 2]
