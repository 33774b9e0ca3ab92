"""Memory per idle connection: many connect to one worker, stay, and receive one broadcast."""

from __future__ import annotations

import resource

from .load import run
from .ours import cluster
from .results import Idle
from .server import FIRST_NUMBER, PAYLOAD, STAMP

CLIENTS = 10_000
SPARE = 500
"""Descriptors that the load client and the worker need besides."""


def measure_idle(clients: int = CLIENTS, seconds: float = 5.0) -> Idle:
    """Connect `clients`, fewer if the limit of open files wants it, leave them idle for `seconds`, then publish once.

    Raises `LoadError`.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        clients = min(clients, hard - SPARE)
    with cluster(1) as running:
        (worker,) = running.worker_pids()
        arguments = ["--port", str(running.port + 1), "--path", "/ws?channel=c0", "--publish-path", "/pub?channel=c0"]
        arguments += ["--clients", str(clients), "--batch", "200", "--settle", f"{seconds:g}"]
        arguments += ["--server-pids", str(worker), "--count-substr", STAMP, "--ts-key", STAMP, "--ts-every", "1"]
        # One publication, at once; the next would be due long after the end.
        arguments += ["--publish-rate", "0.01", "--publish-frame", PAYLOAD, "--number-from", str(FIRST_NUMBER)]
        arguments += ["--warmup", "0", "--seconds", "3", "--drain", "0", "--drain-max", "10"]
        found = run(arguments)
    return Idle(
        asked=clients,
        connected=found["clients"],
        received=found["delivered_total"],
        seconds_idle=seconds,
        connect_seconds=found["connect_s"],
        broadcast_ms=found.get("max_us", 0) / 1000,
        kb_per_connection=found["rss_kb_per_client"],
    )
