"""The copy of everyone's clients: whatever is lost on the way, it comes to be what the workers have."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.presence import Changed, Entered, Event, Left, Presence, Whole

A, B = "a", "b"


def entered(channel: str, client: str, info: bytes = b"") -> Entered:
    return Entered(channel, client, "user of " + client, chan_info=info)


def names(presence: Presence, channel: str = "room") -> set[str]:
    return set(presence.clients(channel))


def told(events: list[Event]) -> list[tuple[str, str, str]]:
    return [("joined" if event.joined else "left", event.channel, event.info.client) for event in events]


def known(*clients: str, node: str = A, version: int = 1) -> Presence:
    """A copy that knows these clients of one worker."""
    presence = Presence()
    presence.take(Whole(node, version, 0, 1, [entered("room", client) for client in clients]))
    return presence


def test_a_worker_is_unknown_until_it_has_told_the_whole() -> None:
    presence = Presence()
    assert presence.take(Changed(A, 3, [entered("room", "x")])) == []
    assert not presence.knows(A)
    assert presence.behind == [A]
    assert told(presence.take(Whole(A, 4, 0, 1, [entered("room", "x")]))) == [("joined", "room", "x")]
    assert presence.knows(A)
    assert presence.behind == []


def test_clients_come_and_go_as_their_worker_tells() -> None:
    presence = known()
    assert told(presence.take(Changed(A, 2, [entered("room", "x"), entered("hall", "x")]))) == [
        ("joined", "room", "x"),
        ("joined", "hall", "x"),
    ]
    assert told(presence.take(Changed(A, 3, [Left("room", "x")]))) == [("left", "room", "x")]
    assert names(presence) == set()
    assert names(presence, "hall") == {"x"}


def test_what_is_told_of_a_client_is_known() -> None:
    presence = known()
    presence.take(Changed(A, 2, [Entered("room", "x", "ann", b'{"a":1}', b"\x00")]))
    info = presence.clients("room")["x"]
    assert (info.client, info.user, bytes(info.conn_info), bytes(info.chan_info)) == ("x", "ann", b'{"a":1}', b"\x00")


def test_a_client_that_enters_again_has_not_joined_again() -> None:
    presence = known("x")
    assert presence.take(Changed(A, 2, [entered("room", "x", b"2")])) == []
    assert bytes(presence.clients("room")["x"].chan_info) == b"2"


def test_a_client_that_left_and_came_back_at_once_did_both() -> None:
    presence = known("x")
    assert told(presence.take(Changed(A, 2, [Left("room", "x"), entered("room", "x")]))) == [
        ("left", "room", "x"),
        ("joined", "room", "x"),
    ]


def test_a_message_that_comes_twice_changes_nothing() -> None:
    presence = known()
    message = Changed(A, 2, [entered("room", "x")])
    presence.take(message)
    assert presence.take(message) == []
    assert presence.take(Whole(A, 2, 0, 1, [])) == []
    assert names(presence) == {"x"}


def test_after_a_gap_nothing_counts_but_the_whole() -> None:
    presence = known("x")
    assert presence.take(Changed(A, 3, [Left("room", "x")])) == []
    assert presence.behind == [A]
    assert presence.take(Changed(A, 4, [entered("room", "y")])) == []
    assert names(presence) == {"x"}
    events = presence.take(Whole(A, 5, 0, 1, [entered("room", "y")]))
    assert told(events) == [("left", "room", "x"), ("joined", "room", "y")]


def test_who_is_in_both_neither_left_nor_joined() -> None:
    presence = known("x", "y")
    presence.doubt()
    assert told(presence.take(Whole(A, 1, 0, 1, [entered("room", "y"), entered("room", "z")]))) == [
        ("left", "room", "x"),
        ("joined", "room", "z"),
    ]


def test_a_whole_counts_when_all_its_parts_are_there() -> None:
    presence = known("x")
    presence.doubt()
    assert presence.take(Whole(A, 2, 0, 2, [entered("room", "y")])) == []
    assert not presence.knows(A)
    assert told(presence.take(Whole(A, 2, 1, 2, [entered("room", "z")]))) == [
        ("left", "room", "x"),
        ("joined", "room", "y"),
        ("joined", "room", "z"),
    ]


def test_parts_of_two_wholes_are_not_mixed() -> None:
    presence = known()
    presence.doubt()
    presence.take(Whole(A, 2, 0, 2, [entered("room", "old")]))
    presence.take(Whole(A, 3, 1, 2, [entered("room", "new 2")]))
    assert not presence.knows(A)
    presence.take(Whole(A, 4, 0, 2, [entered("room", "new 1")]))
    presence.take(Whole(A, 4, 0, 2, [entered("room", "new 1")]))
    presence.take(Whole(A, 4, 1, 2, [entered("room", "new 2")]))
    assert names(presence) == {"new 1", "new 2"}


def test_a_worker_that_has_told_more_than_is_known_has_to_be_asked() -> None:
    presence = known(version=7)
    presence.expect(A, 7)
    assert presence.knows(A)
    presence.expect(A, 8)
    assert presence.behind == [A]


def test_a_worker_that_is_gone_takes_its_clients_along_and_nobody_else_s() -> None:
    presence = known("x")
    presence.take(Whole(B, 1, 0, 1, [entered("room", "y")]))
    assert told(presence.drop(A)) == [("left", "room", "x")]
    assert presence.drop(A) == []
    assert names(presence) == {"y"}
    assert not presence.knows(A)


def test_a_worker_that_comes_back_is_asked_first() -> None:
    presence = known("x")
    presence.drop(A)
    presence.take(Changed(A, 2, [entered("room", "y")]))
    assert presence.behind == [A]
    assert told(presence.take(Whole(A, 3, 0, 1, [entered("room", "x"), entered("room", "y")]))) == [
        ("joined", "room", "x"),
        ("joined", "room", "y"),
    ]


@dataclass
class Worker:
    """One that tells of its clients, and a copy of what the others tell that misses some of it."""

    name: str
    clients: set[tuple[str, str]] = field(default_factory=set)
    version: int = 0
    presence: Presence = field(default_factory=Presence)
    present: dict[tuple[str, str], str] = field(default_factory=dict)

    def change(self, channel: str, number: int) -> Changed:
        client = f"{self.name}{number}"
        here = (channel, client) in self.clients
        self.clients ^= {(channel, client)}
        self.version += 1
        return Changed(self.name, self.version, [Left(channel, client) if here else entered(channel, client)])

    def whole(self, parts: int) -> list[Whole]:
        self.version += 1
        entries = [entered(*client) for client in sorted(self.clients)]
        return [Whole(self.name, self.version, part, parts, entries[part::parts]) for part in range(parts)]

    def follow(self, events: list[Event]) -> None:
        """Who watches joins and leaves sees each once, and in turn."""
        for joined, channel, info in events:
            if joined:
                assert (channel, info.client) not in self.present
                self.present[channel, info.client] = info.user
            else:
                assert self.present.pop((channel, info.client)) == info.user

    def check(self) -> None:
        assert self.present.keys() == {
            (channel, client) for channel in CHANNELS for client in self.presence.clients(channel)
        }


CHANNELS = ("room", "hall")
WORKERS = ("a", "b", "c")

steps = st.lists(
    st.one_of(
        st.tuples(st.just("change"), st.sampled_from(WORKERS), st.sampled_from(CHANNELS), st.integers(1, 3)),
        st.tuples(st.just("whole"), st.sampled_from(WORKERS), st.integers(1, 3), st.just(0)),
        st.tuples(st.just("gone"), st.sampled_from(WORKERS), st.just(0), st.just(0)),
    ),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(steps, st.data())
def test_copies_come_to_be_what_the_workers_have_and_tell_each_join_and_leave_once(
    steps: list[tuple[str, str, str | int, int]], data: st.DataObject
) -> None:
    workers = {name: Worker(name) for name in WORKERS}

    def deliver(message: Changed | Whole, to: Worker, *, safely: bool) -> None:
        fate = "arrives" if safely else data.draw(st.sampled_from(["arrives"] * 4 + ["lost", "noticed", "twice"]))
        if fate == "noticed":
            to.presence.doubt()
        for _ in range({"arrives": 1, "twice": 2}.get(fate, 0)):
            to.follow(to.presence.take(message))
        to.check()

    for kind, name, argument, number in steps:
        worker = workers[name]
        if kind == "gone":
            for other in workers.values():
                if data.draw(st.booleans()):
                    other.follow(other.presence.drop(name))
                    other.check()
            continue
        messages: list[Changed] | list[Whole] = (
            [worker.change(str(argument), number)] if kind == "change" else worker.whole(int(argument))
        )
        for message in messages:
            for other in workers.values():
                deliver(message, other, safely=False)

    # From now on nothing is lost: signs of life tell the versions, who is behind asks, and is answered.
    for worker in workers.values():
        for other in workers.values():
            other.presence.expect(worker.name, worker.version)
    for worker in workers.values():
        if any(not other.presence.knows(worker.name) for other in workers.values()):
            for part in worker.whole(2):
                for other in workers.values():
                    deliver(part, other, safely=True)

    truth = set().union(*(worker.clients for worker in workers.values()))
    for worker in workers.values():
        assert worker.presence.behind == []
        assert worker.present.keys() == truth
