"""The journal at random: whatever is published, refused, forgotten, killed and closed, it keeps its promises."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cluster.journal import JournalError
from cluster.sequencer import Item, Limits
from cluster.stream import Position, Retention

from .support import EVERYTHING, NOW, WINDOW, clear, contents, copy, full_disk, leave, open_journal, publish

CHANNELS = ("a", "b", "c", "d", "e")


class Wanted(NamedTuple):
    """A publication to make, of so many bytes."""

    channel: str
    id: str
    size: int
    retention: Retention


retentions = st.builds(Retention, st.sampled_from([0, 1, 3, 100]), st.sampled_from([0.0, 10.0, 1000.0]))
batches = st.lists(
    st.builds(
        Wanted,
        channel=st.sampled_from(CHANNELS),
        id=st.integers(0, 20).map("id {}".format),
        size=st.sampled_from([10, 1000, 20_000]),
        retention=retentions,
    ),
    min_size=1,
    max_size=6,
)


class Accepted(NamedTuple):
    offset: int
    id: str
    data: bytes
    at: float


class Machine(RuleBasedStateMachine):
    """A journal in use beside the plain list of what was accepted."""

    limits = Limits()

    def __init__(self) -> None:
        super().__init__()
        # Rewrites at every opportunity, and not only when a lot of needless bytes have come together.
        self.slack = mock.patch("cluster.journal.SLACK", 0)
        self.slack.start()
        self.base = Path(tempfile.mkdtemp(prefix="fwj-"))
        self.directory = self.base / "0"
        self.directory.mkdir()
        self.now = NOW
        self.journal = open_journal(self.directory, limits=self.limits)
        self.epoch = self.journal.sequencer.epoch
        self.accepted: dict[str, list[Accepted]] = {channel: [] for channel in CHANNELS}
        self.shown = dict.fromkeys(CHANNELS, 0)
        self.cleared = dict.fromkeys(CHANNELS, 0)
        self.numbers = itertools.count()

    def teardown(self) -> None:
        leave(self.journal)
        self.slack.stop()
        shutil.rmtree(self.base)

    @rule(batch=batches)
    def publish(self, batch: list[Wanted]) -> None:
        self.now += 0.001
        items = self.items(batch)
        positions = publish(self.journal, *items, now=self.now)
        for item, position in zip(items, positions, strict=True):
            assert position.epoch == self.epoch
            self.take(item, position.offset)

    def items(self, batch: list[Wanted]) -> list[Item]:
        """Publications, no two of them of the same data."""
        return [
            Item(channel, id, b"%d" % next(self.numbers) + bytes(size), retention)
            for channel, id, size, retention in batch
        ]

    def take(self, item: Item, offset: int) -> None:
        """Compare with what was accepted before, and note it."""
        accepted = self.accepted[item.channel]
        same = next((found for found in reversed(accepted) if found.id == item.id), None)
        if same is not None and offset == same.offset:
            return
        assert same is None or not self.must_be_known(item.channel, same), f"{same} was published again at {offset}"
        assert offset > self.shown[item.channel], f"{offset} of {item.channel!r} lies below a position that was shown"
        accepted.append(Accepted(offset, item.id, item.data, self.now))
        self.shown[item.channel] = offset

    def must_be_known(self, channel: str, accepted: Accepted) -> bool:
        return self.now - accepted.at <= WINDOW

    @rule(batch=batches)
    def refuse(self, batch: list[Wanted]) -> None:
        before = contents(self.journal.sequencer, CHANNELS, self.now)
        large = Item(CHANNELS[0], "too large", bytes(1_000_000), Retention(100, 1000.0))
        with full_disk(self.journal), pytest.raises(JournalError):
            publish(self.journal, *self.items(batch), large, now=self.now)
        assert contents(self.journal.sequencer, CHANNELS, self.now) == before

    @rule(channel=st.sampled_from(CHANNELS), back=st.integers(0, 2))
    def clear(self, channel: str, back: int) -> None:
        """All of it, or all but what came while the clearing was on its way."""
        through = self.journal.sequencer.top(channel).offset - back
        clear(self.journal, channel, through, self.now)
        self.cleared[channel] = max(self.cleared[channel], through)

    @rule(seconds=st.sampled_from([0.5, 5.0, 60.0, 130.0, 2000.0]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.journal.sequencer.expire(self.now)

    @rule()
    def kill(self) -> None:
        left = copy(self.directory, self.base / str(int(self.directory.name) + 1))
        leave(self.journal)
        self.directory = left
        self.reopen()

    @rule()
    def close(self) -> None:
        self.journal.close()
        self.reopen()

    def reopen(self) -> None:
        before = contents(self.journal.sequencer, CHANNELS, self.now)
        self.journal = open_journal(self.directory, limits=self.limits, now=self.now)
        self.compare(before)

    def compare(self, before: object) -> None:
        """Look at what was found again; `before` are the contents of the sequencer that is gone."""

    @invariant()
    def no_history_claims_what_it_has_not(self) -> None:
        sequencer = self.journal.sequencer
        assert sequencer.epoch == self.epoch
        for channel, accepted in self.accepted.items():
            top = sequencer.top(channel).offset
            assert top >= self.shown[channel], f"the top of {channel!r} was {self.shown[channel]}, it is {top}"
            self.shown[channel] = top
            for since in range(top + 2):
                found = sequencer.history(channel, Position(self.epoch, since), EVERYTHING, self.now)
                expected = [one[:3] for one in accepted if one.offset > since]
                got = [(p.offset, p.id, p.data) for p in found.publications]
                assert all(offset > self.cleared[channel] for offset, _, _ in got), f"{got} of {channel!r} were cleared"
                assert found.complete <= (got == expected), f"{channel!r} after {since}: {got}, not {expected}"
                assert got == expected[len(expected) - len(got) :] or not found.complete
                assert all(one in [a[:3] for a in accepted] for one in got)


class RoomyMachine(Machine):
    """Within all limits nothing is forgotten but by retention."""

    def compare(self, before: object) -> None:
        found = contents(self.journal.sequencer, CHANNELS, self.now)
        assert isinstance(before, type(found))
        assert found.lacks(before) == []
        for channel, accepted in self.accepted.items():
            latest = {one.id: one for one in accepted}
            for one in latest.values():
                if self.must_be_known(channel, one):
                    again = self.journal.sequencer.accept(channel, b"", one.id, Retention(0, 0), self.now)
                    assert (again.position.offset, again.publication) == (one.offset, None)


class TightMachine(Machine):
    """More channels and bytes than may be held: the least recently published are forgotten, and never falsely."""

    limits = Limits(channels=3, bytes=30_000)

    def must_be_known(self, channel: str, accepted: Accepted) -> bool:
        return False  # ids of a forgotten channel are forgotten with it


TestRoomy = RoomyMachine.TestCase
TestTight = TightMachine.TestCase
# Without the search for a smaller example, which takes minutes here.
TestRoomy.settings = TestTight.settings = settings(
    max_examples=30, stateful_step_count=20, deadline=None, phases=set(Phase) - {Phase.shrink}
)
