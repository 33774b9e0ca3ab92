"""supervisord's event listener: writes down what happens to its programs, ends the tree when one cannot be kept up."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from supervisor import childutils

from .tree import KEPT, Chronicle, ProcessEvent

FAILURES = 4
WITHIN = 60.0
"""So many failures of one program to start, within so many seconds, are the end. Being killed is none."""


EVENTS = "events.jsonl"
"""File of the run directory in which a line is added for each event."""


def watch(run_dir: Path) -> None:
    """Answer supervisord's events until a program has gone FATAL or failed too often."""
    failed: defaultdict[str, list[float]] = defaultdict(list)
    diary = Diary(run_dir)
    while True:
        headers, payload = childutils.listener.wait(sys.stdin, sys.stdout)
        event = childutils.get_headers(payload)
        name = event["processname"]
        now = time.monotonic()
        diary.take(headers["eventname"].removeprefix("PROCESS_STATE_"), event)
        if headers["eventname"] == "PROCESS_STATE_EXITED" and event["expected"] == "1":
            failed[name] = [at for at in failed[name] if now - at < WITHIN] + [now]
        if headers["eventname"] == "PROCESS_STATE_FATAL" or len(failed[name]) >= FAILURES:
            print(f"watchdog[{os.getpid()}] {name} cannot be started: ending", file=sys.stderr, flush=True)
            (run_dir / "fatal").touch()
            os.kill(os.getppid(), signal.SIGTERM)
        childutils.listener.ok(sys.stdout)


class Diary:
    """The chronicle of this run directory in a file, for the workers to read."""

    def __init__(self, run_dir: Path) -> None:
        self._file = run_dir / EVENTS
        self._chronicle = Chronicle(read_events(run_dir))
        self._lines = len(self._chronicle.events)

    def take(self, state: str, headers: Mapping[str, str]) -> None:
        event = self._chronicle.take(state, headers, time.time())
        if event is not None:
            with suppress(OSError):  # a full disk is no reason to end
                self._write(event)

    def _write(self, event: ProcessEvent) -> None:
        self._lines += 1
        if self._lines > 2 * KEPT:
            rewritten = self._file.with_suffix(".new")
            rewritten.write_text("".join(event.model_dump_json() + "\n" for event in self._chronicle.events))
            rewritten.replace(self._file)
            self._lines = len(self._chronicle.events)
        else:
            with self._file.open("a") as file:
                file.write(event.model_dump_json() + "\n")


def read_events(run_dir: Path) -> list[str]:
    """The last lines of the chronicle; none if there is no file."""
    try:
        return (run_dir / EVENTS).read_text().splitlines()[-KEPT:]
    except OSError:
        return []
