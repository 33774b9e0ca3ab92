"""A channel read through a bus that loses, repeats and delays, and whose log is lost now and then.

Whatever happens on the way, a subscriber must be told exactly what was accepted, in its order, or that something
is missing and where it goes on. Never a hole it is not told of, a publication twice, or two in the wrong order.
"""

from __future__ import annotations

import itertools
from collections import deque
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from cluster.audience import Audience, Subscriber
from cluster.live import LiveChannel, State
from cluster.sequencer import Sequencer
from cluster.stream import Cursor, History, Position, Publication, Retention, Verdict, beacon

CHANNEL = "channel"
NOW = 0.0


class Truth:
    """What was accepted, by epoch, and how much of it the bus still has."""

    def __init__(self, retention: Retention) -> None:
        self.retention = retention
        self.accepted: dict[str, list[Publication]] = {}
        self._ids = map("id-{}".format, itertools.count())
        self.begin_epoch()

    def begin_epoch(self) -> None:
        """Lose the log: nothing of what was accepted before can be had again."""
        self.sequencer = Sequencer(f"epoch-{len(self.accepted)}")
        self.accepted[self.sequencer.epoch] = []

    def publish(self) -> Publication:
        _, publication = self.sequencer.accept(CHANNEL, b"data", next(self._ids), self.retention, NOW)
        assert publication is not None
        self.accepted[publication.epoch].append(publication)
        return publication

    def history(self, since: Position, limit: int) -> History:
        return self.sequencer.history(CHANNEL, since, limit, NOW)

    @property
    def top(self) -> Position:
        return self.sequencer.top(CHANNEL)


class Witness(Subscriber):
    """A subscriber that knows the truth, and raises `AssertionError` as soon as it is told anything else."""

    def __init__(self, truth: Truth, at: Position) -> None:
        self._truth = truth
        self.at = at
        self.delivered: list[Publication] = []

    def deliver(self, frame: Any) -> None:
        following = [found for found in self._truth.accepted[self.at.epoch] if found.offset > self.at.offset]
        assert following, f"{frame} was delivered after the last of its epoch"
        assert frame == following[0], f"{frame} was delivered, {following[0]} comes next"
        self.at = frame.position
        self.delivered.append(frame)

    def reset(self, channel: str, position: Position) -> None:
        epochs = list(self._truth.accepted)
        assert epochs.index(position.epoch) >= epochs.index(self.at.epoch), "the channel went back to an epoch it left"
        if position.epoch == self.at.epoch:
            assert position.offset > self.at.offset, "the channel went back"
            skipped_from = self.at
        else:
            skipped_from = Position(position.epoch, 0)
        kept = self._truth.history(skipped_from, 1)
        if kept.top.epoch == position.epoch and kept.publications:
            assert position.offset <= kept.publications[0].prev, "what the bus still has was skipped"
        if position.epoch == self.at.epoch:
            assert not kept.complete, "a loss was told, and nothing was lost"
        self.at = position


class Reading:
    """The bus and one channel that reads it, one step of either at a time.

    A step takes a number from 0 to 3 and makes of it what it can use.
    """

    def __init__(self, size: int, page: int, reader: type[LiveChannel] = LiveChannel) -> None:
        """The bus keeps `size` publications and answers with `page` of them at most."""
        self.page = page
        self.truth = Truth(Retention(size, 1000.0))
        self.under_way: deque[Publication] = deque()
        self.asking = False
        self.answer: History | None = None
        self.due: list[Audience] = []
        self.channel = reader(CHANNEL, self.truth.retention, self.due.append)
        self.channel.open(self.truth.top)
        self.witnesses: list[Witness] = []
        self.attach()

    def attach(self, number: int = 0) -> None:
        """One more subscriber, from where the channel is."""
        witness = Witness(self.truth, self.channel.position)
        self.channel.attach(witness)
        self.witnesses.append(witness)

    def detach(self, number: int) -> None:
        """A subscriber goes, the first one never."""
        if number + 1 < len(self.witnesses):
            self.channel.detach(self.witnesses.pop(number + 1))

    def flush(self, number: int = 0) -> None:
        """What is due to the subscribers is handed out, which may be later than it came."""
        for audience in self.due:
            audience.flush()
        self.due.clear()
        self.check()

    def publish(self, number: int) -> None:
        self.under_way.extend(self.truth.publish() for _ in range(number + 1))

    def send_beacon(self, number: int = 0) -> None:
        self.under_way.append(beacon(CHANNEL, self.truth.top))

    def lose(self, number: int) -> None:
        """One of the last sent does not arrive."""
        if number < len(self.under_way):
            del self.under_way[-1 - number]

    def repeat(self, number: int) -> None:
        """The next to arrive comes again a little later."""
        if self.under_way:
            self.under_way.insert(number + 1, self.under_way[0])

    def restart(self, number: int) -> None:
        """The log is lost. What is published before the reader is connected again does not reach it."""
        self.truth.begin_epoch()
        for _ in range(number):
            self.truth.publish()
        self.send_beacon()

    def receive(self, number: int) -> None:
        for _ in range(min(number + 1, len(self.under_way))):
            if self.channel.take(self.under_way.popleft(), NOW) is State.BEHIND:
                self.asking = True
            self.check()

    def make_answer(self, number: int = 0) -> None:
        """The bus answers what the channel asks. The answer is under way then; things may change meanwhile."""
        if self.asking and self.answer is None:
            self.answer = self.truth.history(self.channel.position, self.page)

    def take_answer(self, number: int = 0) -> None:
        if self.answer is not None:
            self.asking = self.channel.fill(self.answer, NOW) is State.BEHIND
            self.answer = None
            self.check()

    def settle(self) -> None:
        """Let the bus work as it should for a while: everything must come out right."""
        for _ in range(1000):
            self.send_beacon()
            self.receive(len(self.under_way))
            if not self.asking:
                break
            self.make_answer()
            self.take_answer()
        self.flush()
        assert not self.asking, "the channel never stops asking"
        for witness in self.witnesses:
            assert witness.at == self.truth.top, "the end is missing, and nobody was told"

    def check(self) -> None:
        """The channel is where its subscribers are, and what it keeps for later ones is what was accepted."""
        position, log = self.channel.position, self.channel.log
        if not self.due:
            assert all(witness.at == position for witness in self.witnesses)
        assert log.top == position.offset
        accepted = self.truth.accepted[position.epoch]
        assert log.after(log.start) == [found for found in accepted if log.start < found.offset <= log.top]

    def run(self, steps: list[tuple[str, int]]) -> None:
        for name, number in steps:
            getattr(self, name)(number)
        self.settle()


STEPS = [
    *("publish", "send_beacon", "lose", "repeat", "restart"),
    *("receive", "receive", "make_answer", "take_answer", "flush", "attach", "detach"),
]

steps = st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 3)), max_size=60)
sizes = st.sampled_from([0, 1, 3, 10, 1000])
pages = st.integers(1, 4)


@settings(max_examples=300)
@given(sizes, pages, steps)
def test_everything_is_delivered_once_and_in_order_or_told_to_be_lost(
    size: int, page: int, steps: list[tuple[str, int]]
) -> None:
    Reading(size, page).run(steps)


@settings(max_examples=100)
@given(pages, steps.map(lambda steps: [step for step in steps if step[0] != "restart"]))
def test_a_bus_that_keeps_everything_lets_nothing_be_lost(page: int, steps: list[tuple[str, int]]) -> None:
    reading = Reading(1000, page)
    reading.run(steps)
    (accepted,) = reading.truth.accepted.values()
    assert reading.witnesses[0].delivered == accepted


class Trusting(Cursor):
    """Delivers what comes, whether or not something is missing before it."""

    def accept(self, publication: Publication) -> Verdict:
        verdict = super().accept(publication)
        if verdict is Verdict.GAP and not publication.is_beacon:
            self.position = publication.position
            return Verdict.DELIVER
        return verdict


class Forgetful(Cursor):
    """Delivers again what comes again."""

    def accept(self, publication: Publication) -> Verdict:
        verdict = super().accept(publication)
        again = verdict is Verdict.DUPLICATE and not publication.is_beacon
        return Verdict.DELIVER if again else verdict


class Deaf(Cursor):
    """Does not hear that the end is missing."""

    def accept(self, publication: Publication) -> Verdict:
        if publication.is_beacon and publication.epoch == self.position.epoch:
            return Verdict.DUPLICATE
        return super().accept(publication)


class Stubborn(Cursor):
    """Stays in its epoch."""

    def accept(self, publication: Publication) -> Verdict:
        return super().accept(publication) if publication.epoch == self.position.epoch else Verdict.DUPLICATE


class Secretive(LiveChannel):
    """Does not tell what it cannot get any more."""

    def _reset(self, position: Position) -> None:
        audiences, self._audiences = self._audiences, {}
        super()._reset(position)
        self._audiences = audiences


class Impatient(LiveChannel):
    """Takes the first page of an answer for all of it."""

    def fill(self, history: History, now: float) -> State:
        return super().fill(history._replace(top=self.position), now)


def with_cursor(cursor: type[Cursor]) -> type[LiveChannel]:
    class Reader(LiveChannel):
        def open(self, position: Position) -> None:
            super().open(position)
            self.cursor = cursor(position)

    return Reader


@pytest.mark.parametrize(
    "broken",
    [*map(with_cursor, (Trusting, Forgetful, Deaf, Stubborn)), Secretive, Impatient],
    ids=["trusting", "forgetful", "deaf", "stubborn", "secretive", "impatient"],
)
def test_a_reader_that_errs_is_caught(broken: type[LiveChannel]) -> None:
    @settings(max_examples=1000, phases=[Phase.generate], database=None)
    @given(sizes, pages, steps)
    def read(size: int, page: int, steps: list[tuple[str, int]]) -> None:
        Reading(size, page, broken).run(steps)

    with pytest.raises(AssertionError):
        read()
