"""The ports of a cluster's workers."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

from .errors import ConfigurationError
from .settings import Settings

FIRST_WORKER_PORT = 8100
PORT_STEP = 100
FIRST_PORT = 8008
BLOCKS = 240
"""Blocks of worker ports; the last one ends below the ports the kernel gives to outgoing connections."""


def worker_ports(settings: Settings) -> range:
    """The loopback ports of the workers."""
    first = settings.worker_port or FIRST_WORKER_PORT
    return range(first, first + settings.workers)


def worker_socket(run_dir: Path, number: int) -> Path:
    """The Unix socket of a worker, by which nginx may reach it."""
    return run_dir / f"api-{number}.sock"


def free_block(port: int, size: int) -> int:
    """The first of `size` free ports in a row, for the workers of the cluster on `port`.

    Where the search begins depends on `port`: clusters that start at the same moment do not choose the same.
    """
    for step in range(BLOCKS):
        first = FIRST_WORKER_PORT + PORT_STEP * ((port - FIRST_PORT + step) % BLOCKS)
        if all(is_free("127.0.0.1", candidate) for candidate in range(first, first + size)):
            return first
    raise ConfigurationError(f"no {size} free ports in a row for the workers; set WORKER_PORT")


def is_free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            if error.errno == errno.EACCES:
                raise ConfigurationError(f"PORT={port}: {error.strerror}") from None
            raise ConfigurationError(f"HOST={host!r}: no address of this machine ({error.strerror})") from None
    return True
