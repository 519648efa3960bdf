"""`influx.db`: what stays beside the log when the series are in InfluxDB: snapshots of the analytics, quarantined rows, and a
copy of the counters.

Invariants: the position and the counters that count are with the points, so that a server that was lost or set back is
seen; the copy here is written after them, for whoever asks while the server is away. What was kept for a position beyond
the committed one is forgotten when the server is met, and comes again from the log. Snapshots and quarantined rows may
hold protected data, so neither is sent to the server.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from model.codes import Reason
from model.errors import StoreError, TryAgain
from model.seams import Outcome
from store.database import (
    Connection,
    Error,
    Where,
    connect,
    migrate,
    schema_version,
    transaction,
    translated,
)
from store.ledger import DEFAULT_MAX_QUARANTINE_ROWS_PER_REASON, LEDGER_SCHEMA, Ledger, QuarantineRow
from store.series.schema import checksum, text_key, verified

FILE = "influx.db"
LOCAL_MIGRATIONS = (
    """
    CREATE TABLE snapshots (
        name TEXT PRIMARY KEY, position INTEGER NOT NULL, checksum INTEGER NOT NULL, blob BLOB NOT NULL
    ) STRICT;
    """
    + LEDGER_SCHEMA,
)


class Beside(Protocol):
    """What a store in InfluxDB keeps elsewhere: in a file (`LocalFile`), or of a partition on a server (`ledgers.Ledger`)."""

    def counters(self) -> dict[str, int]:
        """Counters and position of the server as they were last known here; {} when it was never met."""
        ...

    def put_counters(self, changed: Mapping[str, int], *, anew: bool = False) -> None:
        """Take over counters that the server has; `anew` in place of all that are here."""
        ...

    def keep(self, outcome: Outcome, committed: int) -> None:
        """Keep an outcome's quarantined rows; those of an attempt that was not committed go first."""
        ...

    def forget_beyond(self, position: int) -> None:
        """Forget quarantined rows and snapshots of positions that the store does not have."""
        ...

    def forget_quarantine(self, before_received_ms: int) -> None:
        """Delete kept quarantined rows received before that time."""
        ...

    def quarantine_list(self, reason: Reason | None, before_id: int | None, limit: int) -> list[QuarantineRow]:
        """Kept quarantined rows, the newest first."""
        ...

    def quarantine_show(self, number: int) -> QuarantineRow:
        """One kept quarantined row; raises NotFound."""
        ...

    def put_snapshot(self, name: str, position: int, blob: bytes) -> None:
        """See `model.seams.Snapshots`."""
        ...

    def snapshot(self, name: str) -> tuple[int, bytes] | None:
        """See `model.seams.Snapshots`."""
        ...

    def close(self) -> None:
        """Release it; may be called twice."""
        ...


class Opened:
    """A database that is open: one connection, used in turns by any thread.

    Args:
        where: a file, made when missing unless `read_only`; or a place on a server.
        migrations: of its tables.
        read_only: open beside running writers.

    Raises StoreError, Corrupt, SchemaTooNew; TryAgain when there is nothing yet to read, or the server is away.
    """

    def __init__(self, where: Where, migrations: Sequence[str], *, read_only: bool) -> None:
        self._where = where
        self._lock = threading.RLock()
        self._closed = False
        self._connection = connect(where, read_only=read_only)
        try:
            if read_only and schema_version(self._connection) == 0:
                raise TryAgain(f"{where} holds nothing yet.", mend="Start the service with `lucheng run` first.")
            if not read_only or schema_version(self._connection) > len(migrations):
                migrate(self._connection, migrations, where)
        except Error as error:
            self._connection.close()
            raise translated(error, where) from error
        except BaseException:
            self._connection.close()
            raise

    @contextmanager
    def using(self) -> Iterator[Connection]:
        """The connection, for one caller at a time; the database's errors leave as ours."""
        with self._lock:
            if self._closed:
                raise StoreError("The series store is closed.", mend="Open it again.")
            try:
                yield self._connection
            except Error as error:
                raise translated(error, self._where) from error

    def close(self) -> None:
        """Release it; may be called twice."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._connection.close()


class LocalFile(Opened):
    """One SQLite file. All methods may be called from any thread; they take turns.

    Args:
        path: made when missing, unless `read_only`.
        read_only: open beside a running writer.
        max_quarantine_rows_per_reason: quarantined rows kept of each reason.

    Raises as `Opened`.
    """

    def __init__(
        self,
        path: Path,
        *,
        read_only: bool = False,
        max_quarantine_rows_per_reason: int = DEFAULT_MAX_QUARANTINE_ROWS_PER_REASON,
    ) -> None:
        super().__init__(path, LOCAL_MIGRATIONS, read_only=read_only)
        self._ledger = Ledger(self._connection, max_quarantine_rows_per_reason=max_quarantine_rows_per_reason)

    def counters(self) -> dict[str, int]:
        """Counters and position of the server as they were last known here; {} when it was never met."""
        with self.using() as connection:
            return dict(connection.execute("SELECT name, value FROM counters"))

    def put_counters(self, changed: Mapping[str, int], *, anew: bool = False) -> None:
        """Take over counters that the server has; `anew` in place of all that are here."""
        with self.using() as connection, transaction(connection):
            if anew:
                connection.execute("DELETE FROM counters")
            connection.executemany("INSERT OR REPLACE INTO counters VALUES (?, ?)", list(changed.items()))

    def keep(self, outcome: Outcome, committed: int) -> None:
        """Keep an outcome's quarantined rows; those of an attempt that was not committed go first."""
        if outcome.quarantined:
            with self.using() as connection, transaction(connection):
                self._ledger.forget_beyond(committed)
                self._ledger.keep(outcome)

    def forget_beyond(self, position: int) -> None:
        """Forget quarantined rows and snapshots of positions that the store does not have."""
        with self.using() as connection, transaction(connection):
            self._ledger.forget_beyond(position)
            connection.execute("DELETE FROM snapshots WHERE position > ?", (position,))

    def forget_quarantine(self, before_received_ms: int) -> None:
        """Delete kept quarantined rows received before that time."""
        with self.using() as connection, transaction(connection):
            self._ledger.forget_quarantine(before_received_ms)

    def quarantine_list(self, reason: Reason | None, before_id: int | None, limit: int) -> list[QuarantineRow]:
        """Kept quarantined rows, the newest first."""
        with self.using():
            return self._ledger.quarantine_list(reason=reason, before_id=before_id, limit=limit)

    def quarantine_show(self, number: int) -> QuarantineRow:
        """One kept quarantined row; raises NotFound."""
        with self.using():
            return self._ledger.quarantine_show(number)

    def put_snapshot(self, name: str, position: int, blob: bytes) -> None:
        """Keep the state `blob` of `name` as of log position `position`, in place of the one before."""
        with self.using() as connection, transaction(connection):
            connection.execute(
                "INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?, ?)",
                (name, position, checksum("snapshots", text_key(name), blob), blob),
            )

    def snapshot(self, name: str) -> tuple[int, bytes] | None:
        """(position, blob) of `name`, None when there is none. Raises Corrupt."""
        with self.using() as connection:
            row = connection.execute(
                "SELECT position, checksum, blob FROM snapshots WHERE name = ?", (name,)
            ).fetchone()
        if row is None:
            return None
        return int(row[0]), verified("snapshots", text_key(name), row[1], row[2], f"snapshot {name}")

    def forget_snapshot(self, name: str) -> None:
        """Forget the state of `name`."""
        with self.using() as connection, transaction(connection):
            connection.execute("DELETE FROM snapshots WHERE name = ?", (name,))
