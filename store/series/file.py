"""`SeriesFile`: the SQLite file under the store: opening, taking turns, durability, snapshots, check.

Invariants: one call at a time on the writer's connection; a reader sees one snapshot per call;
SQLite's errors leave as lucheng's. It knows no points.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from model.errors import Corrupt, StoreError, TryAgain, UsageError
from model.seams import Problem
from store.database import DEFAULT_BUSY_TIMEOUT_MS, connect, migrate, schema_version, transaction, translated
from store.ledger import LEDGER_SCHEMA
from store.series.check import check as check_file
from store.series.door import SeriesState
from store.series.schema import MIGRATIONS, checksum, text_key, verified

#: Blobs here are 1 KiB to 1 MiB: a larger page means fewer writes and fuller leaves.
PAGE_BYTES = 16_384
#: 64 MiB: level-0 pages are written, merged and used again mostly within it.
DEFAULT_CHECKPOINT_PAGES = 4_096
#: How long `make_durable` waits for readers before it syncs the write-ahead log instead.
DURABLE_WAIT_MS = 50

SERIES_MIGRATIONS = (MIGRATIONS[0] + LEDGER_SCHEMA, *MIGRATIONS[1:])


class SeriesFile:
    """series.db, opened for writing (migrated) or for reading beside a writer; see `EmbeddedSeries`."""

    def __init__(self, path: Path, *, read_only: bool, checkpoint_pages: int) -> None:
        self._path = path
        self._read_only = read_only
        self._lock = threading.RLock()
        self._closed = False
        self._connection = connect(
            path,
            durable=False,
            read_only=read_only,
            checkpoint_pages=checkpoint_pages,
            page_bytes=PAGE_BYTES,
            keep_freed=True,
        )
        with self._closing_on_error():
            version = schema_version(self._connection)
            if read_only and version == 0:
                raise TryAgain(f"{path} holds nothing yet.", mend="Start the service with `lucheng run` first.")
            if not read_only or version > len(SERIES_MIGRATIONS):
                migrate(self._connection, SERIES_MIGRATIONS, path)

    @contextmanager
    def _closing_on_error(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            self._connection.close()
            raise translated(error, self._path) from error
        except BaseException:
            self._connection.close()
            raise

    def _sync(self) -> None:
        """Force everything committed to the disk.

        A checkpoint that empties the write-ahead log; where a reader keeps that from ending, the
        write-ahead log itself is synced, which is as durable.
        """
        with self._writing():
            self._connection.execute(f"PRAGMA busy_timeout={DURABLE_WAIT_MS:d}")
            try:
                self._connection.execute("PRAGMA synchronous=FULL")
                busy, _, _ = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                self._connection.execute("PRAGMA synchronous=NORMAL")
                self._connection.execute(f"PRAGMA busy_timeout={DEFAULT_BUSY_TIMEOUT_MS:d}")
            if busy:
                # closing this descriptor drops no SQLite lock: those are on the -shm and database files
                descriptor = os.open(self._path.with_name(self._path.name + "-wal"), os.O_RDONLY)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)

    # -- snapshots of the analytics ------------------------------------------------------------

    def put_snapshot(self, name: str, position: int, blob: bytes) -> None:
        """Keep the state `blob` of `name` as of log position `position`, in place of the one before."""
        with self._writing(), transaction(self._connection):
            self._connection.execute(
                "INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?, ?)",
                (name, position, checksum("snapshots", text_key(name), blob), blob),
            )

    def snapshot(self, name: str) -> tuple[int, bytes] | None:
        """(position, blob) of `name`, None when there is none. Raises Corrupt."""
        with self._reading():
            row = self._connection.execute(
                "SELECT position, checksum, blob FROM snapshots WHERE name = ?", (name,)
            ).fetchone()
            if row is None:
                return None
            return int(row[0]), verified("snapshots", text_key(name), row[1], row[2], f"snapshot {name}")

    # -- housekeeping --------------------------------------------------------------------------

    def check(self) -> list[Problem]:
        """Read everything and report what does not hold; on a connection of its own, so that writing goes on."""
        self._alive()
        try:
            with closing(connect(self._path, durable=False, read_only=True)) as connection:
                connection.execute("BEGIN")
                return check_file(connection)
        except sqlite3.Error as error:
            failure = translated(error, self._path)
            if not isinstance(failure, Corrupt):
                raise failure from error
            return [Problem(self._path.name, failure.message, failure.mend)]
        except Corrupt as error:
            return [Problem(self._path.name, error.message, error.mend)]

    def state(self) -> SeriesState:
        """How the store is, from memory."""
        return SeriesState("embedded")

    def stop_waiting(self) -> None:
        """Nobody waits here for longer than for the disk."""

    def close(self) -> None:
        """Release the file; every later call raises StoreError."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._connection.close()

    def _alive(self) -> None:
        if self._closed:
            raise StoreError("The series store is closed.", mend="Open it again.")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._lock:
            self._alive()
            if self._read_only:
                raise UsageError("series.db is open for reading only.", mend="Ask the running service.")
            try:
                yield
            except sqlite3.Error as error:
                raise translated(error, self._path) from error

    @contextmanager
    def _snapshot(self) -> Iterator[sqlite3.Connection]:
        """One snapshot on a connection of its own: what is long holds nobody."""
        self._alive()
        try:
            with closing(connect(self._path, durable=False, read_only=True)) as connection:
                connection.execute("BEGIN")
                yield connection
        except sqlite3.Error as error:
            raise translated(error, self._path) from error

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """One snapshot: the writer under its lock, a reader in a read transaction."""
        with self._lock:
            self._alive()
            try:
                if not self._read_only:
                    yield
                    return
                self._connection.execute("BEGIN")
                try:
                    yield
                finally:
                    self._connection.execute("ROLLBACK")
            except sqlite3.Error as error:
                raise translated(error, self._path) from error
