"""A real forwarder, a process of its own, and clients of it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self

from cluster.bus.endpoints import endpoints
from cluster.bus.zmq import ZmqBus
from cluster.settings import Settings
from cluster.stream import Position, Publication

from ..waiting import PATIENCE, hold_still, until

REPOSITORY = Path(__file__).parents[2]


class ForwarderProcess:
    """`cluster forwarder` in a directory of its own. As a context manager it leaves nothing behind."""

    def __init__(self, *, run_dir: Path | None = None, **settings: object) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="fwj-"))
        self.run_dir = run_dir or self.directory / "run"
        self.journal = self.run_dir / "journal.sqlite"
        self.log = self.directory / "output.log"
        names = {name.upper() for name in Settings.model_fields}
        self.environment = {name: value for name, value in os.environ.items() if name not in names}
        self.environment |= {"RUN_DIR": str(self.run_dir)}
        self.environment |= {name.upper(): str(value) for name, value in settings.items()}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def start(self) -> None:
        """Start it, without waiting."""
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "cluster", "forwarder"],
                cwd=REPOSITORY,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    async def started(self) -> None:
        """Wait until it listens, or says why it refuses what it hears."""
        await until(lambda: "forwarding" in self.output() or "refusing" in self.output(), "the forwarder listens")

    def signal(self, signum: signal.Signals) -> None:
        assert self._process is not None, "it was not started"
        self._process.send_signal(signum)

    def hold_still(self) -> None:
        """Stop it until it is sent SIGCONT."""
        assert self._process is not None, "it was not started"
        hold_still(self._process.pid)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.signal(signal.SIGKILL)
        self.wait()

    def wait(self) -> int:
        """Wait for its end; its exit status."""
        assert self._process is not None, "it was not started"
        return self._process.wait(PATIENCE)

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def bus(self, timeout: float = PATIENCE) -> ZmqBus:
        """A client of it, not yet open. `timeout` in seconds is how long it goes on trying."""
        found = endpoints(f"zmq+ipc://{self.run_dir}")
        return ZmqBus(found, durable=True, timeout=timeout, queue=10_000, high_water=100_000)


async def everything(bus: ZmqBus, channel: str) -> list[Publication]:
    """The whole history of `channel`, which must not have lost its beginning."""
    found: list[Publication] = []
    since = Position((await bus.history(channel, None, 0)).top.epoch, 0)
    while True:
        page = await bus.history(channel, since, 1000)
        assert page.complete, f"the history of {channel} after {since} has a hole"
        found.extend(page.publications)
        if not page.publications:
            return found
        since = found[-1].position


def free_ports(count: int) -> int:
    """The first of `count` ports in a row that nobody listens on."""
    while True:
        with ExitStack() as stack:
            first = stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
            with suppress(OSError, OverflowError):
                for port in range(first + 1, first + count):
                    stack.enter_context(socket.create_server(("127.0.0.1", port)))
                return int(first)
