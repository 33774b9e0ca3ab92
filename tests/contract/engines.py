"""What a bus connects to, as the laws need it: something to connect to, to kill, to hold still and to start again.

A new engine is one more class, in a file of its own if it is a server's, and one more line in `conftest.py`.
"""

from __future__ import annotations

import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

import pytest

from cluster.bus import Bus, connect
from cluster.settings import Settings, environment, load

from ..waiting import PATIENCE, hold_still

PROJECT = Path(__file__).parents[2]
PATIENT: dict[str, Any] = {"bus_timeout": PATIENCE}
"""Settings: a slow machine is no reason to give up."""
WITH_PARENT = ("setpriv", "--pdeathsig", "KILL")
"""Begins the command of a server that ends when the tests are killed: nobody else would end it."""


class Engine:
    """`restarts` tells whether it is a process of its own, which can be killed, held still and started again."""

    restarts: bool

    def connect(self, **changes: Any) -> Bus:
        """A bus of this engine, not yet open; `changes` are settings by name."""
        raise NotImplementedError

    def start(self) -> None:
        """Have it running. Does not wait until it answers."""

    def stop(self, signum: signal.Signals = signal.SIGKILL) -> None:
        """End it."""

    def restart(self, signum: signal.Signals = signal.SIGKILL) -> None:
        """End it and start it again at the same place."""
        self.stop(signum)
        self.start()

    def pause(self) -> None:
        """Hold it still until `start`: it is there, and does not answer."""

    def close(self) -> None:
        """End it and leave nothing behind."""
        self.stop()


class Memory(Engine):
    restarts = False

    def __init__(self) -> None:
        self._url = f"memory://contract-{secrets.token_hex(4)}"

    def connect(self, **changes: Any) -> Bus:
        return connect(load(bus_url=self._url, **changes))


class Server(Engine):
    """An engine that is a process: `launch` starts it, in `directory`, which is its own."""

    restarts = True
    host = "127.0.0.1"
    """The address it listens on."""

    def __init__(self) -> None:
        # A Unix socket's path may not be long: not below pytest's directories.
        self.directory = Path(tempfile.mkdtemp(prefix="bus-"))
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The bus URL that leads to it."""
        raise NotImplementedError

    def launch(self) -> subprocess.Popen[bytes]:
        raise NotImplementedError

    def start(self) -> None:
        if self.process is None:
            self.process = self.launch()
        else:
            self.process.send_signal(signal.SIGCONT)

    def stop(self, signum: signal.Signals = signal.SIGKILL) -> None:
        if self.process is None:
            return
        self.process.send_signal(signal.SIGCONT)
        self.process.send_signal(signum)
        try:
            self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            self.process.wait()
            self.process = None

    def pause(self) -> None:
        assert self.process is not None, "only what runs can be held still"
        hold_still(self.process.pid)

    def close(self) -> None:
        super().close()
        shutil.rmtree(self.directory)


class Zmq(Server):
    """`python -m cluster forwarder` in a directory of its own."""

    def __init__(self, *, tcp: bool = False, journal: bool = True) -> None:
        super().__init__()
        self._url = f"zmq+tcp://127.0.0.1:{free_ports(3)}" if tcp else f"zmq+ipc://{self.directory}"
        self._settings: dict[str, Any] = {"run_dir": self.directory, "bus_url": self._url}
        if not journal:
            self._settings["forwarder_journal"] = ""

    @property
    def url(self) -> str:
        return self._url

    def connect(self, **changes: Any) -> Bus:
        return connect(self._load(**changes))

    def launch(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "cluster", "forwarder", "--with-parent"],
            cwd=PROJECT,
            env=os.environ | environment(self._load()),
        )

    def _load(self, **changes: Any) -> Settings:
        return load(**PATIENT | self._settings | changes)


def program(name: str) -> str:
    """Where a server is installed. If it is not, what needs it is skipped, and fails where CI runs."""
    found = shutil.which(name, path=f"{sysconfig.get_path('scripts')}:{os.environ.get('PATH', os.defpath)}")
    if found is None:
        missing = f"{name} is not installed"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return found


def free_ports(count: int) -> int:
    """The first of `count` ports in a row that nobody listens on."""
    while True:
        first = random.randrange(20_000, 30_000)
        sockets = [socket.socket() for _ in range(count)]
        try:
            for port, probe in enumerate(sockets, first):
                probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        else:
            return first
        finally:
            for probe in sockets:
                probe.close()
