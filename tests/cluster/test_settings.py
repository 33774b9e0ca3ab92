"""A setting that cannot be used is told, with its value and what is allowed, before anything is started."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.waiting import PATIENCE

from .harness import REPOSITORY, environment, free_ports


def refused(*arguments: str, **settings: object) -> str:
    """What `cluster up` says on stderr when it ends by itself without having started anything."""
    with tempfile.TemporaryDirectory(prefix="fws-") as directory:
        run_dir = Path(directory)
        ended = subprocess.run(
            [sys.executable, "-m", "cluster", "up", *arguments],
            cwd=REPOSITORY,
            env=environment(**({"port": free_ports(1), "run_dir": run_dir, "workers": 1} | settings)),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert ended.returncode not in (0, None)
        assert ended.stdout == ""
        assert not (run_dir / "supervisord.conf").exists()
    return ended.stderr


@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        ("WORKERS", "abc", "integer"),
        ("WORKERS", "0", "greater than or equal to 1"),
        ("WORKERS", "100000", "less than or equal to"),
        ("PORT", "70000", "less than or equal to 65535"),
        ("API_LOG_LEVEL", "loud", "'debug', 'info', 'warning', 'error' or 'critical'"),
        ("SHUTDOWN_GRACE", "-1", "greater than 0"),
        ("MAX_MESSAGE_BYTES", "many", "integer"),
        ("BUS_URL", "kafka://broker", "zmq+ipc://DIRECTORY"),
        ("BUS_URL", "zmq+tcp://127.0.0.1:no", "a port from 1 to"),
        ("BUS_URL", "zmq+ipc://relative", "an absolute directory"),
        ("BUS_URL", f"zmq+ipc:///tmp/{'long' * 30}", "107 bytes"),
        ("HOST", "nowhere.invalid", "address"),
    ],
)
def test_a_value_that_is_not_allowed(variable: str, value: str, allowed: str) -> None:
    said = refused(**{variable.lower(): value})
    assert f"{variable}={value!r}" in said
    assert allowed in said


def test_every_bad_value_is_told_at_once() -> None:
    said = refused(workers="abc", port="http")
    assert "WORKERS='abc'" in said
    assert "PORT='http'" in said


def test_an_argument_counts_more_than_the_environment_and_is_checked_alike() -> None:
    assert "WORKERS='none'" in refused("--workers", "none", workers=1)


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused(port=port)
    assert f"PORT={port}" in said
    assert "listens" in said


def test_a_worker_port_that_is_taken() -> None:
    first = free_ports(2)
    with socket.create_server(("127.0.0.1", first + 1)):
        said = refused(worker_port=first, workers=2)
    assert f"WORKER_PORT={first}" in said
    assert f"port {first + 1}" in said


@pytest.mark.parametrize("app", ["tests.apps.missing:app", "tests.apps.relay:missing", "tests.apps.relay"])
def test_an_application_that_cannot_be_imported(app: str) -> None:
    said = refused(app)
    assert f"APP={app!r}" in said


def test_a_bus_in_memory_for_two_workers() -> None:
    said = refused(bus_url="memory://", workers=2)
    assert "BUS_URL='memory://'" in said
    assert "WORKERS=2" in said


def test_a_run_directory_others_can_enter() -> None:
    with tempfile.TemporaryDirectory(prefix="fws-") as directory:
        Path(directory).chmod(0o755)
        said = refused(run_dir=directory)
    assert f"RUN_DIR={directory!r}" in said
    assert "0700" in said
