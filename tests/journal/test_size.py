"""The journal's file stays small, whatever a day brings, and what is quiet survives every rewriting."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.journal import Journal
from cluster.sequencer import Item
from cluster.stream import Retention

from .support import NAME, NOW, contents, copy, leave, open_journal, publish

SLACK = 256 * 1024
WAL = 16 * 1024 * 1024
"""Bytes a -wal file may have: SQLite's thousand pages, and the largest batch beyond them."""

FOREVER = Retention(100, 1_000_000.0)
MINUTES = Retention(100, 300.0)
NOTHING = Retention(0, 0)


@pytest.fixture(autouse=True)
def less_slack(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a day needs fewer publications to come to rewriting."""
    monkeypatch.setattr("cluster.journal.SLACK", SLACK)


class Traffic:
    """Publishes to a journal as simulated time passes, and watches how large its file becomes.

    The file may hold twice what the sequencer needs and the slack; rewriting follows what is published, so half as
    much again. A database does not shrink: what counts is the most that was ever needed.
    """

    def __init__(self, directory: Path) -> None:
        self.now = NOW
        self.journal = open_journal(directory)
        self._directory = directory
        self._needed = 0
        self._ids = itertools.count()

    def publish(self, channels: list[str], count: int, size: int, retention: Retention) -> None:
        """One batch of `count` publications over `channels` in turn."""
        turn = itertools.islice(itertools.cycle(channels), count)
        batch = [Item(channel, f"id {next(self._ids)}", bytes(size), retention) for channel in turn]
        publish(self.journal, *batch, now=self.now)
        self._needed = max(self._needed, self.journal.sequencer.footprint)
        self.check()

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.journal.sequencer.expire(self.now)

    @property
    def bound(self) -> int:
        return 3 * self._needed + 2 * SLACK

    def check(self) -> None:
        size = (self._directory / NAME).stat().st_size
        assert size <= self.bound, f"the file has {size:,} bytes after {self.now - NOW:.0f} s, allowed {self.bound:,}"
        wal = (self._directory / f"{NAME}-wal").stat().st_size
        assert wal <= WAL, f"the -wal file has {wal:,} bytes after {self.now - NOW:.0f} s, allowed {WAL:,}"


@pytest.fixture
def traffic(tmp_path: Path) -> Iterator[Traffic]:
    directory = tmp_path / "used"
    directory.mkdir()
    found = Traffic(directory)
    yield found
    leave(found.journal)


QUIET = [f"quiet {number}" for number in range(20)]


def assert_all_there(journal: Journal, now: float, left: Path) -> None:
    """The journal, killed now, holds what the sequencer beside it holds, the quiet channels' publications too."""
    channels = list(journal.sequencer._logs)
    before = contents(journal.sequencer, channels, now)
    assert {len(before.publications[channel]) for channel in QUIET} == {3}
    again = open_journal(left, now=now)
    assert contents(again.sequencer, channels, now).lacks(before) == []
    leave(again)


def test_a_day_of_busy_and_quiet_channels(traffic: Traffic, tmp_path: Path) -> None:
    chance = random.Random(1)
    busy = [f"busy {number}" for number in range(50)]
    traffic.publish(QUIET, 3 * len(QUIET), 500, FOREVER)
    copies = itertools.count()
    for minute in range(24 * 60):
        rush = 8 <= minute // 60 <= 18
        for _ in range(3 if rush else 1):
            traffic.publish(chance.sample(busy, 10), chance.randint(10, 60 if rush else 5 + 10), 200, MINUTES)
            traffic.wait(20 if rush else 60)
        if minute % 360 == 359:
            left = copy(tmp_path / "used", tmp_path / f"left {next(copies)}")
            assert_all_there(traffic.journal, traffic.now, left)
    assert traffic.now - NOW >= 86_400


def test_a_day_of_publications_of_which_nothing_is_kept(traffic: Traffic, tmp_path: Path) -> None:
    traffic.publish(QUIET, 3 * len(QUIET), 500, FOREVER)
    channels = [f"channel {number}" for number in range(30)]
    for _ in range(24 * 60):
        traffic.publish(channels, 60, 200, NOTHING)
        traffic.wait(60)
    assert_all_there(traffic.journal, traffic.now, copy(tmp_path / "used", tmp_path / "left"))


def test_a_quiet_night_before_a_busy_hour(traffic: Traffic, tmp_path: Path) -> None:
    """Many small batches lie in front of the large ones: they must not hold up taking out what is old."""
    traffic.publish(QUIET, 3 * len(QUIET), 500, FOREVER)
    for _ in range(2500):
        traffic.publish(["night"], 1, 50, MINUTES)
        traffic.wait(10)
    for _ in range(150):
        traffic.publish(["busy", "busier"], 200, 500, MINUTES)
        traffic.wait(20)
    assert_all_there(traffic.journal, traffic.now, copy(tmp_path / "used", tmp_path / "left"))


def test_many_channels_published_to_once(traffic: Traffic, tmp_path: Path) -> None:
    """Each of them needs its place for good, and nothing else."""
    traffic.publish(QUIET, 3 * len(QUIET), 500, FOREVER)
    for number in range(300):
        traffic.publish([f"channel {number}-{each}" for each in range(20)], 20, 200, MINUTES)
        traffic.wait(30)
    assert_all_there(traffic.journal, traffic.now, copy(tmp_path / "used", tmp_path / "left"))


def test_a_batch_is_not_taken_out_along_with_what_is_old(traffic: Traffic, tmp_path: Path) -> None:
    """Long names need more than the sequencer reckons with: the rewriting goes through everything there is."""
    name = "x" * 240
    for number in range(100):
        batch = [Item(name, f"{number}-{each}" + "y" * 200, b"", NOTHING) for each in range(20)]
        publish(traffic.journal, *batch, now=traffic.now)
    large = [Item("new", f"{each}", bytes(1000), FOREVER) for each in range(99)]
    publish(traffic.journal, *large, Item(name, "large", bytes(2_000_000), FOREVER), now=traffic.now)
    before = contents(traffic.journal.sequencer, ["new", name], traffic.now)
    again = open_journal(copy(tmp_path / "used", tmp_path / "left"), now=traffic.now)
    leave(again)
    assert contents(again.sequencer, ["new", name], traffic.now).lacks(before) == []
