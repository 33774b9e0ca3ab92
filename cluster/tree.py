"""The supervised processes of one host and what happened to them, as `/api/cluster` tells it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

KEPT = 500
"""Events remembered."""

EventKind = Literal["started", "respawned", "died", "failed", "draining", "stopped"]


class ProcessReport(BaseModel):
    """One process under supervisord, with its children: nginx works in some."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    name: str
    state: str = Field(description="supervisord's word for it: RUNNING, STARTING, BACKOFF, STOPPED, FATAL, …")
    pid: int | None = Field(description="null while there is no process.")
    uptime: float = Field(description="Seconds since it started.")
    cpu_percent: float = Field(description="Share of one core since it was last looked at.")
    rss_bytes: int = Field(description="Resident memory.")


class ProcessEvent(BaseModel):
    """A change of a supervised process.

    `respawned`: running again after it died. `failed`: it could not be started. `draining`: told to stop, it sends its
    clients away first.
    """

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    id: int = Field(description="Counts up.")
    time: int = Field(description="Milliseconds since 1970.")
    process: str
    kind: EventKind
    pid: int | None


class Chronicle:
    """Turns what supervisord tells into events, and keeps the last of them."""

    def __init__(self, lines: Iterable[str] = ()) -> None:
        """`lines` are those of an earlier chronicle; unreadable ones are left out."""
        self.events: list[ProcessEvent] = []
        for line in lines:
            try:
                self.events.append(ProcessEvent.model_validate_json(line))
            except ValidationError:
                continue
        self._dead: set[str] = set()

    def take(self, state: str, headers: Mapping[str, str], now: float) -> ProcessEvent | None:
        """The event that `PROCESS_STATE_` + `state` with these headers is, at `now` (seconds since 1970)."""
        process = headers["processname"]
        kind = self._kind(state, process, expected=headers.get("expected") == "1")
        if kind is None:
            return None
        pid = int(headers.get("pid", 0)) or None
        last = self.events[-1].id if self.events else 0
        event = ProcessEvent(id=last + 1, time=int(now * 1000), process=process, kind=kind, pid=pid)
        self.events = [*self.events[1 - KEPT :], event]
        return event

    def _kind(self, state: str, process: str, *, expected: bool) -> EventKind | None:
        if state == "RUNNING":
            was_dead = process in self._dead
            self._dead.discard(process)
            return "respawned" if was_dead else "started"
        if state == "EXITED":
            self._dead.add(process)
            # Programs of this tree say with the exit statuses supervisord expects that they cannot start.
            return "failed" if expected else "died"
        return _KINDS.get(state)


_KINDS: dict[str, EventKind] = {
    "STOPPING": "draining",
    "STOPPED": "stopped",
    "BACKOFF": "failed",
    "FATAL": "failed",
}
