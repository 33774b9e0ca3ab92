"""Declared channels: names, patterns, and the models they carry."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from cluster.channel import Channel, encode
from cluster.errors import ChannelError, PayloadError
from cluster.stream import Position, Publication, Retention


class Note(BaseModel):
    text: str
    stars: int = 1


class Published:
    """Stands in for the hub: remembers what a channel asks it to publish."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, bytes, str | None, Retention | None]] = []

    async def __call__(self, name: str, data: bytes, id: str | None, retention: Retention | None) -> Position:
        self.calls.append((name, data, id, retention))
        return Position("epoch", len(self.calls))


def channel(pattern: str, publishes: Any = None, retention: Retention | None = None) -> Channel[Any]:
    return Channel(pattern, publishes, retention, Published())


class TestNames:
    def test_a_channel_without_parameters_has_one_name(self) -> None:
        news = channel("news")
        assert news.name() == "news"
        assert news.matches("news")
        assert not news.matches("newspaper")
        assert not news.matches("old news")

    def test_a_name_is_the_pattern_filled_in(self) -> None:
        assert channel("chat:{room}:{topic}").name(room="blue", topic="tea") == "chat:blue:tea"

    @pytest.mark.parametrize("name", ["chat:blue", "chat:b", "chat:a b", "chat:*", "chat:ünd", "chat:a/b.c"])
    def test_a_parameter_stands_for_anything_without_a_colon(self, name: str) -> None:
        assert channel("chat:{room}").matches(name)

    @pytest.mark.parametrize("name", ["chat:", "chat", "chat:a:b", "xchat:a", "chat:a:", "Chat:a"])
    def test_a_parameter_stands_for_nothing_else(self, name: str) -> None:
        assert not channel("chat:{room}").matches(name)

    @pytest.mark.parametrize("pattern", ["a.c", "a*", "(a|b)", "[ab]", "a+", "^a$", "a\\d"])
    def test_nothing_else_in_a_pattern_has_a_meaning(self, pattern: str) -> None:
        assert channel(pattern).matches(pattern)
        assert not any(channel(pattern).matches(name) for name in ("abc", "a", "b", "aa", "a1"))

    @pytest.mark.parametrize(
        "parameters", [{}, {"room": "a"}, {"room": "a", "topic": "b", "more": "c"}, {"room": "a", "other": "b"}]
    )
    def test_too_many_or_too_few_parameters_are_an_error_that_names_them(self, parameters: dict[str, str]) -> None:
        with pytest.raises(ChannelError, match=r"needs \['room', 'topic'\]"):
            channel("chat:{room}:{topic}").name(**parameters)

    @pytest.mark.parametrize("room", ["", ":", "a:b"])
    def test_a_parameter_that_would_be_another_channel_is_an_error(self, room: str) -> None:
        with pytest.raises(ChannelError, match="does not fit"):
            channel("chat:{room}").name(room=room)

    def test_what_a_parameter_holds_is_not_filled_in_again(self) -> None:
        assert channel("chat:{room}:{topic}").name(room="{topic}", topic="tea") == "chat:{topic}:tea"

    def test_a_parameter_stands_in_a_pattern_once(self) -> None:
        with pytest.raises(ChannelError, match="room"):
            channel("{room}:copy-of-{room}")


class TestPayloads:
    def test_a_model_is_written_as_json_with_its_defaults(self) -> None:
        assert json.loads(channel("notes", Note).encode(Note(text="a"))) == {"text": "a", "stars": 1}

    def test_values_that_fit_the_model_are_as_good_as_the_model(self) -> None:
        assert channel("notes", Note).encode({"text": "a"}) == channel("notes", Note).encode(Note(text="a"))

    @pytest.mark.parametrize("message", [{"text": 1}, {}, "text", None, {"text": "a", "stars": "many"}])
    def test_what_does_not_fit_the_model_is_an_error_that_names_channel_and_field(self, message: Any) -> None:
        with pytest.raises(PayloadError, match=r"channel 'notes' carries .*Note.*(text|stars|Note)"):
            channel("notes", Note).encode(message)

    def test_a_channel_may_carry_anything_a_type_can_describe(self) -> None:
        answers: Channel[Any] = channel("answers", Literal["yes", "no"])
        assert answers.encode("yes") == b'"yes"'
        with pytest.raises(PayloadError):
            answers.encode("perhaps")

    def test_a_channel_without_a_model_carries_whatever_json_can_hold(self) -> None:
        assert channel("anything").encode({"a": [1, None, Note(text="b")]}) == b'{"a":[1,null,{"text":"b","stars":1}]}'

    @pytest.mark.parametrize("message", [object(), {"a": object()}, {1, object()}])
    def test_what_json_cannot_hold_is_an_error(self, message: Any) -> None:
        with pytest.raises(PayloadError, match="cannot be made JSON"):
            encode(message)

    @pytest.mark.parametrize("publishes", [None, float])
    @pytest.mark.parametrize("message", [float("nan"), float("inf"), float("-inf")])
    def test_numbers_json_does_not_have_are_null(self, publishes: Any, message: float) -> None:
        assert channel("numbers", publishes).encode(message) == b"null"

    @pytest.mark.parametrize("publishes", [None, Note])
    def test_text_that_is_not_unicode_is_an_error(self, publishes: Any) -> None:
        with pytest.raises(PayloadError):
            channel("notes", publishes).encode({"text": "\ud800"})

    def test_an_endless_message_is_an_error(self) -> None:
        endless: list[Any] = []
        endless.append(endless)
        with pytest.raises(PayloadError):
            encode(endless)

    def test_what_was_encoded_is_decoded(self) -> None:
        assert channel("notes", Note).decode(b'{"text":"a"}') == Note(text="a")
        assert channel("anything").decode(b'{"text":"a"}') == {"text": "a"}

    @pytest.mark.parametrize("data", [b"", b"{", b'{"text":1}', b"\xff"])
    def test_what_cannot_be_decoded_is_an_error(self, data: bytes) -> None:
        with pytest.raises(PayloadError, match="channel 'notes' carries"):
            channel("notes", Note).decode(data)


class TestPublishing:
    async def test_publishes_the_encoded_message_with_the_channels_retention(self) -> None:
        published = Published()
        notes: Channel[Note] = Channel("notes:{of}", Note, Retention(5, 60.0), published)
        assert await notes.publish(Note(text="a"), id="an id", of="today") == Position("epoch", 1)
        assert published.calls == [("notes:today", b'{"text":"a","stars":1}', "an id", Retention(5, 60.0))]

    async def test_publishes_nothing_that_does_not_fit(self) -> None:
        published = Published()
        notes: Channel[Any] = Channel("notes:{of}", Note, None, published)
        with pytest.raises(PayloadError):
            await notes.publish({}, of="today")
        with pytest.raises(ChannelError):
            await notes.publish(Note(text="a"))
        assert published.calls == []


class TestHandlers:
    def test_a_single_channel_can_have_handlers(self) -> None:
        news = channel("news")

        @news.on_publication
        def first(message: Any, publication: Publication) -> None: ...

        @news.on_publication
        async def second(message: Any, publication: Publication) -> None: ...

        assert news.handlers == [first, second]

    def test_a_family_of_channels_cannot(self) -> None:
        with pytest.raises(ChannelError, match="only a single channel"):
            channel("chat:{room}").on_publication(lambda message, publication: None)
