"""What one client of the client protocol may do next, and what it is told: the protocol without its transport."""

from __future__ import annotations

from enum import Enum, auto
from math import ceil, inf

from msgspec import Raw

from ..limits import TokenBucket
from . import codes
from .checks import SessionLimits, examine
from .codec import Codec
from .commands import (
    NOTHING,
    REJECT_UNRECOVERED,
    Answer,
    ClientInfo,
    Command,
    ConnectRequest,
    ConnectResult,
    Disconnect,
    Error,
    Message,
    PingRequest,
    Push,
    RefreshRequest,
    RefreshResult,
    Reply,
    Request,
    SendRequest,
    SubRefreshRequest,
    SubRefreshResult,
    SubscribeRequest,
    Unsubscribe,
    UnsubscribeRequest,
    UnsubscribeResult,
)
from .outcomes import Connected, Outcome, Refreshed, Result, Sent, Subscribed
from .pings import Pings
from .step import Step
from .subscriptions import Subscription, announcement, result, seconds, subscription


class _State(Enum):
    NEW = auto()
    CONNECTED = auto()
    REFUSED = auto()
    CLOSED = auto()


class Session:
    """One client. `now` is in seconds of a clock that never goes back.

    At most one request is with the owner, the commands after it wait. With the request to unsubscribe the channel is
    in `left` already: what is still to be done is to wait until others know.
    """

    __slots__ = (
        "_bucket",
        "_codec",
        "_command",
        "_ended",
        "_ends_at",
        "_jitter",
        "_limits",
        "_pings",
        "_stale_at",
        "_state",
        "_waiting",
        "client_id",
        "info",
        "node",
        "session_id",
        "subscriptions",
        "user",
    )

    def __init__(
        self,
        client_id: str,
        codec: Codec,
        limits: SessionLimits,
        now: float,
        *,
        session_id: str = "",
        node: str = "",
        jitter: float,
    ) -> None:
        """`session_id` and `node` are for clients whose transport needs emulation.

        `jitter`, 0 to 1, says where in the second half of the interval the first ping is.
        """
        self.client_id = client_id
        self.session_id = session_id
        self.node = node
        self.user = ""
        self.info = NOTHING
        self.subscriptions: dict[str, Subscription] = {}
        self._codec = codec
        self._limits = limits
        self._pings = Pings(limits.ping, limits.pong)
        self._jitter = jitter
        self._state = _State.NEW
        self._bucket = TokenBucket(limits.rate, limits.burst)
        self._command: Command | None = None
        self._waiting: list[Command] = []
        self._ended: Unsubscribe | None = None
        """Why the subscription that is being made is to end at once."""
        self._stale_at = now + limits.stale
        self._ends_at = inf

    @property
    def connected(self) -> bool:
        return self._state is _State.CONNECTED

    @property
    def channels(self) -> list[str]:
        """What it is subscribed to, and what it has just asked for."""
        asked = self._command.subscribe if self._command else None
        return [*self.subscriptions, *([asked.channel] if asked else [])]

    @property
    def deadline(self) -> float:
        """When `tick` is wanted next."""
        ends = (kept.ends_at for kept in self.subscriptions.values())
        return min(self._stale_at, self._pings.deadline, self._ends_at, *ends)

    def client_info(self, channel: str) -> ClientInfo:
        """What others in `channel` are told of this client."""
        kept = self.subscriptions.get(channel)
        return ClientInfo(self.user, self.client_id, self.info, kept.info if kept else NOTHING)

    # What the client asks for.

    def receive(self, frame: bytes, now: float) -> Step:
        """Take a frame of commands."""
        step = Step()
        if self._state in (_State.REFUSED, _State.CLOSED):
            return step
        try:
            commands = self._codec.decode(frame)
        except ValueError:
            return self._close(step, codes.CLOSE_BAD_REQUEST)
        for command in commands:
            if not self._bucket.take(now):
                return self._close(step, codes.CLOSE_TOO_MANY_REQUESTS)
            if command.id or command.send:
                self._waiting.append(command)
            elif not self._pings.answer():
                # A pong does not wait behind a slow request.
                return self._close(step, codes.CLOSE_BAD_REQUEST)
        self._proceed(step)
        if len(self._waiting) > self._limits.max_pending:
            step.request = None
            self._close(step, codes.CLOSE_TOO_MANY_REQUESTS)
        return step

    def _proceed(self, step: Step) -> None:
        """Take up what waits, up to the next request to the owner."""
        while self._waiting and self._command is None:
            self._take_up(self._waiting.pop(0), step)

    def _take_up(self, command: Command, step: Step) -> None:
        match examine(command, self.connected, self.subscriptions, self._limits):
            case Disconnect() as why:
                self._close(step, why)
            case Error() as error:
                self._reply(step, command, error)
            case UnsubscribeRequest(channel=channel) if channel not in self.subscriptions:
                self._reply(step, command, UnsubscribeResult())
            case request:
                if isinstance(request, UnsubscribeRequest):
                    self._leave(step, request.channel)
                self._command, self._ended = command, None
                step.request = request

    # What has become of it.

    def finish(self, outcome: Outcome, now: float) -> Step:
        """Take the outcome of the request. Raises `ValueError` when no request can have it."""
        step = Step()
        command, self._command = self._command, None
        if command is None:
            raise ValueError("nothing was asked for")
        request = command.request
        if self._state is _State.CLOSED:
            self._too_late(step, request, outcome)
            return step
        match request, outcome:
            case _, Disconnect():
                return self._close(step, outcome)
            case _, Error():
                self._fail(step, command, outcome)
            case ConnectRequest(), Connected():
                self._connect(step, command, request, outcome, now)
            case SubscribeRequest(), Subscribed():
                self._subscribe(step, command, request, outcome, now)
            case RefreshRequest(), Refreshed():
                self.refresh(outcome, now)
                told = RefreshResult(self.client_id, expires=outcome.ttl is not None, ttl=seconds(outcome.ttl))
                self._reply(step, command, told)
            case SubRefreshRequest(), Refreshed():
                self._refresh(request.channel, outcome, now)
                self._reply(step, command, SubRefreshResult(outcome.ttl is not None, seconds(outcome.ttl)))
            case SendRequest(), Sent():
                pass
            case _ if isinstance(outcome, Result):
                self._reply(step, command, outcome)
            case _:
                raise ValueError(f"{outcome} is no answer to {request}")
        self._proceed(step)
        return step

    def _fail(self, step: Step, command: Command, error: Error) -> None:
        if command.request is not command.send:
            self._reply(step, command, error)
        if command.connect:
            # The client goes by itself, or when its time to connect is over.
            self._state = _State.REFUSED
            self._waiting.clear()

    def _connect(self, step: Step, command: Command, request: ConnectRequest, granted: Connected, now: float) -> None:
        if len(granted.subs) > self._limits.max_channels:
            step.left.extend(granted.subs)
            self._close(step, codes.CLOSE_CHANNEL_LIMIT)
            return
        self._state = _State.CONNECTED
        self._stale_at = inf
        self._pings.start(now, self._jitter)
        self.user, self.info = granted.user, granted.info
        self._ends_at = self._end(granted.ttl, now)
        subs = {}
        for channel, sub in granted.subs.items():
            self.subscriptions[channel] = subscription(sub, True, self._end(sub.ttl, now))
            asked = request.subs.get(channel)
            subs[channel] = result(sub, asked.offset if asked else 0)
        told = ConnectResult(
            client=self.client_id,
            version=granted.version,
            expires=granted.ttl is not None,
            ttl=seconds(granted.ttl),
            data=granted.data,
            subs=subs,
            ping=ceil(self._limits.ping),
            pong=self._limits.pong > 0,
            session=self.session_id,
            node=self.node,
        )
        self._reply(step, command, told)

    def _subscribe(
        self, step: Step, command: Command, request: SubscribeRequest, granted: Subscribed, now: float
    ) -> None:
        channel = request.channel
        if channel in self.subscriptions:
            # The server did it meanwhile.
            self._reply(step, command, codes.ALREADY_SUBSCRIBED)
            return
        if granted.was_recovering and not granted.recovered and request.flag & REJECT_UNRECOVERED:
            step.left.append(channel)
            self._reply(step, command, codes.UNRECOVERABLE_POSITION)
            return
        self.subscriptions[channel] = subscription(granted, False, self._end(granted.ttl, now))
        self._reply(step, command, result(granted, request.offset))
        if self._ended:
            self._unsubscribe(step, channel, self._ended)

    def _too_late(self, step: Step, request: Request | PingRequest | None, outcome: Outcome) -> None:
        """The session was closed while the request was worked on."""
        match request, outcome:
            case SubscribeRequest(channel=channel), Subscribed():
                step.left.append(channel)
            case _, Connected(subs=subs):
                step.left.extend(subs)

    # What time brings.

    def tick(self, now: float) -> Step:
        """Do what is due: ping, end what has expired, close a client that keeps silent."""
        step = Step()
        if self._stale_at <= now:
            return self._close(step, codes.CLOSE_STALE)
        if self._pings.overdue(now):
            return self._close(step, codes.CLOSE_NO_PONG)
        if self._ends_at <= now:
            return self._close(step, codes.CLOSE_EXPIRED)
        for channel, kept in [*self.subscriptions.items()]:
            if kept.ends_at <= now:
                if kept.server_side:
                    return self._close(step, codes.CLOSE_SUBSCRIPTION_EXPIRED)
                self._unsubscribe(step, channel, codes.SUBSCRIPTION_EXPIRED)
        if self._pings.take(now):
            self._write(step, Reply())
        return step

    def _end(self, ttl: float | None, now: float) -> float:
        return inf if ttl is None else now + ttl + self._limits.grace

    # What the server does by itself.

    def subscribe(self, channel: str, granted: Subscribed, now: float, since: int = 0) -> Step:
        """Subscribe the client and tell it what it missed after offset `since`.

        What it has stays; what it may not have is in `left`.
        """
        step = Step()
        if channel in self.subscriptions:
            return step
        if not self.connected or len(self.subscriptions) >= self._limits.max_channels:
            step.left.append(channel)
            return step
        self.subscriptions[channel] = subscription(granted, True, self._end(granted.ttl, now))
        self._push(step, Push(channel, subscribe=announcement(granted, since)))
        for publication in granted.publications:
            self._push(step, Push(channel, pub=publication))
        return step

    def unsubscribe(self, channel: str, why: Unsubscribe) -> Step:
        """End a subscription, also one that is just being made."""
        step = Step()
        if channel in self.subscriptions:
            self._unsubscribe(step, channel, why)
        elif self._command and self._command.subscribe and self._command.subscribe.channel == channel:
            self._ended = why
        return step

    def lose(self, channel: str) -> Step:
        """Tell the client that something of `channel` has not reached it, if it counts on that."""
        step = Step()
        kept = self.subscriptions.get(channel)
        if kept and kept.positioned:
            if kept.server_side:
                return self._close(step, codes.CLOSE_INSUFFICIENT_STATE)
            self._unsubscribe(step, channel, codes.INSUFFICIENT_STATE)
        return step

    def refresh(self, refreshed: Refreshed, now: float) -> None:
        """Have the connection expire at another time."""
        self._ends_at = self._end(refreshed.ttl, now)
        if refreshed.info:
            self.info = refreshed.info

    def _refresh(self, channel: str, refreshed: Refreshed, now: float) -> None:
        if kept := self.subscriptions.get(channel):
            kept.ends_at = self._end(refreshed.ttl, now)
            if refreshed.info:
                kept.info = refreshed.info

    def message(self, data: Raw) -> Step:
        """Tell the client `data`, which `Codec.payload` has let pass."""
        step = Step()
        if self.connected:
            self._push(step, Push(message=Message(data)))
        return step

    def close(self, why: Disconnect) -> Step:
        """End the connection."""
        return self._close(Step(), why)

    # How it is told.

    def _unsubscribe(self, step: Step, channel: str, why: Unsubscribe) -> None:
        self._leave(step, channel)
        self._push(step, Push(channel, unsubscribe=why))

    def _leave(self, step: Step, channel: str) -> None:
        del self.subscriptions[channel]
        step.left.append(channel)

    def _close(self, step: Step, why: Disconnect) -> Step:
        if self._state is not _State.CLOSED:
            self._state = _State.CLOSED
            self._waiting.clear()
            self._pings.stop()
            self._stale_at = self._ends_at = inf
            for channel in [*self.subscriptions]:
                self._leave(step, channel)
            if self.session_id:
                # Such a transport has no close frame.
                self._push(step, Push(disconnect=why))
            step.close = why
        return step

    def _reply(self, step: Step, command: Command, answer: Answer) -> None:
        self._write(step, Reply.to(command.id, answer))

    def _push(self, step: Step, push: Push) -> None:
        self._write(step, Reply(push=push))

    def _write(self, step: Step, reply: Reply) -> None:
        step.replies.append(self._codec.encode(reply))
