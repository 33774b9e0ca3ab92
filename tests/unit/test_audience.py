"""When what is due to an audience is written, and in how many pieces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cluster.audience import BUSY, LONGEST_DELAY, Audience, Flusher, Subscriber
from cluster.stream import Publication


def publication(data: bytes) -> Publication:
    return Publication("channel", "epoch", 0, 1, "id", data)


def data_of(found: Publication) -> bytes:
    return found.data or b""


class Client(Subscriber):
    """Keeps what it is handed."""

    format = staticmethod(data_of)

    def __init__(self, *, joins: bool = True) -> None:
        self.join = b"".join if joins else None
        self.handed: list[Any] = []

    def deliver(self, frame: Any) -> None:
        self.handed.append(frame)


class FakeLoop:
    """A clock that is moved, and what is to be called when. Each delivery takes `cost` seconds."""

    def __init__(self, cost: float = 0.0) -> None:
        self.now = 100.0
        self.cost = cost
        self.calls: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now

    def call_soon(self, callback: Callable[[], None], /) -> None:
        self.calls.append((self.now, callback))

    def call_at(self, when: float, callback: Callable[[], None], /) -> None:
        self.calls.append((when, callback))

    def run(self) -> float:
        """Make the next call and return when it was due."""
        when, callback = self.calls.pop(0)
        self.now = max(self.now, when)
        callback()
        return when


class Busy(Client):
    """Takes time to be handed something."""

    def __init__(self, loop: FakeLoop) -> None:
        super().__init__()
        self._loop = loop

    def deliver(self, frame: Any) -> None:
        super().deliver(frame)
        self._loop.now += self._loop.cost


def audience(*members: Subscriber) -> Audience:
    found = Audience(members[0].format, members[0].join)
    found.members.update(dict.fromkeys(members))
    return found


def add(flusher: Flusher, to: Audience, data: bytes) -> None:
    to.add(publication(data))
    if len(to.due) == 1:
        flusher.add(to)


def test_what_falls_due_before_a_flush_is_handed_out_in_one_piece() -> None:
    loop, client = FakeLoop(), Client()
    flusher, to = Flusher(loop), audience(client)
    add(flusher, to, b"a")
    add(flusher, to, b"b")
    assert client.handed == []
    loop.run()
    assert client.handed == [b"ab"]
    assert loop.calls == []
    assert to.delivered == 2


def test_who_does_not_join_is_handed_each_piece() -> None:
    loop, client = FakeLoop(), Client(joins=False)
    flusher, to = Flusher(loop), audience(client)
    add(flusher, to, b"a")
    add(flusher, to, b"b")
    loop.run()
    assert client.handed == [b"a", b"b"]


def test_what_cannot_be_formatted_is_told_to_every_member_and_to_nobody_else() -> None:
    class Picky(Client):
        def __init__(self) -> None:
            super().__init__()
            self.told: list[str] = []

        def unsuitable(self, channel: str) -> None:
            self.told.append(channel)

    def only_text(found: Publication) -> bytes:
        return data_of(found).decode().encode()

    members = [Picky(), Picky()]
    for member in members:
        member.format = only_text
    to = audience(*members)
    to.add(publication(b"\xff"))
    to.add(publication(b"text"))
    to.flush()
    assert [member.told for member in members] == [["channel"]] * 2
    assert [member.handed for member in members] == [[b"text"]] * 2
    assert to.delivered == 2


def test_a_subscriber_of_several_channels_is_written_to_once() -> None:
    loop, both, one = FakeLoop(), Client(), Client()
    flusher, first, second = Flusher(loop), audience(both, one), audience(both)
    add(flusher, first, b"a")
    add(flusher, second, b"b")
    add(flusher, first, b"c")
    loop.run()
    assert both.handed == [b"acb"]
    assert one.handed == [b"ac"]


def test_subscribers_of_the_same_channels_share_what_is_written() -> None:
    loop, a, b = FakeLoop(), Client(), Client()
    flusher, first, second = Flusher(loop), audience(a, b), audience(a, b)
    add(flusher, first, b"x" * 1000)
    add(flusher, second, b"y")
    loop.run()
    assert a.handed[0] is b.handed[0]


def test_when_idle_it_is_written_at_once() -> None:
    loop, client = FakeLoop(), Client()
    flusher, to = Flusher(loop), audience(client)
    for _ in range(3):
        asked = loop.now
        add(flusher, to, b"a")
        assert loop.run() == asked
        loop.now += 0.001


def test_when_writing_takes_long_the_next_flush_waits_a_multiple_of_it() -> None:
    loop = FakeLoop(cost=0.001)
    flusher, to = Flusher(loop), audience(Busy(loop))
    add(flusher, to, b"a")
    loop.run()
    ended = loop.now
    add(flusher, to, b"b")
    assert abs(loop.run() - (ended + 0.001 * BUSY)) < 1e-9


def test_no_flush_waits_longer_than_the_limit() -> None:
    loop = FakeLoop(cost=5.0)
    flusher, to = Flusher(loop), audience(Busy(loop))
    add(flusher, to, b"a")
    loop.run()
    ended = loop.now
    add(flusher, to, b"b")
    assert abs(loop.run() - (ended + LONGEST_DELAY)) < 1e-9


def test_an_audience_flushed_meanwhile_is_not_handed_anything_twice() -> None:
    loop, client = FakeLoop(), Client()
    flusher, to = Flusher(loop), audience(client)
    add(flusher, to, b"a")
    to.flush()
    loop.run()
    assert client.handed == [b"a"]
