"""`memory://NAME`: the bus of a single process, for a debugger and for tests.

Buses of one name in one process reach one another. Nothing survives the process.
"""

from __future__ import annotations

import secrets
import time
from weakref import WeakSet, WeakValueDictionary

from ..errors import BusUnavailable, PublishError
from ..sequencer import Limits, Sequencer
from ..stream import History, Position, Publication, Retention, beacon
from .base import Bus, Capabilities
from .inbox import Inbox


class Broker:
    """What the buses of one name share."""

    def __init__(self, limits: Limits) -> None:
        self.sequencer = Sequencer(secrets.token_hex(4), limits)
        self.buses: WeakSet[MemoryBus] = WeakSet()


_brokers: WeakValueDictionary[str, Broker] = WeakValueDictionary()


class MemoryBus(Bus):
    capabilities = Capabilities(ordered=True, recoverable=True, durable=False, deduplicating=True)

    def __init__(self, name: str, limits: Limits | None = None) -> None:
        broker = _brokers.get(name)
        if broker is None:
            broker = _brokers[name] = Broker(limits or Limits())
        self._broker = broker
        self._channels: set[str] = set()
        self._inbox = Inbox()
        self._open = False

    @property
    def reachable(self) -> bool:
        return self._open

    async def open(self) -> None:
        self._open = True
        self._broker.buses.add(self)

    async def close(self) -> None:
        self._open = False
        self._broker.buses.discard(self)

    async def publish(self, channel: str, data: bytes, *, id: str, retention: Retention) -> Position:
        if not self._open:
            raise PublishError("the bus is closed", id=id)
        position, publication = self._broker.sequencer.accept(channel, data, id, retention, time.monotonic())
        if publication is not None:
            for bus in self._broker.buses:
                bus._receive(publication)
        return position

    async def subscribe(self, channel: str) -> Position:
        self._check_open()
        self._channels.add(channel)
        top = self._broker.sequencer.top(channel)
        self._inbox.put([beacon(channel, top)])
        return top

    async def unsubscribe(self, channel: str) -> None:
        self._channels.discard(channel)

    async def history(self, channel: str, since: Position | None, limit: int) -> History:
        self._check_open()
        return self._broker.sequencer.history(channel, since, limit, time.monotonic())

    async def clear(self, channel: str) -> None:
        self._check_open()
        sequencer = self._broker.sequencer
        entry = sequencer.clearing(channel, sequencer.top(channel))
        if entry is not None:
            sequencer.clear(entry)

    async def receive(self) -> Publication:
        return await self._inbox.take()

    def _check_open(self) -> None:
        if not self._open:
            raise BusUnavailable("the bus is closed")

    def _receive(self, publication: Publication) -> None:
        if publication.channel in self._channels:
            self._inbox.put([publication])
