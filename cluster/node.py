"""This worker among the others: its id, its inbox, what it does for them and asks of them."""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from .audience import Subscriber
from .errors import BusError, PublishRefused
from .hub import Hub
from .peers import (
    Alive,
    Answer,
    Cleared,
    DisconnectClients,
    Emulated,
    Leaving,
    Message,
    MessageClients,
    Order,
    Peers,
    SubscribeClients,
    Survey,
    UnsubscribeClients,
    decode,
    encode,
)
from .presence import Changed, Whole
from .registry import Clients, ConnectedClient
from .session.codes import CLOSE_INSUFFICIENT_STATE, UNSUBSCRIBED
from .session.commands import Disconnect
from .stream import Position, Publication, Retention

logger = logging.getLogger(__name__)

CHANNEL = "/cluster/nodes"
"""What all workers hear."""
INBOX = "/cluster/node/"
"""What only the worker with the id that follows hears."""
KEPT = Retention(256, 60.0)
"""Kept so that a short absence leaves no gap."""
PATIENCE = 2.0
"""Seconds the others have to answer a survey."""
PART_BYTES = 64 * 1024
"""Bytes of an answer sent at a time."""


class Observer(Protocol):
    """Who follows what the workers say. Every method must return at once."""

    def heard(self, message: Message) -> None:
        """A worker said this to all, perhaps this one."""

    def gone(self, node: str) -> None:
        """This worker is no more, or has been silent for too long."""

    def lost(self) -> None:
        """Something the workers said was lost on its way here."""


class Node(Subscriber):
    """One worker of the cluster. Also the subscriber of the two channels it listens to.

    All workers hear one another on one channel, so everything said is heard by all in one order. Made when the
    worker starts to serve, not before: processes that are forked must not share an id.
    """

    def __init__(self, hub: Hub, interval: float, report: Callable[[], bytes] = bytes) -> None:
        """`interval`: seconds between two signs of life. `report` makes what goes with each of them."""
        self.id = secrets.token_hex(8)
        self.peers = Peers(self.id, interval)
        self.clients = Clients()
        self.observers: list[Observer] = []
        self.presence = 0
        """Version of what this worker has told of its clients; told with each sign of life."""
        self._hub = hub
        self._interval = interval
        self._report = report
        self._questions: dict[str, Callable[[], bytes]] = {}
        self._surveys: dict[int, _Answers] = {}
        self._numbers = itertools.count(1)
        self._waiting: list[tuple[Position, asyncio.Future[None]]] = []
        self._position = Position("", 0)
        self._leaving = False

    async def run(self) -> None:
        """Listen, and give signs of life until cancelled."""
        await self._hub.keep_subscribed(INBOX + self.id, self)
        await self._hub.keep_subscribed(CHANNEL, self)
        pause = min(self._interval, 1.0)  # the second sign follows soon: this worker listens by the sound of itself
        while not self._leaving:
            try:
                await self.say(self._sign_of_life())
            except BusError as error:
                logger.warning("no sign of life given: %s", error)
            await asyncio.sleep(pause)
            pause = self._interval

    async def leave(self) -> None:
        """Say that this worker goes. It says nothing after that."""
        self._leaving = True
        with suppress(BusError):
            await self._send(CHANNEL, Leaving(self.id), self.next_id())

    async def say(self, message: Message, id: str | None = None) -> Position:
        """Tell all workers, this one included; the place of the message. Raises `PublishError`."""
        id = id or self.next_id()
        if self._leaving:
            raise PublishRefused("this worker is leaving", id=id)
        return await self._send(CHANNEL, message, id)

    def next_id(self) -> str:
        """An id for a message that is to be repeated until it is accepted."""
        return f"{self.id}-{next(self._numbers):x}"

    async def fence(self) -> None:
        """Wait, for as long as it takes, until this worker has heard all that was said before this call.

        Raises `BusError`.
        """
        bus = self._hub.bus
        if bus.capabilities.recoverable:
            top = (await bus.history(CHANNEL, None, 0)).top
        else:
            top = await self.say(self._sign_of_life())
        if not self._has_reached(top):
            reached = asyncio.get_running_loop().create_future()
            self._waiting.append((top, reached))
            await reached

    async def emulate(self, node: str, session: str, data: bytes) -> bool:
        """Hand `data` to the client of `session`, which worker `node` has. False: there is no such worker.

        Raises `PublishError`.
        """
        message = Emulated(session, data)
        if node == self.id:
            self._emulate(message)
        elif node in self.peers.nodes:
            await self._send(INBOX + node, message, self.next_id())
        else:
            return False
        return True

    def answer(self, question: str, answer: Callable[[], bytes]) -> None:
        """Answer surveys about `question` with what `answer` returns."""
        self._questions[question] = answer

    async def survey(self, question: str) -> dict[str, bytes]:
        """Ask all workers; their answers by node id. Who has not answered after two seconds is left out.

        Raises `PublishError`.
        """
        number = next(self._numbers)
        answers = self._surveys[number] = _Answers()
        try:
            await self.say(Survey(number, self.id, question))
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    while not (self.peers.settled and self.peers.nodes <= answers.whole.keys()):
                        await answers.news()
        finally:
            del self._surveys[number]
        missing = self.peers.nodes - answers.whole.keys()
        if missing:
            logger.warning("no answer about %r from %s", question, ", ".join(sorted(missing)))
        return answers.whole

    def subscribed(self, channel: str, position: Position, recovered: bool | None) -> None:
        if channel == CHANNEL:
            self._move(position)

    def deliver(self, frame: Publication) -> None:
        try:
            self._take(decode(frame.data or b""))
        except ValueError as error:
            logger.warning("a message of another worker is dropped: %s", error)
        finally:
            if frame.channel == CHANNEL:
                self._move(frame.position)

    def reset(self, channel: str, position: Position) -> None:
        if channel == CHANNEL:
            logger.warning("something the other workers said was lost")
            for observer in self.observers:
                observer.lost()
            self._move(position)
        else:
            # What a client sent may be lost: it has to connect again to know where it stands.
            for client in self.clients.sessions:
                client.close(CLOSE_INSUFFICIENT_STATE)

    def _take(self, message: Message) -> None:
        match message:
            case Emulated():
                self._emulate(message)
            case Answer():
                if (answers := self._surveys.get(message.id)) is not None:
                    answers.add(message)
            case _:
                self._hear(message)
                for observer in self.observers:
                    observer.heard(message)

    def _hear(self, message: Message) -> None:
        match message:
            case Alive():
                self.peers.hear(message.node, time.monotonic(), message.interval)
                if message.node == self.id:
                    for node in self.peers.gone():
                        self._gone(node)
            case Changed() | Whole():
                self.peers.hear(message.node, time.monotonic())
            case Leaving():
                self.peers.forget(message.node)
                self._gone(message.node)
            case Survey():
                self._hub.spawn(self._answer(message), "answer")
            case Cleared():
                self._hub.forget(message.channel)
            case DisconnectClients() | SubscribeClients() | UnsubscribeClients() | MessageClients():
                for client in self.clients.matching(message.target):
                    try:
                        _carry_out(message, client)
                    except Exception:
                        logger.exception("a client did not take an order: the others still do")
        for answers in self._surveys.values():
            answers.wake()

    def _gone(self, node: str) -> None:
        for observer in self.observers:
            observer.gone(node)

    def _emulate(self, message: Emulated) -> None:
        client = self.clients.of_session(message.session)
        if client is not None:
            client.received(message.data)

    async def _answer(self, survey: Survey) -> None:
        question = self._questions.get(survey.question)
        data = b"" if question is None else question()
        parts = [data[start : start + PART_BYTES] for start in range(0, len(data), PART_BYTES)] or [b""]
        try:
            for part, piece in enumerate(parts):
                answer = Answer(survey.id, self.id, part, len(parts), piece)
                await self._send(INBOX + survey.asker, answer, self.next_id())
        except BusError as error:
            logger.warning("a question about %r is not answered: %s", survey.question, error)

    async def _send(self, channel: str, message: Message, id: str) -> Position:
        return await self._hub.bus.publish(channel, encode(message), id=id, retention=KEPT)

    def _sign_of_life(self) -> Alive:
        return Alive(self.id, self._interval, self.presence, self._report())

    def _has_reached(self, position: Position) -> bool:
        return self._position.epoch == position.epoch and self._position.offset >= position.offset

    def _move(self, position: Position) -> None:
        self._position = position
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for top, reached in waiting:
                if self._has_reached(top):
                    if not reached.done():
                        reached.set_result(None)
                elif not reached.done():
                    self._waiting.append((top, reached))


def _carry_out(order: Order, client: ConnectedClient) -> None:
    match order:
        case DisconnectClients():
            if client.client_id not in order.keep:
                client.close(Disconnect(order.code, order.reason))
        case SubscribeClients():
            client.subscribe(order)
        case UnsubscribeClients():
            client.unsubscribe(order.channel, UNSUBSCRIBED)
        case MessageClients():
            client.message(order.data)


class _Answers:
    """What a survey has been answered, by node id."""

    def __init__(self) -> None:
        self.whole: dict[str, bytes] = {}
        self._parts: dict[str, list[bytes]] = {}
        self._news = asyncio.Event()

    async def news(self) -> None:
        """Wait until something has been heard."""
        self._news.clear()
        await self._news.wait()

    def wake(self) -> None:
        self._news.set()

    def add(self, answer: Answer) -> None:
        parts = self._parts.setdefault(answer.node, [])
        if answer.part == len(parts):
            parts.append(answer.data)
            if len(parts) == answer.parts:
                self.whole[answer.node] = b"".join(parts)
        self.wake()
