"""A NATS server with JetStream."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from typing import Any

from cluster.bus import Bus, connect
from cluster.settings import load

from .engines import PATIENT, Server, free_ports, program


class Nats(Server):
    """`tls`: lines of its configuration about TLS; without any it has none."""

    def __init__(self, *, tls: Sequence[str] = ()) -> None:
        super().__init__()
        self._tls = tls
        self._port = free_ports(1)

    @property
    def url(self) -> str:
        return f"{'tls' if self._tls else 'nats'}://{self.host}:{self._port}"

    def connect(self, **changes: Any) -> Bus:
        return connect(load(**PATIENT | {"bus_url": self.url} | changes))

    def launch(self) -> subprocess.Popen[bytes]:
        configuration = self.directory / "nats.conf"
        configuration.write_text(
            f'listen: "{self.host}:{self._port}"\njetstream {{ store_dir: "{self.directory}" }}\n'
            "max_payload: 33554432\n" + ("\n".join(["tls {", *self._tls, "}"]) if self._tls else "")
        )
        return subprocess.Popen([program("nats-server"), "-c", str(configuration)], stderr=subprocess.DEVNULL)
