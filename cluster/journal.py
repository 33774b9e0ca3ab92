"""The forwarder's journal: what a killed forwarder finds again. One SQLite file.

It is a log of batches. Each is written in one transaction, before anything of it is acknowledged or fanned out.
Batches go in at one end; at the other end the oldest are taken out again, and what of them is still needed is
written anew, so that the file stays within a small multiple of what the sequencer holds.
"""

from __future__ import annotations

import logging
import secrets
import sqlite3
import zlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec

from .errors import BusError
from .sequencer import Entry, Limits, Sequencer

logger = logging.getLogger(__name__)

Sync = Literal["off", "full"]

VERSION = 1
SLACK = 8 * 1024 * 1024
"""Bytes the journal may hold beyond twice what is needed before the oldest batches are rewritten."""
REWRITE = 8
"""Batches rewritten at most along with each one appended."""

_SCHEMA = """
CREATE TABLE state (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE batches (number INTEGER PRIMARY KEY AUTOINCREMENT, at REAL, checksum INTEGER, entries BLOB);
"""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Entry]).decode


class JournalError(BusError):
    """The journal cannot be written; what was to be written is not kept."""


class Damaged(Exception):
    """The journal cannot be trusted; says why."""


class Journal:
    """An open journal and the sequencer it restored. `boot` tells one run of the machine from the next.

    With `sync="off"` the journal survives the death of the process, not of the machine: after a power cut its end
    may be missing. It is then set aside, and a new epoch says so to everyone. `sync="full"` survives that as well,
    for a disk flush per batch.
    """

    def __init__(self, path: Path, sync: Sync, limits: Limits, *, boot: str, now: float) -> None:
        """Open or create `path`. A damaged journal is set aside beside it. Raises `JournalError`."""
        self._path = path
        try:
            try:
                self.sequencer = self._open(sync, limits, boot, now)
            except Damaged as damage:
                self._set_aside(damage)
                self.sequencer = self._open(sync, limits, boot, now)
        except (sqlite3.Error, OSError, Damaged) as error:
            self._abandon()
            raise JournalError(f"the journal {path} cannot be used: {error}") from None

    def append(self, entries: list[Entry], at: float) -> None:
        """Keep `entries`, which the sequencer has accepted at `at`. Raises `JournalError`: nothing of it is kept."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            size = self._insert(entries, at)
            size -= self._rewrite(REWRITE)
            self._remember("floor", self.sequencer.floor)
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            with suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            self._state.pop("floor", None)
            raise JournalError(f"the journal {self._path} cannot be written: {error}") from None
        self._bytes += size

    def close(self) -> None:
        """Write everything to the disk, so that the next start need not doubt it."""
        with suppress(sqlite3.Error):
            self._db.execute("PRAGMA synchronous=FULL")
            self._remember("clean", 1)
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._db.close()

    def _open(self, sync: Sync, limits: Limits, boot: str, now: float) -> Sequencer:
        self._db = sqlite3.connect(self._path, isolation_level=None)
        self._state: dict[str, object] = {}
        try:
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute(f"PRAGMA synchronous={sync.upper()}")
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
            if version == 0:
                self._create()
            elif version != VERSION:
                raise Damaged(f"its version is {version}, this program writes {VERSION}")
            return self._load(sync, limits, boot, now)
        except sqlite3.OperationalError:
            raise  # locked, read-only, disk full: nothing is wrong with what it holds
        except (sqlite3.DatabaseError, msgspec.MsgspecError, KeyError, TypeError) as error:
            raise Damaged(str(error)) from None

    def _create(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        for statement in _SCHEMA.split(";"):
            self._db.execute(statement)
        self._remember("epoch", secrets.token_hex(4))
        self._remember("floor", 0)
        self._remember("clean", 1)
        self._db.execute(f"PRAGMA user_version={VERSION}")
        self._db.execute("COMMIT")

    def _load(self, sync: Sync, limits: Limits, boot: str, now: float) -> Sequencer:
        self._state = dict(self._db.execute("SELECT name, value FROM state"))
        if not self._state["clean"] and self._state["boot"] != boot and self._state["sync"] != "full":
            raise Damaged("the machine was restarted while it was in use, its end may be missing")
        entries: list[tuple[float, Entry]] = []
        self._bytes = 0
        expected: int | None = None
        for number, at, checksum, blob in self._db.execute("SELECT * FROM batches ORDER BY number"):
            if expected not in (None, number) or zlib.crc32(blob) != checksum:
                raise Damaged(f"batch {expected or number} is missing or changed")
            expected = number + 1
            self._bytes += len(blob)
            entries.extend((at, entry) for entry in _decode(blob))
        (last,) = self._db.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence").fetchone()
        if expected is not None and last != expected - 1:
            raise Damaged(f"batch {last} is missing")
        self._remember("boot", boot)
        self._remember("sync", sync)
        self._remember("clean", 0)
        return Sequencer.restore(str(self._state["epoch"]), limits, int(str(self._state["floor"])), entries, now)

    def _insert(self, entries: Iterable[Entry], at: float) -> int:
        blob = _encode(entries)
        self._db.execute("INSERT INTO batches (at, checksum, entries) VALUES (?, ?, ?)", (at, zlib.crc32(blob), blob))
        return len(blob)

    def _rewrite(self, most: int) -> int:
        """Take out the oldest batches while there is much that nobody needs; returns the bytes won."""
        won = 0
        for _ in range(most):
            if self._bytes - won <= 2 * self.sequencer.footprint + SLACK:
                break
            number, at, blob = self._db.execute(
                "SELECT number, at, entries FROM batches ORDER BY number LIMIT 1"
            ).fetchone()
            needed = [kept for entry in _decode(blob) if (kept := self.sequencer.needed(entry)) is not None]
            won += len(blob) - (self._insert(needed, at) if needed else 0)
            self._db.execute("DELETE FROM batches WHERE number = ?", (number,))
        return won

    def _remember(self, name: str, value: object) -> None:
        if self._state.get(name) != value:
            self._db.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (name, value))
            self._state[name] = value

    def _set_aside(self, damage: Damaged) -> None:
        self._abandon()
        aside = self._path.with_name(self._path.name + ".damaged")
        logger.error("the journal %s is set aside as %s: %s; a new epoch begins", self._path, aside.name, damage)
        self._path.replace(aside)
        for suffix in ("-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)

    def _abandon(self) -> None:
        if hasattr(self, "_db"):
            self._db.close()


def boot_id() -> str:
    """Tells this run of the machine from every other (Linux, random(4)); constant where it cannot be told."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
