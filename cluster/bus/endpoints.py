"""Where the forwarder listens, read from a ZeroMQ bus URL."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from ..errors import ConfigurationError
from .urls import without_secrets

MAX_SOCKET_PATH = 107
"""Bytes of a Unix socket's path, without its final NUL (Linux, unix(7))."""


class Endpoints(NamedTuple):
    """The forwarder's three bound sockets, as ZeroMQ addresses.

    publish: workers' PUB connect here. fanout: their SUB. requests: their DEALER. `directory` holds the
    sockets of an ipc bus and is None for tcp.
    """

    publish: str
    fanout: str
    requests: str
    directory: Path | None


def endpoints(url: str) -> Endpoints:
    """The endpoints of `zmq+ipc://DIRECTORY` or `zmq+tcp://HOST:PORT`; raises `ConfigurationError`."""
    scheme, _, address = url.partition(":")
    if scheme == "zmq+ipc":
        directory = Path(address.removeprefix("//"))
        if not directory.is_absolute():
            raise ConfigurationError(f"BUS_URL={url!r}: zmq+ipc needs an absolute directory, zmq+ipc:///a/directory")
        longest = len(str(directory / "requests.sock").encode())
        if longest > MAX_SOCKET_PATH:
            raise ConfigurationError(
                f"BUS_URL={url!r}: a socket path may have {MAX_SOCKET_PATH} bytes, this one needs {longest}; "
                "choose a shorter RUN_DIR"
            )
        return Endpoints(
            f"ipc://{directory}/publish.sock",
            f"ipc://{directory}/fanout.sock",
            f"ipc://{directory}/requests.sock",
            directory,
        )
    if scheme == "zmq+tcp":
        try:
            parts = urlsplit(url)
            hostname, port = parts.hostname, parts.port
        except ValueError:
            hostname = port = None
        if not hostname or port is None or not 1 <= port <= 65533:
            raise ConfigurationError(
                f"BUS_URL={without_secrets(url)!r}: zmq+tcp needs a host and a port from 1 to 65533"
            )
        host = f"[{hostname}]" if ":" in hostname else hostname
        publish, fanout, requests = (f"tcp://{host}:{port + i}" for i in range(3))
        return Endpoints(publish, fanout, requests, None)
    raise ConfigurationError(
        f"BUS_URL={without_secrets(url)!r}: a forwarder needs zmq+ipc://DIRECTORY or zmq+tcp://HOST:PORT"
    )
