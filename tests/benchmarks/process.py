"""Programs started for one measurement: found ready, counted with all their children, ended whatever happens."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.waiting import wait_for

STOP = 5.0
"""Seconds a program has to end before it is killed."""

WITH_PARENT = ("setpriv", "--pdeathsig", "TERM", "--")
"""What a command begins with so that the kernel ends it, should this process be killed."""


class Program:
    """One program in a session of its own, so that no process of it can be missed."""

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self._log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [*WITH_PARENT, *argv],
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_until_accepting(self, port: int, processes: int) -> None:
        """Wait until `processes` of its processes wait for connections on `port`, be it on one shared socket."""

        def accepting() -> bool:
            assert self._process.poll() is None, f"{self._process.args!r} ended: {self._log.read_text()[-2000:]}"
            return sum(_accepts(process, port) for process in self._processes()) >= processes

        wait_for(accepting, f"{processes} processes of {self._process.args!r} accept on port {port}")

    def wait_for_output(self, text: str, times: int) -> None:
        """Wait until it has written `text` so many times."""
        wait_for(lambda: self._log.read_text().count(text) >= times, f"{text!r} from {self._process.args!r}")

    def pids(self) -> list[int]:
        return [process.pid for process in self._processes()]

    def stop(self) -> None:
        """End it, with force if need be."""
        left = self._processes()
        if self._process.poll() is None:
            self._process.terminate()
        psutil.wait_procs(left, timeout=STOP)
        for process in self._processes():
            process.kill()
        self._process.kill()
        self._process.wait()

    def _processes(self) -> list[psutil.Process]:
        return [process for process in psutil.process_iter() if _session(process.pid) == self._process.pid]


@contextmanager
def run_directory() -> Iterator[Path]:
    """A directory for one run, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as name:
        # Programs that give up being root must still reach their sockets and logs.
        path = Path(name)
        path.chmod(0o755)
        yield path


@contextmanager
def started(argv: Sequence[str], *, log: Path, environment: Mapping[str, str] | None = None) -> Iterator[Program]:
    """Run a program until the block ends."""
    program = Program(argv, environment or {}, log)
    try:
        yield program
    finally:
        program.stop()


@contextmanager
def program(
    argv: Sequence[str],
    *,
    log: Path,
    port: int,
    processes: int = 1,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Program]:
    """Run a program until the block ends, from when `processes` of its processes accept on `port`."""
    with started(argv, log=log, environment=environment) as running:
        running.wait_until_accepting(port, processes)
        yield running


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None


def _accepts(process: psutil.Process, port: int) -> bool:
    """Whether one of its epoll instances watches a socket that listens on `port`.

    Holding such a socket means little: a process inherits it long before it has loaded its application.
    """
    try:
        sockets = process.net_connections("tcp")
        listening = {each.fd for each in sockets if each.status == psutil.CONN_LISTEN and each.laddr.port == port}
        return bool(listening) and not listening.isdisjoint(_watched(process.pid))
    except (psutil.Error, OSError):
        return False


def _watched(pid: int) -> set[int]:
    """The descriptors a process waits for with epoll (Linux, proc(5))."""
    lines = (line for info in Path(f"/proc/{pid}/fdinfo").iterdir() for line in info.read_text().splitlines())
    return {int(line.split()[1]) for line in lines if line.startswith("tfd:")}
