"""A RabbitMQ server, with a port mapper (epmd) of its own: the one it would start by itself outlives it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from cluster.bus import Bus, connect
from cluster.settings import load

from .engines import PATIENT, WITH_PARENT, Server, free_ports, program

DEBIAN = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""What Debian's own program starts as another user, in a directory of the system's."""


class RabbitMq(Server):
    """`features`: the feature flags it starts with, None for all it has."""

    def __init__(self, features: str | None = None) -> None:
        super().__init__()
        self._ports = free_ports(3)
        self._features = features
        self._epmd: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@{self.host}:{self._ports}/"

    def connect(self, **changes: Any) -> Bus:
        return connect(load(**PATIENT | {"bus_url": self.url} | changes))

    def start(self) -> None:
        """The first time also create the stream, and let the server write down that it exists.

        RabbitMQ 3.10 killed within seconds of its first stream's creation knows the stream's name and not the stream.
        """
        first = self._epmd is None
        super().start()
        if first and self._features is None:
            asyncio.run(self._create_stream())
            self.restart(signal.SIGTERM)

    async def _create_stream(self) -> None:
        async with self.connect(bus_timeout=120.0) as bus:
            await bus.history("channel", None, 0)

    def launch(self) -> subprocess.Popen[bytes]:
        server = program("rabbitmq-server")
        (self.directory / "plugins").write_text("[].")
        environment = {
            "HOME": str(self.directory),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._ports + 1),
            "RABBITMQ_NODENAME": f"contract{self._ports}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": self.host,
            "RABBITMQ_NODE_PORT": str(self._ports),
            "RABBITMQ_DIST_PORT": str(self._ports + 2),
            "RABBITMQ_MNESIA_BASE": str(self.directory / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.directory / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.directory / "plugins"),
            # By itself the user `guest` may come over the loopback only.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-rabbit loopback_users []",
            "RABBITMQ_CONFIG_FILE": str(self.directory / "none"),
            "RABBITMQ_CONF_ENV_FILE": str(self.directory / "none"),
            # The script becomes the server instead of waiting for it: signals reach the server.
            "RUNNING_UNDER_SYSTEMD": "true",
        }
        if self._features is not None:
            environment["RABBITMQ_FEATURE_FLAGS"] = self._features
        environment = os.environ | environment
        quiet: dict[str, Any] = {"env": environment, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        if self._epmd is None:
            self._epmd = subprocess.Popen([*WITH_PARENT, program("epmd")], **quiet)
            self._wait_for_epmd()
        return subprocess.Popen([*WITH_PARENT, DEBIAN if DEBIAN.exists() else server], start_new_session=True, **quiet)

    def _wait_for_epmd(self) -> None:
        """A server that starts before its port mapper answers starts one of its own."""
        for _ in range(300):
            with suppress(OSError), socket.create_connection(("127.0.0.1", self._ports + 1)):
                return
            time.sleep(0.1)
        raise AssertionError("epmd does not answer")

    def close(self) -> None:
        try:
            super().close()
        finally:
            if self._epmd is not None:
                self._epmd.kill()
                self._epmd.wait()
