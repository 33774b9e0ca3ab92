"""The forwarder: the daemon that numbers, keeps, acknowledges and fans out every publication.

A thin loop around `Sequencer`. Three bound sockets: SUB takes the workers' batches, XPUB fans publications out,
ROUTER acknowledges and answers questions about the past.
"""

from __future__ import annotations

import fcntl
import logging
import secrets
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import IO

import zmq

from .bus.endpoints import Endpoints
from .bus.sockets import arrived
from .errors import ConfigurationError
from .journal import Journal, JournalError, Sync, boot_id
from .sequencer import Entry, Item, Limits, Sequencer
from .stream import History, Publication, beacon
from .wire import (
    Acknowledged,
    Batch,
    HistoryReply,
    HistoryRequest,
    Refused,
    Reply,
    Request,
    WireError,
    channel_of,
    decode_batch,
    decode_request,
    encode,
    encode_fanout,
    history_reply,
)

logger = logging.getLogger(__name__)

TICK = 1.0
"""Seconds between beacons, and between looks for what has become too old."""
POLL = 200
"""Milliseconds after which the loop looks whether it was told to stop."""
DRAIN = 256
"""Messages of one socket handled before the others get a turn."""
MAX_MESSAGE = 64 * 1024 * 1024
REPLY_BYTES = 512 * 1024
"""Bytes of publications in one answer about the past; who asked goes on from the last one."""


class Forwarder:
    """Serves one bus until `stop`. `clock` gives seconds since the epoch of the machine's calendar."""

    def __init__(
        self,
        endpoints: Endpoints,
        limits: Limits,
        *,
        high_water: int,
        journal: Path | None,
        sync: Sync = "off",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._lock = _lock(endpoints.directory)
        self._clock = clock
        self._limits = limits
        self._journal_path = journal
        self._sync = sync
        self._journal: Journal | None = None
        self._sequencer: Sequencer | None = None
        self._refusal = ""
        self._prepare()
        self._context = zmq.Context()
        self._batches = self._bind(zmq.SUB, endpoints.publish, high_water)
        self._batches.subscribe(b"")
        self._fanout = self._bind(zmq.XPUB, endpoints.fanout, high_water)
        # Every new subscription is shown to us, also of a channel that others have: each is answered by a beacon.
        self._fanout.xpub_verbose = True
        self._requests = self._bind(zmq.ROUTER, endpoints.requests, high_water)
        self._stopping = False

    def stop(self) -> None:
        """Make `run` return soon. May be called from a signal handler."""
        self._stopping = True

    def run(self) -> None:
        """Forward until `stop`."""
        poller = zmq.Poller()
        for socket in (self._batches, self._fanout, self._requests):
            poller.register(socket, zmq.POLLIN)
        ticked = self._clock()
        try:
            while not self._stopping:
                ready = dict(poller.poll(POLL))
                if self._fanout in ready:
                    self._take_subscriptions()
                if self._batches in ready:
                    self._take_batches()
                if self._requests in ready:
                    self._take_requests()
                now = self._clock()
                if not 0 <= now - ticked < TICK:
                    self._tick(now, min(max(now - ticked, 0.0), 60.0))
                    ticked = now
        finally:
            self._close()

    def _bind(self, kind: int, address: str, high_water: int) -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes] = self._context.socket(kind)
        socket.linger = 200
        socket.ipv6 = True
        socket.sndhwm = socket.rcvhwm = high_water
        socket.maxmsgsize = MAX_MESSAGE
        socket.heartbeat_ivl = 2_000
        socket.heartbeat_timeout = 10_000
        if kind == zmq.ROUTER:
            socket.router_handover = True
        try:
            socket.bind(address)
        except zmq.ZMQError as error:
            raise ConfigurationError(f"cannot listen on {address}: {error}") from None
        return socket

    def _take_batches(self) -> None:
        """Number what has arrived, keep it, fan it out in one message per channel, and acknowledge it."""
        batches: list[Batch] = []
        for message in arrived(self._batches, DRAIN):
            try:
                batches.append(decode_batch(message))
            except WireError as error:
                logger.warning("dropped a batch: %s", error)
        offsets = iter(self._accept([item for batch in batches for item in batch.items], self._clock()))
        for batch in batches:
            answer = self._answer(batch.number, list(islice(offsets, len(batch.items))))
            self._send(batch.reply_to, answer)

    def _accept(self, items: list[Item], now: float) -> list[int]:
        """Number, keep and fan out; the offset of each item, 0 for one that is not kept."""
        if self._sequencer is None:
            return [0] * len(items)
        offsets, entries = self._sequencer.number(items)
        if entries and not self._journaled(entries, now):
            new = {(entry.channel, entry.offset) for entry in entries}
            return [0 if (item.channel, at) in new else at for item, at in zip(items, offsets, strict=True)]
        by_channel: dict[str, list[Publication]] = {}
        for publication in self._sequencer.keep(entries, now):
            by_channel.setdefault(publication.channel, []).append(publication)
        for publications in by_channel.values():
            self._fanout.send(encode_fanout(publications))
        return offsets

    def _journaled(self, entries: list[Entry], now: float) -> bool:
        """Whether `entries` will survive this process, if anything is meant to."""
        if self._journal is not None:
            try:
                self._journal.append(entries, now)
            except JournalError as error:
                self._refuse(str(error))
                return False
            self._refusal = ""
        return True

    def _answer(self, number: int, offsets: list[int]) -> Reply:
        if self._sequencer is None:
            return Refused(number, self._refusal)
        if 0 in offsets:
            return Refused(number, self._refusal, self._sequencer.epoch, offsets)
        return Acknowledged(number, self._sequencer.epoch, offsets)

    def _take_subscriptions(self) -> None:
        for message in arrived(self._fanout, DRAIN):
            if message[:1] != b"\1":
                continue
            try:
                channel = channel_of(message[1:])
            except WireError as error:
                logger.warning("ignored a subscription: %s", error)
                continue
            if self._sequencer is not None:
                self._fanout.send(encode_fanout([beacon(channel, self._sequencer.top(channel))]))

    def _take_requests(self) -> None:
        for _ in range(DRAIN):
            try:
                asker, *parts = self._requests.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            try:
                request = decode_request(parts[0] if parts else b"")
            except WireError as error:
                logger.warning("dropped a request: %s", error)
                continue
            if self._sequencer is not None:
                self._send(asker, self._reply(request, self._sequencer))

    def _reply(self, request: Request, sequencer: Sequencer) -> Reply:
        now = self._clock()
        if isinstance(request, HistoryRequest):
            return _page(request.number, sequencer.history(request.channel, request.since, request.limit, now))
        entry = sequencer.clearing(request.channel, request.through)
        if entry is not None:
            if not self._journaled([entry], now):
                return Refused(request.number, self._refusal)
            sequencer.clear(entry)
        return Acknowledged(request.number, sequencer.epoch, [])

    def _send(self, asker: bytes, reply: Reply) -> None:
        # As `send_multipart`, which takes longer to look at its arguments than to send them.
        self._requests.send(asker, zmq.SNDMORE)
        self._requests.send(encode(reply))

    def _tick(self, now: float, elapsed: float) -> None:
        if self._sequencer is None:
            self._prepare()
        if self._sequencer is not None:
            for due in self._sequencer.due_beacons(now, elapsed):
                self._fanout.send(encode_fanout([due]))
            self._sequencer.expire(now)

    def _prepare(self) -> None:
        """Open the journal, if there is to be one. Until that succeeds everything is refused."""
        if self._journal_path is None:
            self._sequencer = Sequencer(secrets.token_hex(4), self._limits)
        else:
            try:
                self._journal = Journal(self._journal_path, self._sync, self._limits, boot=boot_id(), now=self._clock())
            except JournalError as error:
                self._refuse(str(error))
                return
            self._sequencer = self._journal.sequencer
        logger.info("forwarding, epoch %s", self._sequencer.epoch)

    def _refuse(self, reason: str) -> None:
        if reason != self._refusal:
            logger.error("refusing publications: %s", reason)
        self._refusal = reason

    def _close(self) -> None:
        if self._journal is not None:
            self._journal.close()
        for socket in (self._batches, self._fanout, self._requests):
            socket.close()
        self._context.term()
        if self._lock is not None:
            self._lock.close()
        logger.info("stopped")


def _page(number: int, history: History) -> HistoryReply:
    """The answer, cut where it would become too large."""
    size = 0
    for count, publication in enumerate(history.publications):
        size += len(publication.data or b"")
        if size > REPLY_BYTES:
            return history_reply(number, history._replace(publications=history.publications[: max(count, 1)]))
    return history_reply(number, history)


def _lock(directory: Path | None) -> IO[str] | None:
    """Hold the directory's sockets: ZeroMQ would let a second forwarder take them over without a word."""
    if directory is None:
        return None
    lock = (directory / "forwarder.lock").open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise ConfigurationError(f"another forwarder is running in {directory}") from None
    return lock
