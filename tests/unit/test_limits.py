"""How often something may happen."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cluster.limits import TokenBucket


def taken(bucket: TokenBucket, now: float, attempts: int = 1000) -> int:
    return sum(bucket.take(now) for _ in range(attempts))


def test_a_burst_is_allowed_at_once_and_no_more() -> None:
    assert taken(TokenBucket(rate=10, burst=5), now=100.0) == 5


def test_what_was_taken_comes_back_at_the_rate() -> None:
    bucket = TokenBucket(rate=10, burst=5)
    taken(bucket, now=100.0)
    assert taken(bucket, now=100.25) == 2


def test_a_long_rest_is_worth_one_burst() -> None:
    bucket = TokenBucket(rate=10, burst=5)
    taken(bucket, now=100.0)
    assert taken(bucket, now=10_000.0) == 5


def test_an_attempt_that_was_refused_costs_nothing() -> None:
    bucket = TokenBucket(rate=1, burst=1)
    assert bucket.take(0.0)
    assert not any(bucket.take(attempt / 16) for attempt in range(1, 16))
    assert bucket.take(1.0)


@given(st.integers(1, 50), st.integers(1, 50), st.lists(st.integers(0, 64), max_size=50))
def test_in_any_stretch_of_time_no_more_than_a_burst_and_the_rate(rate: int, burst: int, pauses: list[int]) -> None:
    bucket = TokenBucket(rate, burst)
    now = 0.0
    allowed: list[float] = []
    for pause in pauses:
        now += pause / 64
        if bucket.take(now):
            allowed.append(now)
    for first in range(len(allowed)):
        for last in range(first, len(allowed)):
            assert last - first + 1 <= burst + rate * (allowed[last] - allowed[first]) + 1e-6
