"""What a bus connects to, as the laws need it: something to connect to, to kill, to hold still and to start again.

A new engine is one more class here and one more line in `conftest.py`.
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
import tempfile
from pathlib import Path
from typing import Any

from cluster.bus import Bus, connect
from cluster.settings import Settings, environment, load

PROJECT = Path(__file__).parents[2]


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


class Zmq(Engine):
    """`python -m cluster forwarder` in a directory of its own."""

    restarts = True

    def __init__(self, *, tcp: bool = False, journal: bool = True) -> None:
        # A Unix socket's path may not be long: not below pytest's directories.
        self._directory = Path(tempfile.mkdtemp(prefix="bus-"))
        self._settings: dict[str, Any] = {
            "run_dir": self._directory,
            "bus_url": f"zmq+tcp://127.0.0.1:{_free_ports(3)}" if tcp else f"zmq+ipc://{self._directory}",
        }
        if not journal:
            self._settings["forwarder_journal"] = ""
        self._process: subprocess.Popen[bytes] | None = None

    def connect(self, **changes: Any) -> Bus:
        return connect(self._load(**changes))

    def start(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            return
        self._process = subprocess.Popen(
            [sys.executable, "-m", "cluster", "forwarder", "--with-parent"],
            cwd=PROJECT,
            env=os.environ | environment(self._load()),
        )

    def stop(self, signum: signal.Signals = signal.SIGKILL) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.send_signal(signum)
        try:
            self._process.wait(30)
        finally:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        assert self._process is not None, "only what runs can be held still"
        self._process.send_signal(signal.SIGSTOP)

    def close(self) -> None:
        super().close()
        shutil.rmtree(self._directory)

    def _load(self, **changes: Any) -> Settings:
        # A slow machine is no reason to give up.
        return load(**{"bus_timeout": 30.0} | self._settings | changes)


def _free_ports(count: int) -> int:
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
