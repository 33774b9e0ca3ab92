"""A log that every worker folds for itself: workers agree wherever they began, and say what they do not know."""

from __future__ import annotations

from cluster.parcel import SPAN, Parcel
from cluster.replica import Replica
from cluster.sequencer import Item, Limits
from cluster.stream import History, Position, Publication, Retention

KEEP = Retention(100, 300.0)
NOW = 1000.0


def parcel(mark: str, *items: tuple[str, str], epoch: str = "", at: float = NOW) -> Parcel:
    """Publications `(channel, id)`, whose data are their ids."""
    return Parcel(mark, epoch, at, [Item(channel, id, id.encode(), KEEP) for channel, id in items])


LOG = [
    parcel("hello"),
    parcel("1", ("a", "one"), ("b", "two"), ("a", "three"), epoch="hello"),
    parcel("hello again"),
    parcel("2", ("a", "four"), epoch="hello"),
]


def replica(log: list[Parcel] = LOG, start: int = 0, now: float = NOW) -> Replica:
    """One that has read `log` from `start` on."""
    found = Replica(Limits())
    for place, message in list(enumerate(log))[start:]:
        found.take(place, message, now)
    return found


def history(of: Replica, channel: str, since: Position | None = None) -> History:
    return of.sequencer.history(channel, since, 100, NOW)


def ids(publications: list[Publication]) -> list[str]:
    return [publication.id for publication in publications]


def test_the_first_message_names_the_log() -> None:
    assert replica().sequencer.epoch == "hello"


def test_who_did_not_see_the_first_message_learns_the_name_from_others() -> None:
    assert replica(start=1).sequencer.epoch == "hello"
    assert replica(start=2).sequencer.epoch == "hello"


def test_a_publication_has_the_same_offset_wherever_reading_began() -> None:
    whole, part = replica(), replica(start=2)
    assert history(whole, "a").publications[-1].position == history(part, "a").publications[-1].position
    assert history(whole, "a").top == Position("hello", 3 * SPAN + 1)


def test_publications_of_a_channel_are_linked_across_parcels() -> None:
    found = history(replica(), "a").publications
    assert ids(found) == ["one", "three", "four"]
    assert [publication.prev for publication in found] == [0, *(publication.offset for publication in found[:-1])]


def test_who_began_later_does_not_claim_to_know_what_was_before() -> None:
    seen = history(replica(), "a").publications[0].position
    assert history(replica(), "a", seen).complete
    assert not history(replica(start=2), "a", seen).complete
    assert ids(history(replica(start=2), "a").publications) == ["four"]


def test_a_channel_that_never_was_begins_where_reading_began() -> None:
    assert replica().sequencer.top("never") == Position("hello", 0)
    assert replica(start=2).sequencer.top("never") == Position("hello", 2 * SPAN)


def test_a_repeated_id_has_the_place_it_had() -> None:
    found = replica()
    taken = found.take(4, parcel("3", ("a", "one"), ("a", "five"), epoch="hello"), NOW)
    assert taken is not None
    assert ids(taken.publications) == ["five"]
    assert taken.places == [Position("hello", SPAN + 1), Position("hello", 4 * SPAN + 2)]


def test_what_was_written_for_another_log_is_passed_over() -> None:
    found = replica()
    assert found.take(4, parcel("stale", ("a", "x"), epoch="another"), NOW) is None
    assert ids(history(found, "a").publications) == ["one", "three", "four"]
    assert found.take(5, parcel("3", ("a", "five"), epoch="hello"), NOW) is not None


def test_what_was_written_for_a_log_that_is_lost_does_not_name_the_next() -> None:
    found = replica([parcel("mark", ("a", "x"), epoch="lost"), parcel("1", ("a", "y"), epoch="lost")])
    assert found.sequencer.epoch == "mark"
    assert history(found, "a").publications == []


def test_an_epoch_ends_when_the_log_has_lost_what_was_read_of_it() -> None:
    found = replica()
    assert found.take(4, Parcel("new", "hello", NOW, [], void=True), NOW) is not None
    assert found.sequencer.top("a") == Position("new", 4 * SPAN)
    assert not history(found, "a", Position("hello", SPAN + 1)).complete
    # Whoever else noticed says so of an epoch that is over already.
    assert found.take(5, Parcel("newer", "hello", NOW, [], void=True), NOW) is None
    assert found.take(6, parcel("3", ("a", "one"), epoch="new"), NOW) is not None
    assert ids(history(found, "a").publications) == ["one"]


def test_what_was_taken_is_not_taken_again() -> None:
    found = replica()
    assert found.take(3, LOG[3], NOW) is None
    assert found.take(1, LOG[1], NOW) is None


def test_a_log_continues_only_where_the_newest_message_is_the_same() -> None:
    found = replica()
    assert found.read == 3
    assert found.continues(3, LOG[3])
    assert not found.continues(3, parcel("another"))
    assert not found.continues(4, parcel("later"))
    assert Replica(Limits()).continues(7, parcel("anything"))


def test_a_log_without_a_name_is_named_by_the_first_message_there_is() -> None:
    assert replica([parcel("x"), parcel("y"), parcel("z")], start=1).sequencer.epoch == "y"


def test_clearing_takes_what_was_there_and_nothing_newer() -> None:
    found = replica()
    cleared = history(found, "a").top
    found.take(4, parcel("3", ("a", "five"), epoch="hello"), NOW)
    found.take(5, Parcel("clear", "hello", NOW, [], [("a", cleared)]), NOW)
    assert ids(history(found, "a").publications) == ["five"]
    assert not history(found, "a", Position("hello", SPAN + 1)).complete
    found.take(6, Parcel("clear", "hello", NOW, [], [("a", Position("another", 1)), ("never", cleared)]), NOW)
    assert ids(history(found, "a").publications) == ["five"]


def test_what_was_too_old_when_it_was_read_is_not_kept() -> None:
    later = NOW + KEEP.seconds + 1
    found = replica(now=later).sequencer.history("a", None, 100, later)
    assert (found.publications, found.top.offset) == ([], 3 * SPAN + 1)


def test_a_clock_ahead_makes_nothing_newer_than_now() -> None:
    ahead = Replica(Limits())
    ahead.take(0, LOG[0], NOW)
    ahead.take(1, parcel("1", ("a", "one"), epoch="hello", at=NOW + 9999), NOW)
    assert ahead.sequencer.history("a", None, 100, NOW + KEEP.seconds + 1).publications == []
