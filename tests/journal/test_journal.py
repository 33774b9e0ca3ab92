"""The journal, example by example: what it finds again, what it refuses, what it sets aside.

`tests/journal/` has what is tried at random, at length, or on a running forwarder.
"""

from __future__ import annotations

import logging
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.journal import Journal, JournalError, Sync, boot_id
from cluster.sequencer import Limits
from cluster.stream import Cursor, Position, Publication, Retention, Verdict

from .support import (
    NAME,
    NOW,
    ROOMY,
    WINDOW,
    clear,
    contents,
    copy,
    full_disk,
    item,
    leave,
    open_journal,
    publish,
)

CHANNELS = ("one", "two", "three")
LARGE = bytes(100_000)
"""More than fits into what an empty journal has allocated."""

Reopen = Callable[..., Journal]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    used = tmp_path / "used"
    used.mkdir()
    return used


@pytest.fixture(params=["killed", "closed"])
def reopen(request: pytest.FixtureRequest, directory: Path, tmp_path: Path) -> Reopen:
    """Ends the use of a journal one way or the other, and opens what that leaves."""

    def killed(journal: Journal, **options: object) -> Journal:
        left = copy(directory, tmp_path / "left")
        leave(journal)
        return open_journal(left, **options)  # type: ignore[arg-type]

    def closed(journal: Journal, **options: object) -> Journal:
        journal.close()
        return open_journal(directory, **options)  # type: ignore[arg-type]

    return killed if request.param == "killed" else closed


def reopen_in_place(journal: Journal, directory: Path) -> Journal:
    """What a killed forwarder's successor finds."""
    leave(journal)
    return open_journal(directory)


class TestReopened:
    def test_it_has_the_epoch_the_tops_and_the_publications_it_had(self, directory: Path, reopen: Reopen) -> None:
        journal = open_journal(directory)
        for number in range(10):
            publish(journal, *(item(channel, f"{number}", b"%d" % number) for channel in CHANNELS[:2]))
        before = contents(journal.sequencer, CHANNELS)
        assert before.tops == {"one": 10, "two": 10, "three": 0}
        assert contents(reopen(journal).sequencer, CHANNELS) == before

    def test_it_goes_on_numbering_where_it_was(self, directory: Path, reopen: Reopen) -> None:
        journal = open_journal(directory)
        publish(journal, item("one", "first"))
        journal = reopen(journal)
        assert publish(journal, item("one", "second")) == [Position(journal.sequencer.epoch, 2)]

    @pytest.mark.parametrize("retention", [ROOMY, Retention(0, 0)], ids=["kept", "not kept"])
    def test_it_knows_the_ids_it_knew(self, directory: Path, reopen: Reopen, retention: Retention) -> None:
        journal = open_journal(directory)
        before = publish(journal, item("one", "same", retention=retention))
        journal = reopen(journal, now=NOW + WINDOW)
        assert publish(journal, item("one", "same", retention=retention), now=NOW + WINDOW) == before

    def test_it_keeps_of_each_channel_what_that_was_published_with(self, directory: Path, reopen: Reopen) -> None:
        journal = open_journal(directory)
        for number in range(5):
            publish(journal, item("one", f"{number}", retention=Retention(2, 1000.0)))
            publish(journal, item("two", f"{number}", retention=Retention(0, 0)))
        found = contents(reopen(journal).sequencer, CHANNELS)
        assert [offset for offset, _, _ in found.publications["one"]] == [4, 5]
        assert (found.publications["two"], found.tops["two"]) == ([], 5)

    def test_what_became_too_old_meanwhile_is_not_there(self, directory: Path, reopen: Reopen) -> None:
        journal = open_journal(directory)
        publish(journal, item("one", "old", retention=Retention(10, 60.0)))
        found = contents(reopen(journal, now=NOW + 61).sequencer, CHANNELS, NOW + 61)
        assert (found.publications["one"], found.tops["one"]) == ([], 1)

    def test_what_was_cleared_is_not_there_and_offsets_go_on(self, directory: Path, reopen: Reopen) -> None:
        journal = open_journal(directory)
        for number in range(3):
            publish(journal, item("one", f"{number}"), item("two", f"{number}"))
        clear(journal, "one")
        before = contents(journal.sequencer, CHANNELS)
        assert (before.publications["one"], before.tops["one"]) == ([], 3)
        journal = reopen(journal)
        assert contents(journal.sequencer, CHANNELS) == before
        assert publish(journal, item("one", "2"), item("one", "after")) == [
            Position(before.epoch, 3),
            Position(before.epoch, 4),
        ]

    def test_what_was_cleared_does_not_come_back_when_batches_are_rewritten(
        self, directory: Path, reopen: Reopen, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The clearing itself is taken out of the journal before what it cleared, if that was written anew with it."""
        monkeypatch.setattr("cluster.journal.SLACK", 0)
        journal = open_journal(directory)
        for number in range(4):
            publish(journal, item("one", f"{number}", bytes(1000)))
        # Much that nobody needs: the next append writes what is needed of the oldest batches anew.
        publish(journal, item("two", "large", LARGE, Retention(0, 0)))
        clear(journal, "one", through=3)
        for number in range(40):
            journal = reopen_in_place(journal, directory)
            found = contents(journal.sequencer, CHANNELS)
            assert [offset for offset, _, _ in found.publications["one"]] == [4], f"after {number} more batches"
            publish(journal, item("two", f"{number}", bytes(1000), Retention(0, 0)))
        assert [offset for offset, _, _ in contents(reopen(journal).sequencer, CHANNELS).publications["one"]] == [4]

    def test_a_new_one_is_empty_and_of_an_epoch_of_its_own(self, tmp_path: Path) -> None:
        epochs = set()
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            journal = open_journal(tmp_path / name)
            epochs.add(journal.sequencer.epoch)
            assert contents(journal.sequencer, CHANNELS).tops == dict.fromkeys(CHANNELS, 0)
            journal.close()
        assert len(epochs) == 2


class TestRefused:
    """What could not be written, and what it must leave alone."""

    def refuse(self, journal: Journal, *more: tuple[str, str, Retention]) -> None:
        items = [item(channel, id, retention=retention) for channel, id, retention in more]
        with full_disk(journal), pytest.raises(JournalError, match=r"cannot be written.*full"):
            publish(journal, *items, item("one", "large", LARGE))

    def test_a_refused_batch_is_not_there(self, directory: Path, reopen: Reopen) -> None:
        journal = open_journal(directory)
        publish(journal, item("one", "first"))
        before = contents(journal.sequencer, CHANNELS)
        self.refuse(journal, ("two", "second", ROOMY))
        assert contents(journal.sequencer, CHANNELS) == before
        assert contents(reopen(journal).sequencer, CHANNELS) == before

    def test_it_goes_on_when_there_is_room_again(self, directory: Path, reopen: Reopen) -> None:
        journal = open_journal(directory)
        publish(journal, item("one", "first"))
        self.refuse(journal)
        publish(journal, item("one", "second", LARGE))
        found = contents(reopen(journal).sequencer, CHANNELS)
        assert [id for _, id, _ in found.publications["one"]] == ["first", "second"]

    def test_a_refused_clearing_clears_nothing(self, directory: Path, reopen: Reopen) -> None:
        journal = open_journal(directory)
        publish(journal, item("one", "kept"))
        before = contents(journal.sequencer, CHANNELS)
        journal._db.execute("PRAGMA query_only=1")
        with pytest.raises(JournalError):
            clear(journal, "one")
        journal._db.execute("PRAGMA query_only=0")
        assert contents(journal.sequencer, CHANNELS) == before
        assert contents(reopen(journal).sequencer, CHANNELS) == before

    def test_a_refused_id_can_be_published(self, directory: Path) -> None:
        journal = open_journal(directory)
        self.refuse(journal, ("two", "same", ROOMY))
        publish(journal, item("two", "other"))
        assert publish(journal, item("two", "same"))[0].offset == 2

    def test_a_refused_id_can_be_published_though_ids_moved_on_within_the_batch(self, directory: Path) -> None:
        journal = open_journal(directory, limits=Limits(ids=4))
        self.refuse(journal, *(("two", f"{number}", ROOMY) for number in range(3)))
        publish(journal, item("two", "other"))
        assert publish(journal, item("two", "0"))[0].offset == 2

    def test_a_refused_batch_may_have_more_channels_than_may_be_known(self, directory: Path) -> None:
        journal = open_journal(directory, limits=Limits(channels=2))
        publish(journal, item("one", "first"))
        self.refuse(journal, *((f"channel {number}", "id", ROOMY) for number in range(4)))
        assert journal.sequencer.top("one").offset == 1

    def test_a_refused_batch_pushes_nothing_out_of_the_history(self, directory: Path) -> None:
        journal = open_journal(directory)
        few = Retention(3, 1000.0)
        for number in range(3):
            publish(journal, item("two", f"{number}", retention=few))
        before = contents(journal.sequencer, CHANNELS)
        self.refuse(journal, ("two", "too much", few))
        assert contents(journal.sequencer, CHANNELS) == before

    def test_a_refused_batch_does_not_change_how_much_is_kept(self, directory: Path) -> None:
        journal = open_journal(directory)
        publish(journal, item("two", "first"))
        before = contents(journal.sequencer, CHANNELS)
        self.refuse(journal, ("two", "keep nothing", Retention(0, 0)))
        journal.sequencer.expire(NOW + 1)
        assert contents(journal.sequencer, CHANNELS, NOW + 1) == before

    def test_a_refused_batch_makes_no_channel_forgotten(self, directory: Path) -> None:
        journal = open_journal(directory, limits=Limits(channels=2))
        for channel in ("one", "two"):
            publish(journal, item(channel, "first"))
        before = contents(journal.sequencer, CHANNELS)
        self.refuse(journal, ("three", "id", ROOMY))
        assert contents(journal.sequencer, CHANNELS) == before


class TestLimits:
    def test_what_became_too_old_pushes_nothing_out_when_it_is_read_again(
        self, directory: Path, reopen: Reopen
    ) -> None:
        """The journal still has it, the forwarder that died had let go of it."""
        journal = open_journal(directory, limits=Limits(bytes=50_000))
        publish(journal, item("one", "to be kept"))
        for number in range(10):
            publish(journal, item(f"short {number}", "id", bytes(10_000), Retention(10, 5.0)), now=NOW + 10 * number)
            journal.sequencer.expire(NOW + 10 * number)
        later = NOW + 200
        journal.sequencer.expire(later)
        before = contents(journal.sequencer, CHANNELS, later)
        assert len(before.publications["one"]) == 1
        again = reopen(journal, limits=Limits(bytes=50_000), now=later)
        assert contents(again.sequencer, CHANNELS, later) == before

    def test_a_forgotten_channel_never_falls_behind_a_position_it_had(self, directory: Path, reopen: Reopen) -> None:
        """Who was told a position takes publications below it for old ones, and loses them silently."""
        limits = Limits(channels=3)
        journal = open_journal(directory, limits=limits)
        publish(journal, *(item("busy", f"{number}") for number in range(5)), item("two", "first"))
        publish(journal, item("one", "first"), item("two", "second"), now=NOW + 1)
        for channel in ("three", "four"):  # push out "busy", then "one"
            publish(journal, item(channel, "first"), now=NOW + 2)
        shown = journal.sequencer.top("one")
        journal = reopen(journal, limits=limits, now=NOW + 3)
        before = journal.sequencer.top("one").offset
        (position,) = publish(journal, item("one", "second"), now=NOW + 3)
        next_one = Publication("one", position.epoch, before, position.offset, "second", b"data")
        assert Cursor(shown).accept(next_one) is not Verdict.DUPLICATE, f"{position} after {shown} was shown"

    def test_channels_are_forgotten_in_the_same_order_when_they_are_read_again(
        self, directory: Path, reopen: Reopen
    ) -> None:
        limits = Limits(channels=2)
        journal = open_journal(directory, limits=limits)
        publish(journal, item("one", "first"))
        publish(journal, item("two", "first"), item("one", "second"), item("three", "first"), now=NOW + 1)
        before = contents(journal.sequencer, CHANNELS)
        assert [len(before.publications[channel]) for channel in CHANNELS] == [2, 0, 1]
        assert contents(reopen(journal, limits=limits, now=NOW + 2).sequencer, CHANNELS) == before


class TestMachineRestarted:
    """Another boot id. Without a flush per batch the end of the journal may be missing then."""

    def left(self, directory: Path, tmp_path: Path, sync: Sync, *, clean: bool) -> tuple[Path, str]:
        journal = open_journal(directory, sync=sync, boot="before")
        publish(journal, item("one", "id"))
        if clean:
            journal.close()
        left = copy(directory, tmp_path / "left")
        leave(journal)
        return left, journal.sequencer.epoch

    @pytest.mark.parametrize(
        ("sync", "clean"), [("full", False), ("full", True), ("off", True)], ids=["full", "full, closed", "off, closed"]
    )
    def test_it_is_trusted_when_everything_was_flushed(
        self, directory: Path, tmp_path: Path, sync: Sync, clean: bool
    ) -> None:
        left, epoch = self.left(directory, tmp_path, sync, clean=clean)
        journal = open_journal(left, sync="off", boot="after")
        assert journal.sequencer.epoch == epoch
        assert journal.sequencer.top("one").offset == 1

    def test_it_is_set_aside_when_its_end_may_be_missing(
        self, directory: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        left, epoch = self.left(directory, tmp_path, "off", clean=False)
        journal = open_journal(left, boot="after")
        assert journal.sequencer.epoch != epoch
        assert journal.sequencer.top("one").offset == 0
        assert (left / f"{NAME}.damaged").exists()
        assert "restarted" in caplog.text

    def test_it_is_trusted_after_any_number_of_kills_without_one(self, directory: Path, tmp_path: Path) -> None:
        left, epoch = self.left(directory, tmp_path, "off", clean=False)
        for number in range(3):
            journal = open_journal(left, boot="before")
            assert journal.sequencer.epoch == epoch
            left = copy(left, tmp_path / f"left {number}")
            leave(journal)

    @pytest.mark.parametrize("before", ["off", "full"])
    def test_that_it_is_in_use_is_said_where_a_power_cut_cannot_undo_it(
        self, directory: Path, tmp_path: Path, before: Sync
    ) -> None:
        """What was not flushed may be lost in any order: a database without what came into it through the -wal file,
        beside the first page of a -wal file that has begun anew since.
        """
        journal = open_journal(directory, sync=before, boot="first")
        publish(journal, item("one", "first"))
        if before == "off":
            journal.close()
        else:
            leave(journal)  # everything is on the disk, though nobody said that it was closed
        journal = open_journal(directory, sync="off", boot="second")
        flushed = {file.name: file.read_bytes() for file in directory.iterdir()}
        wal = directory / f"{NAME}-wal"
        head = wal.read_bytes()[:32]
        while wal.read_bytes()[:32] == head or not head:
            head = head or wal.read_bytes()[:32]
            publish(journal, item("one", f"{journal.sequencer.top('one').offset}", bytes(500_000)))
        cut = tmp_path / "cut"
        cut.mkdir()
        for name, content in {**flushed, wal.name: wal.read_bytes()[:4096]}.items():
            (cut / name).write_bytes(content)
        leave(journal)
        assert open_journal(cut, boot="third").sequencer.epoch != journal.sequencer.epoch

    def test_this_machine_has_a_boot_id_that_stays(self) -> None:
        assert boot_id() == boot_id() != ""


class TestUnusable:
    """Nothing is wrong with the journal: the place is. It is refused, and works once the reason is gone."""

    def refused(self, directory: Path) -> str:
        with pytest.raises(JournalError, match="cannot be used") as caught:
            open_journal(directory)
        return str(caught.value)

    def test_a_directory_that_is_a_file(self, tmp_path: Path) -> None:
        directory = tmp_path / "used"
        directory.write_text("in the way")
        assert str(directory / NAME) in self.refused(directory)
        directory.unlink()
        directory.mkdir()
        publish(open_journal(directory), item("one", "id"))

    def test_a_directory_that_is_missing(self, tmp_path: Path) -> None:
        self.refused(tmp_path / "missing")
        (tmp_path / "missing").mkdir()
        publish(open_journal(tmp_path / "missing"), item("one", "id"))

    def test_a_directory_in_its_place(self, directory: Path) -> None:
        (directory / NAME).mkdir()
        self.refused(directory)
        (directory / NAME).rmdir()
        publish(open_journal(directory), item("one", "id"))

    def test_a_damaged_one_that_cannot_be_set_aside(self, directory: Path) -> None:
        (directory / NAME).write_text("no journal at all")
        (directory / f"{NAME}.damaged" / "in the way").mkdir(parents=True)
        self.refused(directory)
        assert (directory / NAME).read_text() == "no journal at all"
        shutil.rmtree(directory / f"{NAME}.damaged")
        publish(open_journal(directory), item("one", "id"))


class TestDamaged:
    @pytest.fixture
    def closed(self, directory: Path) -> Path:
        """The file of a journal in which one channel has three publications."""
        journal = open_journal(directory)
        for number in range(3):
            publish(journal, item("one", f"{number}"))
        journal.close()
        return directory / NAME

    def change(self, file: Path, statement: str) -> None:
        db = sqlite3.connect(file)
        db.executescript(statement)
        db.close()

    def assert_set_aside(self, file: Path, caplog: pytest.LogCaptureFixture) -> None:
        journal = open_journal(file.parent)
        assert journal.sequencer.top("one").offset == 0
        assert publish(journal, item("one", "new"))[0].offset == 1
        assert file.with_name(f"{NAME}.damaged").exists()
        (record,) = caplog.records
        assert record.levelno == logging.ERROR
        assert f"{NAME}.damaged" in record.getMessage()
        assert "new epoch" in record.getMessage()
        leave(journal)

    @pytest.mark.parametrize(
        "content",
        [b"no journal at all", b"SQLite format 3\0" + bytes(4080), bytes(8192)],
        ids=["text", "head", "zeros"],
    )
    def test_what_is_no_database_is_set_aside(
        self, closed: Path, content: bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        closed.write_bytes(content)
        self.assert_set_aside(closed, caplog)
        assert closed.with_name(f"{NAME}.damaged").read_bytes() == content

    @pytest.mark.parametrize(
        "statement",
        [
            "PRAGMA user_version=2",
            "PRAGMA user_version=0",
            "DROP TABLE state",
            "DROP TABLE batches",
            "DELETE FROM state",
            "DELETE FROM batches WHERE number = 2",
            "DELETE FROM batches WHERE number = 3",
            "DELETE FROM batches",
            "UPDATE batches SET entries = zeroblob(length(entries)) WHERE number = 2",
            "UPDATE batches SET entries = 'text' WHERE number = 2",
            "UPDATE batches SET entries = NULL WHERE number = 2",
            "UPDATE state SET checksum = checksum + 1",
            "UPDATE state SET fields = 'text'",
            "UPDATE state SET fields = NULL",
        ],
    )
    def test_what_was_changed_is_set_aside(
        self, closed: Path, statement: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        self.change(closed, statement)
        self.assert_set_aside(closed, caplog)

    def test_someone_elses_database_is_set_aside_unchanged(
        self, directory: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        file = directory / NAME
        self.change(file, "CREATE TABLE theirs (value); INSERT INTO theirs VALUES (42)")
        self.assert_set_aside(file, caplog)
        db = sqlite3.connect(f"{file}.damaged")
        assert db.execute("SELECT name FROM sqlite_master").fetchall() == [("theirs",)]
        db.close()

    def test_an_empty_file_is_a_new_journal(self, directory: Path) -> None:
        """That is all that is there when the first forwarder was killed at once."""
        (directory / NAME).touch()
        assert publish(open_journal(directory), item("one", "id"))[0].offset == 1
        assert not (directory / f"{NAME}.damaged").exists()
