"""supervisord's event listener: ends the tree when one of its programs cannot be kept running."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import defaultdict
from pathlib import Path

from supervisor import childutils

FAILURES = 4
WITHIN = 60.0
"""So many failures of one program to start, within so many seconds, are the end. Being killed is none."""


def watch(run_dir: Path) -> None:
    """Answer supervisord's events until a program has gone FATAL or failed too often."""
    failed: defaultdict[str, list[float]] = defaultdict(list)
    while True:
        headers, payload = childutils.listener.wait(sys.stdin, sys.stdout)
        event = childutils.get_headers(payload)
        name = event["processname"]
        now = time.monotonic()
        if headers["eventname"] == "PROCESS_STATE_EXITED" and event["expected"] == "1":
            failed[name] = [at for at in failed[name] if now - at < WITHIN] + [now]
        if headers["eventname"] == "PROCESS_STATE_FATAL" or len(failed[name]) >= FAILURES:
            print(f"watchdog[{os.getpid()}] {name} cannot be started: ending", file=sys.stderr, flush=True)
            (run_dir / "fatal").touch()
            os.kill(os.getppid(), signal.SIGTERM)
        childutils.listener.ok(sys.stdout)
