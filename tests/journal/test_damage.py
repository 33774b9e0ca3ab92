"""Bytes changed, missing or gone: a damaged journal gives the right answer or none under its epoch.

It may hold everything all the same, or be set aside under a new epoch, or be refused. What it must never do is to
go on in its epoch with something missing or different: an offset would then mean two publications.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from cluster.journal import Journal, JournalError
from cluster.sequencer import Limits
from cluster.stream import Position, Retention

from .support import NAME, NOW, ROOMY, Contents, contents, item, leave, open_journal, publish

CHANNELS = ("one", "two", "three", "four", "five")
LIMITS = Limits(channels=4)
WAL = f"{NAME}-wal"
PAGE = 4096
FRAME = 24 + PAGE
"""Bytes of a page in the -wal file, which begins with 32 bytes of its own."""


class Intact(NamedTuple):
    """The files of a journal, what it holds, and an id it knows without the publication."""

    files: dict[str, bytes]
    contents: Contents
    floor: int
    known: Position


def write(directory: Path, *, checkpointed: bool) -> Intact:
    """A journal of a few batches, one of its channels already forgotten, killed."""
    directory.mkdir()
    journal = open_journal(directory, limits=LIMITS)
    for number in range(8):
        channel = CHANNELS[number % 5]
        publish(journal, item(channel, f"{number}", b"%d" % number * 30, Retention(5, 100.0)), now=NOW + number)
    (known,) = publish(journal, item("two", "known", retention=Retention(0, 0)), now=NOW + 8)
    publish(journal, item("two", "large", bytes(3 * PAGE), ROOMY), now=NOW + 8)
    if checkpointed:
        journal._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    files = {file.name: file.read_bytes() for file in directory.iterdir() if not file.name.endswith("-shm")}
    leave(journal)
    journal = open_journal(directory, limits=LIMITS, now=NOW + 9)
    leave(journal)
    assert journal.sequencer.floor > 0, "no channel was forgotten"
    return Intact(files, contents(journal.sequencer, CHANNELS, NOW + 9), journal.sequencer.floor, known)


@pytest.fixture(scope="module")
def in_the_database(tmp_path_factory: pytest.TempPathFactory) -> Intact:
    """Everything is in the database, nothing in the -wal file."""
    return write(tmp_path_factory.mktemp("intact") / "used", checkpointed=True)


@pytest.fixture(scope="module")
def in_the_wal(tmp_path_factory: pytest.TempPathFactory) -> Intact:
    """Everything is in the -wal file, next to nothing in the database."""
    return write(tmp_path_factory.mktemp("intact") / "used", checkpointed=False)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "left"


def wrong(directory: Path, intact: Intact, **changed: bytes | None) -> str | None:
    """What is wrong with what becomes of `intact` with some files changed, or gone (None); None: nothing is."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    for name, content in {**intact.files, **changed}.items():
        if content is not None:
            (directory / name).write_bytes(content)
    try:
        journal = open_journal(directory, limits=LIMITS, now=NOW + 9)
    except JournalError:
        return None
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    try:
        return _wrong(journal, directory, intact)
    finally:
        leave(journal)


def _wrong(journal: Journal, directory: Path, intact: Intact) -> str | None:
    sequencer = journal.sequencer
    if sequencer.epoch != intact.contents.epoch:
        return None if (directory / f"{NAME}.damaged").exists() else "a new epoch, and nothing is set aside"
    found = contents(sequencer, CHANNELS, NOW + 9)
    if found != intact.contents:
        return f"same epoch, but it lacks {', '.join(found.lacks(intact.contents))}"
    if sequencer.floor != intact.floor:
        return f"same epoch, but new channels begin at {sequencer.floor} instead of {intact.floor}"
    again = sequencer.accept("two", b"", "known", ROOMY, NOW + 9)
    if again.position != intact.known:
        return f"same epoch, but a known id is published again at {again.position}"
    try:
        publish(journal, item("two", "new", bytes(PAGE)), now=NOW + 9)
    except JournalError:
        return None
    except Exception as error:
        return f"when publishing, {type(error).__name__}: {error}"
    return None


def report(found: list[str], tried: int) -> str:
    examples = "\n".join(one[:200] for one in found[:: max(1, len(found) // 10)])
    return f"{len(found)} of {tried} went wrong, for example\n{examples}"


def flips(content: bytes, positions: range | list[int]) -> Iterator[tuple[int, int, bytes]]:
    """`content` with one bit changed, at each position another one."""
    for number, position in enumerate(positions):
        bit = number % 8
        flipped = bytearray(content)
        flipped[position] ^= 1 << bit
        yield position, bit, bytes(flipped)


def test_undamaged_it_is_all_there(in_the_database: Intact, in_the_wal: Intact, directory: Path) -> None:
    for intact in (in_the_database, in_the_wal):
        assert wrong(directory, intact) is None
        assert not (directory / f"{NAME}.damaged").exists()


def test_a_byte_of_the_database_may_be_another(in_the_database: Intact, directory: Path) -> None:
    database = in_the_database.files[NAME]
    # Long runs of zeros are room nobody uses, or data of one publication.
    used = [at for at in range(0, len(database), 3) if any(database[max(0, at - 4) : at + 5])]
    found = []
    for position, bit, flipped in flips(database, used):
        if problem := wrong(directory, in_the_database, **{NAME: flipped}):
            found.append(f"byte {position:#x} bit {bit}: {problem}")
    assert not found, report(found, len(used))


@pytest.mark.parametrize("seed", range(3))
def test_many_bytes_of_the_database_may_be_others(in_the_database: Intact, directory: Path, seed: int) -> None:
    chance = random.Random(seed)
    database = in_the_database.files[NAME]
    found = []
    for _ in range(50):
        begin = chance.randrange(len(database))
        length = chance.choice([4, 64, 512, PAGE])
        noise = chance.choice([bytes(length), b"\xff" * length, chance.randbytes(length)])
        changed = (database[:begin] + noise)[: len(database)] + database[begin + length :]
        if problem := wrong(directory, in_the_database, **{NAME: changed}):
            found.append(f"{length} bytes from {begin:#x}: {problem}")
    assert not found, report(found, 50)


def test_the_database_may_have_lost_its_end(in_the_database: Intact, directory: Path) -> None:
    database = in_the_database.files[NAME]
    lengths = sorted({*range(0, len(database), 509), *range(0, len(database), PAGE), 1, 15, 16, 99, 100, 101})
    found = []
    for length in lengths:
        if problem := wrong(directory, in_the_database, **{NAME: database[:length]}):
            found.append(f"{length} bytes left: {problem}")
    assert not found, report(found, len(lengths))


def test_any_part_of_the_wal_may_be_changed(in_the_wal: Intact, directory: Path) -> None:
    wal = in_the_wal.files[WAL]
    positions = list(range(0, len(wal), 997))
    found = []
    for position, bit, flipped in flips(wal, positions):
        if problem := wrong(directory, in_the_wal, **{WAL: flipped}):
            found.append(f"byte {position:#x} bit {bit}: {problem}")
    assert not found, report(found, len(positions))


def test_the_wal_may_have_lost_its_end(in_the_wal: Intact, directory: Path) -> None:
    wal = in_the_wal.files[WAL]
    frames = range(32, len(wal), FRAME)
    lengths = sorted({0, 1, 31, *frames, *(end - 1 for end in frames), *(end + 24 for end in frames)})
    found = []
    for length in lengths:
        if problem := wrong(directory, in_the_wal, **{WAL: wal[:length]}):
            found.append(f"{length} of {len(wal)} bytes left: {problem}")
    assert not found, report(found, len(lengths))


def test_the_wal_may_be_gone(in_the_wal: Intact, directory: Path) -> None:
    assert wrong(directory, in_the_wal, **{WAL: None}) is None


def test_the_database_may_be_empty_beside_a_wal(in_the_wal: Intact, directory: Path) -> None:
    assert wrong(directory, in_the_wal, **{NAME: b""}) is None


def test_the_database_may_be_an_older_one(in_the_database: Intact, directory: Path, tmp_path: Path) -> None:
    """A copy that was made earlier, put back beside everything else there is."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    for name, content in in_the_database.files.items():
        (directory / name).write_bytes(content)
    journal = open_journal(directory, limits=LIMITS, now=NOW + 9)
    publish(journal, item("two", "later"), now=NOW + 9)
    journal.close()
    epoch = journal.sequencer.epoch
    (directory / NAME).write_bytes(in_the_database.files[NAME])
    again = open_journal(directory, limits=LIMITS, now=NOW + 9)
    leave(again)
    assert again.sequencer.epoch != epoch
