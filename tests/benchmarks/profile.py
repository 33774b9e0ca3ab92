"""Where ours spends its CPU in a scenario: py-spy looks at every process's stack while the load is on."""

from __future__ import annotations

import re
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import msgspec

from tests.waiting import PATIENCE

from .install import virtual_environment
from .load import DRAIN, WARM_UP, measure
from .ours import Ours
from .scenario import Scenario

SECONDS = 5.0
SETTLE = WARM_UP + DRAIN
"""Seconds after which everybody is connected and the load is on."""
RATE = 250
"""Looks per second; each holds the process still for a moment."""
TOP = 12
OURS = "cluster/"

WAITS = re.compile(r"^(epoll_wait|epoll_pwait|poll|ppoll)\b")
"""Where a process waits, or is kept waiting for a CPU. These stacks do not count."""
KINDS = (
    ("ZeroMQ", re.compile(r"libzmq|zmq\.|\(zmq/")),
    ("SQLite", re.compile(r"sqlite")),
    ("writing to sockets and files", re.compile(r"^(write|writev|send|sendto|sendmsg|pwrite64)\b")),
    ("WebSocket and HTTP protocols", re.compile(r"\((websockets|uvicorn/protocols|httptools)/")),
    ("encoding and checking messages", re.compile(r"\((msgspec|pydantic)")),
    ("this project's Python", re.compile(rf"\({OURS}(?!worker|cli|__main__)")),
)
"""What a stack is counted as: the first of these that matches any of its frames."""


class Profile(msgspec.Struct, frozen=True):
    """Shares of the stacks seen of one process, largest first.

    `kinds`: by what was being done. `alone`: by innermost function. `within`: by each of this project's functions,
    with all that it calls.
    """

    scenario: str
    process: str
    stacks: int
    kinds: list[tuple[str, float]]
    alone: list[tuple[str, float]]
    within: list[tuple[str, float]]


def profiled(scenario: Scenario) -> list[Profile]:
    """Of every worker and the forwarder. Raises `Unavailable`, `AssertionError`, `LoadError`, `OSError`."""
    virtual_environment("py-spy")
    with tempfile.TemporaryDirectory(prefix="bench-") as name, Ours().running(scenario) as endpoint:
        watched = {role: pids[0] for role, pids in endpoint.processes.items() if role.startswith(("worker", "forw"))}
        outputs = {role: Path(name, role.replace(" ", "-")) for role in watched}
        problems: list[str] = []
        looking = threading.Thread(target=_look, args=(watched, outputs, problems))
        looking.start()
        try:
            measure(endpoint, scenario, SETTLE + SECONDS + 1.0, server="ours")
        finally:
            looking.join()
        assert not problems, problems[0]
        return [summary(scenario.name, role, output.read_text().splitlines()) for role, output in outputs.items()]


def _look(watched: dict[str, int], outputs: dict[str, Path], problems: list[str]) -> None:
    time.sleep(SETTLE)
    program = str(virtual_environment("py-spy") / "bin" / "py-spy")
    looks = ["--native", "--rate", str(RATE), "--duration", f"{SECONDS:g}", "--format", "raw"]
    running = [
        subprocess.Popen(
            [program, "record", *looks, "--pid", str(pid), "--output", str(outputs[role])],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for role, pid in watched.items()
    ]
    for process in running:
        try:
            _, said = process.communicate(timeout=SECONDS + PATIENCE)
        finally:
            process.kill()
        if process.returncode != 0:
            problems.append(f"py-spy: {said.strip()[-200:]}")


def summary(scenario: str, process: str, lines: Iterable[str]) -> Profile:
    """Of py-spy's raw format: the functions of a stack, outermost first, and how often it was seen."""
    kinds: Counter[str] = Counter()
    alone: Counter[str] = Counter()
    within: Counter[str] = Counter()
    for line in lines:
        stack, _, count = line.rpartition(" ")
        frames = [_readable(frame) for frame in stack.split(";")]
        if WAITS.search(frames[-1]):
            continue
        kinds[_kind(frames)] += int(count)
        alone[frames[-1]] += int(count)
        for frame in {frame for frame in frames if f"({OURS}" in frame}:
            within[frame] += int(count)
    stacks = kinds.total()
    # What is in every stack only says how the process was started.
    for frame in [frame for frame, count in within.items() if count == stacks]:
        del within[frame]
    return Profile(scenario, process, stacks, _shares(kinds, stacks), _shares(alone, stacks), _shares(within, stacks))


def _readable(frame: str) -> str:
    """Without line numbers, addresses and the platform's part of a library's name."""
    frame = re.sub(r":\d+\)$", ")", frame)
    frame = re.sub(r"^0x[0-9a-f]+ ", "… ", frame)
    return re.sub(r"\.cpython-[^.]*|-[0-9a-f]{8}(?=\.so)", "", frame)


def _kind(frames: list[str]) -> str:
    for kind, pattern in KINDS:
        if any(map(pattern.search, frames)):
            return kind
    return "event loop and interpreter"


def _shares(counted: Counter[str], stacks: int) -> list[tuple[str, float]]:
    return [(name, round(count / stacks, 4)) for name, count in counted.most_common(TOP)]
