"""A real cluster for tests: `cluster up` in a process of its own, its programs found through psutil.

with RunningCluster(workers=3) as cluster:
    async with one_client_per_worker(cluster.ws_url, 3) as clients:
        cluster.kill(cluster.worker_pids()[0])
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

import httpx
import psutil

from cluster.settings import Settings
from tests.waiting import PATIENCE, hold_still, wait_for

REPOSITORY = Path(__file__).parents[2]
SHOWN = 8_000
"""Characters of a cluster's output that are worth reading when it has failed."""
PORTS = range(20_000, 32_000)
"""Where free ports are looked for: below those the kernel gives to outgoing connections."""

_http = httpx.Client(trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))

running: list[RunningCluster] = []
"""The clusters that run now; the output of these is shown when a test fails."""


class RunningCluster:
    """`cluster up` on free ports and in a run directory of its own; a context manager, ready when entered.

    `settings` are settings by name, as for `Settings`; None leaves one unset. Leaving it ends the cluster and
    raises `AssertionError` if a process of it survives.
    """

    def __init__(self, app: str | None = None, *, workers: int = 3, truncate: bool = False, **settings: object) -> None:
        """`truncate` redirects the output as `>` of a shell does, otherwise as `>>` does."""
        self.workers = workers
        self.port = free_ports(1 + workers)
        self.run_dir = Path(tempfile.mkdtemp(prefix="fws-"))
        self.log = self.run_dir / "output.log"
        self._truncate = truncate
        chosen: dict[str, object] = {"app": app, "workers": workers, "port": self.port, "run_dir": self.run_dir}
        if "worker_port" not in settings:
            chosen["worker_port"] = self.port + 1
        self.environment = environment(**chosen, **settings)
        self._process: subprocess.Popen[bytes] | None = None
        self._stack = ExitStack()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        """Where the demo application takes WebSockets."""
        return f"ws://127.0.0.1:{self.port}/ws"

    @property
    def pid(self) -> int:
        """Of supervisord."""
        assert self._process is not None, "it was not started"
        return self._process.pid

    @property
    def exit_status(self) -> int | None:
        """None while it runs."""
        assert self._process is not None, "it was not started"
        return self._process.poll()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(started(self))
            self.wait_until_ready()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        with self._stack:
            self.stop()

    def start(self) -> None:
        """Start it, see `started`."""
        with self.log.open("wb" if self._truncate else "ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "cluster", "up"],
                cwd=REPOSITORY,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        running.append(self)

    def wait_until_ready(self) -> None:
        """Wait until every worker says on its own port that it is ready, and nginx answers."""

        def ready() -> bool:
            assert self.exit_status is None, f"cluster up ended with {self.exit_status}"
            pids = self.worker_pids()
            return len(pids) == self.workers and all(map(self.is_ready, pids)) and self._answers(self.url + "/healthz")

        wait_for(ready, f"{self.workers} workers are ready")

    def stop(self, signum: signal.Signals = signal.SIGTERM) -> int:
        """End it and wait until it is gone; its exit status."""
        assert self._process is not None, "it was not started"
        if self.exit_status is None:
            os.kill(self.pid, signum)
        try:
            status = self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it has not ended within {PATIENCE:g} s") from None
        self.wait_until_gone()
        return status

    def end(self) -> None:
        """Kill what is left of it and remove its directory."""
        if self in running:
            running.remove(self)
        if self._process is not None:
            for process in self.processes():
                process.kill()
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self.run_dir, ignore_errors=True)

    def wait_until_gone(self) -> None:
        """Wait until no process of it is left."""
        try:
            wait_for(lambda: not self.processes(), "every process has ended")
        except AssertionError as error:
            raise AssertionError(f"{error}; left are {self.processes()}") from None

    def processes(self) -> list[psutil.Process]:
        """Every process of the cluster, also those whose parent is gone: it has a session of its own."""
        return [found for found in psutil.process_iter() if _session(found.pid) == self.pid and _lives(found)]

    def worker_pids(self) -> list[int]:
        """The workers there are, by number. A worker that was killed is missing until its successor starts."""
        found = {}
        for process in self._programs():
            command = _command(process)
            if "worker" in command:
                found[int(command[-1])] = process.pid
        return [found[number] for number in sorted(found)]

    def forwarder_pid(self) -> int | None:
        """None while there is none."""
        return self._pid_of(lambda command: "forwarder" in command)

    def nginx_pid(self) -> int | None:
        """The master's; None while there is none."""
        return self._pid_of(lambda command: " ".join(command).startswith("nginx: master"))

    def kill(self, pid: int | None, signum: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to one of its processes, and only to one of its."""
        os.kill(self._own(pid), signum)

    def hold_still(self, pid: int | None) -> None:
        """Stop one of its processes until it is sent SIGCONT."""
        hold_still(self._own(pid))

    def _own(self, pid: int | None) -> int:
        assert pid is not None, "there is no such process now"
        assert pid in {process.pid for process in self.processes()}, f"{pid} is none of this cluster's processes"
        return pid

    def worker_port(self, pid: int) -> int | None:
        """The port a worker listens on; None while it does not."""
        try:
            sockets = psutil.Process(pid).net_connections("tcp")
        except psutil.Error:
            return None
        return next((found.laddr.port for found in sockets if found.status == psutil.CONN_LISTEN), None)

    def is_ready(self, pid: int) -> bool:
        """Whether this worker says so itself."""
        port = self.worker_port(pid)
        return port is not None and self._answers(f"http://127.0.0.1:{port}/readyz")

    def get(self, path: str, pid: int | None = None, accept: str = "*/*") -> httpx.Response:
        """The answer of nginx, or of the worker `pid` alone."""
        base = self.url if pid is None else f"http://127.0.0.1:{self.worker_port(pid)}"
        return _http.get(base + path, headers={"accept": accept}, timeout=PATIENCE)

    def command(self, *arguments: str, seconds: float = 60) -> subprocess.CompletedProcess[str]:
        """Run another `cluster` command with the settings of this cluster."""
        return _run([sys.executable, "-m", "cluster", *arguments], self.environment, seconds)

    def supervisorctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run supervisor's own command line against it."""
        program = Path(sysconfig.get_path("scripts"), "supervisorctl")
        configuration = str(self.run_dir / "supervisord.conf")
        return _run([str(program), "-c", configuration, *arguments], self.environment, 60)

    def output(self) -> str:
        """What it wrote so far."""
        return self.log.read_text(errors="replace")

    def _programs(self) -> list[psutil.Process]:
        try:
            return psutil.Process(self.pid).children()
        except psutil.NoSuchProcess:
            return []

    def _pid_of(self, wanted: Callable[[list[str]], bool]) -> int | None:
        return next((process.pid for process in self._programs() if wanted(_command(process))), None)

    def _answers(self, url: str) -> bool:
        try:
            return _http.get(url, timeout=2).is_success
        except httpx.HTTPError:
            return False


@contextmanager
def started(*clusters: RunningCluster) -> Iterator[None]:
    """Start clusters without waiting until they are ready; in the end nothing is left of them, however it went."""
    try:
        for cluster in clusters:
            cluster.start()
        yield
    except BaseException as error:
        for cluster in clusters:
            error.add_note(cluster.output()[-SHOWN:])
        raise
    finally:
        for cluster in clusters:
            cluster.end()


def environment(**settings: object) -> dict[str, str]:
    """The environment of this process with these settings and no others; one that is None is unset."""
    names = {name.upper() for name in Settings.model_fields}
    inherited = {name: value for name, value in os.environ.items() if name not in names}
    return inherited | {name.upper(): str(value) for name, value in settings.items() if value is not None}


def free_ports(count: int) -> int:
    """The first of `count` ports in a row that nobody listens on."""
    while True:
        first = random.choice(PORTS)
        if all(map(_is_free, range(first, first + count))):
            return first


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _run(command: list[str], environment: dict[str, str], seconds: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=seconds, check=False
    )


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None


def _lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
