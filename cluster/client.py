"""One client of the client protocol: its session, and the work that the session asks for.

While a request is under way there is a task for it; an idle client has one timer and no task. Whatever happens to
the client, `leave` ends all of it: the hub, presence and the registry know nothing of it afterwards.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Coroutine, Mapping
from math import inf
from typing import Any, Protocol

from .access import Grant, terms
from .audience import Subscriber
from .backend import Caller
from .errors import ClusterError, Disconnection
from .framing import Framing
from .hub import check_public
from .orders import grant_of, request_of
from .peers import SubscribeClients
from .service import Room, Service, outcome_of, payload, publications, seconds_until
from .session import codes
from .session.codes import closing, refused
from .session.commands import (
    ClientInfo,
    ConnectRequest,
    Disconnect,
    Join,
    Leave,
    Push,
    Reply,
    Request,
    SubscribeRequest,
    Unsubscribe,
    raw,
)
from .session.outcomes import Connected, Outcome, Subscribed
from .session.session import Session
from .session.step import Step
from .stream import Position

logger = logging.getLogger(__name__)

Scope = Mapping[str, Any]


class Outlet(Protocol):
    """A client's way out."""

    def write(self, frame: Any) -> None:
        """Send what a `Framing` made. When too much is waiting the client is closed with 3008 instead."""

    def close(self, code: int, reason: str) -> None:
        """End the connection and say why."""


HANDSHAKE = ("type", "http_version", "scheme", "server", "client", "path", "query_string", "headers", "state")
"""What is kept of the ASGI scope a client came by, for the application's handlers."""


class Client(Subscriber):
    """One client, from the opening of its transport to its end.

    What the registry asks of it (`ConnectedClient`) returns at once. `scope` is ASGI's, of the request it came by.
    """

    __slots__ = (
        "_attached",
        "_entering",
        "_gone",
        "_held",
        "_known",
        "_orders",
        "_outlet",
        "_service",
        "_tasks",
        "_timer",
        "deliver",
        "format",
        "framing",
        "join",
        "session",
    )

    def __init__(self, service: Service, session: Session, framing: Framing, outlet: Outlet, scope: Scope) -> None:
        self.session = session
        self.framing = framing
        self.format = service.format(framing)
        self.join = framing.join
        # On the way of every publication to every client: no detour.
        self.deliver = outlet.write  # type: ignore[method-assign]
        self._service = service
        self._outlet = outlet
        self._known = Caller(session.client_id, scope={name: scope[name] for name in HANDSHAKE if name in scope})
        self._attached: tuple[str, ...] = ()
        self._entering: tuple[str, ...] = ()
        self._held: list[Any] | None = None
        self._orders: dict[str, SubscribeClients | None] = {}
        """What the server wants it subscribed to and has not reached yet; None: not any more."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._gone = False
        if session.session_id:
            service.node.clients.add_session(self)
        self._set_timer()

    @property
    def client_id(self) -> str:
        return self.session.client_id

    @property
    def session_id(self) -> str:
        return self.session.session_id

    @property
    def user(self) -> str:
        return self.session.user

    @property
    def channels(self) -> Collection[str]:
        return self.session.subscriptions

    # What comes from outside.

    def received(self, frame: bytes) -> None:
        """Take a frame the client sent."""
        if not self._gone and (request := self._take(self.session.receive(frame, _now()))) is not None:
            self._spawn(self._perform(request))

    def close(self, why: Disconnect) -> None:
        """Say why, and end the connection."""
        if not self._gone:
            self._take(self.session.close(why))

    def subscribe(self, order: SubscribeClients) -> None:
        channel = order.channel
        if self._gone:
            return
        if channel in self._orders:
            self._orders[channel] = self._orders[channel] or order
        elif channel not in (*self._attached, *self._entering):
            self._orders[channel] = order
            self._spawn(self._obey(channel))

    def unsubscribe(self, channel: str, why: Unsubscribe) -> None:
        if self._gone:
            return
        for ended in [channel] if channel else [*self.session.channels, *self._orders]:
            if ended in self._orders:
                self._orders[ended] = None
            self._take(self.session.unsubscribe(ended, why))

    def message(self, data: bytes) -> None:
        if not self._gone:
            self._take(self.session.message(raw(data)))

    def leave(self) -> None:
        """The transport has ended: let go of everything."""
        if self._gone:
            return
        self._gone = True
        for task in self._tasks:
            task.cancel()
        if self._timer is not None:
            self._timer.cancel()
        self._service.node.clients.remove(self)
        self._detach(*self._attached)

    def reset(self, channel: str, position: Position) -> None:
        # At once: nothing may reach the client that lies behind the gap.
        if channel in self.session.subscriptions:
            self._take(self.session.lose(channel))
        else:  # while it connects
            self.close(codes.CLOSE_INSUFFICIENT_STATE)

    def unsuitable(self, channel: str) -> None:
        # Not at once: the hub is delivering to others as well.
        asyncio.get_running_loop().call_soon(self.close, codes.CLOSE_INAPPROPRIATE_PROTOCOL)

    def joined(self, channel: str, info: ClientInfo) -> None:
        if info.client != self.client_id:  # it is told of itself with its subscription
            self._push(Push(channel, join=Join(info)))

    def left(self, channel: str, info: ClientInfo) -> None:
        if info.client != self.client_id:
            self._push(Push(channel, leave=Leave(info)))

    # What the session wants done.

    def _take(self, step: Step) -> Request | None:
        """Carry out a step, and return the request to perform, if there is one."""
        if step.replies:
            self._write(step.replies)
        self._detach(*step.left)
        if step.close is not None:
            try:
                self._outlet.close(step.close.code, step.close.reason)
            finally:
                self.leave()
            return None
        self._set_timer()
        return step.request

    async def _perform(self, request: Request | None) -> None:
        """Do what the session asks for until it asks for nothing more."""
        while request is not None:
            outcome = await self._outcome(request)
            if self._gone:  # and something has swallowed the cancellation
                self._detach(*self._attached)
                return
            # From here to the end of the replies there is no await: what is delivered follows them.
            step = self.session.finish(outcome, _now())
            if isinstance(outcome, Connected) and self.session.connected:
                self._service.node.clients.add(self)
            following = self._take(step)
            if isinstance(outcome, Connected):
                self._release()
                for channel, subscribed in outcome.subs.items():
                    self._watch(channel, subscribed)
            elif isinstance(outcome, Subscribed) and isinstance(request, SubscribeRequest):
                self._watch(request.channel, outcome)
            request = following

    async def _outcome(self, request: Request) -> Outcome:
        try:
            match request:
                case ConnectRequest():
                    return await self._connect(request)
                case SubscribeRequest(channel=channel):
                    caller = self._caller()
                    options = self._service.options(channel)
                    grant = await self._service.backend.authorize(channel, options, caller, request)
                    return await self._enter(caller, request, grant, self._service.room())
                case _:
                    return await self._service.answer(request, self.session, self.framing.codec, self._caller())
        except Exception as error:
            return outcome_of(error)

    async def _connect(self, request: ConnectRequest) -> Connected:
        scope = self._known.scope
        identity = await self._service.backend.connect(request, self.client_id, scope)
        caller = Caller(self.client_id, identity.user, identity.info, scope, identity.subject, request.headers)
        self._known = caller
        if len(identity.subs) > self._service.limits.session.max_channels:
            raise closing(codes.CLOSE_CHANNEL_LIMIT)
        subs, room = {}, self._service.room()
        if identity.subs:
            # What is delivered before all of them are entered comes after the reply.
            self._held, self.deliver = [], self._hold  # type: ignore[method-assign]
        try:
            for channel, grant in identity.subs.items():
                asked = request.subs.get(channel) or SubscribeRequest()
                asked.channel = channel
                subs[channel] = await self._enter(caller, asked, grant, room)
            data = payload(self.framing.codec, identity.data)
        except BaseException:
            self._detach(*self._attached)
            raise
        expires = seconds_until(identity.expire_at)
        return Connected(caller.user, caller.info, expires, data, subs, self._service.version)

    async def _enter(self, caller: Caller, request: SubscribeRequest, grant: Grant, room: Room) -> Subscribed:
        """Subscribe at the hub and in presence. Between the end of it and the first delivery lies no `await`."""
        channel, options = request.channel, grant.options
        check_public(channel)
        if channel in self._attached or channel in self._entering:
            raise refused(codes.ALREADY_SUBSCRIBED)
        offered = terms(options, request, user=caller.user)
        offsets = options.history is not None
        recover = request.recover and offered.recoverable
        self._entering += (channel,)
        try:
            if options.presence or offered.join_leave:
                info = ClientInfo(caller.user, caller.client, caller.info, grant.info)
                await self._service.exchange.enter(channel, info)
            caught = await self._service.hub.catch_up(
                channel,
                self,
                Position(request.epoch, request.offset) if recover else None,
                limit=self._service.limits.publications,
                newest=options.recovery == "cache",
            )
            self._attached += (channel,)
            recovered = bool(caught.recovered) and room.take(caught.publications)
            missed = caught.publications if recovered else []
            return Subscribed(
                ttl=seconds_until(grant.expire_at),
                position=caught.position if offsets else None,
                recoverable=offered.recoverable,
                positioned=offered.positioned,
                was_recovering=recover,
                recovered=recovered,
                publications=publications(self.framing.codec, missed, offsets=offsets),
                data=payload(self.framing.codec, grant.data),
                info=grant.info,
                join_leave=offered.join_leave,
            )
        except BaseException:
            self._detach(channel)
            self._service.exchange.leave(channel, caller.client)
            raise
        finally:
            self._entering = tuple(other for other in self._entering if other != channel)

    async def _obey(self, channel: str) -> None:
        """Subscribe because the server wants it, unless by then it has ended that."""
        while (order := self._orders[channel]) is not None:
            request, subscribed = request_of(order), None
            try:
                grant = grant_of(order, self._service.options(channel))
                subscribed = await self._enter(self._caller(), request, grant, self._service.room())
            except Disconnection as error:
                self.close(Disconnect(error.code, error.reason))
                return
            except ClusterError as error:
                logger.warning("a client was not subscribed to %r: %s", channel, error)
            if self._gone:
                self._detach(*self._attached)
                return
            if self._orders[channel] is order:
                if subscribed is not None:
                    self._take(self.session.subscribe(channel, subscribed, _now(), request.offset))
                    self._watch(channel, subscribed)
                break
            self._detach(channel)
        del self._orders[channel]

    def _caller(self) -> Caller:
        return self._known._replace(info=self.session.info)

    # What it holds outside.

    def _watch(self, channel: str, subscribed: Subscribed) -> None:
        """Tell the client who comes and goes, itself first."""
        if subscribed.join_leave and channel in self.session.subscriptions:
            self._push(Push(channel, join=Join(self.session.client_info(channel))))
            self._service.exchange.watch(channel, self)

    def _detach(self, *channels: str) -> None:
        for channel in channels:
            if channel in self._attached:
                self._attached = tuple(other for other in self._attached if other != channel)
                self._service.hub.unsubscribe(channel, self)
                self._service.exchange.unwatch(channel, self)
                self._service.exchange.leave(channel, self.client_id)

    def _write(self, replies: list[bytes]) -> None:
        pieces = map(self.framing.piece, replies)
        for frame in pieces if self.join is None else (self.join(list(pieces)),):
            self._outlet.write(frame)

    def _push(self, push: Push) -> None:
        self._write([self.framing.codec.encode(Reply(push=push))])

    def _hold(self, frame: Any) -> None:
        assert self._held is not None, "nothing is held any more"
        self._held.append(frame)
        if sum(map(len, self._held)) > self._service.limits.queue_bytes:
            # Nor here.
            asyncio.get_running_loop().call_soon(self.close, codes.CLOSE_SLOW)

    def _release(self) -> None:
        held, self._held = self._held, None
        self.deliver = self._outlet.write  # type: ignore[method-assign]
        for frame in held or ():
            self.deliver(frame)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("serving a client failed", exc_info=error)
            self.close(codes.CLOSE_INTERNAL)

    def _set_timer(self) -> None:
        deadline = self.session.deadline
        if self._timer is not None:
            if self._timer.when() <= deadline:
                return
            self._timer.cancel()
            self._timer = None
        if deadline == inf:
            return
        self._timer = asyncio.get_running_loop().call_at(deadline, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._take(self.session.tick(_now()))


def _now() -> float:
    return asyncio.get_running_loop().time()
