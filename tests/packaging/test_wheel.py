"""The wheel, installed where there is nothing else of this project: all that a cluster needs is inside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zipfile import ZipFile

import httpx
import psutil
import pytest

from tests.cluster.harness import environment, free_ports
from tests.waiting import PATIENCE, wait_for

CHECKOUT = Path(__file__).parents[2]
WORKERS = 2

APPLICATION = """
import cluster
from fastapi import FastAPI

hub = cluster.Hub.from_env()
app = FastAPI(lifespan=hub.lifespan)
app.include_router(hub.router)


@app.get("/where")
def where() -> str:
    return cluster.__file__
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source distribution."""
    return build(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def venv(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh virtual environment with the wheel and what it depends on."""
    made = tmp_path_factory.mktemp("fresh") / "venv"
    uv("venv", "--python", sys.executable, made)
    # Compiled, as pip does it: else each process of the cluster would compile all it imports, at once.
    constraint = CHECKOUT / "requirements.txt"
    uv("pip", "install", "--compile-bytecode", "--python", made / "bin/python", "--constraint", constraint, wheel)
    return made


@pytest.fixture
def run_dir() -> Iterator[Path]:
    # Not tmp_path: the path of a Unix socket may have 107 bytes.
    with tempfile.TemporaryDirectory(prefix="fws-") as made:
        yield Path(made)


def test_the_wheel_holds_every_file_of_conf(wheel: Path) -> None:
    conf = {str(path.relative_to(CHECKOUT)) for path in (CHECKOUT / "conf").rglob("*") if path.is_file()}

    assert {f"cluster/{name}" for name in conf} <= contents(wheel)


def test_a_checkout_builds_the_same_wheel_as_the_source_distribution(wheel: Path, tmp_path: Path) -> None:
    assert contents(build(tmp_path, "--wheel")) == contents(wheel)


def test_an_installed_wheel_runs_an_application_of_ones_own(venv: Path, run_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(APPLICATION)
    program, port = venv / "bin/cluster", free_ports(1 + WORKERS)
    env = environment(run_dir=run_dir, port=port, worker_port=port + 1, workers=WORKERS)
    # Nothing of the environment that runs the tests may help.
    env = {name: value for name, value in env.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}

    def command(name: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [program, name], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=PATIENCE, check=False
        )

    def workers() -> int:
        try:
            answer = get(port, "/api/cluster")
        except httpx.TransportError:
            return 0
        return len(answer.json()["workers"]) if answer.is_success else 0

    with running([program, "up", "shop:app"], tmp_path, env) as supervisord:
        wait_for(lambda: workers() == WORKERS, "the workers know each other")
        wait_for(lambda: command("status").returncode == 0, "every process is RUNNING")
        matrix = command("verify")
        imported = get(port, "/where").json()
        os.kill(supervisord.pid, signal.SIGTERM)
        status = supervisord.wait(PATIENCE)
        wait_for(lambda: not family(supervisord), "no process is left")

    assert imported.startswith(str(venv))
    assert matrix.returncode == 0, matrix.stdout + matrix.stderr
    assert matrix.stdout.count(" yes") == WORKERS * WORKERS
    assert status == 0


def build(into: Path, *options: str) -> Path:
    subprocess.run(
        [sys.executable, "-m", "build", "--installer", "uv", "--outdir", into, *options, CHECKOUT],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    [found] = into.glob("*.whl")
    return found


def uv(*arguments: str | Path) -> None:
    subprocess.run([sys.executable, "-m", "uv", "--quiet", *arguments], check=True)


def contents(wheel: Path) -> set[str]:
    with ZipFile(wheel) as file:
        return set(file.namelist())


def get(port: int, path: str) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE, trust_env=False)


@contextmanager
def running(command: list[str | Path], cwd: Path, env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """`command` as a process; after the block nothing is left of it and of what it started."""
    process = subprocess.Popen(command, cwd=cwd, env=env, start_new_session=True)
    try:
        yield process
    finally:
        for each in family(process):
            each.kill()
        process.wait()


def family(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """`process` and all that it started, as far as they live."""
    return [found for found in psutil.process_iter() if is_led_by(found, process.pid)]


def is_led_by(process: psutil.Process, leader: int) -> bool:
    try:
        return os.getsid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.NoSuchProcess):
        return False
