"""Where the forwarder listens, read from the bus URL."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.bus.endpoints import MAX_SOCKET_PATH, Endpoints, endpoints
from cluster.errors import ConfigurationError


def test_an_ipc_bus_has_three_sockets_in_its_directory() -> None:
    assert endpoints("zmq+ipc:///run/cluster") == Endpoints(
        publish="ipc:///run/cluster/publish.sock",
        fanout="ipc:///run/cluster/fanout.sock",
        requests="ipc:///run/cluster/requests.sock",
        directory=Path("/run/cluster"),
    )


def test_a_tcp_bus_has_three_ports_from_the_one_given() -> None:
    assert endpoints("zmq+tcp://10.0.0.7:5550") == Endpoints(
        publish="tcp://10.0.0.7:5550",
        fanout="tcp://10.0.0.7:5551",
        requests="tcp://10.0.0.7:5552",
        directory=None,
    )


def test_an_ipv6_address_stays_in_brackets() -> None:
    assert endpoints("zmq+tcp://[::1]:5550").publish == "tcp://[::1]:5550"


@pytest.mark.parametrize("directory", ["/run/my cluster", "/run/100%", "/run/%41", "/run/ü"])
def test_a_directory_may_be_named_anything(directory: str) -> None:
    assert endpoints(f"zmq+ipc://{directory}").directory == Path(directory)


@pytest.mark.parametrize("directory", ["/run/a?b", "/run/a#b"])
def test_a_directory_is_not_cut_at_what_ends_a_web_address(directory: str) -> None:
    assert endpoints(f"zmq+ipc://{directory}").directory == Path(directory)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("zmq+ipc://run/cluster", "absolute directory"),
        ("zmq+ipc:run/cluster", "absolute directory"),
        ("zmq+ipc://", "absolute directory"),
        ("zmq+tcp://127.0.0.1", "a port from 1 to 65533"),
        ("zmq+tcp://:5550", "a host"),
        ("zmq+tcp://127.0.0.1:0", "a port from 1 to 65533"),
        ("zmq+tcp://127.0.0.1:65534", "a port from 1 to 65533"),
        ("zmq+tcp://127.0.0.1:70000", "a port from 1 to 65533"),
        ("zmq+tcp://127.0.0.1:http", "a port from 1 to 65533"),
        ("zmq+tcp://[::1:5550", "a host"),
        ("redis://127.0.0.1", "zmq+ipc://DIRECTORY or zmq+tcp://HOST:PORT"),
        ("127.0.0.1:5550", "zmq+ipc://DIRECTORY or zmq+tcp://HOST:PORT"),
        ("", "zmq+ipc://DIRECTORY or zmq+tcp://HOST:PORT"),
    ],
)
def test_an_unusable_url_is_named_with_what_is_allowed(url: str, reason: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        endpoints(url)
    assert f"BUS_URL={url!r}" in str(raised.value)
    assert reason in str(raised.value)


def test_a_socket_path_may_have_as_many_bytes_as_the_system_allows_and_no_more() -> None:
    room = MAX_SOCKET_PATH - len("/requests.sock")
    fits = "/" + "d" * (room - 1)
    assert endpoints(f"zmq+ipc://{fits}").requests == f"ipc://{fits}/requests.sock"
    with pytest.raises(ConfigurationError, match=r"107 bytes, this one needs 108; choose a shorter RUN_DIR"):
        endpoints(f"zmq+ipc://{fits}d")
    with pytest.raises(ConfigurationError, match="choose a shorter RUN_DIR"):
        endpoints("zmq+ipc:///" + "é" * (room // 2 + 1))
