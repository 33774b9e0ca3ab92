"""What is told of the supervised processes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cluster.control import Program
from cluster.processes import Processes


def program(name: str, pid: int) -> Program:
    return Program(name, name, "RUNNING" if pid else "STOPPED", pid, "", 1.0)


async def test_memory_is_told_of_those_that_run_and_of_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cluster.processes.programs", lambda run_dir: [program("on", os.getpid()), program("off", 0)])
    on, off = await Processes(tmp_path).reports()
    assert (on.pid, off.pid) == (os.getpid(), None)
    assert on.rss_bytes > 0
    assert (off.rss_bytes, off.cpu_percent) == (0, 0.0)
