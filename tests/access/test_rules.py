"""Who may do what in a channel: its name first, then what is declared for it."""

from __future__ import annotations

import pytest

from cluster.access import (
    DENY,
    ChannelOptions,
    Operation,
    Who,
    admits,
    bare_name,
    gate,
    options_of,
    refusal,
    terms,
    users_named,
)
from cluster.channel import Channel
from cluster.declarations import Declarations
from cluster.errors import ChannelError
from cluster.session.codes import NOT_AVAILABLE, PERMISSION_DENIED
from cluster.session.commands import SubscribeRequest
from cluster.stream import Position, Retention

KEPT = Retention(10, 60)
OPEN = ChannelOptions(history=KEPT, presence=True).opened()


def channel(pattern: str, options: ChannelOptions = DENY) -> Channel[object]:
    async def publish(*_: object) -> Position:
        raise AssertionError("nothing is published here")

    return Channel(pattern, None, options.history, publish, options=options)


def declared(*patterns: str) -> Declarations:
    declarations = Declarations()
    for pattern in patterns:
        declarations.add(channel(pattern))
    return declarations


@pytest.mark.parametrize(
    ("who", "stranger", "user", "subscriber"),
    [
        ("nobody", False, False, False),
        ("subscribers", False, False, True),
        ("users", False, True, True),
        ("anyone", True, True, True),
    ],
)
def test_each_who_includes_the_ones_before(who: Who, stranger: bool, user: bool, subscriber: bool) -> None:
    assert admits(who, user="", subscribed=False) is stranger
    assert admits(who, user="ann", subscribed=False) is user
    assert admits(who, user="", subscribed=True) is subscriber


@pytest.mark.parametrize("operation", Operation)
@pytest.mark.parametrize("subscribed", [False, True])
def test_what_is_not_declared_is_denied(operation: Operation, subscribed: bool) -> None:
    assert refusal(DENY, operation, user="ann", subscribed=subscribed) is not None


@pytest.mark.parametrize("operation", [Operation.HISTORY, Operation.PRESENCE])
def test_what_a_channel_has_not_is_not_available_whoever_asks(operation: Operation) -> None:
    assert refusal(DENY, operation, user="", subscribed=False) is NOT_AVAILABLE
    assert refusal(DENY.opened(), operation, user="ann", subscribed=True) is NOT_AVAILABLE
    assert refusal(ChannelOptions(KEPT, presence=True), operation, user="ann", subscribed=True) is PERMISSION_DENIED
    assert refusal(OPEN, operation, user="", subscribed=False) is None


@pytest.mark.parametrize(
    ("name", "bare", "users"),
    [
        ("news", "news", None),
        ("$news", "news", None),
        ("chat:a#ann", "chat:a", {"ann"}),
        ("$chat:a#ann,bob", "chat:a", {"ann", "bob"}),
        ("#ann", "", {"ann"}),
        ("a#b#ann", "a#b", {"ann"}),
        ("a#", "a", {""}),
    ],
)
def test_a_name_says_whether_it_is_private_and_whom_it_is_for(name: str, bare: str, users: set[str] | None) -> None:
    assert bare_name(name) == bare
    assert users_named(name) == users


def test_a_private_channel_is_closed_without_a_token() -> None:
    assert gate("$news", "ann") is PERMISSION_DENIED
    assert gate("$news#ann", "ann") is PERMISSION_DENIED
    assert gate("news", "") is None


def test_a_channel_that_names_its_users_is_closed_to_others() -> None:
    assert gate("chat:a#ann,bob", "ann") is None
    assert gate("chat:a#ann,bob", "eve") is PERMISSION_DENIED
    assert gate("chat:a#ann,bob", "ann,bob") is PERMISSION_DENIED
    assert gate("a#ann#bob", "ann") is PERMISSION_DENIED


def test_a_channel_that_names_nobody_is_not_for_the_anonymous() -> None:
    assert gate("chat:a#", "") is PERMISSION_DENIED
    assert gate("chat:a#ann,", "") is PERMISSION_DENIED


@pytest.mark.parametrize("name", ["$news", "news#ann"])
@pytest.mark.parametrize("operation", [Operation.PUBLISH, Operation.HISTORY, Operation.PRESENCE])
def test_past_the_gate_nobody_does_anything_without_being_subscribed(name: str, operation: Operation) -> None:
    options = options_of(name, OPEN)
    assert refusal(options, operation, user="eve", subscribed=False) is PERMISSION_DENIED
    assert refusal(options, operation, user="ann", subscribed=True) is None
    assert refusal(options_of("news", OPEN), operation, user="eve", subscribed=False) is None
    assert refusal(options_of(name, DENY), Operation.PUBLISH, user="ann", subscribed=True) is PERMISSION_DENIED


def test_a_declaration_holds_for_private_names_and_those_with_users() -> None:
    declarations = declared("chat:{room}", "{name}")
    for name in ("chat:a", "$chat:a", "chat:a#ann", "$chat:a#ann,bob"):
        found = declarations.find(name)
        assert found is not None
        assert found.pattern == "chat:{room}"
        assert found.values(name) == {"room": "a"}
    for name in ("news", "$news", "#ann", "news#ann"):
        found = declarations.find(name)
        assert found is not None
        assert found.pattern == "{name}"
    assert declarations.find("other:a") is None
    assert declarations.find("") is None


def test_a_pattern_may_be_for_names_with_users_alone() -> None:
    declarations = declared("dialog:{id}#{users}")
    found = declarations.find("dialog:1#ann,bob")
    assert found is not None
    assert found.values("dialog:1#ann,bob") == {"id": "1", "users": "ann,bob"}
    assert declarations.find("dialog:1") is None


def test_the_first_declaration_that_fits_wins_also_when_it_came_later() -> None:
    declarations = declared("{name}")
    assert declarations.find("chat:a") is None
    declarations.add(channel("chat:{room}"))
    assert declarations.find("chat:a") is not None


@pytest.mark.parametrize(
    "options",
    [
        {"recovery": "stream"},
        {"recovery": "stream", "history": Retention(0, 60)},
        {"allow_history": "users"},
        {"allow_presence": "users"},
        {"allow_subscribe": "subscribers"},
        {"allow_publish": "everyone"},
        {"recovery": "full", "history": KEPT},
        {"history": Retention(-1, 60)},
    ],
)
def test_what_cannot_be_meant_is_told(options: dict[str, object]) -> None:
    with pytest.raises(ChannelError, match="chat"):
        Declarations().add(channel("chat", ChannelOptions(**options)))  # type: ignore[arg-type]


class TestTerms:
    def test_what_the_channel_gives_everyone_gets(self) -> None:
        options = ChannelOptions(history=KEPT, recovery="stream", join_leave=True)
        assert terms(options, SubscribeRequest(), user="") == (True, True, True)

    def test_what_is_kept_may_be_positioned_and_not_recovered(self) -> None:
        options = ChannelOptions(history=KEPT, positioned=True)
        assert terms(options, SubscribeRequest(), user="") == (True, False, False)
        assert terms(options._replace(history=None), SubscribeRequest(), user="") == (False, False, False)

    def test_who_asks_for_nothing_gets_nothing_else(self) -> None:
        assert terms(OPEN, SubscribeRequest(), user="ann") == (False, False, False)

    def test_who_may_read_history_and_presence_may_ask_for_what_they_tell(self) -> None:
        assert terms(OPEN, SubscribeRequest(recoverable=True), user="ann") == (True, True, False)
        assert terms(OPEN, SubscribeRequest(positioned=True), user="ann") == (True, False, False)
        assert terms(OPEN, SubscribeRequest(join_leave=True), user="ann") == (False, False, True)

    def test_who_may_not_asks_in_vain(self) -> None:
        asked = SubscribeRequest(recoverable=True, positioned=True, join_leave=True)
        closed = ChannelOptions(history=KEPT, presence=True, allow_subscribe="anyone")
        assert terms(closed, asked, user="ann") == (False, False, False)
        assert terms(DENY.opened(), asked, user="ann") == (False, False, False)
