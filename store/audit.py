"""The audit: who read or changed what, when and why; append-only, each row chained to the one before. One SQLite file, or a
schema of PostgreSQL, where processes on several machines make one chain, each with checkpoints of its own.

Invariants: a row is durable before `append` returns; what cannot be audited raises AuditUnwritable, and the caller
then neither reads nor changes anything; a row's hash covers its own content and the hash before it, so an
edited, removed or reordered row breaks the chain there, and signed checkpoints (`store.checkpoints`) tell
when last rows are missing or the chain was made anew. Several processes may append. It never changes
or deletes a row.
"""

from __future__ import annotations

import hashlib
import json
import struct
import threading
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.clock import Clock
from model.errors import AuditUnwritable, LuchengError, SchemaTooNew, StoreError, TryAgain, UsageError
from model.grant import Purpose
from model.seams import Problem
from store.audit_actions import AUDIT_ACTIONS
from store.checkpoints import Checkpoint, Checkpoints
from store.database import Connection, Error, ServerError, Where, connect, migrate, raw_text, transaction, translated

__all__ = ["AUDIT_ACTIONS", "AuditLog", "AuditRow", "NewAuditRow", "purpose_text", "row_holds"]

#: Rows between two checkpoints; one is written at close, too.
DEFAULT_CHECKPOINT_ROWS = 100
#: Longest texts of a row, characters, and its detail as JSON, bytes.
DEFAULT_MAX_WHO_CHARS = 200
DEFAULT_MAX_TARGET_CHARS = 1_000
DEFAULT_MAX_PURPOSE_CHARS = 600
DEFAULT_MAX_DETAIL_BYTES = 16_384
#: Rows that one listing returns at most.
DEFAULT_MAX_LIST_ROWS = 10_000
_STEP_ROWS = 1_000

MIGRATIONS = (
    """
CREATE TABLE audit (
  n INTEGER PRIMARY KEY,
  time_ms INTEGER NOT NULL,
  who TEXT NOT NULL,
  role TEXT NOT NULL,
  action TEXT NOT NULL,
  target TEXT NOT NULL,
  purpose TEXT NOT NULL,
  detail TEXT NOT NULL,
  prev_hash BLOB NOT NULL,
  hash BLOB NOT NULL
) STRICT;
""",
)
_SELECT = "SELECT n, time_ms, who, role, action, target, purpose, detail, prev_hash, hash FROM audit"
_INSERT = "INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_NO_HASH = bytes(32)
#: Any bytes, told from a BLOB, and back again as they were.
_RAW = "surrogateescape"
_NUMBERS = struct.Struct("<qq")
_LENGTH = struct.Struct("<I")
_MEND_FOUND = "Keep audit.db and audit.checkpoints for the inquiry, then move both away so that new ones begin."
_MEND_BROKEN = "`lucheng audit verify` says where. " + _MEND_FOUND


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One row; `number` counts from 1, `time_ms` is UTC."""

    number: int
    time_ms: int
    who: str
    role: str
    action: str
    target: str
    purpose: str
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class NewAuditRow:
    """A row to write; the fields are the arguments of `AuditLog.append`."""

    who: str
    role: str
    action: str
    target: str
    purpose: str
    detail: Mapping[str, Any]


def purpose_text(purpose: Purpose) -> str:
    """A purpose as it stands in a row: `code[:ref[:note]]`."""
    return f"{purpose.code}:{purpose.ref}:{purpose.note}".rstrip(":")


class AuditLog:
    """The audit of one file or place; implements `model.seams.Audit`. Any thread of any process may append.

    Args:
        path: the file, e.g. `audit.db`, or the place on a server.
        clock: gives the rows their time.
        read_only: list and verify only; every append then raises.
        hold_failure: when it cannot be opened for writing, every append raises that, instead of the opening: the chain
            can still be verified.
        folder: where the checkpoints and their key lie; default beside `path`, which then has to be a file.
        checkpoints: the file of signed checkpoints; default `audit.checkpoints` in `folder`.
        key_file: the key that signs them; default `keys/audit.key` in `folder`.
        checkpoint_rows: rows between two checkpoints.

    Raises:
        AuditUnwritable: it cannot be opened for writing, is damaged, or rows that a checkpoint knows are missing.
        StoreError: it cannot be opened for reading.
    """

    def __init__(
        self,
        path: Where,
        *,
        clock: Clock,
        read_only: bool = False,
        hold_failure: bool = False,
        folder: Path | None = None,
        checkpoints: Path | None = None,
        key_file: Path | None = None,
        checkpoint_rows: int = DEFAULT_CHECKPOINT_ROWS,
    ) -> None:
        self._path = path
        self._clock = clock
        self._read_only = read_only
        self._checkpoint_rows = checkpoint_rows
        if folder is None:
            if not isinstance(path, Path):
                raise UsageError("It is not said where the audit's checkpoints lie.", mend="Give the data folder.")
            folder = path.parent
        self._checkpoints = Checkpoints(
            checkpoints or folder / "audit.checkpoints", key_file or folder / "keys" / "audit.key"
        )
        self._lock = threading.Lock()
        self._failure: AuditUnwritable | None = None
        self._last_number = 0  # of this object's own rows
        self._last_hash = _NO_HASH
        self._checkpointed = 0  # number of the last row that a checkpoint covers, as this object knows
        self._connection: Connection | None = None
        if read_only:
            connect(path, read_only=True).close()
            return
        try:
            self._connection = connect(path)
            raw_text(self._connection, _RAW)
            migrate(self._connection, MIGRATIONS, path)
            self._refuse_when_rows_are_missing(self._connection)
        except SchemaTooNew:
            self._release()
            raise
        except (Error, OSError, LuchengError) as error:
            self._release()
            self._failure = error if isinstance(error, AuditUnwritable) else _unwritable(path, error)
            if not hold_failure:
                raise self._failure from error

    def append(self, who: str, role: str, action: str, target: str, purpose: str, detail: Mapping[str, Any]) -> int:
        """Write one row durably and return its number.

        Args:
            who: who does it, a user's name.
            role: in what role.
            action: a name in `AUDIT_ACTIONS`.
            target: what it is done to, e.g. a device id.
            purpose: why, as `purpose_text` writes it; "" where none is asked for.
            detail: JSON-ready values.

        Raises:
            AuditUnwritable: the row is not there; nothing may be read or changed.
            UsageError: the action is not in the table, a text is too long, or the detail is no JSON.
        """
        return self.append_all([NewAuditRow(who, role, action, target, purpose, detail)])

    def append_all(self, rows: Sequence[NewAuditRow]) -> int:
        """Write rows durably in one transaction, all or none and in order; the number of the last, 0 for no rows.

        Raises:
            AuditUnwritable: none of them is there. UsageError: as `append`, for any of them.
        """
        texts = [_checked(row.who, row.role, row.action, row.target, row.purpose, row.detail) for row in rows]
        if not texts:
            return 0
        with self._lock:
            connection = self._writable()
            try:
                with transaction(connection):
                    number, row_hash = self._insert(connection, texts)
                self._last_number, self._last_hash = number, row_hash
                if number - self._checkpointed >= self._checkpoint_rows:
                    self._checkpoint()
            except (Error, OSError, StoreError) as error:
                failure = error if isinstance(error, AuditUnwritable) else _unwritable(self._path, error)
                busy = isinstance(error, Error) and isinstance(translated(error, self._path), TryAgain)
                if not busy and not isinstance(error, ServerError):
                    self._failure = failure  # a failed sync is never tried again; a server takes care of its own
                raise failure from error
            return number

    def rows(
        self,
        *,
        after: int = 0,
        limit: int = 100,
        who: str | None = None,
        action: str | None = None,
        newest_first: bool = False,
    ) -> list[AuditRow]:
        """Rows in order of their number; the next page is `after` the last one's.

        Args:
            after: only rows with a greater number; with `newest_first` only those with a smaller one (0: from the end).
            limit: at most as many, 1..10,000.
            who: only rows of this user.
            action: only rows of this action.
            newest_first: from the end backwards.

        Raises:
            UsageError: the limit is out of range. Corrupt, StoreError: the file cannot be read.
        """
        if not 1 <= limit <= DEFAULT_MAX_LIST_ROWS:
            raise UsageError(f"The limit {limit} is out of range.", mend=f"Ask for 1 to {DEFAULT_MAX_LIST_ROWS} rows.")
        order = "DESC" if newest_first else "ASC"
        wanted: list[tuple[str, object]] = [("who = ?", who), ("action = ?", action)]
        wanted.append(("n < ?" if newest_first else "n > ?", after or None))
        asked = [(condition, value) for condition, value in wanted if value is not None]
        where = " AND ".join(["1 = 1", *(condition for condition, _ in asked)])
        sql = f"{_SELECT} WHERE {where} ORDER BY n {order} LIMIT ?"
        values = (*(value for _, value in asked), limit)
        try:
            with closing(connect(self._path, read_only=True)) as connection:
                raw_text(connection, "replace")
                found = connection.execute(sql, values).fetchall()
        except Error as error:
            raise translated(error, self._path) from error
        return [AuditRow(*(*row[:7], _detail_of(row[7]))) for row in found]

    @property
    def path(self) -> Where:
        """The file, or the place on a server."""
        return self._path

    def last_checkpoint(self) -> Checkpoint | None:
        """The newest signed checkpoint, its signature not verified (`verify` does); None where there is none."""
        return self._checkpoints.last()

    def last_number(self) -> int:
        """How many rows there are: the number of the newest one, 0 when there is none."""
        try:
            with closing(connect(self._path, read_only=True)) as connection:
                number: int = connection.execute("SELECT coalesce(max(n), 0) FROM audit").fetchone()[0]
                return number
        except Error as error:
            raise translated(error, self._path) from error

    def verify(self) -> Problem | None:
        """Go through every row and every checkpoint; the first bad row, or None. Changes nothing; never raises for damage."""
        try:
            signed: dict[int, Checkpoint] = {}  # before the rows, which other processes may be adding
            for line, checkpoint in self._checkpoints.read():
                if checkpoint is None:
                    place = f"{self._checkpoints.path.name} line {line}"
                    return Problem(place, "the signature does not hold", _MEND_FOUND)
                signed[checkpoint.number] = checkpoint
            with self._lock:  # what this object wrote, it knows without a checkpoint
                if self._last_number:
                    signed[self._last_number] = Checkpoint(self._last_number, 0, self._last_hash)
            with closing(connect(self._path, read_only=True)) as connection:
                raw_text(connection, _RAW)
                return self._verify_rows(connection, signed)
        except Error as error:
            return Problem(self._path.name, f"the file is damaged: {error}", _MEND_FOUND)
        except OSError as error:
            return Problem(self._checkpoints.path.name, f"cannot be read: {error.strerror}", _MEND_FOUND)
        except LuchengError as error:
            return Problem(self._path.name, error.message, error.mend)

    def checkpoint(self) -> None:
        """Sign the newest row of this object now; nothing to do when that was done. Raises AuditUnwritable."""
        with self._lock:
            self._writable()
            try:
                self._checkpoint()
            except (OSError, StoreError) as error:
                raise _unwritable(self._path, error) from error

    def public_key(self) -> bytes:
        """The 32 bytes that verify the checkpoints, to be kept on another machine."""
        return self._checkpoints.public_key()

    def close(self) -> None:
        """Write a last checkpoint and release the file; twice is once."""
        with self._lock:
            try:
                if self._connection is not None and self._failure is None:
                    self._checkpoint()
            except (OSError, StoreError) as error:
                raise _unwritable(self._path, error) from error
            finally:
                self._release()

    def _insert(self, connection: Connection, texts: Sequence[tuple[bytes, ...]]) -> tuple[int, bytes]:
        last = connection.execute(f"{_SELECT} ORDER BY n DESC LIMIT 1").fetchone()
        number, row_hash = (0, _NO_HASH) if last is None else (last[0], last[9])
        if number < self._last_number or (last is not None and not row_holds(last)):
            raise AuditUnwritable(f"The last rows of {self._path} were changed or deleted.", mend=_MEND_BROKEN)
        time_ms = self._clock.now_ms()
        for row in texts:
            number, prev_hash = number + 1, row_hash
            row_hash = _row_hash(number, time_ms, *row, prev_hash)
            connection.execute(_INSERT, (number, time_ms, *(text.decode() for text in row), prev_hash, row_hash))
        return number, row_hash

    def _checkpoint(self) -> None:
        if self._last_number > self._checkpointed:
            self._checkpoints.add(self._last_number, self._clock.now_ms(), self._last_hash)
            self._checkpointed = self._last_number

    def _refuse_when_rows_are_missing(self, connection: Connection) -> None:
        checkpoint = self._checkpoints.last()
        if checkpoint is None:
            return
        row = connection.execute("SELECT hash FROM audit WHERE n = ?", (checkpoint.number,)).fetchone()
        if row is None or row[0] != checkpoint.row_hash:
            raise AuditUnwritable(
                f"Row {checkpoint.number} of {self._path}, which a checkpoint knows, is gone or not the same.",
                mend=_MEND_BROKEN,
            )
        self._checkpointed = checkpoint.number

    def _verify_rows(self, connection: Connection, signed: dict[int, Checkpoint]) -> Problem | None:
        number, prev_hash, checked = 0, _NO_HASH, 0
        after = -(1 << 63)
        while True:
            rows = connection.execute(f"{_SELECT} WHERE n > ? ORDER BY n LIMIT ?", (after, _STEP_ROWS)).fetchall()
            for row in rows:
                number += 1
                if row[0] != number:
                    if row[0] < number:
                        return self._bad(row[0], "does not belong there")
                    return self._bad(number, "is gone")
                if row[8] != prev_hash:
                    return self._bad(number, "does not follow the row before it")
                if not row_holds(row):
                    return self._bad(number, "was changed")
                if number in signed:
                    if signed[number].row_hash != row[9]:
                        return self._bad(checked + 1, f"or one up to {number} was changed and the chain made anew")
                    checked = number
                prev_hash = row[9]
            if not rows:
                break
            after = rows[-1][0]
        last = max(signed, default=0)
        return self._bad(number + 1, f"is gone, like those up to {last}") if last > number else None

    def _bad(self, number: int, what: str) -> Problem:
        return Problem(f"{self._path.name} row {number}", f"row {number} {what}", _MEND_FOUND)

    def _writable(self) -> Connection:
        if self._failure is not None:
            raise AuditUnwritable(self._failure.message, mend=self._failure.mend)
        if self._connection is None:
            why = "was opened for reading only" if self._read_only else "is closed"
            raise AuditUnwritable(f"{self._path.name} {why}.", mend="Open it for writing.")
        return self._connection

    def _release(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _unwritable(path: Where, error: Exception) -> AuditUnwritable:
    if isinstance(error, LuchengError):
        return AuditUnwritable(f"The audit cannot be written: {error.message}", mend=error.mend)
    return AuditUnwritable(
        f"The audit {path} cannot be written: {error}.",
        mend="Nothing was read or changed. Check the disk, its free space and the file's owner, then try again.",
    )


def _row_hash(number: int, time_ms: int, *fields: bytes) -> bytes:
    """SHA-256 over the numbers and, each with its length before it, the texts and the hash of the row before."""
    parts = [_NUMBERS.pack(number, time_ms)]
    for text in fields:
        parts += (_LENGTH.pack(len(text)), text)
    return hashlib.sha256(b"".join(parts)).digest()


def row_holds(row: Sequence[Any]) -> bool:
    """Whether a row as it lies in the file is what was written; read with `raw_text`. Damage may change types, too."""
    try:
        texts = [text.encode("utf-8", "surrogateescape") for text in row[2:8]]
        return bool(row[9] == _row_hash(row[0], row[1], *texts, row[8]))
    except (AttributeError, TypeError, UnicodeEncodeError, struct.error):
        return False


def _checked(
    who: str, role: str, action: str, target: str, purpose: str, detail: Mapping[str, Any]
) -> tuple[bytes, ...]:
    """The texts of a row as UTF-8, each within its limit."""
    if action not in AUDIT_ACTIONS:
        raise UsageError(f"{action[:40]!r} is no audit action.", mend="Add it to store.audit_actions.AUDIT_ACTIONS.")
    for name, text, limit in (
        ("who", who, DEFAULT_MAX_WHO_CHARS),
        ("role", role, DEFAULT_MAX_WHO_CHARS),
        ("target", target, DEFAULT_MAX_TARGET_CHARS),
        ("purpose", purpose, DEFAULT_MAX_PURPOSE_CHARS),
    ):
        if len(text) > limit:
            raise UsageError(f"The audit's {name} is longer than {limit} characters.", mend="Shorten it.")
    try:
        as_json = json.dumps(dict(detail), ensure_ascii=False, sort_keys=True, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"The audit's detail is no JSON: {error}.", mend="Use texts, numbers, lists and dictionaries."
        ) from error
    if len(as_json.encode("utf-8", "replace")) > DEFAULT_MAX_DETAIL_BYTES:
        raise UsageError(
            f"The audit's detail is longer than {DEFAULT_MAX_DETAIL_BYTES} bytes.", mend="Give counts, not lists."
        )
    # A name may come from the file system with bytes that are no UTF-8: keep it readable, whatever it is.
    # No database takes a NUL everywhere; and what is kept has to be what was chained.
    texts = (text.replace("\0", "\\x00") for text in (who, role, action, target, purpose, as_json))
    return tuple(text.encode("utf-8", "backslashreplace") for text in texts)


def _detail_of(text: str) -> dict[str, Any]:
    try:
        detail = json.loads(text)
    except ValueError:
        return {"damaged": text}
    return detail if isinstance(detail, dict) else {"damaged": text}
