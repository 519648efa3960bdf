"""`LocalLog`: the durable log on one machine, in one SQLite file.

Invariants: an append is one transaction and one sync, all or none; a commit that failed ends writing for
good, it is never tried again (a second sync may claim success for what the first one lost); positions are never used
again, neither after a trim nor after damage; what is missing is reported, never skipped silently. A
consumer's position may be saved late (it is a promise about the past) but never ahead.

It does not look into payloads, does not lock the data folder (`store.lock` does), and does not give freed disk space
back: pages freed by a trim are used again.

Measured (two virtual cores, ext4, 200 KB records of 10,000 rows, user + system time): 32 KiB pages 39 ns a row, SQLite's
4 KiB 74, 64 KiB 41; write-ahead logs of 4, 16 and 64 MiB 39, 39 and 45; with freed pages overwritten by zeros 56.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from model.clock import Clock
from model.errors import Corrupt, StoreError, TryAgain, UsageError
from model.seams import LogRecord, NewRecord, Problem
from store.database import connect, migrate, refuse_newer, transaction, translated
from store.log import records as table
from store.log.check import MEND, check_log, end_problems, mark_path
from store.log.mark import SLOTS, Mark

#: Page size of a new log, bytes: best for records of 100 KB and more. For small records (alarms) take 4096.
DEFAULT_PAGE_BYTES = 32_768
#: Length of the write-ahead log at which a commit copies it back, bytes.
DEFAULT_CHECKPOINT_BYTES = 16 * 2**20
#: Largest payload of one record, bytes.
DEFAULT_MAX_RECORD_BYTES = 64 * 2**20
#: Records deleted in one transaction of a trim.
DEFAULT_TRIM_STEP_RECORDS = 256
#: How old the saved consumer positions may get while records come in, seconds.
DEFAULT_CONSUMER_SAVE_S = 1.0
#: Consumers of one log, and the length of their names.
MAX_CONSUMERS = 64
MAX_CONSUMER_NAME_CHARS = 64


class LocalLog:
    """The log in one file; implements `model.seams.Log`. Any thread may call anything.

    Args:
        path: the log's file, e.g. `points.log.db`; the mark lies beside it as `<name>.mark`.
        clock: decides when consumer positions are saved.
        read_only: read beside a running writer, from any process.
        page_bytes: page size of a new file.
        checkpoint_bytes: length of the write-ahead log at which a commit copies it back.
        max_record_bytes: largest payload accepted.
        trim_step_records: records deleted in one transaction of a trim.
        consumer_save_s: how old saved consumer positions may get while records come in.

    Attributes:
        problems_at_open: what was found missing when this object opened the log; to be told to people at once.

    Raises:
        StoreError: the file cannot be opened; Corrupt: it is no log, or damaged beyond reading.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Clock,
        read_only: bool = False,
        page_bytes: int = DEFAULT_PAGE_BYTES,
        checkpoint_bytes: int = DEFAULT_CHECKPOINT_BYTES,
        max_record_bytes: int = DEFAULT_MAX_RECORD_BYTES,
        trim_step_records: int = DEFAULT_TRIM_STEP_RECORDS,
        consumer_save_s: float = DEFAULT_CONSUMER_SAVE_S,
    ) -> None:
        self._path = path
        self._clock = clock
        self._max_record_bytes = max_record_bytes
        self._trim_step_records = trim_step_records
        self._consumer_save_s = consumer_save_s
        self._write_lock = threading.Lock()
        self._read_lock = threading.Lock()
        self._consumers_lock = threading.Lock()
        self._unsaved: dict[str, int] = {}
        self._saved_at_s = clock.monotonic_s()
        self._failure: StoreError | None = None
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        self.problems_at_open: list[Problem] = []
        self._last: int
        self._received: int
        self._consumers: dict[str, int]
        if not read_only:
            self._writer = connect(
                path,
                page_bytes=page_bytes,
                keep_freed=True,
                checkpoint_pages=max(1, checkpoint_bytes // page_bytes),
            )
        self._mark = Mark(mark_path(path), read_only=read_only)
        try:
            if self._writer is not None:
                migrate(self._writer, table.MIGRATIONS, path)
            self._reader = connect(path, read_only=True)
            refuse_newer(self._reader, table.MIGRATIONS, path)
            self._last, self._received = self._load_ends(self._reader)
            self._consumers = table.consumers_of(self._reader)[0]
        except sqlite3.Error as error:
            self._close_files()
            raise translated(error, path) from error
        except BaseException:
            self._close_files()
            raise

    def append(self, records: Sequence[NewRecord]) -> int:
        """Make all `records` durable in one commit, all or none; return the position of the last.

        Raises:
            StoreError: the commit failed, now or earlier; nothing of it may be acknowledged, and the process must stop.
            UsageError: a record is over `max_record_bytes` or its rows are negative; nothing was written.
        """
        with self._write_lock:
            writer = self._writable()
            rows, marks = self._numbered(records)
            if not rows:
                return self._last
            try:
                self._commit(writer, rows)
                self._mark.write(marks)
            except (sqlite3.Error, OSError) as error:
                self._failure = StoreError(
                    f"{self._path} could not take a record: {error}.",
                    mend="Check the disk and its free space, then start again; nothing unacknowledged is lost by devices "
                    "that keep what was not acknowledged.",
                )
                raise self._failure from error
            self._last, self._received = marks[-1]
            return self._last

    def read(self, after: int, *, max_records: int, max_bytes: int) -> list[LogRecord]:
        """Records after position `after`, in order, at least one where there is one.

        Raises:
            Corrupt: the first record to be read is damaged or gone (`position` names it, go on after it);
                position 0: the file itself is damaged and no record can be told apart.
        """
        with self._read_lock:
            reader = self._readable()
            # Known before the query, so whatever the query does not see is gone, not merely new.
            known_last = self._mark.newest()[0] if self._writer is None else self._last
            found: list[LogRecord] = []
            try:
                size_bytes = 0
                expected = after + 1
                with closing(table.rows_after(reader, after, max_records)) as rows:
                    for row in rows:
                        if row.position != expected and self._gone(reader, row.position - 1):
                            error = self._gone_error(reader, expected, row.position - 1)
                        elif not row.holds():
                            error = self._corrupt(row.position, f"Record {row.position} is damaged")
                        else:
                            error = None
                        if error is not None:
                            if found:
                                return found
                            raise error
                        if found and size_bytes + len(row.payload) > max_bytes:
                            return found
                        found.append(row.record())
                        expected = row.position + 1
                        size_bytes += len(row.payload)
                        if size_bytes + len(row.payload) > max_bytes:
                            return found  # the next one, if as large, would be read for nothing
                if not found and known_last >= expected and self._gone(reader, known_last):
                    raise self._gone_error(reader, expected, known_last)
            except sqlite3.DatabaseError as damage:
                if not found:
                    raise self._unreadable(reader, after, damage) from damage
            return found

    def skip_corrupt(self, position: int) -> int:
        """How many rows the damaged or missing record at `position` stood for, as far as the log still knows (else 1)."""
        with self._read_lock:
            try:
                return table.rows_of_damaged(self._readable(), self._mark, position)
            except sqlite3.DatabaseError:
                return 1

    def last_position(self) -> int:
        """Position of the newest record; 0 when there was never one."""
        return self._ends()[0]

    def received_rows(self) -> int:
        """Rows of every record ever appended, trimmed and damaged ones too."""
        return self._ends()[1]

    def consumed(self, consumer: str) -> int:
        """The position up to which `consumer` needs nothing any more (0 when it is new)."""
        if self._writer is not None:
            with self._consumers_lock:
                return self._consumers.get(consumer, 0)
        with self._read_lock:
            return table.consumers_of(self._readable())[0].get(consumer, 0)

    def set_consumed(self, consumer: str, position: int) -> None:
        """Note that `consumer` needs nothing up to `position` any more; an older position changes nothing.

        A consumer's first position is saved at once, so that no trim forgets it; later ones with the next commits.

        Raises:
            UsageError: the position is beyond the log, or there are too many consumers.
        """
        if not 0 <= position <= self._last:
            raise UsageError(
                f"{consumer} cannot have consumed {position}: the log ends at {self._last}.",
                mend="The consumer belongs to another log: restore both from the same back-up.",
            )
        with self._consumers_lock:
            is_new = consumer not in self._consumers
            if is_new and (len(self._consumers) >= MAX_CONSUMERS or len(consumer) > MAX_CONSUMER_NAME_CHARS):
                raise UsageError(
                    f"A log has at most {MAX_CONSUMERS} consumers, named in {MAX_CONSUMER_NAME_CHARS} letters."
                )
            if position > self._consumers.get(consumer, -1):
                self._consumers[consumer] = self._unsaved[consumer] = position
        if is_new:
            with self._write_lock, self._committing():
                self._commit(self._writable(), [], save_consumers=True)

    def trim(self) -> int:
        """Delete records that no consumer needs, in bounded transactions; return how many went.

        Without consumers nothing is trimmed. Appends get their turn between two transactions.
        """
        with self._consumers_lock:
            target = min(self._consumers.values(), default=0)
        went = 0
        while True:
            with self._write_lock, self._committing():
                writer = self._writable()
                done, received = table.trimmed_to(writer)
                if done >= target:
                    return went
                upto = min(target, done + self._trim_step_records)
                with transaction(writer):
                    self._save_consumers(writer)
                    received = max(received, table.received_by(writer, upto))
                    went += writer.execute("DELETE FROM records WHERE position <= ?", (upto,)).rowcount
                    writer.execute(table.SAVE_TRIMMED, (upto, received, table.place_checksum("", upto, received)))

    def check(self) -> list[Problem]:
        """Read everything and report what does not hold. Changes nothing; works beside a running writer."""
        self._readable()
        return check_log(self._path)

    def close(self) -> None:
        """Save consumer positions and release the files. A closed log raises StoreError at every call."""
        with self._write_lock, self._read_lock:
            try:
                if self._writer is not None and self._failure is None:
                    with self._committing():
                        self._commit(self._writer, [], save_consumers=True)
            finally:
                self._close_files()
                self._failure = StoreError(f"{self._path.name} is closed.", mend="Open it again.")

    def _numbered(
        self, records: Sequence[NewRecord]
    ) -> tuple[list[tuple[int, int, int, int, int, bytes]], list[tuple[int, int]]]:
        position, received = self._last, self._received
        rows: list[tuple[int, int, int, int, int, bytes]] = []
        marks: list[tuple[int, int]] = []
        for record in records:
            if record.rows < 0 or len(record.payload) > self._max_record_bytes:
                raise UsageError(
                    f"A record of {record.rows} rows and {len(record.payload)} bytes does not go into the log.",
                    mend=f"Split it: at most {self._max_record_bytes} bytes.",
                )
            position += 1
            received += record.rows
            kind = int(record.kind)
            checksum = table.checksum(position, kind, record.rows, received, record.payload)
            rows.append((position, kind, record.rows, received, checksum, record.payload))
            marks.append((position, received))
        return rows, marks

    def _commit(
        self,
        writer: sqlite3.Connection,
        rows: Sequence[tuple[int, int, int, int, int, bytes]],
        *,
        save_consumers: bool = False,
    ) -> None:
        due = bool(self._unsaved) and self._clock.monotonic_s() - self._saved_at_s >= self._consumer_save_s
        if len(rows) == 1 and not due:
            writer.execute(table.INSERT_RECORD, rows[0])  # one statement is a transaction by itself
        elif rows or due or (save_consumers and self._unsaved):
            with transaction(writer):
                writer.executemany(table.INSERT_RECORD, rows)
                if due or save_consumers:
                    self._save_consumers(writer)

    def _save_consumers(self, writer: sqlite3.Connection) -> None:
        with self._consumers_lock:
            unsaved, self._unsaved = self._unsaved, {}
        places = [(name, position, table.place_checksum(name, position)) for name, position in unsaved.items()]
        writer.executemany(table.SAVE_CONSUMER, places)
        self._saved_at_s = self._clock.monotonic_s()

    def _load_ends(self, connection: sqlite3.Connection) -> tuple[int, int]:
        """Where the log ends, by its table and by its mark; notes what is missing between the two."""
        newest = self._mark.newest()
        last, received = table.ends(connection)
        self.problems_at_open = end_problems(connection, self._path, newest)
        return max(last, newest[0]), max(received, newest[1])

    def _ends(self) -> tuple[int, int]:
        if self._writer is not None:
            return self._last, self._received
        with self._read_lock:
            reader = self._readable()
            try:
                marked, marked_received = self._mark.newest()
                last, received = table.ends(reader)
            except sqlite3.Error as error:
                raise translated(error, self._path) from error
            return max(last, marked), max(received, marked_received)

    def _gone(self, reader: sqlite3.Connection, position: int) -> bool:
        """Whether `position`, which the table does not have, was not simply trimmed."""
        return position > table.trimmed_to(reader)[0]

    def _gone_error(self, reader: sqlite3.Connection, first: int, last: int) -> Corrupt:
        """Name the first missing record if its rows are known by themselves, else the gap up to where they are."""
        first = max(first, table.trimmed_to(reader)[0] + 1)
        remembered = min(max(first, self._mark.newest()[0] - SLOTS + 1), last)
        known = table.received_up_to(reader, self._mark, remembered) is not None
        return self._corrupt(remembered if known else last, f"Records {first} to {last} are gone")

    def _unreadable(
        self, reader: sqlite3.Connection, after: int, damage: sqlite3.DatabaseError
    ) -> StoreError | TryAgain:
        """A page is damaged: name the record if the table can still be walked, else position 0."""
        found = translated(damage, self._path)
        if not isinstance(found, Corrupt):
            return found
        try:
            position = reader.execute("SELECT min(position) FROM records WHERE position > ?", (after,)).fetchone()[0]
        except sqlite3.DatabaseError:
            position = None
        return self._corrupt(position or 0, f"The file is damaged ({damage})")

    def _corrupt(self, position: int, what: str) -> Corrupt:
        return Corrupt(f"{self._path.name}: {what}.", mend=MEND, position=position)

    @contextmanager
    def _committing(self) -> Iterator[None]:
        """Translate SQLite's errors; a failed write or sync ends writing for good."""
        try:
            yield
        except sqlite3.Error as error:
            found = translated(error, self._path)
            if isinstance(found, Corrupt):
                raise self._corrupt(0, f"The file is damaged ({error})") from error
            if isinstance(found, StoreError):
                self._failure = found
            raise found from error

    def _writable(self) -> sqlite3.Connection:
        if self._failure is not None:
            raise StoreError(self._failure.message, mend=self._failure.mend)
        if self._writer is None:
            raise StoreError(f"{self._path.name} was opened for reading only.", mend="Open it as the writer.")
        return self._writer

    def _readable(self) -> sqlite3.Connection:
        if self._reader is None:
            raise StoreError(f"{self._path.name} is closed.", mend="Open it again.")
        return self._reader

    def _close_files(self) -> None:
        for connection in (self._reader, self._writer):
            if connection is not None:
                connection.close()
        self._reader = self._writer = None
        self._mark.close()
