"""The ports of a cluster's workers."""

from __future__ import annotations

import socket

from .errors import ConfigurationError
from .settings import Settings

FIRST_WORKER_PORT = 8100
PORT_STEP = 100


def worker_ports(settings: Settings) -> range:
    """The loopback ports of the workers."""
    first = settings.worker_port or FIRST_WORKER_PORT
    return range(first, first + settings.workers)


def free_block(size: int) -> int:
    """The first port of `size` free ones in a row."""
    for first in range(FIRST_WORKER_PORT, 65_536 - size, PORT_STEP):
        if all(is_free("127.0.0.1", port) for port in range(first, first + size)):
            return first
    raise ConfigurationError(f"no {size} free ports in a row for the workers; set WORKER_PORT")


def is_free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
