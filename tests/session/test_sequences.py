"""Whatever a client says, whatever becomes of it and whatever the server does: what always holds."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cluster.session import codes
from cluster.session.checks import SessionLimits
from cluster.session.commands import (
    ConnectRequest,
    HistoryRequest,
    HistoryResult,
    PublishRequest,
    PublishResult,
    RefreshRequest,
    Request,
    RpcRequest,
    RpcResult,
    SendRequest,
    SubRefreshRequest,
    SubscribeRequest,
    UnsubscribeRequest,
    UnsubscribeResult,
)
from cluster.session.outcomes import Connected, Outcome, Refreshed, Sent, Subscribed
from cluster.session.step import Step
from cluster.stream import Position

from .client import Client

LIMITS = SessionLimits(max_channels=3, max_pending=5, rate=1, burst=100)

channels = st.sampled_from(["a", "b", "c", "d", "e" * 256])
on_channel = st.fixed_dictionaries({"channel": channels})
ttls = st.none() | st.floats(0, 50)
granted = st.tuples(ttls, st.none() | st.builds(Position, st.just("e"), st.integers(0, 9)), *[st.booleans()] * 4).map(
    lambda drawn: Subscribed(*drawn)
)
OUTCOMES: dict[type, st.SearchStrategy[Outcome]] = {
    ConnectRequest: st.tuples(ttls, st.dictionaries(channels, granted, max_size=4)).map(
        lambda drawn: Connected(ttl=drawn[0], subs=drawn[1])
    ),
    SubscribeRequest: granted,
    UnsubscribeRequest: st.just(UnsubscribeResult()),
    PublishRequest: st.just(PublishResult()),
    HistoryRequest: st.just(HistoryResult()),
    SendRequest: st.just(Sent()),
    RpcRequest: st.just(RpcResult()),
    RefreshRequest: ttls.map(Refreshed),
    SubRefreshRequest: ttls.map(Refreshed),
}
commands = st.one_of(
    st.builds(
        lambda channel, flag: {"subscribe": {"channel": channel, "flag": flag}}, channels, st.sampled_from([0, 2])
    ),
    st.builds(lambda request: {"subscribe": request}, on_channel),
    st.builds(lambda request: {"unsubscribe": request}, on_channel),
    st.builds(lambda request: {"publish": request | {"data": 1}}, on_channel),
    st.builds(lambda request: {"history": request}, on_channel),
    st.builds(lambda request: {"sub_refresh": request | {"token": "t"}}, on_channel),
    st.sampled_from([{"refresh": {"token": "t"}}, {"rpc": {}}, {"send": {}}, {"ping": {}}]),
)
mischief = st.sampled_from([{"connect": {}}, {"refresh": {}}, {"subscribe": {}}, {}, "{}", "nonsense"])


class Conversation(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.client = Client(LIMITS)
        self.request: Request | None = None
        self.expected: list[tuple[int, dict[str, Any]]] = []
        """Commands to be answered."""
        self.subscribed: set[str] = set()
        """As the client was told."""
        self.held: set[str] = set()
        """As the owner has it: what it granted, without what was left."""
        self.ended = False
        self.refused = False

    def take(self, step: Step) -> None:
        told = self.client.told()
        if self.ended:
            assert (told, step.request, step.close) == ([], None, None)
        for reply in told:
            self.hear(reply)
        self.held -= set(step.left)
        if step.request:
            assert self.request is None, "two requests at once"
            self.request = step.request
        if step.close:
            assert step.request is None
            self.ended = True
            self.subscribed.clear()

    def hear(self, reply: Any) -> None:
        if "id" in reply:
            id, command = self.expected.pop(0)
            assert reply["id"] == id, "answers in order"
            self.learn(command, reply)
        elif "push" in reply:
            push = reply["push"]
            if "subscribe" in push:
                self.subscribed.add(push["channel"])
            elif "unsubscribe" in push:
                self.subscribed.remove(push["channel"])

    def learn(self, command: dict[str, Any], reply: Any) -> None:
        if "error" in reply:
            self.refused = "connect" in command
        elif "connect" in command:
            self.subscribed.update(reply["connect"].get("subs", {}))
        elif "subscribe" in command:
            self.subscribed.add(command["subscribe"]["channel"])
        elif "unsubscribe" in command:
            self.subscribed.discard(command["unsubscribe"]["channel"])

    def say(self, frame: list[Any]) -> None:
        before = self.client.last_id
        for command in frame:
            if isinstance(command, dict) and command and "send" not in command:
                before += 1
                self.expected.append((before, command))
        self.take(self.client.says(*frame))

    @precondition(lambda self: not self.client.session.connected)
    @rule(more=st.lists(commands, max_size=3))
    def connect(self, more: list[Any]) -> None:
        self.say([{"connect": {}}, *more])

    @rule(frame=st.lists(commands, min_size=1, max_size=4))
    def says(self, frame: list[Any]) -> None:
        self.say(frame)

    @precondition(lambda self: not self.ended)
    @rule(frame=st.lists(commands | mischief, min_size=1, max_size=2))
    def misbehaves(self, frame: list[Any]) -> None:
        self.say(frame)

    @precondition(lambda self: self.request)
    @rule(data=st.data())
    def succeeds(self, data: st.DataObject) -> None:
        request, self.request = self.request, None
        outcome = data.draw(OUTCOMES[type(request)])
        if isinstance(outcome, Connected):
            self.held.update(outcome.subs)
        elif isinstance(outcome, Subscribed):
            assert isinstance(request, SubscribeRequest)
            self.held.add(request.channel)
        self.take(self.client.is_answered(outcome))

    @precondition(lambda self: self.request)
    @rule(outcome=st.sampled_from([codes.INTERNAL, codes.PERMISSION_DENIED] * 3 + [codes.CLOSE_INVALID_TOKEN]))
    def fails(self, outcome: Outcome) -> None:
        self.request = None
        self.take(self.client.is_answered(outcome))

    @rule(seconds=st.floats(0, 12), answers=st.booleans())
    def waits(self, seconds: float, answers: bool) -> None:
        step = self.client.waits(seconds)
        pinged = b"{}" in step.replies
        self.take(step)
        assert self.client.session.deadline > self.client.now
        if pinged and answers:
            self.say(["{}"])

    @rule(channel=channels, outcome=granted)
    def server_subscribes(self, channel: str, outcome: Subscribed) -> None:
        self.held.add(channel)
        self.take(self.client.took(self.client.session.subscribe(channel, outcome, self.client.now)))

    @rule(channel=channels)
    def server_unsubscribes(self, channel: str) -> None:
        self.take(self.client.took(self.client.session.unsubscribe(channel, codes.UNSUBSCRIBED)))

    @rule(channel=channels)
    def something_is_lost(self, channel: str) -> None:
        self.take(self.client.took(self.client.session.lose(channel)))

    @rule()
    def server_closes(self) -> None:
        self.take(self.client.took(self.client.session.close(codes.CLOSE_FORCED)))

    @invariant()
    def the_table_is_what_the_client_was_told(self) -> None:
        leaving = {self.request.channel} if isinstance(self.request, UnsubscribeRequest) else set()
        table = set(self.client.session.subscriptions)
        assert table - leaving == self.subscribed - leaving
        assert table == self.held
        assert len(table) <= LIMITS.max_channels

    @invariant()
    def nothing_is_left_unanswered(self) -> None:
        if not (self.request or self.ended or self.refused):
            assert self.expected == []


TestConversation = Conversation.TestCase
TestConversation.settings = settings(max_examples=50, deadline=None)
