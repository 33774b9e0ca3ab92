"""One measurement: the load client against a running server."""

from __future__ import annotations

import subprocess
from typing import Any

import msgspec

from .build import program
from .machine import Busy, cpu_seconds
from .scenario import Scenario
from .server import FIRST_NUMBER, NUMBER, STAMP, Endpoint

WARM_UP = 1.0
DRAIN = 0.5
PATIENCE = 6.0
"""Seconds that deliveries may be late before they count as lost; the load client stops sooner when nothing comes."""
LIMIT = 120.0
"""Seconds one run of the load client may take."""


class Measurement(msgspec.Struct, frozen=True):
    """What one run has shown.

    `cpu`: server CPU seconds in the window, by process. `deliveries`: in the window. `in_time`: of what was
    published in the window, how much was delivered in it; `delivered`: of everything published, how much
    arrived at all. Latencies in milliseconds. `kb_per_connection`: resident memory of all processes that
    connecting has added. `gaps` and `repeats`: how often a client's next number was not the one that follows;
    not looked at where clients publish themselves. `per_read`: publications that came with one read of a client.
    `foreign`: share of the machine that somebody else used meanwhile. `late_publisher`: milliseconds the load
    client itself was behind at most.
    """

    server: str
    scenario: str
    round: int
    group: int
    seconds: float
    connected: int
    deliveries: int
    in_time: float
    delivered: float
    p50_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    cpu: dict[str, float]
    client_cpu: float
    kb_per_connection: float
    gaps: int
    repeats: int
    per_read: float
    foreign: float
    late_publisher: float
    error: str

    @property
    def cpu_per_million(self) -> float:
        """Server CPU seconds per million deliveries, all processes; 0 if nothing was delivered."""
        return sum(self.cpu.values()) * 1e6 / self.deliveries if self.deliveries else 0.0

    def cpu_of(self, *roles: str) -> float:
        """CPU seconds per million deliveries of the processes whose role begins with one of these words."""
        share = sum(seconds for role, seconds in self.cpu.items() if role.startswith(roles))
        return share * 1e6 / self.deliveries if self.deliveries else 0.0


class LoadError(Exception):
    """The load client could not do its work."""


def measure(
    endpoint: Endpoint, scenario: Scenario, seconds: float, *, server: str, round: int = 0, group: int = 0
) -> Measurement:
    """Load a running server for `seconds`, after a warm-up. Raises `LoadError`."""
    pids = [pid for some in endpoint.processes.values() for pid in some]
    busy, before = Busy.now(), sum(map(cpu_seconds, pids))
    found = run(_arguments(endpoint, scenario, seconds, pids))
    after = sum(map(cpu_seconds, pids))
    by_pid = found["cpu_by_pid"]
    expected = scenario.fanout
    return Measurement(
        server=server,
        scenario=scenario.name,
        round=round,
        group=group,
        seconds=found["seconds"],
        connected=found["clients"],
        deliveries=found["deliveries"],
        in_time=_share(found["deliveries"], found["published"] * expected),
        delivered=_share(found["delivered_total"], found["published_total"] * expected),
        p50_ms=_milliseconds(found.get("p50_us")),
        p99_ms=_milliseconds(found.get("p99_us")),
        max_ms=_milliseconds(found.get("max_us")),
        cpu={role: round_(sum(by_pid[str(pid)] for pid in some)) for role, some in endpoint.processes.items()},
        client_cpu=found["own_cpu_s"],
        kb_per_connection=found["rss_kb_per_client"],
        gaps=found.get("seq_gaps", 0),
        repeats=found.get("seq_dups", 0),
        per_read=found["per_read"],
        foreign=round_(busy.foreign(after - before + found["all_cpu_s"])),
        late_publisher=found["pub_lag_max_us"] / 1000,
        error=found["first_error"],
    )


def run(arguments: list[str]) -> dict[str, Any]:
    """What the load client prints. Raises `LoadError`."""
    argv = [str(program("wsload")), *arguments]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT, check=False)
        found: dict[str, Any] = msgspec.json.decode(done.stdout)
    except subprocess.TimeoutExpired:
        raise LoadError(f"the load client did not end within {LIMIT:g} s") from None
    except msgspec.DecodeError:
        raise LoadError(done.stderr.strip()[-300:] or f"the load client ended with {done.returncode}") from None
    return found


def _arguments(endpoint: Endpoint, scenario: Scenario, seconds: float, pids: list[int]) -> list[str]:
    arguments = ["--path", endpoint.path, "--clients", str(scenario.clients), "--groups", str(scenario.channels)]
    arguments += ["--seconds", f"{seconds:g}", "--warmup", f"{WARM_UP:g}"]
    arguments += ["--drain", f"{DRAIN:g}", "--drain-max", f"{PATIENCE:g}", "--fanout", str(scenario.fanout)]
    arguments += ["--server-pids", ",".join(map(str, pids))]
    frame = endpoint.frame if scenario.talkers else endpoint.publish_frame or endpoint.frame
    arguments += ["--publish-frame", frame, "--number-from", str(FIRST_NUMBER)]
    arguments += ["--count-substr", STAMP, "--ts-key", STAMP]
    for port in endpoint.ports:
        arguments += ["--port", str(port)]
    for hello in endpoint.hello:
        arguments += ["--hello", hello]
    if scenario.talkers:
        arguments += ["--talkers", str(scenario.talkers), "--talk-rate", f"{scenario.rate / scenario.talkers:g}"]
    else:
        arguments += ["--publish-rate", f"{scenario.rate:g}", "--seq-key", NUMBER]
        arguments += ["--publish-path", endpoint.publish_path or endpoint.path]
        for hello in endpoint.publish_hello:
            arguments += ["--publish-hello", hello]
    if endpoint.binary:
        arguments.append("--binary")
    return arguments


def _share(part: int, whole: int) -> float:
    return round_(part / whole) if whole else 0.0


def _milliseconds(microseconds: int | None) -> float | None:
    return None if microseconds is None else microseconds / 1000


def round_(value: float) -> float:
    """Five decimals: enough, and a file that can be read."""
    return round(value, 5)
