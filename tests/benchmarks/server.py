"""Something that is measured."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from .scenario import Scenario

STAMP = '"ts":'
NUMBER = '"n":'
FIRST_NUMBER = 10_000_000
PAYLOAD = '{"ts":{ts},"n":{n},"data":"' + "x" * 41 + '"}'
"""87 bytes: the stamp has 16 digits (microseconds), the number 8."""


class Unavailable(Exception):
    """It cannot be measured here; says why."""


@dataclass(frozen=True)
class Endpoint:
    """Where a running server takes clients, and how the load client talks to it; `{g}` is a channel's number.

    `processes` are all its processes, by what they do. `frame`: what a client sends to publish; `publish_frame`: what
    a publisher that is no client does, at `publish_path`, where that is different.
    """

    ports: Sequence[int]
    processes: Mapping[str, Sequence[int]]
    path: str = "/ws?channel=c{g}"
    publish_path: str | None = None
    publish_frame: str | None = None
    hello: Sequence[str] = ()
    publish_hello: Sequence[str] = ()
    frame: str = PAYLOAD
    binary: bool = False


class Server(ABC):
    """`name` is short, `title` and `how` are for the reader: what it is and what of it was run.

    `fast`: worth loading with what overwhelms most. `channels`: whether it has more than one. `named`: a target
    compares with it, so once is not enough.
    """

    name: str
    title: str
    how: str
    fast: bool = False
    channels: bool = True
    named: bool = False

    def prepare(self) -> str:
        """Install what it needs and say in which version. Raises `Unavailable`."""
        return ""

    @abstractmethod
    def running(self, scenario: Scenario) -> AbstractContextManager[Endpoint]:
        """Run it for the length of a block. Raises `AssertionError` if it does not start."""

    def takes(self, scenario: Scenario) -> bool:
        """Whether it is measured in this scenario."""
        return (self.fast or scenario.everyone) and (self.channels or scenario.channels == 1)
