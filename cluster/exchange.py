"""Cluster-wide presence: what this worker tells the others of its clients, and what it knows of theirs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from math import inf
from typing import Protocol, TypeVar

from .errors import BusError, BusUnavailable
from .node import Node
from .peers import Alive, Message, encode
from .presence import Ask, Changed, Entered, Event, Left, Presence, Whole
from .session.commands import ClientInfo

logger = logging.getLogger(__name__)

T = TypeVar("T", Entered, Entered | Left)

PATIENCE = 4.5
"""Seconds within which a client gets its answer: a little less than clients wait for one."""
CHUNK_BYTES = 32 * 1024
"""Bytes of clients told in one message."""
MANY = 10_000
"""Changes waiting to be told; when there are more, the whole is told instead."""
WHOLE_PAUSE = 0.1
"""Seconds between two times that the whole is told: who asks meanwhile shares an answer."""
ASK_PAUSE = 0.02
"""Seconds from learning that this worker is behind to asking: it may be behind several others."""
RETRY = 0.5
"""Seconds until something is told again that the bus has not accepted."""


class Watcher(Protocol):
    """Who wants to know of joins and leaves in a channel. Both methods must return at once."""

    def joined(self, channel: str, info: ClientInfo) -> None: ...

    def left(self, channel: str, info: ClientInfo) -> None: ...


class Exchange:
    """Presence in all channels. An observer of its node.

    What a worker was told by `enter` every `read` on any worker shows from then on. Changes that fall due together
    travel together; one message is under way at a time, so that they arrive in their order.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._presence = Presence()
        self._watchers: dict[str, dict[Watcher, None]] = {}
        self._readers: list[asyncio.Future[None]] = []
        self._own: dict[tuple[str, str], Entered] = {}
        self._version = 0
        self._next: _Batch | None = None
        self._telling: _Batch | None = None
        self._due = asyncio.Event()
        self._whole_at = inf
        self._whole_not_before = 0.0
        self._ask_at = inf
        self._ask_all = True
        self._asked: set[str] = set()
        node.observers.append(self)

    async def run(self) -> None:
        """Tell and ask the others what is due, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            now = loop.time()
            if self._ask_at <= now:
                await self._ask()
            elif self._whole_at <= now:
                await self._tell_whole()
            elif self._next is not None:
                await self._tell_changes(self._next)
            else:
                at = min(self._ask_at, self._whole_at)
                self._due.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(None if at == inf else at):
                        await self._due.wait()

    async def enter(self, channel: str, info: ClientInfo) -> None:
        """A client of this worker is in `channel`: from its return on every `read` shows it.

        Raises `BusUnavailable`, and `ValueError` for what is no text; then, and when it is cancelled, the client is not
        in the channel.
        """
        entered = Entered(channel, info.client, info.user, bytes(info.conn_info), bytes(info.chan_info))
        encode(entered)  # what cannot be told must not be found out when it is told with others
        self._own[channel, info.client] = entered
        self._change(entered)
        try:
            await self.told()
        except BaseException:
            self.leave(channel, info.client)
            raise

    def leave(self, channel: str, client: str) -> None:
        """A client of this worker is in `channel` no more; nothing happens when it was not. `told` waits for it."""
        if self._own.pop((channel, client), None) is not None:
            self._change(Left(channel, client))

    async def told(self) -> None:
        """Wait until every change so far is with the bus: every later `read` shows it. Raises `BusUnavailable`."""
        batch = self._next or self._telling
        if batch is not None:
            await _patiently(asyncio.shield(batch.accepted), "the bus has not accepted a change of presence")

    async def read(self, channel: str) -> dict[str, ClientInfo]:
        """Who is in `channel`, by client id. Raises `BusError`, as a rule for a moment only."""
        await _patiently(self._catch_up(), "not every worker has told its clients")
        return self._presence.clients(channel)

    def watch(self, channel: str, watcher: Watcher) -> None:
        """Tell `watcher` of joins and leaves in `channel`, its own included."""
        self._watchers.setdefault(channel, {})[watcher] = None

    def unwatch(self, channel: str, watcher: Watcher) -> None:
        """Tell it no more; nothing happens when it was not told."""
        watchers = self._watchers.get(channel, {})
        watchers.pop(watcher, None)
        if not watchers:
            self._watchers.pop(channel, None)

    def heard(self, message: Message) -> None:
        match message:
            case Changed() | Whole():
                self._report(self._presence.take(message))
                if self._presence.knows(message.node):
                    self._asked.discard(message.node)
            case Alive():
                self._presence.expect(message.node, message.presence)
                if message.node == self._node.id:
                    # Who has not answered since the last time may not have heard the question.
                    self._asked.clear()
                    if self._ask_all:
                        self._ask_soon(0)
            case Ask() if not message.nodes or self._node.id in message.nodes:
                self._whole_at = min(self._whole_at, self._whole_not_before)
                self._due.set()
        self._look()

    def gone(self, node: str) -> None:
        self._report(self._presence.drop(node))
        self._look()

    def lost(self) -> None:
        self._presence.doubt()
        self._asked.clear()
        self._look()

    def _change(self, change: Entered | Left) -> None:
        if self._next is None:
            self._next = _Batch()
        self._next.changes.append(change)
        if len(self._next.changes) > MANY:
            self._next.changes.clear()
            self._whole_at = 0.0
        self._due.set()

    async def _tell_changes(self, batch: _Batch) -> None:
        self._next, self._telling = None, batch
        for chunk in _chunks(batch.changes):
            self._version += 1
            await self._say(Changed(self._node.id, self._version, chunk))
        self._told(batch)

    async def _tell_whole(self) -> None:
        """Tell all clients; what has changed and is not told yet is told with it."""
        batch, self._next = self._next or _Batch(), None
        self._telling = batch
        self._whole_at = inf
        self._version += 1
        chunks = _chunks(list(self._own.values()))
        for part, chunk in enumerate(chunks):
            await self._say(Whole(self._node.id, self._version, part, len(chunks), chunk))
        self._whole_not_before = asyncio.get_running_loop().time() + WHOLE_PAUSE
        self._told(batch)

    def _told(self, batch: _Batch) -> None:
        self._node.presence = self._version
        self._telling = None
        batch.accepted.set_result(None)

    async def _ask(self) -> None:
        nodes = [] if self._ask_all else self._unasked()
        self._asked.update(self._presence.behind)
        self._ask_at = inf
        self._ask_all = False
        await self._say(Ask(nodes))

    async def _say(self, message: Changed | Whole | Ask) -> None:
        """Say it until the bus has accepted it."""
        id = self._node.next_id()
        while True:
            try:
                await self._node.say(message, id)
                return
            except BusError as error:
                logger.warning("presence is not told yet: %s", error)
            await asyncio.sleep(RETRY)

    def _look(self) -> None:
        """Something was heard: see whether someone has to be asked, and let readers look again."""
        if self._ask_at == inf and self._unasked():
            self._ask_soon(ASK_PAUSE)
        readers, self._readers = self._readers, []
        for reader in readers:
            if not reader.done():
                reader.set_result(None)

    def _unasked(self) -> list[str]:
        return [node for node in self._presence.behind if node not in self._asked]

    def _ask_soon(self, pause: float) -> None:
        self._ask_at = asyncio.get_running_loop().time() + pause
        self._due.set()

    async def _catch_up(self) -> None:
        await self._node.fence()
        peers = self._node.peers
        while not (peers.settled and all(map(self._presence.knows, peers.nodes))):
            reader: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._readers.append(reader)
            await reader

    def _report(self, events: Sequence[Event]) -> None:
        for joined, channel, info in events:
            for watcher in list(self._watchers.get(channel, ())):
                try:
                    (watcher.joined if joined else watcher.left)(channel, info)
                except Exception:
                    logger.exception("a client could not be told who came or went")


class _Batch:
    """Changes that are told together."""

    def __init__(self) -> None:
        self.changes: list[Entered | Left] = []
        self.accepted: asyncio.Future[None] = asyncio.get_running_loop().create_future()


def _chunks(told: Sequence[T]) -> list[list[T]]:
    """`told` in messages of bounded size; one at least."""
    chunks: list[list[T]] = [[]]
    size = 0
    for one in told:
        size += one.size
        if size > CHUNK_BYTES and chunks[-1]:
            chunks.append([])
            size = one.size
        chunks[-1].append(one)
    return chunks


async def _patiently(work: Awaitable[None], trouble: str) -> None:
    try:
        async with asyncio.timeout(PATIENCE):
            await work
    except TimeoutError:
        raise BusUnavailable(f"{trouble} within {PATIENCE:g} s") from None
