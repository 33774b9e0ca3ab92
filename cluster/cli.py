"""The `cluster` command."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from .errors import ClusterError
from .settings import Settings, load


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; exits with its status, 2 for unusable arguments, 1 for an error that was told."""
    parsed = _parser().parse_args(arguments)
    given = {name: value for name, value in vars(parsed).items() if name in Settings.model_fields}
    try:
        sys.exit(COMMANDS[parsed.command](load(**given), parsed))
    except ClusterError as error:
        sys.exit(f"cluster {parsed.command}: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


def up(settings: Settings, parsed: argparse.Namespace) -> int:
    from . import runner

    return runner.up(settings)


def status(settings: Settings, parsed: argparse.Namespace) -> int:
    from .control import is_ready, programs, reach

    found = programs(settings.directory)
    first = reach(settings.directory).worker_port
    well = True
    width = max(len(program.name) for program in found)
    for program in found:
        state = program.state
        if state == "RUNNING" and program.worker is not None and not is_ready(first + program.worker):
            state = "NOT READY"
        well = well and state == "RUNNING"
        print(f"{program.name:<{width}}  {state:<9} {program.description}")
    return 0 if well else 1


def stop(settings: Settings, parsed: argparse.Namespace) -> int:
    from . import control

    control.stop(settings.directory, settings.shutdown_grace + 30)
    return 0


def verify(settings: Settings, parsed: argparse.Namespace) -> int:
    from .control import reach
    from .verify import verify

    matrix = asyncio.run(verify(reach(settings.directory), parsed.others))
    print(matrix)
    print("every client of every worker received every message once" if matrix.whole else "there are holes")
    return 0 if matrix.whole else 1


def forwarder(settings: Settings, parsed: argparse.Namespace) -> int:
    from .bus import limits
    from .bus.endpoints import endpoints
    from .directory import prepare_directory
    from .forwarder import Forwarder
    from .logs import configure
    from .process import die_with_parent

    configure("forwarder", settings.api_log_level)
    found = endpoints(settings.bus)
    directory = prepare_directory(found.directory or settings.directory)
    if parsed.with_parent:
        die_with_parent(settings.directory)
    daemon = Forwarder(
        found,
        limits(settings),
        high_water=settings.bus_high_water,
        journal=directory / settings.forwarder_journal if settings.forwarder_journal else None,
        sync=settings.forwarder_sync,
    )
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: daemon.stop())
    daemon.run()
    return 0


def worker(settings: Settings, parsed: argparse.Namespace) -> int:
    from .logs import configure
    from .ports import worker_ports, worker_socket
    from .process import die_with_parent
    from .worker import serve

    die_with_parent(settings.directory)
    configure(f"api-{parsed.number}", settings.api_log_level)
    path = worker_socket(settings.directory, parsed.number) if settings.upstream == "socket" else None
    serve(settings, settings.app, worker_ports(settings)[parsed.number], path)
    return 0


def nginx(settings: Settings, parsed: argparse.Namespace) -> int:
    from .process import run_nginx

    run_nginx(settings.directory)


def watchdog(settings: Settings, parsed: argparse.Namespace) -> int:
    from .watchdog import watch

    watch(settings.directory)
    return 0


def types(settings: Settings, parsed: argparse.Namespace) -> int:
    from .typescript import generate, watch, write

    if parsed.watch:
        return watch(parsed.names, parsed.out)
    text = generate(parsed.names, parsed.out)
    if parsed.check:
        current = parsed.out.is_file() and parsed.out.read_text() == text
        print(
            f"{parsed.out} is {'as its models are' if current else 'out of date: run `cluster types` without --check'}"
        )
        return 0 if current else 1
    print(f"{parsed.out} {'written' if write(text, parsed.out) else 'is as its models are'}")
    return 0


def asyncapi(settings: Settings, parsed: argparse.Namespace) -> int:
    from .asyncapi import asyncapi
    from .imports import load_hub

    print(json.dumps(asyncapi(load_hub(parsed.hub).declared, title=parsed.title, version="1"), indent=2))
    return 0


COMMANDS = {
    command.__name__: command
    for command in (up, status, stop, verify, types, asyncapi, forwarder, worker, nginx, watchdog)
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cluster", description="One message reaches every WebSocket client of every worker process."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    place = argparse.ArgumentParser(add_help=False)
    place.add_argument("--port", help="public port of the cluster (PORT)")
    place.add_argument("--run-dir", type=Path, help="its directory of sockets and configuration (RUN_DIR)")

    start = commands.add_parser("up", parents=[place], help="run a cluster in the foreground")
    start.add_argument("app", nargs="?", help="the application as module:attribute (APP); default: the demo")
    start.add_argument("--workers", help="worker processes (WORKERS)")
    start.add_argument("--host", help="address to listen on (HOST)")
    start.add_argument("--bus", dest="bus_url", help="what carries publications between workers (BUS_URL)")
    start.add_argument(
        "--direct", action="store_true", default=None, help="clients may use the workers' ports (DIRECT)"
    )
    commands.add_parser("status", parents=[place], help="show the processes of a running cluster")
    commands.add_parser("stop", parents=[place], help="end a running cluster")
    proof = commands.add_parser("verify", parents=[place], help="prove that each worker's messages reach every worker")
    proof.add_argument(
        "others",
        nargs="*",
        metavar="URL",
        help="http://HOST:PORT of other clusters on the same bus, with this ADMIN_TOKEN",
    )
    typescript = commands.add_parser("types", help="write the TypeScript of Pydantic models and channels")
    typescript.add_argument(
        "names", nargs="+", metavar="NAME", help="a module with models, or module:attribute of a hub"
    )
    typescript.add_argument("--out", type=Path, required=True, help="the file to write")
    how = typescript.add_mutually_exclusive_group()
    how.add_argument("--check", action="store_true", help="write nothing; exit with 1 if it would change the file")
    how.add_argument("--watch", action="store_true", help="write it again whenever a Python file changes")
    document = commands.add_parser("asyncapi", help="print an AsyncAPI document of a hub's channels")
    document.add_argument("hub", metavar="HUB", help="as module:attribute")
    document.add_argument("--title", default="WebSocket API", help="of the document")
    alone = commands.add_parser(
        "forwarder", parents=[place], help="run only the forwarder, for workers started otherwise"
    )
    alone.add_argument("--bus", dest="bus_url", help="where it listens (BUS_URL)")
    alone.add_argument("--with-parent", action="store_true", help=argparse.SUPPRESS)

    # The other programs of the tree: supervisord starts them.
    commands.add_parser("worker").add_argument("number", type=int)
    commands.add_parser("nginx")
    commands.add_parser("watchdog")
    return parser
