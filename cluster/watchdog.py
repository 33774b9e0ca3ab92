"""supervisord's event listener: ends the tree when one of its programs cannot be kept running."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from supervisor import childutils


def watch(run_dir: Path) -> None:
    """Answer supervisord's events until one says that a program is FATAL."""
    while True:
        _, payload = childutils.listener.wait(sys.stdin, sys.stdout)
        event = childutils.get_headers(payload)
        print(f"watchdog[{os.getpid()}] {event['processname']} cannot be started: ending", file=sys.stderr, flush=True)
        (run_dir / "fatal").touch()
        os.kill(os.getppid(), signal.SIGTERM)
        childutils.listener.ok(sys.stdout)
