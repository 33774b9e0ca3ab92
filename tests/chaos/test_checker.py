"""The checker must find what it is there to find."""

from __future__ import annotations

from .checker import Delivery, Record, Verdict, check

ACKNOWLEDGED = {"c": {"a": ("e", 1), "b": ("e", 2), "c": ("e", 3)}}


def verdict(*ids: str, start: int = 0, told: int = 0) -> Verdict:
    """Of a client that received `ids`, each at the place it was acknowledged at."""
    places = ACKNOWLEDGED["c"]
    return check(ACKNOWLEDGED, [Record("c", ("e", start), [Delivery(*places[id], id) for id in ids], told)])


def test_everything_in_order_is_kept() -> None:
    assert verdict("a", "b", "c").kept


def test_what_came_before_a_client_is_not_expected_of_it() -> None:
    assert verdict("b", "c", start=1).kept


def test_a_missing_publication_is_lost() -> None:
    assert verdict("a", "c").lost == 1


def test_the_last_publication_missing_is_lost() -> None:
    assert verdict("a", "b").lost == 1


def test_a_client_that_never_connected_has_lost_everything() -> None:
    assert check(ACKNOWLEDGED, [Record("c")]).lost == 3


def test_the_same_publication_twice_is_duplicated() -> None:
    assert verdict("a", "b", "b", "c").duplicated == 1


def test_one_id_at_two_places_is_duplicated() -> None:
    twice = [Delivery("e", 1, "a"), Delivery("e", 2, "b"), Delivery("e", 3, "c"), Delivery("e", 4, "a")]
    assert check(ACKNOWLEDGED, [Record("c", ("e", 0), twice)]).duplicated == 1


def test_neighbours_the_wrong_way_round_are_reordered() -> None:
    assert verdict("b", "a", "c").reordered > 0


def test_being_told_of_a_loss_is_no_kept_promise() -> None:
    assert not verdict("a", "b", "c", told=1).kept
