"""SNS and SQS as moto's server plays them. It keeps nothing: what was there is gone when it is started again.

A FIFO topic hands one publication after another to its queues. moto's threads do not: run as a program, this module
is moto's server with that added.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import Any

from cluster.bus import Bus, connect
from cluster.settings import load

from .engines import PATIENT, PROJECT, WITH_PARENT, Server, free_ports

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "contract", "AWS_SECRET_ACCESS_KEY": "contract"}


class Sqs(Server):
    def __init__(self) -> None:
        super().__init__()
        self._port = free_ports(1)
        os.environ.update(CREDENTIALS)

    @property
    def endpoint(self) -> str:
        return f"http://{self.host}:{self._port}"

    @property
    def url(self) -> str:
        return f"sns+sqs://eu-west-1/contract?endpoint={self.endpoint}"

    def connect(self, **changes: Any) -> Bus:
        return connect(load(**PATIENT | {"bus_url": self.url} | changes))

    def launch(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*WITH_PARENT, sys.executable, "-m", __name__, "-H", self.host, "-p", str(self._port)],
            cwd=PROJECT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


def serve(arguments: list[str]) -> None:
    """moto's server, handing out one publication at a time."""
    from moto.server import main
    from moto.sns.models import SNSBackend

    publish, lock = SNSBackend.publish, threading.Lock()

    def publish_one(*given: Any, **named: Any) -> Any:
        with lock:
            return publish(*given, **named)

    SNSBackend.publish = publish_one  # type: ignore[method-assign]
    main(arguments)


if __name__ == "__main__":
    serve(sys.argv[1:])
