"""Which workers there are, as one of them hears them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.peers import (
    Alive,
    Cleared,
    DisconnectClients,
    Emulated,
    Message,
    MessageClients,
    Peers,
    SubscribeClients,
    Target,
    UnsubscribeClients,
    decode,
    encode,
)
from cluster.presence import Ask, Changed, Entered, Left, Whole
from cluster.stream import Position

ME, OTHER = "me", "other"


def listening(peers: Peers, since: int, until: int) -> list[str]:
    """Hear oneself once a second; who was found to be gone."""
    gone = []
    for second in range(since, until):
        peers.hear(ME, float(second), 1.0)
        gone += peers.gone()
    return gone


def test_nobody_is_there_at_first() -> None:
    peers = Peers(ME, 1.0)
    assert peers.nodes == set()
    assert not peers.settled


def test_after_an_interval_everyone_has_been_heard() -> None:
    peers = Peers(ME, 1.0)
    peers.hear(ME, 0.0, 1.0)
    assert not peers.settled
    peers.hear(ME, 1.0, 1.0)
    assert peers.settled


def test_who_speaks_rarely_has_not_to_listen_for_long() -> None:
    peers = Peers(ME, 60.0)
    peers.hear(ME, 0.0, 60.0)
    peers.hear(ME, 1.0, 60.0)
    assert peers.settled


def test_who_is_silent_for_some_intervals_is_gone() -> None:
    peers = Peers(ME, 1.0)
    peers.hear(ME, 0.0, 1.0)
    peers.hear(OTHER, 0.0, 1.0)
    assert listening(peers, 1, 4) == []
    assert listening(peers, 4, 5) == [OTHER]
    assert peers.nodes == {ME}


def test_who_speaks_less_often_is_given_more_time() -> None:
    peers = Peers(ME, 1.0)
    peers.hear(ME, 0.0, 1.0)
    peers.hear(OTHER, 0.0, 10.0)
    assert listening(peers, 1, 36) == []
    assert listening(peers, 36, 37) == [OTHER]


def test_what_it_says_besides_keeps_a_worker_there() -> None:
    peers = Peers(ME, 1.0)
    peers.hear(ME, 0.0, 1.0)
    peers.hear(OTHER, 0.0, 1.0)
    for second in range(1, 20):
        peers.hear(OTHER, float(second))
        assert listening(peers, second, second + 1) == []


def test_nobody_is_gone_because_the_bus_was_away() -> None:
    peers = Peers(ME, 1.0)
    listening(peers, 0, 3)
    peers.hear(OTHER, 2.0, 1.0)
    # Nobody is heard for a minute, not even this worker itself.
    assert listening(peers, 60, 62) == []
    peers.hear(OTHER, 61.5, 1.0)
    assert peers.nodes == {ME, OTHER}


def test_who_leaves_is_forgotten_and_not_found_to_be_gone() -> None:
    peers = Peers(ME, 1.0)
    peers.hear(OTHER, 0.0, 1.0)
    peers.forget(OTHER)
    peers.forget(OTHER)
    assert peers.nodes == set()
    assert listening(peers, 0, 9) == []


@pytest.mark.parametrize(
    "message",
    [
        Alive("n", 1.0, 7),
        Changed("n", 2, [Entered("room", "x", "ann", b"{}", b"\xff"), Left("room", "y")]),
        Whole("n", 2, 0, 1, [Entered("room", "x", "ann")]),
        Ask(["n"]),
        DisconnectClients(Target("ann", client="x"), 4000, "enough", ["y"]),
        SubscribeClients(Target("ann"), "room", since=Position("e", 3), presence=False, info=b"\xff"),
        UnsubscribeClients(Target("ann", session="s"), "room"),
        MessageClients(Target("ann"), b"{}"),
        Cleared("room"),
        Emulated("s", b"\xff\x00"),
    ],
    ids=lambda message: type(message).__name__,
)
def test_a_message_arrives_as_it_was_sent(message: Message) -> None:
    assert decode(encode(message)) == message


@given(st.binary(max_size=64))
def test_what_is_no_message_is_an_error_that_can_be_caught(data: bytes) -> None:
    try:
        decode(data)
    except ValueError:
        return
