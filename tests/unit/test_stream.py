"""The log that keeps a channel's recent publications, and the cursor that reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.stream import Cursor, Log, Position, Publication, Retention, Verdict, beacon, chain

ROOMY = Retention(size=1000, seconds=1000.0)


def publications(*offsets: int, epoch: str = "epoch", prev: int = 0) -> list[Publication]:
    """Publications of one channel that follow one another."""
    return chain(epoch, "channel", prev, ((offset, f"id-{offset}", b"data") for offset in offsets))


def filled(*offsets: int, retention: Retention = ROOMY, start: int = 0) -> Log:
    """A log to which `offsets` were appended, one a second from second 0 on."""
    log = Log(start, retention)
    for second, publication in enumerate(publications(*offsets, prev=start)):
        log.append(publication, float(second))
    return log


def offsets_of(found: list[Publication]) -> list[int]:
    return [publication.offset for publication in found]


def test_a_chain_links_each_publication_to_the_one_before() -> None:
    found = publications(3, 4, 9, prev=2)
    assert [(publication.prev, publication.offset) for publication in found] == [(2, 3), (3, 4), (4, 9)]


def test_a_beacon_tells_the_top_and_carries_nothing() -> None:
    found = beacon("channel", Position("epoch", 7))
    assert found.is_beacon
    assert found.position == Position("epoch", 7)
    assert found.prev == 7
    assert not publications(7)[0].is_beacon


class TestLog:
    def test_an_empty_log_has_its_top_where_it_starts(self) -> None:
        log = Log(5, ROOMY)
        assert (log.start, log.top, len(log)) == (5, 5, 0)

    def test_the_newest_publication_is_the_top(self) -> None:
        assert filled(1, 2, 7).top == 7

    def test_keeps_no_more_publications_than_its_size(self) -> None:
        log = filled(1, 2, 3, 4, 5, retention=Retention(2, 1000.0))
        assert offsets_of(log.after(0)) == [4, 5]
        assert log.start == 3

    def test_of_size_zero_keeps_nothing_and_still_knows_its_top(self) -> None:
        log = filled(1, 2, 3, retention=Retention(0, 1000.0))
        assert (log.after(0), log.start, log.top, log.bytes) == ([], 3, 3, 0)

    def test_lets_go_of_what_is_older_than_its_seconds(self) -> None:
        log = filled(1, 2, 3, retention=Retention(1000, 10.0))
        log.trim(11.5)
        assert offsets_of(log.after(0)) == [3]
        assert log.start == 2

    def test_keeps_what_is_exactly_as_old_as_its_seconds(self) -> None:
        log = filled(1, 2, 3, retention=Retention(1000, 10.0))
        log.trim(11.0)
        assert offsets_of(log.after(0)) == [2, 3]

    def test_lets_go_when_a_publication_is_appended(self) -> None:
        log = filled(1, retention=Retention(1000, 10.0))
        log.append(publications(2, prev=1)[0], 60.0)
        assert offsets_of(log.after(0)) == [2]

    def test_a_smaller_retention_holds_from_the_next_trim_on(self) -> None:
        log = filled(1, 2, 3, 4)
        log.retention = Retention(1, 1000.0)
        log.trim(3.0)
        assert offsets_of(log.after(0)) == [4]

    def test_cleared_keeps_its_top(self) -> None:
        log = filled(1, 2, 3)
        log.clear()
        assert (len(log), log.start, log.top, log.bytes) == (0, 3, 3, 0)

    @pytest.mark.parametrize(("offset", "covered"), [(1, False), (2, True), (3, True), (9, True), (10, False)])
    def test_covers_an_offset_when_everything_after_it_is_kept(self, offset: int, covered: bool) -> None:
        log = filled(2, 3, 9, retention=Retention(2, 1000.0))
        assert log.covers(offset) is covered

    @pytest.mark.parametrize(
        ("offset", "expected"), [(0, [2, 3, 9]), (2, [3, 9]), (5, [9]), (9, []), (10, [])], ids=str
    )
    def test_after_an_offset_comes_everything_above_it(self, offset: int, expected: list[int]) -> None:
        assert offsets_of(filled(2, 3, 9).after(offset)) == expected

    def test_accounts_for_the_bytes_of_what_it_keeps(self) -> None:
        small, large = filled(1), filled(1)
        large.append(publications(2, prev=1)[0], 0.0)
        assert large.bytes == 2 * small.bytes
        large.trim(10_000.0)
        assert large.bytes == 0

    @given(
        st.integers(0, 6),
        st.integers(0, 20),
        st.lists(st.tuples(st.integers(0, 8), st.integers(1, 3)), max_size=40),
    )
    def test_keeps_the_newest_that_are_young_enough(
        self, size: int, seconds: int, steps: list[tuple[int, int]]
    ) -> None:
        log = Log(0, Retention(size, seconds))
        kept: list[tuple[int, int]] = []
        now = top = start = 0
        for elapsed, jump in steps:
            now += elapsed
            log.append(Publication("channel", "epoch", top, top + jump, "", b""), now)
            top += jump
            kept.append((now, top))
            while kept and (len(kept) > size or kept[0][0] < now - seconds):
                start = kept.pop(0)[1]
            assert offsets_of(log.after(0)) == [offset for _, offset in kept]
            assert (log.start, log.top) == (start, top)
            assert all(log.covers(offset) == (start <= offset <= top) for offset in range(top + 2))


class TestCursor:
    def test_delivers_what_follows_and_steps_to_it(self) -> None:
        cursor = Cursor(Position("epoch", 4))
        assert cursor.accept(publications(5, prev=4)[0]) is Verdict.DELIVER
        assert cursor.position == Position("epoch", 5)

    def test_delivers_across_offsets_that_were_never_used(self) -> None:
        cursor = Cursor(Position("epoch", 4))
        assert cursor.accept(publications(90, prev=4)[0]) is Verdict.DELIVER

    @pytest.mark.parametrize("offset", [1, 4])
    def test_knows_what_it_has_read_already(self, offset: int) -> None:
        cursor = Cursor(Position("epoch", 4))
        assert cursor.accept(publications(offset, prev=offset - 1)[0]) is Verdict.DUPLICATE
        assert cursor.position == Position("epoch", 4)

    def test_sees_that_something_is_missing_and_stays(self) -> None:
        cursor = Cursor(Position("epoch", 4))
        assert cursor.accept(publications(6, prev=5)[0]) is Verdict.GAP
        assert cursor.position == Position("epoch", 4)

    def test_sees_by_a_beacon_that_the_end_is_missing(self) -> None:
        cursor = Cursor(Position("epoch", 4))
        assert cursor.accept(beacon("channel", Position("epoch", 5))) is Verdict.GAP
        assert cursor.position == Position("epoch", 4)

    @pytest.mark.parametrize("offset", [3, 4])
    def test_learns_nothing_from_a_beacon_it_has_reached(self, offset: int) -> None:
        assert Cursor(Position("epoch", 4)).accept(beacon("channel", Position("epoch", offset))) is Verdict.DUPLICATE

    @pytest.mark.parametrize("found", [publications(5, epoch="other", prev=4)[0], beacon("channel", Position("x", 0))])
    def test_does_not_go_into_another_epoch_by_itself(self, found: Publication) -> None:
        cursor = Cursor(Position("epoch", 4))
        assert cursor.accept(found) is Verdict.RESET
        assert cursor.position == Position("epoch", 4)

    def test_goes_on_from_where_it_is_reset_to(self) -> None:
        cursor = Cursor(Position("epoch", 4))
        cursor.reset(Position("other", 8))
        assert cursor.accept(publications(9, epoch="other", prev=8)[0]) is Verdict.DELIVER

    @given(st.lists(st.integers(0, 19), max_size=60))
    def test_whatever_arrives_it_delivers_each_publication_once_and_in_order(self, arrivals: list[int]) -> None:
        stream = publications(*range(1, 21))
        cursor = Cursor(Position("epoch", 0))
        delivered = [stream[index] for index in arrivals if cursor.accept(stream[index]) is Verdict.DELIVER]
        assert delivered == stream[: len(delivered)]
