"""A Redis server: one that keeps everything, or one that keeps nothing."""

from __future__ import annotations

import subprocess
from typing import Any

from cluster.bus import Bus, connect
from cluster.settings import load

from .engines import PATIENT, Server, free_ports, program


class Redis(Server):
    def __init__(self, *, durable: bool = True) -> None:
        super().__init__()
        self._port = free_ports(1)
        self._durable = durable

    @property
    def url(self) -> str:
        return f"redis://{self.host}:{self._port}/?durable={'yes' if self._durable else 'no'}"

    def connect(self, **changes: Any) -> Bus:
        return connect(load(**PATIENT | {"bus_url": self.url} | changes))

    def launch(self) -> subprocess.Popen[bytes]:
        options = {
            "bind": self.host,
            "protected-mode": "no",
            "port": str(self._port),
            "dir": str(self.directory),
            "save": "",
            "appendonly": "yes" if self._durable else "no",
            "appendfsync": "always",
        }
        arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
        return subprocess.Popen([program("redis-server"), *arguments], stdout=subprocess.DEVNULL)
