"""The workers of a cluster, as each worker knows them from their reports. Pure."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from .tree import ProcessEvent, ProcessReport

MISSED_REPORTS = 3.5
"""Report intervals without a report after which a worker counts as gone."""


class WorkerReport(BaseModel):
    """What a worker says of itself with each sign of life."""

    model_config = ConfigDict(extra="ignore", json_schema_serialization_defaults_required=True)

    host: str
    pid: int
    port: int | None = Field(description="TCP port it listens on; null when it is not known.")
    uptime: float = Field(description="Seconds since it started.")
    ready: bool = Field(description="Whether it reaches the bus and is not stopping.")
    connections: int = Field(description="WebSockets attached.")
    channels: int = Field(description="Channels it receives.")
    published: int = Field(description="Publications it published since it started.")
    received: int = Field(description="Publications it received from the bus.")
    delivered: int = Field(description="Publications times clients they were handed to.")
    cpu_percent: float = Field(description="Share of one core since its last report.")
    rss_bytes: int = Field(description="Resident memory.")
    interval: float = Field(description="Seconds until its next report.")


class ClusterReport(BaseModel):
    """The workers known, which of them answers, and the supervised processes of its host."""

    answered_by: int = Field(description="PID of the worker that answers.")
    host: str = Field(description="Its host.")
    contiguous: bool = Field(description="Whether a channel's offsets have no holes, so that a hole is a loss.")
    workers: list[WorkerReport]
    processes: list[ProcessReport] = Field(description="Empty without a supervisor, and so are the events.")
    events: list[ProcessEvent] = Field(description="The last ones, oldest first.")


class Roster:
    """Reports by worker; who has not reported for a while is left out."""

    def __init__(self) -> None:
        self._reports: dict[str, tuple[float, WorkerReport]] = {}

    def take(self, node: str, report: WorkerReport, now: float) -> None:
        """Remember the newest report of worker `node`, received at `now` (seconds)."""
        self._reports[node] = (now, report)

    def forget(self, node: str) -> None:
        """This worker is no more."""
        self._reports.pop(node, None)

    def workers(self, now: float) -> list[WorkerReport]:
        """The workers there are at `now`, by host and port."""
        gone = [node for node, (at, report) in self._reports.items() if now - at > report.interval * MISSED_REPORTS]
        for node in gone:
            del self._reports[node]
        reports = [report for _, report in self._reports.values()]
        return sorted(reports, key=lambda report: (report.host, report.port or 0, report.pid))
