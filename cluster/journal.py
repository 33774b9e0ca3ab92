"""The forwarder's journal: what a killed forwarder finds again. One SQLite file.

It is a log of batches. Each is written in one transaction, before anything of it is acknowledged or fanned out.
Batches go in at one end; at the other end the oldest are taken out again, and what of them is still needed is
written anew, so that the file stays within a small multiple of what the sequencer holds.
"""

from __future__ import annotations

import logging
import os
import secrets
import sqlite3
import struct
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import msgspec

from .errors import BusError
from .sequencer import Entry, Limits, Sequencer

logger = logging.getLogger(__name__)

Sync = Literal["off", "full"]

APPLICATION = 0x46575353
VERSION = 1
"""What SQLite's `application_id` and `user_version` are in a journal."""
SLACK = 8 * 1024 * 1024
"""Bytes the journal may hold beyond twice what is needed before the oldest batches are rewritten."""
REWRITE = 16 * 1024
"""Bytes of the oldest batches looked at along with each one appended, besides twice its own."""
BATCH_BYTES = 64
"""Bytes a batch takes besides its entries."""
GIVEN_UP = 2**64 - 1
"""Noted as the last batch of a journal that is being set aside."""
TICK = 1e-6
"""Seconds between the times of two batches at least."""

_SCHEMA = """
CREATE TABLE state (only INTEGER PRIMARY KEY CHECK (only = 1), checksum INTEGER, fields BLOB);
CREATE TABLE batches (number INTEGER PRIMARY KEY, at REAL, checksum INTEGER, entries BLOB);
"""

_FATAL = {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_SCHEMA}
"""SQLite's errors that speak of what the file holds, not of whether it can be written now."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Entry]).decode
_NUMBER = struct.Struct("<Q")


class State(msgspec.Struct, array_like=True, frozen=True):
    """What a journal says of itself. `clean`: it was closed, and all of it is on the disk."""

    epoch: str
    floor: int = 0
    clean: bool = True
    boot: str = ""
    sync: Sync = "full"


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
        self._bytes = 0
        self._newest = 0
        self._last_at = 0.0
        self._state = State("")
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
        """Keep `entries`, which the sequencer numbered at `at`. Raises `JournalError`: nothing of it is kept."""
        # Strictly later than what came before, also when the clock is set back: times tell the order.
        at = max(at, self._last_at + TICK)
        state = msgspec.structs.replace(self._state, floor=self.sequencer.floor)
        blob = _encode(entries)
        try:
            self._db.execute("BEGIN IMMEDIATE")
            # First: all that is in the journal now the sequencer knows, and whether it is needed.
            newest, won = self._rewrite(2 * len(blob) + REWRITE)
            newest += 1
            self._insert(newest, blob, at)
            if state != self._state:
                self._write(state)
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            with suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise JournalError(f"the journal {self._path} cannot be written: {error}") from None
        self._state = state
        self._last_at = at
        self._newest = newest
        self._bytes += len(blob) - won
        self._note_last()

    def close(self) -> None:
        """Write everything to the disk, so that the next start need not doubt it."""
        with suppress(sqlite3.Error, OSError):
            os.fsync(self._last)
            self._db.execute("PRAGMA synchronous=FULL")
            # First all of it, then that it is all there.
            for state in (self._state, msgspec.structs.replace(self._state, clean=True)):
                self._write(state)
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._abandon()

    def _open(self, sync: Sync, limits: Limits, boot: str, now: float) -> Sequencer:
        self._db = sqlite3.connect(self._path, isolation_level=None, timeout=0)
        self._last = os.open(self._beside("-last"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
            if self._one("SELECT count(*) FROM sqlite_master") == 0:
                if self._noted_last() not in (None, 0, GIVEN_UP):
                    raise Damaged("it is empty")
                self._create()
            elif (self._one("PRAGMA application_id"), self._one("PRAGMA user_version")) != (APPLICATION, VERSION):
                raise Damaged(f"it is not a journal of version {VERSION}")
            self._db.execute("PRAGMA journal_mode=WAL")
            sequencer = self._load(limits, boot, now)
            in_use = msgspec.structs.replace(self._state, clean=False, boot=boot, sync=sync)
            if in_use != self._state:
                # It must be known even after a power cut, so it goes into the database itself: what is only in the
                # write-ahead log may be overwritten there before anything has been flushed.
                self._db.execute("PRAGMA synchronous=FULL")
                self._write(in_use)
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                self._state = in_use
            self._db.execute(f"PRAGMA synchronous={sync.upper()}")
            return sequencer
        except sqlite3.Error as error:
            if (getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF) in _FATAL:
                raise Damaged(str(error)) from None
            raise
        except (msgspec.MsgspecError, struct.error, TypeError, ValueError) as error:
            raise Damaged(str(error)) from None

    def _create(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        for statement in _SCHEMA.split(";"):
            self._db.execute(statement)
        self._write(State(secrets.token_hex(4)))
        self._db.execute(f"PRAGMA application_id={APPLICATION}")
        self._db.execute(f"PRAGMA user_version={VERSION}")
        self._db.execute("COMMIT")
        os.ftruncate(self._last, 0)
        self._newest = 0
        self._note_last()

    def _load(self, limits: Limits, boot: str, now: float) -> Sequencer:
        row = self._db.execute("SELECT checksum, fields FROM state").fetchone()
        if row is None or zlib.crc32(row[1]) != row[0]:
            raise Damaged("what it says of itself is missing or changed")
        state: State = msgspec.msgpack.decode(row[1], type=State)
        self._state = state
        if not state.clean and state.boot != boot and state.sync != "full":
            raise Damaged("the machine was restarted while it was in use, its end may be missing")
        entries: list[tuple[float, Entry]] = []
        self._bytes = 0
        self._newest = 0
        self._last_at = 0.0
        for found, at, checksum, blob in self._db.execute("SELECT * FROM batches ORDER BY number"):
            if self._newest not in (0, found - 1) or _checksum(at, blob) != checksum:
                raise Damaged(f"batch {found} or one before it is missing or changed")
            self._newest = found
            self._bytes += len(blob)
            self._last_at = max(self._last_at, at)
            entries.extend((at, entry) for entry in _decode(blob))
        last = self._noted_last()
        if (self._newest and last is None) or (last or 0) > self._newest:
            raise Damaged("its end is missing")
        return Sequencer.restore(state.epoch, limits, state.floor, entries, now)

    def _insert(self, number: int, blob: bytes, at: float) -> None:
        """Append a batch of encoded entries."""
        self._db.execute("INSERT INTO batches VALUES (?, ?, ?, ?)", (number, at, _checksum(at, blob), blob))

    def _rewrite(self, most: int) -> tuple[int, int]:
        """Take out the oldest batches while there is much that nobody needs, up to `most` bytes.

        The number of the newest batch then, and the bytes won.
        """
        newest = self._newest
        won = looked_at = 0
        while looked_at < most and self._bytes - won > 2 * self.sequencer.footprint + SLACK:
            number, at, blob = self._db.execute(
                "SELECT number, at, entries FROM batches ORDER BY number LIMIT 1"
            ).fetchone()
            needed = [kept for entry in _decode(blob) if (kept := self.sequencer.needed(entry)) is not None]
            won += len(blob)
            if needed:
                rewritten = _encode(needed)
                newest += 1
                self._insert(newest, rewritten, at)
                won -= len(rewritten)
            looked_at += len(blob) + BATCH_BYTES
            self._db.execute("DELETE FROM batches WHERE number = ?", (number,))
        return newest, won

    def _write(self, state: State) -> None:
        fields = _encode(state)
        self._db.execute("INSERT OR REPLACE INTO state VALUES (1, ?, ?)", (zlib.crc32(fields), fields))

    def _note_last(self) -> None:
        """Note the newest batch's number beside the database: SQLite does not tell when its own end is missing."""
        with suppress(OSError):
            os.pwrite(self._last, _NUMBER.pack(self._newest), 0)

    def _noted_last(self) -> int | None:
        noted = os.pread(self._last, _NUMBER.size, 0)
        return int(_NUMBER.unpack(noted)[0]) if len(noted) == _NUMBER.size else None

    def _one(self, query: str) -> Any:
        return self._db.execute(query).fetchone()[0]

    def _beside(self, suffix: str) -> Path:
        return self._path.with_name(self._path.name + suffix)

    def _set_aside(self, damage: Damaged) -> None:
        self._abandon()
        aside = self._beside(".damaged")
        logger.error("the journal %s is set aside as %s: %s; a new epoch begins", self._path, aside.name, damage)
        # In this order, and given up first: a kill in between leaves no way back into its epoch.
        self._beside("-last").write_bytes(_NUMBER.pack(GIVEN_UP))
        for suffix in ("-wal", "-shm"):
            self._beside(suffix).unlink(missing_ok=True)
        self._path.replace(aside)
        self._beside("-last").unlink()

    def _abandon(self) -> None:
        if hasattr(self, "_last"):
            os.close(self._last)
            del self._last
        if hasattr(self, "_db"):
            self._db.close()


def _checksum(at: float, blob: bytes) -> int:
    return zlib.crc32(blob, zlib.crc32(struct.pack("<d", at)))


def boot_id() -> str:
    """Tells this run of the machine from every other (Linux, random(4)); constant where it cannot be told."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
