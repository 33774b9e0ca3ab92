"""What is concluded from measurements; measuring itself is no test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path
from xml.etree import ElementTree

import pytest
from msgspec.structs import replace

from .floor import Floor
from .load import Measurement
from .ours import Ours
from .peers import PEERS
from .plot import svg
from .profile import summary
from .ratios import cpu, of, ratio
from .report import markdown, profiles
from .results import Idle, Results, load
from .scenario import PAYLOAD_BYTES, SCENARIOS, Scenario
from .schedule import Schedule, groups
from .server import FIRST_NUMBER, PAYLOAD, Endpoint, Server
from .targets import targets


def measured(
    server: str, seconds: float, *, scenario: str = "500x200", group: int = 0, delivered: float = 1.0
) -> Measurement:
    """A million deliveries that took so many CPU seconds, a quarter of them the forwarder's."""
    return Measurement(
        server=server,
        scenario=scenario,
        round=0,
        group=group,
        seconds=3.0,
        connected=500,
        deliveries=1_000_000,
        in_time=delivered,
        delivered=delivered,
        p50_ms=1.0,
        p99_ms=2.0,
        max_ms=3.0,
        cpu={"worker 0": seconds * 0.5, "worker 1": seconds * 0.25, "forwarder": seconds * 0.25},
        client_cpu=1.0,
        kb_per_connection=10.0,
        gaps=0,
        repeats=0,
        per_read=1.0,
        foreign=0.1,
        late_publisher=0.0,
        error="",
    )


def results(*measurements: Measurement) -> Results:
    machine = dict.fromkeys(("cpu", "cpus", "memory", "system", "python"), "")
    servers = {each.server: {"title": f"<{each.server}>", "how": "", "version": ""} for each in measurements}
    return Results("", machine, "", False, 0.0, servers, {"peer": "it failed"}, list(measurements))


def test_a_payload_has_the_bytes_it_claims() -> None:
    filled = PAYLOAD.replace("{ts}", str(1_700_000_000_000_000)).replace("{n}", str(FIRST_NUMBER))
    assert len(filled) == PAYLOAD_BYTES


def test_ratios_compare_only_what_ran_side_by_side() -> None:
    quiet = [measured("floor", 2), measured("ours", 3)]
    noisy = [measured("floor", 8, group=1), measured("ours", 16, group=1)]
    found = ratio([*quiet, *noisy], "ours", "floor")
    assert found is not None
    assert (found.low, found.median, found.high, found.runs) == (1.5, 1.75, 2.0, 2)


def test_there_is_no_ratio_to_what_did_not_run_beside_it() -> None:
    assert ratio([measured("ours", 3), measured("floor", 2, group=1)], "ours", "floor") is None
    assert of([measured("ours", 3)], "floor", cpu) is None


def test_a_missed_target_says_by_how_much() -> None:
    found = {each.what: each for each in targets([measured("floor", 2), measured("ours", 6)], None, None)}
    missed = found["CPU, C floor = 1: 500 × 200/s, direct"]
    assert (missed.reached, missed.missed_by) == (False, "100%")


def test_the_workers_alone_are_compared_with_the_whole_floor() -> None:
    found = {each.what: each for each in targets([measured("floor", 2), measured("ours", 4)], None, None)}
    assert found["the same, only the workers' CPU: 500 × 200/s, direct"].reached


def test_a_lost_message_misses_the_target_of_losing_none() -> None:
    whole = targets([measured("ours", 1, scenario="2000x1000")], None, None)
    holes = targets([measured("ours", 1, scenario="2000x1000", delivered=0.9995)], None, None)
    assert [each.reached for each in whole if "lost" in each.what] == [True]
    assert [each.missed_by for each in holes if "lost" in each.what] == ["0.05% late, 0.05% lost"]


def test_what_was_not_measured_is_neither_reached_nor_missed() -> None:
    assert {each.reached for each in targets([], None, None)} == {None}


def test_too_few_idle_connections_miss_the_target() -> None:
    idle = Idle(10_000, 10_000, 9_000, 5.0, 1.0, 1.0, 9.0)
    found = {each.what: each.reached for each in targets([], idle, None)}
    assert found["memory per idle connection, one worker"] is True
    assert found["idle connections on one worker that receive a broadcast"] is False


def test_the_report_shows_every_server_and_what_is_missing() -> None:
    text = markdown(results(measured("floor", 2), measured("ours", 3), measured("peer", 9, delivered=0.5)))
    assert "| <peer> | 9 | 4.5 | 3 | 50.0% |" in text
    assert "| peer | it failed |" in text


STACKS = """\
<module> (cluster/__main__.py:5);run (loop.c:1);_flush (cluster/audience.py:7);write (loop.c:9);write (libc.so.6) 30
<module> (cluster/__main__.py:5);run (loop.c:1);_flush (cluster/audience.py:8) 10
<module> (cluster/__main__.py:5);run (loop.c:1);0x7f3 (zmq/_zmq.cpython-311-x86_64-linux-gnu.so);getpid (libc.so.6) 40
<module> (cluster/__main__.py:5);run (loop.c:1);epoll_wait (libc.so.6) 900
<module> (cluster/__main__.py:5);run (loop.c:2) 20"""


def test_a_profile_counts_stacks_by_what_was_done_and_where() -> None:
    found = summary("500x200", "worker 0", STACKS.splitlines())
    assert found.stacks == 100
    assert dict(found.kinds) == {
        "ZeroMQ": 0.4,
        "writing to sockets and files": 0.3,
        "this project's Python": 0.1,
        "event loop and interpreter": 0.2,
    }
    assert found.alone[0] == ("getpid (libc.so.6)", 0.4)
    assert found.within == [("_flush (cluster/audience.py)", 0.4)]


def test_a_missed_target_leads_to_the_profile_of_its_scenario() -> None:
    slow = results(measured("floor", 2), measured("ours", 6))
    slow.profiles = [summary("500x200", "worker 0", STACKS.splitlines())]
    (missed,) = [line for line in markdown(slow).splitlines() if line.startswith("| CPU, C floor = 1: 500 × 200/s")]
    assert "[profile](profile.md#500x200)" in missed
    assert '<a id="500x200"></a>' in profiles(slow)
    assert "| getpid (libc.so.6) | 40.0% |" in profiles(slow)


def test_the_plot_is_an_image_whatever_the_titles_are() -> None:
    image = ElementTree.fromstring(svg(results(measured("floor", 2), measured("ours", 3))))
    assert "<ours>" in {text.text for text in image.iter("{http://www.w3.org/2000/svg}text")}


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    kept = results(measured("ours", 3))
    kept.save(tmp_path / "new" / "results.json")
    assert load(tmp_path / "new" / "results.json") == kept


@pytest.mark.parametrize("count", [0, 1, 4, 5, 9])
def test_every_few_servers_the_references_are_measured_again(count: int) -> None:
    references, others = [Floor(), Ours()], list(PEERS[:count])
    found = list(groups(references, others))
    assert [server for group in found for server in group[2:]] == others
    assert found
    assert all(group[:2] == references and len(group) <= 6 for group in found)


class Instant(Server):
    """Needs nothing to run."""

    name = title = how = "instant"

    @contextmanager
    def running(self, scenario: Scenario) -> Iterator[Endpoint]:
        yield Endpoint([], {})


@pytest.mark.parametrize(
    ("loads", "tries", "kept"),
    [([0.02, 0.0], 3, 0.02), ([0.5, 0.05, 0.0], 3, 0.05), ([0.5, 0.3, 0.4], 3, 0.3), ([0.5, 0.0], 1, 0.5)],
)
def test_what_others_disturbed_is_measured_again(
    monkeypatch: pytest.MonkeyPatch, loads: list[float], tries: int, kept: float
) -> None:
    found = [replace(measured("instant", 1.0), foreign=load) for load in loads]
    monkeypatch.setattr("tests.benchmarks.schedule.measure", lambda *_, **__: found.pop(0))
    kept_of_all = results()
    Schedule(kept_of_all, [], [Instant()], lambda text: None, tries=tries).run(
        SCENARIOS[:1], seconds=1, rounds=1, deadline=inf
    )
    assert [each.foreign for each in kept_of_all.measurements] == [kept]
