"""The supervised processes around a worker: looked at and acted on through supervisord's socket."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Literal

import psutil

from .control import NotRunning, Program, programs
from .tree import Chronicle, ProcessEvent, ProcessReport
from .watchdog import read_events

FRESH = 0.5
"""Seconds for which one look at the processes is good: many may be looking."""

Action = Literal["restart", "kill"]
_ACTIONS: dict[Action, list[str]] = {"restart": ["restart"], "kill": ["signal", "KILL"]}


class Processes:
    """The programs of the tree in `run_dir`; none when no supervisord runs there."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._looked_at = float("-inf")
        self._reports: list[ProcessReport] = []
        self._events: list[ProcessEvent] = []
        self._known: dict[int, psutil.Process] = {}
        self._lock = asyncio.Lock()

    async def reports(self) -> list[ProcessReport]:
        """Every program as it is now."""
        await self._look()
        return self._reports

    async def events(self) -> list[ProcessEvent]:
        """What happened to them lately, oldest first."""
        await self._look()
        return self._events

    async def act(self, name: str, action: Action) -> bool:
        """Have a program ended and started again, in order or by SIGKILL; False when there is none of this name.

        Returns before it is done: it may be this very process. Raises `NotRunning`.
        """
        found = await asyncio.to_thread(programs, self._run_dir)
        program = next((program for program in found if program.name == name), None)
        if program is None:
            return False
        # A process of its own: it may be this very one that ends, and it should have answered by then.
        command = [sys.executable, "-m", "supervisor.supervisorctl", "-c", str(self._run_dir / "supervisord.conf")]
        subprocess.Popen(  # noqa: ASYNC220
            [*command, *_ACTIONS[action], program.full_name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        return True

    async def _look(self) -> None:
        async with self._lock:
            if time.monotonic() - self._looked_at >= FRESH:
                self._reports, self._events = await asyncio.to_thread(self._read)
                self._looked_at = time.monotonic()

    def _read(self) -> tuple[list[ProcessReport], list[ProcessEvent]]:
        try:
            found = programs(self._run_dir)
        except NotRunning:
            return [], []
        # A program that is not running has PID 0, and so has the parent of the machine's first process.
        families = self._families({program.pid for program in found if program.pid})
        reports = [_report(program, families.get(program.pid, [])) for program in found]
        return reports, Chronicle(read_events(self._run_dir)).events

    def _families(self, pids: set[int]) -> dict[int, list[psutil.Process]]:
        """These processes, each with its children; what was known of them goes on being measured."""
        families: dict[int, list[psutil.Process]] = {}
        for process in psutil.process_iter(["ppid"]):
            head = process.pid if process.pid in pids else process.info["ppid"]
            if head in pids:
                families.setdefault(head, []).append(self._known.get(process.pid, process))
        self._known = {process.pid: process for family in families.values() for process in family}
        return families


def _report(program: Program, family: list[psutil.Process]) -> ProcessReport:
    cpu_percent, rss_bytes = 0.0, 0
    for process in family:
        with suppress(psutil.Error):  # it may just have ended
            cpu_percent += process.cpu_percent()
            rss_bytes += process.memory_info().rss
    return ProcessReport(
        name=program.name,
        state=program.state,
        pid=program.pid or None,
        uptime=program.uptime,
        cpu_percent=round(cpu_percent, 1),
        rss_bytes=rss_bytes,
    )
