"""One end of a bus, in a process of its own, printing what it has counted as JSON.

python -m tests.benchmarks.flood flood|send|receive BUS_URL SECONDS
"""

from __future__ import annotations

import asyncio
import sys
import time
from itertools import count

import msgspec
import uvloop
import zmq

from cluster.bus import connect
from cluster.bus.endpoints import endpoints
from cluster.settings import load
from cluster.stream import Retention
from cluster.wire import Acknowledged, decode_fanout, decode_reply, encode, topic

from .scenario import PAYLOAD_BYTES

CHANNEL = "bench"
DATA = b'{"data":"' + b"x" * (PAYLOAD_BYTES - 11) + b'"}'
RETENTION = Retention(1000, 300.0)
BATCH = 512
"""Publications in one batch: as many as a worker's bus puts into one while it is busy."""
WORKERS = 4
PUBLISHERS = 4
SILENCE = 1.0
"""Seconds without a publication after which the receiver counts no more."""


class Counted(msgspec.Struct):
    """Publications, the seconds they took, and the CPU seconds of this process."""

    publications: int
    seconds: float
    cpu: float


def flood(url: str, seconds: float) -> Counted:
    """Send as much as the forwarder takes: as several busy workers would, each with one full batch under way."""
    where = endpoints(url)
    context = zmq.Context()
    fanout: zmq.Socket[bytes] = context.socket(zmq.SUB)
    fanout.rcvhwm = 0
    fanout.connect(where.fanout)
    fanout.subscribe(topic(CHANNEL))
    ids = count()
    workers = [_Worker(context, where.publish, where.requests, number, ids) for number in range(WORKERS)]
    poller = zmq.Poller()
    for socket in (fanout, *(worker.dealer for worker in workers)):
        poller.register(socket, zmq.POLLIN)
    for worker in workers:
        worker.greet()
    began, cpu = time.monotonic(), time.process_time()
    for worker in workers:
        worker.send()
    acknowledged = received = 0
    while time.monotonic() - began < seconds:
        ready = dict(poller.poll(1000))
        for worker in workers:
            if worker.dealer in ready:
                acknowledged += worker.acknowledged()
                worker.send()
        if fanout in ready:
            received += len(decode_fanout(fanout.recv()))
    taken = time.monotonic() - began
    spent = time.process_time() - cpu
    assert received > acknowledged / 2, f"{acknowledged} acknowledged, but only {received} fanned out"
    context.destroy(linger=0)
    return Counted(acknowledged, taken, spent)


class _Worker:
    """The sending half of a worker's bus, reduced to what the forwarder sees of it."""

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], publish: str, requests: str, number: int, ids: count[int]
    ) -> None:
        self._identity = b"worker%02d" % number
        self._ids = ids
        self._number = 0
        self._publish: zmq.Socket[bytes] = context.socket(zmq.PUB)
        self._publish.connect(publish)
        self.dealer: zmq.Socket[bytes] = context.socket(zmq.DEALER)
        self.dealer.routing_id = self._identity
        self.dealer.connect(requests)

    def greet(self) -> None:
        """Send empty batches until one is answered: then the connection stands."""
        while not self.dealer.poll(50):
            self._send(0, [])
        while self.dealer.poll(200):
            self.dealer.recv()

    def send(self) -> None:
        self._number += 1
        self._send(self._number, [(CHANNEL, f"{next(self._ids):x}", DATA, RETENTION) for _ in range(BATCH)])

    def acknowledged(self) -> int:
        reply = decode_reply(self.dealer.recv())
        assert isinstance(reply, Acknowledged), f"the forwarder answered {reply!r}"
        assert reply.number == self._number, "one batch at a time"
        return len(reply.offsets)

    def _send(self, number: int, items: list[tuple[str, str, bytes, Retention]]) -> None:
        # A `Batch` as it is on the wire.
        self._publish.send(encode(("batch", self._identity, number, items)))


async def send(url: str, seconds: float) -> Counted:
    """Publish through a worker's own bus, waiting for every acknowledgement, a few thousand under way."""
    bus = connect(load(bus_url=url))
    await bus.open()
    await bus.publish(CHANNEL, DATA, id="first", retention=RETENTION)
    ids = count()
    began, cpu = time.monotonic(), time.process_time()
    published = 0

    async def publish() -> None:
        nonlocal published
        while time.monotonic() - began < seconds:
            batch = (bus.publish(CHANNEL, DATA, id=f"{next(ids):x}", retention=RETENTION) for _ in range(BATCH))
            published += len(await asyncio.gather(*batch))

    await asyncio.gather(*(publish() for _ in range(PUBLISHERS)))
    counted = Counted(published, time.monotonic() - began, time.process_time() - cpu)
    await bus.close()
    return counted


async def receive(url: str, seconds: float) -> Counted:
    """Take publications from a worker's own bus, as the hub does, until none has come for a while."""
    bus = connect(load(bus_url=url))
    await bus.open()
    await bus.subscribe(CHANNEL)
    print("subscribed", flush=True)
    received = 0
    cpu = time.process_time()

    async def take() -> None:
        nonlocal received
        while True:
            if (await bus.receive()).data is not None:
                received += 1

    taking = asyncio.create_task(take())
    began = time.monotonic()
    before = -1
    while time.monotonic() - began < seconds or before != received:
        before = received
        await asyncio.sleep(SILENCE)
    taking.cancel()
    await asyncio.wait((taking,))
    counted = Counted(received, time.monotonic() - began, time.process_time() - cpu)
    await bus.close()
    return counted


def main(role: str, url: str, seconds: float) -> None:
    if role == "flood":
        counted = flood(url, seconds)
    else:
        counted = uvloop.run(send(url, seconds) if role == "send" else receive(url, seconds))
    print(msgspec.json.encode(counted).decode(), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
