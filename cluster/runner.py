"""`cluster up`: prepare a run directory and become the supervisor of the process tree."""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import resource
import secrets
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from supervisor import loggers, supervisord
from supervisor.options import ServerOptions
from supervisor.states import SupervisorStates

from .bus import connect
from .bus.endpoints import endpoints
from .control import Reach, is_running
from .directory import prepare_directory
from .errors import ConfigurationError
from .ports import free_block, is_free, worker_ports, worker_socket
from .process import end_leftovers, nginx_program
from .render import Place, nginx_conf, supervisord_conf
from .settings import Settings, environment

PACKAGE = Path(__file__).parent
DEFAULT_APP = Settings.model_fields["app"].default
MAX_FILES = 65_536
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def up(settings: Settings) -> int:
    """Run the cluster in the foreground; returns supervisord's exit status, or 1 if a program could not be started.

    Raises `ConfigurationError` before anything is started.
    """
    run_dir = prepare_directory(settings.directory)
    if is_running(run_dir):
        raise ConfigurationError(f"a cluster runs in {run_dir} already; `cluster stop` ends it, or choose another PORT")
    given, settings = settings, _settle(settings, run_dir)
    _check(settings)
    _write(settings, run_dir)
    os.environ.update(environment(settings))
    url = f"http://{_shown(settings.host)}:{settings.port}"
    print(
        f"cluster of {settings.workers} workers: {url}\ncontrol it with: supervisorctl -c {run_dir}/supervisord.conf",
        flush=True,
    )
    if given.admin_token is None:
        print(f"with the buttons that restart and kill: {url}/#token={settings.admin_token}", flush=True)
    _reopenable_output()
    _supervise(run_dir / "supervisord.conf")
    # nginx that was killed just before has left its workers, and nobody came to end them.
    end_leftovers(run_dir / "nginx.pid")
    return 1 if (run_dir / "fatal").exists() else 0


def conf_template(name: str) -> str:
    """A template of `conf/`, which lies inside an installed package and beside the package in a checkout."""
    return (_conf() / name).read_text()


def _conf() -> Path:
    inside = PACKAGE / "conf"
    return inside if inside.is_dir() else PACKAGE.parent / "conf"


def _settle(settings: Settings, run_dir: Path) -> Settings:
    """`settings` with everything chosen that was left open."""
    chosen: dict[str, Any] = {"run_dir": run_dir, "bus_url": settings.bus}
    if settings.worker_port is None:
        chosen["worker_port"] = free_block(settings.port, settings.workers)
    if settings.admin_token is None:
        chosen["admin_token"] = secrets.token_urlsafe(24)
    if settings.static_dir is None and settings.app == DEFAULT_APP:
        # `ui` is there once it has been built; `welcome` needs no building.
        chosen["static_dir"] = next(place for name in ("ui", "welcome") if (place := _conf() / name).is_dir())
    return settings.model_copy(update=chosen)


def _check(settings: Settings) -> None:
    if settings.bus.startswith("memory://") and settings.workers > 1:
        raise ConfigurationError(
            f"BUS_URL={settings.bus!r}: it reaches one process only, not WORKERS={settings.workers}"
        )
    connect(settings)  # refuses what no worker could use; nothing is opened
    nginx_program()
    if not is_free(settings.host, settings.port):
        raise ConfigurationError(f"PORT={settings.port}: something listens on {settings.host}:{settings.port} already")
    for port in worker_ports(settings):
        if not is_free("127.0.0.1", port):
            raise ConfigurationError(f"WORKER_PORT={settings.worker_port}: something listens on port {port} already")
    found = subprocess.run(
        [sys.executable, "-c", "import sys, uvicorn.importer as i; i.import_from_string(sys.argv[1])", settings.app],
        env={**os.environ, **environment(settings)},
        capture_output=True,
        text=True,
        check=False,
    )
    if found.returncode != 0:
        raise ConfigurationError(f"APP={settings.app!r} cannot be imported:\n{found.stderr.strip()}")


def _write(settings: Settings, run_dir: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_FILES)
    if soft != resource.RLIM_INFINITY and soft < files:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    place = Place(run_dir, Path.cwd(), Path(sys.executable), pwd.getpwuid(os.getuid()).pw_name, files)
    templates = {name: conf_template(name) for name in ("supervisord.conf", "forwarder.conf")}
    (run_dir / "supervisord.conf").write_text(
        supervisord_conf(
            templates,
            place,
            workers=settings.workers,
            shutdown_grace=settings.shutdown_grace,
            forwarder=_runs_forwarder(settings.bus),
        )
    )
    (run_dir / "nginx.conf").write_text(
        nginx_conf(
            conf_template("nginx.conf"),
            place,
            host=settings.host,
            port=settings.port,
            upstream=_upstream(settings),
            static_dir=settings.static_dir,
            ping_interval=settings.ping_interval,
            connections_per_address=settings.connections_per_address,
        )
    )
    # What `cluster status` and `cluster verify` need to find the cluster again.
    with os.fdopen(os.open(run_dir / "cluster.json", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(settings.model_dump(mode="json", include=set(Reach._fields)), file)
    (run_dir / "fatal").unlink(missing_ok=True)


def _upstream(settings: Settings) -> list[str]:
    if settings.upstream == "socket":
        return [f"unix:{worker_socket(settings.directory, number)}" for number in range(settings.workers)]
    return [f"127.0.0.1:{port}" for port in worker_ports(settings)]


class Options(ServerOptions):  # type: ignore[misc]
    """supervisord's options. A terminal that is closed ends the tree as Ctrl+C does; by itself it would start anew."""

    def make_logger(self) -> None:
        self.logger = loggers.getLogger(self.loglevel)
        loggers.handle_stdout(self.logger, f"supervisord[{os.getpid()}] - %(asctime)s %(levelname)s %(message)s\n")
        for message in [*self.parse_warnings, *self.parse_infos]:
            self.logger.info(message)

    def get_signal(self) -> int | None:
        signum: int | None = super().get_signal()
        return signal.SIGTERM if signum == signal.SIGHUP else signum


def _supervise(configuration: Path) -> None:
    """Be supervisord until it is told to end; `supervisorctl reload` begins again."""
    first = True
    while True:
        options = Options()
        options.realize(["--configuration", str(configuration), "--nodaemon"], doc=supervisord.__doc__)
        options.first, options.test = first, False
        supervisord.go(options)
        options.close_httpservers()
        options.close_logger()
        if options.mood < SupervisorStates.RESTARTING:
            return
        first = False


def _reopenable_output() -> None:
    """Make sure that supervisord can open its standard output anew for each program: a socket cannot be."""
    try:
        os.close(os.open("/dev/fd/1", os.O_WRONLY | os.O_APPEND))
        # The programs' output is appended to a file: what supervisord writes itself must not overwrite it.
        fcntl.fcntl(1, fcntl.F_SETFL, fcntl.fcntl(1, fcntl.F_GETFL) | os.O_APPEND)
    except OSError:
        relay = subprocess.Popen(["cat"], stdin=subprocess.PIPE, start_new_session=True)
        assert relay.stdin is not None, "a pipe was asked for"
        os.dup2(relay.stdin.fileno(), 1)


def _runs_forwarder(bus: str) -> bool:
    """Whether the forwarder belongs into this tree: not when the bus is elsewhere, in memory, or an engine."""
    if not bus.startswith("zmq+"):
        return False
    found = endpoints(bus)
    return found.directory is not None or any(f"//{host}:" in found.publish for host in LOOPBACK)


def _shown(host: str) -> str:
    return "localhost" if host in ("0.0.0.0", "127.0.0.1", "::") else host
