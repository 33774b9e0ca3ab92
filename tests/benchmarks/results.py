"""Everything one run has found, as it is kept in results.json."""

from __future__ import annotations

from pathlib import Path

import msgspec

from .load import Measurement
from .profile import Profile


class Stages(msgspec.Struct, frozen=True):
    """Publications through the forwarder on one core.

    `rate`: publications per second it acknowledges, journals and fans out when as much as it takes is sent. The
    others are CPU µs per publication: `worker_send` from `publish` to the acknowledgement, `forwarder` without
    and `journal` what its journal adds, `worker_receive` until the hub has it. `real_rate`: publications per
    second with a real worker at either end.
    """

    rate: float
    real_rate: float
    worker_send: float
    forwarder: float
    journal: float
    worker_receive: float


class Idle(msgspec.Struct, frozen=True):
    """Idle connections on one worker: how many connected, received the broadcast, and kB of its memory for each."""

    asked: int
    connected: int
    received: int
    seconds_idle: float
    connect_seconds: float
    broadcast_ms: float
    kb_per_connection: float


class Results(msgspec.Struct):
    """`servers`: name to title, what was run and its version. `missing`: what could not be measured, and why."""

    at: str
    machine: dict[str, str]
    revision: str
    quick: bool
    load_before: float
    servers: dict[str, dict[str, str]] = {}
    missing: dict[str, str] = {}
    measurements: list[Measurement] = []
    stages: Stages | None = None
    profiles: list[Profile] = []
    idle: Idle | None = None

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n")


def load(path: Path) -> Results:
    """What `Results.save` has written."""
    return msgspec.json.decode(path.read_bytes(), type=Results)
