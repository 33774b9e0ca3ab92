"""The order of every channel: numbers, history, repeated ids, limits, beacons."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.sequencer import LAST_BEACON, Accepted, Limits, Sequencer
from cluster.stream import History, Position, Publication, Retention

ROOMY = Retention(size=1000, seconds=1000.0)
NOW = 1_700_000_000.0

_ids = map("id-{}".format, itertools.count())


def publish(
    sequencer: Sequencer,
    channel: str = "channel",
    id: str | None = None,
    *,
    data: bytes = b"data",
    retention: Retention = ROOMY,
    now: float = NOW,
) -> Accepted:
    return sequencer.accept(channel, data, id or next(_ids), retention, now)


def filled(count: int, *, retention: Retention = ROOMY, limits: Limits | None = None) -> Sequencer:
    """A sequencer of epoch `epoch` with `count` publications in `channel`."""
    sequencer = Sequencer("epoch", limits)
    for _ in range(count):
        publish(sequencer, retention=retention)
    return sequencer


def clear(sequencer: Sequencer, through: int) -> None:
    entry = sequencer.clearing("channel", Position("epoch", through))
    assert entry is not None
    sequencer.clear(entry)


def offsets_of(history: History) -> list[int]:
    return [publication.offset for publication in history.publications]


class TestNumbering:
    def test_begins_at_one_in_every_channel(self) -> None:
        sequencer = Sequencer("epoch")
        for channel in ("one", "two"):
            assert publish(sequencer, channel).position == Position("epoch", 1)

    def test_links_each_publication_to_the_one_before_it_in_its_channel(self) -> None:
        sequencer = Sequencer("epoch")
        accepted = [publish(sequencer, channel).publication for channel in ("one", "two", "one", "two", "one")]
        links = [(found.channel, found.prev, found.offset) for found in accepted if found is not None]
        assert links == [("one", 0, 1), ("two", 0, 1), ("one", 1, 2), ("two", 1, 2), ("one", 2, 3)]

    def test_carries_what_was_published(self) -> None:
        accepted = publish(Sequencer("epoch"), "channel", "an id", data=b"some data")
        assert accepted.publication == Publication("channel", "epoch", 0, 1, "an id", b"some data")

    def test_the_top_of_a_channel_is_its_newest_position(self) -> None:
        assert filled(3).top("channel") == Position("epoch", 3)

    def test_a_channel_never_published_to_has_its_top_where_it_would_begin(self) -> None:
        assert filled(3).top("another") == Position("epoch", 0)


class TestRepeatedIds:
    def test_a_repeated_id_has_the_place_it_had(self) -> None:
        sequencer = Sequencer("epoch")
        first = publish(sequencer, id="same")
        publish(sequencer)
        assert publish(sequencer, id="same") == Accepted(first.position, None)
        assert sequencer.top("channel").offset == 2

    def test_an_id_belongs_to_its_channel(self) -> None:
        sequencer = Sequencer("epoch")
        publish(sequencer, "one", "same")
        assert publish(sequencer, "two", "same").publication is not None

    def test_channel_and_id_are_not_mixed_up(self) -> None:
        sequencer = Sequencer("epoch")
        publish(sequencer, "ab", "c")
        assert publish(sequencer, "a", "bc").publication is not None

    def test_an_id_is_known_though_its_publication_is_no_longer_kept(self) -> None:
        sequencer = Sequencer("epoch")
        first = publish(sequencer, id="same", retention=Retention(0, 0))
        assert publish(sequencer, id="same") == Accepted(first.position, None)

    @pytest.mark.parametrize("age", [0.0, 59.0, 119.0])
    def test_an_id_is_known_for_half_of_the_time_set(self, age: float) -> None:
        for phase in range(0, 240, 20):
            sequencer = Sequencer("epoch", Limits(id_seconds=240.0))
            publish(sequencer, now=NOW)
            publish(sequencer, id="same", now=NOW + phase)
            # What rotates the ids: publications, and the passing of time.
            for second in range(int(age)):
                publish(sequencer, now=NOW + phase + second)
                sequencer.expire(NOW + phase + second)
            assert publish(sequencer, id="same", now=NOW + phase + age).publication is None

    def test_an_id_is_forgotten_after_the_time_set(self) -> None:
        sequencer = Sequencer("epoch", Limits(id_seconds=240.0))
        publish(sequencer, id="same", now=NOW)
        for second in range(0, 241, 10):
            sequencer.expire(NOW + second)
        assert publish(sequencer, id="same", now=NOW + 241).publication is not None

    def test_at_least_half_as_many_ids_are_known_as_may_be_held(self) -> None:
        sequencer = Sequencer("epoch", Limits(ids=20))
        for last in range(100):
            publish(sequencer, id=f"number {last}")
            for recent in range(max(0, last - 9), last + 1):
                assert publish(sequencer, id=f"number {recent}").publication is None

    def test_no_more_ids_are_known_than_may_be_held(self) -> None:
        sequencer = Sequencer("epoch", Limits(ids=20))
        for number in range(100):
            publish(sequencer, id=f"number {number}")
        known = [publish(sequencer, id=f"number {number}").publication is None for number in range(99, 78, -1)]
        assert not known[-1]


class TestHistory:
    def test_of_nothing_is_empty_and_complete(self) -> None:
        assert Sequencer("epoch").history("channel", None, 10, NOW) == History([], Position("epoch", 0), True)

    def test_begins_with_the_oldest_kept_when_no_position_is_given(self) -> None:
        found = filled(5, retention=Retention(3, 1000.0)).history("channel", None, 10, NOW)
        assert (offsets_of(found), found.top, found.complete) == ([3, 4, 5], Position("epoch", 5), True)

    @pytest.mark.parametrize(
        ("since", "expected", "complete"),
        [(0, [3, 4, 5], False), (1, [3, 4, 5], False), (2, [3, 4, 5], True), (3, [4, 5], True), (5, [], True)],
        ids=str,
    )
    def test_is_complete_only_if_nothing_after_the_position_is_gone(
        self, since: int, expected: list[int], complete: bool
    ) -> None:
        sequencer = filled(5, retention=Retention(3, 1000.0))
        found = sequencer.history("channel", Position("epoch", since), 10, NOW)
        assert (offsets_of(found), found.complete) == (expected, complete)

    def test_of_another_epoch_is_not_complete(self) -> None:
        found = filled(2).history("channel", Position("other", 2), 10, NOW)
        assert (offsets_of(found), found.top, found.complete) == ([1, 2], Position("epoch", 2), False)

    def test_from_above_the_top_is_not_complete(self) -> None:
        found = filled(2).history("channel", Position("epoch", 3), 10, NOW)
        assert (found.top, found.complete) == (Position("epoch", 2), False)

    def test_is_cut_at_its_limit_and_goes_on_from_there(self) -> None:
        sequencer = filled(5)
        first = sequencer.history("channel", Position("epoch", 0), 3, NOW)
        assert (offsets_of(first), first.top.offset, first.complete) == ([1, 2, 3], 5, True)
        rest = sequencer.history("channel", first.publications[-1].position, 3, NOW)
        assert (offsets_of(rest), rest.complete) == ([4, 5], True)

    def test_of_limit_zero_only_tells_the_top(self) -> None:
        found = filled(5).history("channel", Position("epoch", 2), 0, NOW)
        assert found == History([], Position("epoch", 5), True)

    def test_leaves_out_what_has_become_too_old(self) -> None:
        sequencer = filled(2, retention=Retention(1000, 10.0))
        publish(sequencer, now=NOW + 8, retention=Retention(1000, 10.0))
        found = sequencer.history("channel", Position("epoch", 0), 10, NOW + 11)
        assert (offsets_of(found), found.complete) == ([3], False)

    def test_keeps_what_the_latest_publication_said(self) -> None:
        sequencer = filled(5)
        publish(sequencer, retention=Retention(2, 1000.0))
        assert offsets_of(sequencer.history("channel", None, 10, NOW)) == [5, 6]

    def test_expires_without_being_asked(self) -> None:
        sequencer = filled(5, retention=Retention(1000, 10.0))
        sequencer.expire(NOW + 11)
        assert sequencer.bytes == 0
        assert sequencer.top("channel") == Position("epoch", 5)


class TestClearing:
    def test_leaves_the_top_and_nothing_kept(self) -> None:
        sequencer = filled(3)
        clear(sequencer, 3)
        assert sequencer.history("channel", None, 10, NOW) == History([], Position("epoch", 3), True)
        assert not sequencer.history("channel", Position("epoch", 2), 10, NOW).complete
        assert publish(sequencer).position.offset == 4
        assert sequencer.bytes == filled(1).bytes

    def test_up_to_a_position_leaves_what_follows(self) -> None:
        sequencer = filled(3)
        clear(sequencer, 2)
        assert offsets_of(sequencer.history("channel", None, 10, NOW)) == [3]

    @pytest.mark.parametrize("through", [0, 2, 4])
    def test_up_to_where_nothing_is_kept_is_nothing_to_do(self, through: int) -> None:
        sequencer = filled(3)
        clear(sequencer, 2)
        assert sequencer.clearing("channel", Position("epoch", through)) is None

    def test_of_another_epoch_or_an_unknown_channel_is_nothing_to_do(self) -> None:
        sequencer = filled(3)
        assert sequencer.clearing("channel", Position("another epoch", 3)) is None
        assert sequencer.clearing("other", Position("epoch", 0)) is None


class TestLimits:
    def test_a_channel_too_many_pushes_out_the_one_least_recently_published_to(self) -> None:
        sequencer = Sequencer("epoch", Limits(channels=2))
        for channel in ("one", "two", "one", "three"):
            publish(sequencer, channel)
        kept = [channel for channel in ("one", "two", "three") if sequencer.history(channel, None, 10, NOW)[0]]
        assert kept == ["one", "three"]

    def test_a_channel_that_comes_back_begins_above_all_it_ever_had(self) -> None:
        sequencer = Sequencer("epoch", Limits(channels=1))
        for _ in range(3):
            publish(sequencer, "one")
        publish(sequencer, "two")
        accepted = publish(sequencer, "one")
        assert accepted.publication is not None
        assert accepted.publication.prev >= 3
        assert accepted.position.offset > accepted.publication.prev

    def test_history_of_a_channel_pushed_out_is_not_complete(self) -> None:
        sequencer = Sequencer("epoch", Limits(channels=1))
        for _ in range(3):
            publish(sequencer, "one")
        publish(sequencer, "two")
        assert not sequencer.history("one", Position("epoch", 2), 10, NOW).complete

    def test_bytes_stay_within_their_limit(self) -> None:
        limit = 100_000
        sequencer = Sequencer("epoch", Limits(bytes=limit))
        for number in range(500):
            publish(sequencer, f"channel {number % 7}", data=bytes(1000))
            assert sequencer.bytes <= limit

    def test_bytes_too_many_cost_the_channel_least_recently_published_to_its_history(self) -> None:
        sequencer = Sequencer("epoch", Limits(bytes=20_000))
        publish(sequencer, "old", data=bytes(5000))
        publish(sequencer, "recent", data=bytes(5000))
        publish(sequencer, "new", data=bytes(11_000))
        kept = [len(sequencer.history(channel, None, 10, NOW)[0]) for channel in ("old", "recent", "new")]
        assert kept == [0, 1, 1]
        assert sequencer.top("old") == Position("epoch", 1)
        assert not sequencer.history("old", Position("epoch", 0), 10, NOW).complete

    def test_a_publication_larger_than_everything_allowed_is_numbered_and_not_kept(self) -> None:
        sequencer = Sequencer("epoch", Limits(bytes=1000))
        assert publish(sequencer, data=bytes(2000)).publication is not None
        assert sequencer.bytes == 0
        assert not sequencer.history("channel", Position("epoch", 0), 10, NOW).complete


class TestBeacons:
    @given(st.lists(st.integers(1, 100), min_size=1, max_size=60))
    def test_are_due_once_for_each_time_that_passed_between_two_looks(self, pauses: list[int]) -> None:
        sequencer = filled(1)
        expected = [1, 2, 4, 8, 16, 32, 64]
        before = quiet = 0.0
        for pause in pauses:
            before, quiet = quiet, quiet + pause / 8
            found = sequencer.due_beacons(NOW + quiet, quiet - before)
            assert len(found) == any(before < delay <= quiet for delay in expected)
            assert all(beacon.is_beacon and beacon.position == Position("epoch", 1) for beacon in found)

    def test_end_a_minute_after_the_last_publication(self) -> None:
        sequencer = filled(1)
        seconds = [second for second in range(1, 300) if sequencer.due_beacons(NOW + second, 1.0)]
        assert seconds == [1, 2, 4, 8, 16, 32, LAST_BEACON]

    def test_begin_anew_with_each_publication(self) -> None:
        sequencer = filled(1)
        assert sequencer.due_beacons(NOW + 1, 1.0)
        publish(sequencer, now=NOW + 2.5)
        assert not sequencer.due_beacons(NOW + 3, 1.0)
        assert [beacon.offset for beacon in sequencer.due_beacons(NOW + 4, 1.0)] == [2]

    def test_are_not_begun_anew_by_a_repeated_id(self) -> None:
        sequencer = Sequencer("epoch")
        publish(sequencer, id="same")
        publish(sequencer, id="same", now=NOW + 2.5)
        assert sequencer.due_beacons(NOW + 4, 1.0)

    def test_do_not_speak_of_a_channel_pushed_out(self) -> None:
        sequencer = Sequencer("epoch", Limits(channels=1))
        publish(sequencer, "one")
        publish(sequencer, "two")
        assert [beacon.channel for beacon in sequencer.due_beacons(NOW + 1, 1.0)] == ["two"]

    def test_of_a_clock_that_was_set_back_come_when_it_has_caught_up(self) -> None:
        sequencer = filled(1)
        assert sequencer.due_beacons(NOW - 3600, 0.0) == []
        assert sequencer.due_beacons(NOW + 1, 1.0)


actions = st.lists(
    st.tuples(
        st.sampled_from("abcdef"),  # channel
        st.integers(0, 12),  # id; a repeated one must be recognised
        st.integers(0, 5),  # size of the history
        st.integers(0, 30),  # seconds that pass
    ),
    max_size=80,
)


@given(actions, st.integers(1, 6), st.sampled_from([500, 1500, 100_000]))
def test_an_offset_of_an_epoch_never_means_two_publications(
    steps: list[tuple[str, int, int, int]], channels: int, size: int
) -> None:
    sequencer = Sequencer("epoch", Limits(channels=channels, bytes=size, ids=8, id_seconds=60.0))
    now = NOW
    truth: dict[str, list[Publication]] = {}
    for channel, id, kept, elapsed in steps:
        now += elapsed
        position, publication = sequencer.accept(channel, b"data", str(id), Retention(kept, 100.0), now)
        accepted = truth.setdefault(channel, [])
        if publication is None:
            assert any((found.offset, found.id) == (position.offset, str(id)) for found in accepted)
        else:
            top = accepted[-1].offset if accepted else 0
            assert top <= publication.prev < publication.offset
            assert publication.position == position == sequencer.top(channel)
            accepted.append(publication)


@given(actions, st.integers(1, 6), st.sampled_from([500, 1500, 100_000]), st.integers(0, 7))
def test_complete_never_lies(steps: list[tuple[str, int, int, int]], channels: int, size: int, limit: int) -> None:
    sequencer = Sequencer("epoch", Limits(channels=channels, bytes=size))
    now = NOW
    truth: dict[str, list[Publication]] = {channel: [] for channel in "abcdef"}
    for channel, id, kept, elapsed in steps:
        now += elapsed
        publication = sequencer.accept(channel, b"data", str(id), Retention(kept, 100.0), now).publication
        if publication is not None:
            truth[channel].append(publication)
    for channel, accepted in truth.items():
        for offset in range(sequencer.top(channel).offset + 2):
            found = sequencer.history(channel, Position("epoch", offset), limit, now)
            after = [publication for publication in accepted if publication.offset > offset]
            if found.complete:
                assert found.publications == after[:limit]
            elif found.publications:
                start = accepted.index(found.publications[0])
                assert found.publications == accepted[start : start + limit]
            assert found.top == sequencer.top(channel)
