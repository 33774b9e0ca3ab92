"""SNS and SQS as moto's server plays them. It keeps nothing: what was there is gone when it is started again."""

from __future__ import annotations

import os
import subprocess
from typing import Any

from cluster.bus import Bus, connect
from cluster.settings import load

from .engines import PATIENT, Server, free_ports, program

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "contract", "AWS_SECRET_ACCESS_KEY": "contract"}


class Sqs(Server):
    def __init__(self) -> None:
        super().__init__()
        self._port = free_ports(1)
        os.environ.update(CREDENTIALS)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def url(self) -> str:
        return f"sns+sqs://eu-west-1/contract?endpoint={self.endpoint}"

    def connect(self, **changes: Any) -> Bus:
        return connect(load(**PATIENT | {"bus_url": self.url} | changes))

    def launch(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [program("moto_server"), "-H", "127.0.0.1", "-p", str(self._port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
