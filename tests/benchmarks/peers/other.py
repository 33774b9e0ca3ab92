"""The peers in C and Go."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from string import Template

from tests.cluster.harness import free_ports

from ..install import PEERS, Debian, version_of, virtual_environment
from ..install import program as program_on_path
from ..process import program, run_directory
from ..scenario import PAYLOAD_BYTES, Scenario
from ..server import PAYLOAD, Endpoint, Server, Unavailable

NGINX = ("usr/sbin/nginx", "nginx")
NCHAN = ("usr/lib/nginx/modules/ngx_nchan_module.so", "nginx", "libnginx-mod-nchan")
NATS_CONNECT = 'CONNECT {"verbose":false,"pedantic":false,"lang":"bench","version":"1","protocol":1,"echo":true}\r\n'


class Nchan(Server):
    name = "nchan"
    title = "Nchan"
    how = "Debian's nginx, 2 worker processes, memory store"
    fast = True
    named = True

    def prepare(self) -> str:
        debian = Debian()
        nginx = debian.file(*NGINX)
        debian.file(*NCHAN)
        _with_var()
        return f"Debian's libnginx-mod-nchan, {version_of(str(nginx), '-v').rpartition(' ')[2]}"

    @contextmanager
    def running(self, scenario: Scenario) -> Iterator[Endpoint]:
        port = free_ports(1)
        debian = Debian()
        user = "user root;" if os.getuid() == 0 else ""
        with run_directory() as directory:
            configuration = configured(
                "nchan.conf", directory, module=debian.file(*NCHAN), directory=directory, port=port, user=user
            )
            argv = [*_with_var(), str(debian.file(*NGINX))]
            argv += ["-p", str(directory), "-c", str(configuration), "-e", "stderr"]
            with program(argv, log=directory / "log", port=port, processes=2) as server:
                pids = {"server": server.pids()}
                yield Endpoint([port], pids, publish_path="/pub?channel=c{g}")


class Nats(Server):
    name = "nats"
    title = "NATS, its WebSocket listener"
    how = "nats-server, 1 process (of several threads), core NATS"
    fast = True

    def prepare(self) -> str:
        return version_of(str(self._program()), "--version")

    @contextmanager
    def running(self, scenario: Scenario) -> Iterator[Endpoint]:
        port = free_ports(2)
        with run_directory() as directory:
            configuration = configured("nats.conf", directory, port=port, other=port + 1)
            argv = [str(self._program()), "-c", str(configuration)]
            with program(argv, log=directory / "log", port=port) as server:
                yield Endpoint(
                    [port],
                    {"server": server.pids()},
                    "/",
                    hello=(f"{NATS_CONNECT}SUB c{{g}} 1\r\n",),
                    publish_hello=(NATS_CONNECT,),
                    frame=f"PUB c{{g}} {PAYLOAD_BYTES}\r\n{PAYLOAD}\r\n",
                    binary=True,
                )

    def _program(self) -> Path:
        return virtual_environment("nats") / "bin" / "nats-server"


def _with_var() -> list[str]:
    """What to begin a command with so that there is a /var/lib/nginx: Nchan wants it, whatever is configured."""
    if Path("/var/lib/nginx").exists():
        return []
    if os.getuid() != 0:
        raise Unavailable("there is no /var/lib/nginx: install Debian's nginx, or run this as root")
    # Only this process sees it.
    script = 'mount -t tmpfs none /var/lib && mkdir /var/lib/nginx && exec "$0" "$@"'
    return [program_on_path("unshare"), "--mount", "sh", "-c", script]


def configured(name: str, place: Path, /, **values: object) -> Path:
    """The configuration `apps/NAME`, filled in, in `place`."""
    made = place / name
    made.write_text(Template((PEERS / "apps" / name).read_text()).substitute(values))
    return made
