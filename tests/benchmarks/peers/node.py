"""The peers for Node."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from tests.cluster.harness import free_ports

from ..install import PEERS, node_modules, version_of
from ..install import program as installed
from ..process import program, run_directory
from ..scenario import Scenario
from ..server import PAYLOAD, Endpoint, Server
from .python import SOCKETIO_CONNECT, SOCKETIO_EVENT, SOCKETIO_PATH


class Node(Server):
    """`script` lies below apps/; each of its `workers` says when it listens."""

    package: str
    script: str
    workers = 1
    path = "/"
    hello: tuple[str, ...] = ()
    frame = PAYLOAD

    def prepare(self) -> str:
        manifest = msgspec.json.decode((node_modules() / self.package / "package.json").read_bytes())
        return f"{self.package} {manifest['version']}, node {version_of(installed('node'), '--version')}"

    @contextmanager
    def running(self, scenario: Scenario) -> Iterator[Endpoint]:
        port = free_ports(1)
        environment = {"NODE_PATH": str(node_modules()), "PORT": str(port)}
        argv = [installed("node"), str(PEERS / "apps" / self.script)]
        with (
            run_directory() as directory,
            program(argv, log=directory / "log", port=port, environment=environment) as server,
        ):
            server.wait_for_output("listening", self.workers)
            processes = {"server": server.pids()}
            yield Endpoint([port], processes, self.path, hello=self.hello, publish_hello=self.hello, frame=self.frame)


class Ws(Node):
    name = "ws"
    title = "ws"
    how = "node, 1 process: its broadcast example"
    package = "ws"
    script = "ws.js"
    fast = True
    named = True
    channels = False


class Socketio(Node):
    name = "socketio-node"
    title = "Socket.IO for Node"
    how = "node, 2 workers joined by the cluster adapter"
    package = "socket.io"
    script = "socketio.js"
    workers = 2
    path = SOCKETIO_PATH
    hello = (SOCKETIO_CONNECT,)
    frame = SOCKETIO_EVENT
