"""Journals to try things on: written as the forwarder writes them, looked at as a client would."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from cluster.journal import Journal, Sync
from cluster.sequencer import Item, Limits, Sequencer
from cluster.stream import Position, Retention

NAME = "journal.sqlite"
NOW = 1_700_000_000.0
ROOMY = Retention(1000, 100_000.0)
EVERYTHING = 1_000_000
WINDOW = 120.0
"""Seconds for which a repeated id is recognised, whatever else is published meanwhile."""


class Contents(NamedTuple):
    """What clients can see of some channels: where each ends, and the publications kept of it."""

    epoch: str
    tops: dict[str, int]
    publications: dict[str, list[tuple[int, str, bytes | None]]]

    def lacks(self, other: Contents) -> list[str]:
        """In words, what `other` has and these contents have not, or have differently."""
        missing = []
        if self.epoch != other.epoch:
            missing.append(f"epoch {other.epoch}, it is {self.epoch}")
        for channel, top in other.tops.items():
            if self.tops[channel] != top:
                missing.append(f"top {top} of {channel}, it is {self.tops[channel]}")
            kept = self.publications[channel]
            missing.extend(f"{found} of {channel}" for found in other.publications[channel] if found not in kept)
        return missing


def open_journal(
    directory: Path, *, sync: Sync = "off", limits: Limits | None = None, boot: str = "a boot", now: float = NOW
) -> Journal:
    return Journal(directory / NAME, sync, limits or Limits(), boot=boot, now=now)


def item(channel: str, id: str, data: bytes = b"data", retention: Retention = ROOMY) -> Item:
    return Item(channel, id, data, retention)


def publish(journal: Journal, *items: Item, now: float = NOW) -> list[Position]:
    """One batch, handled as the forwarder does. Raises `JournalError`: it was refused."""
    offsets, entries = journal.sequencer.number(items)
    if entries:
        journal.append(entries, now)
    journal.sequencer.keep(entries, now)
    return [Position(journal.sequencer.epoch, offset) for offset in offsets]


def clear(journal: Journal, channel: str, through: int | None = None, now: float = NOW) -> None:
    """Handled as the forwarder does. Raises `JournalError`: it was refused."""
    top = journal.sequencer.top(channel)
    entry = journal.sequencer.clearing(channel, top if through is None else top._replace(offset=through))
    if entry is not None:
        journal.append([entry], now)
        journal.sequencer.clear(entry)


def contents(sequencer: Sequencer, channels: Iterable[str], now: float = NOW) -> Contents:
    found = {channel: sequencer.history(channel, None, EVERYTHING, now) for channel in channels}
    return Contents(
        sequencer.epoch,
        {channel: history.top.offset for channel, history in found.items()},
        {channel: [(p.offset, p.id, p.data) for p in history.publications] for channel, history in found.items()},
    )


def leave(journal: Journal) -> None:
    """Let go of a journal's file without closing the journal; for one whose files were copied."""
    journal._db.close()


def copy(directory: Path, to: Path) -> Path:
    """The files of a journal in use as SIGKILL would leave them now."""
    shutil.copytree(directory, to)
    return to


@contextmanager
def full_disk(journal: Journal) -> Iterator[None]:
    """The journal's file cannot grow: SQLite meets a full disk."""
    (pages,) = journal._db.execute("PRAGMA page_count").fetchone()
    journal._db.execute(f"PRAGMA max_page_count={pages}")
    try:
        yield
    finally:
        journal._db.execute("PRAGMA max_page_count=1000000000")
