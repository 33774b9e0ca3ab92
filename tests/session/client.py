"""A client of a session, that speaks JSON and remembers what it was told."""

from __future__ import annotations

import json
from typing import Any

from msgspec import Raw

from cluster.session.checks import SessionLimits
from cluster.session.codec import JSON
from cluster.session.commands import Disconnect
from cluster.session.outcomes import Connected, Outcome, Subscribed
from cluster.session.session import Session
from cluster.session.step import Step
from cluster.stream import Position

ID = "a-client"


def raw(value: Any) -> Raw:
    return Raw(json.dumps(value, separators=(",", ":")).encode())


class Client:
    """Every method returns the step; `told` takes what came since it was last asked, as JSON objects."""

    def __init__(self, limits: SessionLimits | None = None, *, session_id: str = "", node: str = "") -> None:
        self.limits = limits or SessionLimits()
        self.now = 100.0
        self.session = Session(ID, JSON, self.limits, self.now, session_id=session_id, node=node, jitter=0.5)
        self._told: list[Any] = []
        self.left: list[str] = []
        self.closed: Disconnect | None = None
        self.last_id = 0

    def says(self, *commands: dict[str, Any] | str) -> Step:
        """Commands in one frame; those that are dictionaries get an id unless they have one."""
        lines = []
        for command in commands:
            if isinstance(command, dict) and command and "id" not in command and "send" not in command:
                self.last_id += 1
                command = {"id": self.last_id} | command
            lines.append(command if isinstance(command, str) else json.dumps(command))
        return self.took(self.session.receive("\n".join(lines).encode(), self.now))

    def is_answered(self, outcome: Outcome) -> Step:
        return self.took(self.session.finish(outcome, self.now))

    def waits(self, seconds: float) -> Step:
        self.now += seconds
        return self.took(self.session.tick(self.now))

    def took(self, step: Step) -> Step:
        self._told += [json.loads(reply) for reply in step.replies]
        self.left += step.left
        self.closed = step.close or self.closed
        return step

    def told(self) -> list[Any]:
        told, self._told = self._told, []
        return told


def connected(outcome: Connected | None = None, limits: SessionLimits | None = None, **more: str) -> Client:
    """A client that has been connected, and has read so."""
    client = Client(limits, **more)
    client.says({"connect": {}})
    client.is_answered(outcome or Connected(user="ann", info=raw({"name": "Ann"})))
    client.told()
    return client


PLACE = Subscribed(position=Position("epoch", 7), positioned=True, recoverable=True)
"""A subscription to a channel with history."""


def subscribed(granted: Subscribed = PLACE, channel: str = "news", **more: Any) -> Client:
    client = connected(**more)
    client.says({"subscribe": {"channel": channel}})
    client.is_answered(granted)
    client.told()
    return client
