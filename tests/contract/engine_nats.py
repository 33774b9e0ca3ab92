"""A NATS server with JetStream."""

from __future__ import annotations

import subprocess
from typing import Any

from cluster.bus import Bus, connect
from cluster.settings import load

from .engines import PATIENT, Server, free_ports, program


class Nats(Server):
    def __init__(self) -> None:
        super().__init__()
        self._port = free_ports(1)

    @property
    def url(self) -> str:
        return f"nats://{self.host}:{self._port}"

    def connect(self, **changes: Any) -> Bus:
        return connect(load(**PATIENT | {"bus_url": self.url} | changes))

    def launch(self) -> subprocess.Popen[bytes]:
        configuration = self.directory / "nats.conf"
        configuration.write_text(
            f'listen: "{self.host}:{self._port}"\njetstream {{ store_dir: "{self.directory}" }}\n'
            "max_payload: 33554432\n"
        )
        return subprocess.Popen([program("nats-server"), "-c", str(configuration)], stderr=subprocess.DEVNULL)
