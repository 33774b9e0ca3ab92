"""Imports point down only (DESIGN.md, 4). A new module is given its layer here."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "cluster"

LAYERS: dict[int, set[str]] = {
    # Pure: values in, values out.
    0: {
        "access",
        "content",
        "envelope",
        "errors",
        "limits",
        "messages",
        "orders",
        "origins",
        "parcel",
        "peers",
        "presence",
        "render",
        "replica",
        "roster",
        "sequencer",
        "tree",
        "session",
        "session.checks",
        "session.codec",
        "session.codes",
        "session.commands",
        "session.outcomes",
        "session.pings",
        "session.protobuf",
        "session.session",
        "session.step",
        "session.subscriptions",
        "settings",
        "stream",
        "tokens",
        "wire",
    },
    # The bus: the contract, its engines, the forwarder.
    1: {
        "bus",
        "bus.base",
        "bus.endpoints",
        "bus.inbox",
        "bus.jetfind",
        "bus.jetstream",
        "bus.logbus",
        "bus.memory",
        "bus.nats",
        "bus.natslink",
        "bus.natsmessage",
        "bus.natstls",
        "bus.outbox",
        "bus.rabbitmq",
        "bus.redis",
        "bus.redisframe",
        "bus.redisscript",
        "bus.session",
        "bus.sockets",
        "bus.sqs",
        "bus.streamqueue",
        "bus.topic",
        "bus.urls",
        "bus.zmq",
        "forwarder",
        "journal",
    },
    # The hub: channels and who receives them.
    2: {"audience", "channel", "declarations", "exchange", "history", "hub", "live", "node", "registry"},
    # The transports: what a client is connected to.
    3: {
        "backend",
        "client",
        "connection",
        "framing",
        "intake",
        "listener",
        "protocol",
        "service",
        "sink",
        "transports",
        "transports.stream",
        "transports.websocket",
        "version",
    },
    # FastAPI, the command line, supervision, the demo application.
    4: {
        "",  # cluster/__init__.py
        "__main__",
        "admin",
        "api",
        "api_models",
        "app",
        "asyncapi",
        "application",
        "calls",
        "clientele",
        "census",
        "cli",
        "control",
        "declaring",
        "directory",
        "endpoints",
        "events",
        "heartbeat",
        "imports",
        "integration",
        "jwks",
        "load",
        "logs",
        "main",
        "ports",
        "process",
        "processes",
        "runner",
        "status",
        "typescript",
        "verify",
        "watchdog",
        "worker",
    },
}

IMPURE = {"asyncio", "random", "secrets", "select", "selectors", "socket", "ssl", "threading", "time", "uuid", "zmq"}
"""What a pure module has no use for: an event loop, a socket, a clock, chance."""

LAYER = {module: layer for layer, modules in LAYERS.items() for module in modules}


def modules() -> dict[str, Path]:
    """The modules of the package by their name within it."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports(source: str, package: list[str]) -> Iterator[tuple[str, int]]:
    """What `source`, a module in `package`, imports and where: absolute names, also those inside functions."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base += node.module.split(".") if node.module else []
            # `from . import a` imports a module of its own; the names of `from .a import b` are told by LAYER.
            yield from ((".".join([*base, alias.name]), node.lineno) for alias in node.names)


def inner(name: str) -> str | None:
    """The module of this package that the absolute `name` lies in; None for another package's."""
    if name != "cluster" and not name.startswith("cluster."):
        return None
    parts = name.split(".")[1:]
    while parts and ".".join(parts) not in MODULES:
        parts.pop()
    return ".".join(parts)


def imports_of(module: str) -> Iterator[tuple[str, int]]:
    path = MODULES[module]
    parts = ["cluster", *path.relative_to(PACKAGE).parent.parts]
    return imports(path.read_text(), parts)


def test_every_module_has_a_layer_and_every_layer_its_modules() -> None:
    assert set(LAYER) == set(MODULES)
    assert sum(map(len, LAYERS.values())) == len(LAYER), "a module in two layers"


@pytest.mark.parametrize("module", sorted(MODULES), ids=lambda module: module or "__init__")
def test_imports_point_down_only(module: str) -> None:
    upward = [
        f"line {line}: {module or '__init__'} (layer {LAYER[module]}) imports {found} (layer {LAYER[found]})"
        for name, line in imports_of(module)
        if (found := inner(name)) is not None and LAYER[found] > LAYER[module]
    ]
    assert upward == []


@pytest.mark.parametrize("module", sorted(LAYERS[0]))
def test_a_pure_module_has_no_clock_socket_loop_or_chance(module: str) -> None:
    impure = [f"line {line}: {name}" for name, line in imports_of(module) if name.split(".")[0] in IMPURE]
    assert impure == []


def test_imports_are_found_wherever_they_stand() -> None:
    source = """
import os.path
from .. import hub
from ..errors import BusError
from .base import Bus
if TYPE_CHECKING:
    from ..integration import Hub
def later():
    import asyncio
    from cluster.app import app
"""
    found = [name for name, _ in imports(source, ["cluster", "bus"])]
    assert sorted(found) == [
        "asyncio",
        "cluster.app.app",
        "cluster.bus.base.Bus",
        "cluster.errors.BusError",
        "cluster.hub",
        "cluster.integration.Hub",
        "os.path",
    ]
    assert [
        inner(name) for name in ("os.path", "cluster.hub.Hub", "cluster.bus.connect", "cluster.Hub", "clusters")
    ] == [
        None,
        "hub",
        "bus",
        "",
        None,
    ]
