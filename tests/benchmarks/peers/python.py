"""The peers in Python: each in a venv of its own, under uvicorn with two workers where that is of use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from tests.cluster.harness import free_ports

from ..install import PEERS, Debian, version_of, virtual_environment
from ..process import Program, program, run_directory
from ..scenario import Scenario
from ..server import PAYLOAD, Endpoint, Server

REDIS = ("usr/bin/redis-server", "redis-server")
SOCKETIO_PATH = "/socket.io/?EIO=4&transport=websocket&channel=c{g}"
SOCKETIO_CONNECT = "40"
SOCKETIO_EVENT = f'42["pub",{PAYLOAD}]'


class Python(Server):
    """`environment` names its requirements, `app` its module below apps/."""

    environment: str
    app: str
    package: str
    workers = 2
    redis = True
    path = "/ws?channel=c{g}"
    hello: tuple[str, ...] = ()
    frame = PAYLOAD

    @property
    def how(self) -> str:  # type: ignore[override]
        processes = f"uvicorn, {self.workers} workers" if self.workers > 1 else "uvicorn, 1 process"
        return processes + (" + Redis" if self.redis else "")

    def prepare(self) -> str:
        virtual_environment(self.environment)
        pinned = (PEERS / "requirements" / f"{self.environment}.txt").read_text().splitlines()
        names = (self.package, "uvicorn")
        found = [line.replace("==", " ") for line in pinned if line.partition("==")[0].partition("[")[0] in names]
        return ", ".join([*found, *([_redis_version()] if self.redis else [])])

    @contextmanager
    def running(self, scenario: Scenario) -> Iterator[Endpoint]:
        port = free_ports(2)
        environment = {}
        found: dict[str, list[int]] = {}
        with ExitStack() as stack:
            log = stack.enter_context(run_directory()) / "log"
            if self.redis:
                found["redis"] = stack.enter_context(redis_server(port + 1, log)).pids()
                environment["REDIS_URL"] = f"redis://127.0.0.1:{port + 1}/0"
            uvicorn = virtual_environment(self.environment) / "bin" / "uvicorn"
            argv = [str(uvicorn), f"{self.app}:app", "--app-dir", str(PEERS / "apps"), "--host", "127.0.0.1"]
            argv += ["--port", str(port), "--workers", str(self.workers), "--log-level", "error", "--no-access-log"]
            server = program(argv, log=log, port=port, processes=self.workers, environment=environment)
            found["server"] = stack.enter_context(server).pids()
            yield Endpoint([port], found, self.path, hello=self.hello, publish_hello=self.hello, frame=self.frame)


class Manager(Python):
    name = "manager"
    title = "FastAPI tutorial's ConnectionManager"
    environment = "fastapi"
    package = "fastapi"
    app = "manager"
    workers = 1  # it knows only the sockets of its own process
    redis = False
    channels = False


class Broadcaster(Python):
    name = "broadcaster"
    title = "broadcaster"
    environment = "broadcaster"
    package = "broadcaster"
    named = True
    app = "broadcaster_redis"


class PythonSocketio(Python):
    name = "python-socketio"
    title = "python-socketio"
    environment = "socketio"
    package = "python-socketio"
    app = "python_socketio"
    path = SOCKETIO_PATH
    hello = (SOCKETIO_CONNECT,)
    frame = SOCKETIO_EVENT


class Litestar(Python):
    name = "litestar"
    title = "Litestar channels"
    environment = "litestar"
    package = "litestar"
    app = "litestar_channels"
    path = "/ws/c{g}"


class DjangoChannels(Python):
    name = "django-channels"
    title = "Django Channels"
    environment = "channels"
    package = "channels"
    app = "django_channels"
    path = "/ws/c{g}"


def redis_server(port: int, log: Path) -> AbstractContextManager[Program]:
    """Debian's Redis, which keeps nothing."""
    debian = Debian()
    argv = [str(debian.file(*REDIS)), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    return program(argv, log=log, port=port, environment=debian.environment)


def _redis_version() -> str:
    debian = Debian()
    said = version_of(str(debian.file(*REDIS)), "--version", environment=debian.environment)
    return f"Redis {said.partition('v=')[2].partition(' ')[0]}"
