"""A kill between any two steps, and in the middle of a write: the journal is as before the step or as after it."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cluster.stream import Retention

from .support import NAME, NOW, Contents, contents, item, leave, open_journal, publish

CHANNELS = ("one", "two", "three", "quiet")
BATCHES = 30
PAGE = 4096


class Snapshot(NamedTuple):
    """The journal's files between two steps, and how many batches had been acknowledged then."""

    step: str
    acknowledged: int
    files: dict[str, bytes]

    def put(self, directory: Path, **changed: bytes) -> Path:
        """Lay the files down in an empty `directory`."""
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        for name, content in {**self.files, **changed}.items():
            (directory / name).write_bytes(content)
        return directory


class Recorder:
    """Takes a snapshot after every statement that SQLite executes for a journal."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.snapshots: list[Snapshot] = []
        self.acknowledged = 0
        self._directory = directory
        connect = sqlite3.connect
        recorder = self

        class Recorded(sqlite3.Connection):
            def execute(self, statement: str, *parameters: Any) -> sqlite3.Cursor:
                result = super().execute(statement, *parameters)
                recorder.take(statement)
                return result

            def close(self) -> None:
                super().close()
                recorder.take("close")

        def connect_recorded(path: Path, **options: Any) -> sqlite3.Connection:
            db = connect(path, factory=Recorded, **options)
            # As few pages as possible in the -wal file, so that many batches meet a checkpoint.
            sqlite3.Connection.execute(db, "PRAGMA wal_autocheckpoint=5")
            return db

        monkeypatch.setattr(sqlite3, "connect", connect_recorded)

    def take(self, step: str) -> None:
        files = {file.name: file.read_bytes() for file in self._directory.iterdir() if not file.name.endswith("-shm")}
        self.snapshots.append(Snapshot(step, self.acknowledged, files))


class History(NamedTuple):
    """A journal's whole use: what it held after each number of batches, and its files in between."""

    contents: list[Contents]
    snapshots: list[Snapshot]


@pytest.fixture
def used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> History:
    """A journal that is created, published to, closed, opened and published to again, rewriting all the time."""
    monkeypatch.setattr("cluster.journal.SLACK", 0)
    directory = tmp_path / "used"
    directory.mkdir()
    with monkeypatch.context() as patched:
        recorder = Recorder(directory, patched)
        journal = open_journal(directory)
        held = [contents(journal.sequencer, CHANNELS)]
        for number in range(BATCHES):
            if number == BATCHES // 2:
                journal.close()
                journal = open_journal(directory)
            batch = [
                item(c, f"{number}", b"%d" % number * 500, Retention(2, 1000.0)) for c in CHANNELS[: 1 + number % 3]
            ]
            if number in (0, BATCHES - 2):
                batch = [item("quiet", f"{number}", b"%d" % number)]
            publish(journal, *batch, now=NOW + number)
            recorder.acknowledged += 1
            held.append(contents(journal.sequencer, CHANNELS))
        journal.close()
    assert any("DELETE" in snapshot.step for snapshot in recorder.snapshots), "nothing was rewritten"
    return History(held, recorder.snapshots)


def problem(directory: Path, possible: list[Contents]) -> str | None:
    """What is wrong with the journal left in `directory`, which must hold one of `possible`, and go on from there."""
    journal = open_journal(directory)
    try:
        if (directory / f"{NAME}.damaged").exists():
            return "it is set aside"
        found = contents(journal.sequencer, CHANNELS)
        before = next((one for one in possible if not found.lacks(one) and found.tops == one.tops), None)
        if before is None:
            return f"it lacks {[found.lacks(one) for one in possible]}"
        for channel in CHANNELS:
            (position,) = publish(journal, item(channel, "new"), now=NOW + BATCHES)
            if position.offset != before.tops[channel] + 1:
                return f"it goes on at {position} after {before.tops[channel]} in {channel}"
    finally:
        leave(journal)
    return None


def is_new(snapshot: Snapshot) -> bool:
    """Whether no epoch has been written yet; nobody has heard of it then."""
    return snapshot.acknowledged == 0


def test_after_any_step_it_has_what_was_acknowledged_and_at_most_the_batch_under_way(
    used: History, tmp_path: Path
) -> None:
    wrong = []
    for snapshot in used.snapshots:
        if is_new(snapshot):
            continue
        possible = used.contents[snapshot.acknowledged : snapshot.acknowledged + 2]
        if found := problem(snapshot.put(tmp_path / "left"), possible):
            wrong.append(f"after batch {snapshot.acknowledged}, {snapshot.step}: {found}")
    assert not wrong, "\n".join(wrong)


def test_before_the_first_batch_any_step_leaves_an_empty_journal(used: History, tmp_path: Path) -> None:
    for snapshot in filter(is_new, used.snapshots):
        directory = snapshot.put(tmp_path / "left")
        journal = open_journal(directory)
        assert publish(journal, item("one", "id"))[0].offset == 1, snapshot.step
        assert not (directory / f"{NAME}.damaged").exists(), snapshot.step
        leave(journal)


@pytest.mark.parametrize(
    "cut", [lambda size: 40, lambda size: size // 2, lambda size: size - PAGE // 2], ids=["begin", "middle", "end"]
)
def test_in_the_middle_of_a_write_to_the_wal_it_is_as_before_it(
    used: History, tmp_path: Path, cut: Callable[[int], int]
) -> None:
    """SIGKILL may end a write at any page, and leaves what was written in its place before behind it."""
    wal = f"{NAME}-wal"
    wrong, tried = [], 0
    for before, after in zip(used.snapshots, used.snapshots[1:], strict=False):
        if is_new(before) or wal not in before.files or wal not in after.files:
            continue
        old, new = before.files[wal], after.files[wal]
        if old == new:
            continue
        begin = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
        end = begin + cut(len(new) - begin)
        if not begin < end < len(new):
            continue
        tried += 1
        torn = new[:end] + old[end:]
        possible = used.contents[before.acknowledged : before.acknowledged + 2]
        if found := problem(before.put(tmp_path / "left", **{wal: torn}), possible):
            wrong.append(f"after batch {before.acknowledged}, in {after.step}: {found}")
    assert tried > 5
    assert not wrong, "\n".join(wrong)


def test_in_the_middle_of_a_checkpoint_it_is_as_before_it(used: History, tmp_path: Path) -> None:
    """The database has some of the pages already; the -wal file still has them all."""
    wrong, tried = [], 0
    for before, after in zip(used.snapshots, used.snapshots[1:], strict=False):
        old, new = before.files.get(NAME, b""), after.files[NAME]
        wal = after.files.get(f"{NAME}-wal")
        if is_new(before) or old == new or not wal:
            continue
        for end in range(PAGE, len(new), PAGE):
            tried += 1
            torn = new[:end] + old[end:]
            possible = used.contents[before.acknowledged : before.acknowledged + 2]
            if found := problem(after.put(tmp_path / "left", **{NAME: torn}), possible):
                wrong.append(f"after batch {before.acknowledged}, in {after.step}: {found}")
    assert tried > 5
    assert not wrong, "\n".join(wrong)


def set_aside(directory: Path, monkeypatch: pytest.MonkeyPatch) -> list[Snapshot]:
    """Open a damaged journal; its files after each step of that."""
    with monkeypatch.context() as patched:
        recorder = Recorder(directory, patched)
        patched.setattr(Path, "replace", after_it(Path.replace, lambda: recorder.take("replace")))
        patched.setattr(Path, "unlink", after_it(Path.unlink, lambda: recorder.take("unlink")))
        leave(open_journal(directory))
    assert {"replace", "unlink"} <= {snapshot.step for snapshot in recorder.snapshots}
    return recorder.snapshots


def test_a_kill_while_a_damaged_journal_is_set_aside_loses_neither(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    garbage = b"no journal at all"
    directory = tmp_path / "used"
    directory.mkdir()
    (directory / NAME).write_bytes(garbage)
    for snapshot in set_aside(directory, monkeypatch):
        left = snapshot.put(tmp_path / "left")
        journal = open_journal(left)
        assert publish(journal, item("one", "id"))[0].offset == 1
        leave(journal)
        assert (left / f"{NAME}.damaged").read_bytes() == garbage, snapshot.step


def test_a_kill_while_a_damaged_journal_is_set_aside_leaves_no_way_back_into_its_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left of it may look like a journal without any batch."""
    directory = tmp_path / "used"
    directory.mkdir()
    journal = open_journal(directory)
    publish(journal, item("one", "id"))
    files = {file.name: file.read_bytes() for file in directory.iterdir() if not file.name.endswith("-wal")}
    leave(journal)
    damaged = Snapshot("the -wal file is gone", 1, files)
    for snapshot in set_aside(damaged.put(tmp_path / "damaged"), monkeypatch):
        again = open_journal(snapshot.put(tmp_path / "left"))
        leave(again)
        assert again.sequencer.epoch != journal.sequencer.epoch, snapshot.step


def after_it(function: Callable[..., Any], then: Callable[[], None]) -> Callable[..., Any]:
    def both(*arguments: Any, **options: Any) -> Any:
        result = function(*arguments, **options)
        then()
        return result

    return both
