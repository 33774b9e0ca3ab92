"""A cluster as in a container: with a host name, processes and a network of its own, and ended as a whole."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx
import psutil

from cluster.roster import ClusterReport
from tests.cluster.harness import REPOSITORY, environment, free_ports
from tests.waiting import PATIENCE, wait_for

from .network import Loopback

APP = "tests.containers.app:app"
WORKERS = 2


class Container:
    """`number`, from 1 on, tells it from the others; `settings` are settings by name."""

    def __init__(self, network: Loopback, number: int, **settings: object) -> None:
        self.number = number
        self.name = f"container-{number}"
        self.host = network.address(number)
        self.port = free_ports(1 + WORKERS)
        self._network = network
        self._run_dir = Path(tempfile.mkdtemp(prefix="fws-"))
        self._log = self._run_dir / "output.log"
        self._environment = environment(
            app=APP, workers=WORKERS, host=self.host, port=self.port, worker_port=self.port + 1, run_dir=self._run_dir,
            **settings,
        )  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def ws_url(self) -> str:
        return f"ws://{self.host}:{self.port}"

    def start(self) -> None:
        """Start it, unless it runs. Does not wait until it answers."""
        if self._process is not None:
            return
        program = self._network.command(self.name, [sys.executable, "-m", "cluster", "up"])
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                program,
                cwd=REPOSITORY,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._network.join(self.number, self._process)

    def kill(self) -> None:
        """SIGKILL every process of it, if it runs."""
        if self._process is None:
            return
        for process in psutil.process_iter():
            if _session(process.pid) == self._process.pid:
                process.kill()
        self._process.kill()
        self._process.wait()
        self._process = None

    def close(self) -> None:
        """Leave nothing of it."""
        self.kill()
        shutil.rmtree(self._run_dir)

    def wait_until_ready(self, workers: int) -> None:
        """Wait until it serves, and knows of `workers` in all containers."""

        def ready() -> bool:
            assert self._process is not None, f"{self.name} was not started"
            assert self._process.poll() is None, f"{self.name} has ended"
            return self.serves() and len(self.report().workers) >= workers

        wait_for(ready, f"{self.name} is ready")

    def serves(self) -> bool:
        """Whether it says that clients may be sent to it."""
        try:
            return httpx.get(f"{self.url}/readyz", timeout=2, trust_env=False).is_success
        except httpx.HTTPError:
            return False

    def report(self) -> ClusterReport:
        """What it knows of the workers of all containers."""
        answer = httpx.get(f"{self.url}/api/cluster", timeout=PATIENCE, trust_env=False)
        return ClusterReport.model_validate_json(answer.raise_for_status().content)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another `cluster` command in it."""
        assert self._process is not None, f"{self.name} does not run"
        program = self._network.inside(self._process, [sys.executable, "-m", "cluster", *arguments])
        return subprocess.run(
            program,
            cwd=REPOSITORY,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def output(self) -> str:
        """What it wrote so far."""
        return self._log.read_text(errors="replace")


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None
