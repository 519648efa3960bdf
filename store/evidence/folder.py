"""`EvidenceFolder`: photos, sounds and files of devices, and what is known of each.

Invariants: the file is durable before its row is, and a row before `put` returns, so a crash between leaves a file that no
row names, which `check` tells of and the next `put` of the same bytes uses; bytes are never changed and checked against
their SHA-256 whenever they are read; the same bytes of the same device, time and source are one row; nothing is given out
before it is audited, and without an audit nothing is. It decides nothing about who may read: the Grant and the console do.
"""

from __future__ import annotations

import builtins
import hashlib
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from model.clock import Clock
from model.errors import Conflict, NotFound, Refused, StoreError, UsageError
from model.evidence import Evidence, NewEvidence
from model.grant import Grant
from model.seams import Audit, Problem
from store.audit import purpose_text
from store.database import Where
from store.evidence.files import HashedFiles, checked_suffix
from store.kept_file import DEFAULT_MAX_PROBLEMS, KeptFile

DATABASE = "evidence.db"
DEFAULT_MAX_ITEM_BYTES = 64 << 20
DEFAULT_MAX_TOTAL_BYTES = 50 << 30
#: Rows that one listing returns at most.
DEFAULT_MAX_LIST_ROWS = 10_000
DEFAULT_LIST_ROWS = 100
KINDS = ("image", "audio", "video", "file")
#: Longest texts of a row, characters; what is longer is cut.
MAX_TEXT_CHARS = 200

MIGRATIONS = (
    """
CREATE TABLE evidence (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    device TEXT NOT NULL,
    kind TEXT NOT NULL,
    format TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    time_ms INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    stored_ms INTEGER NOT NULL,
    lat REAL,
    lon REAL,
    channel INTEGER NOT NULL,
    event TEXT NOT NULL,
    source TEXT NOT NULL,
    alarm TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX evidence_same ON evidence (device, sha256, time_ms, source);
CREATE INDEX evidence_device ON evidence (device, number);
CREATE INDEX evidence_alarm ON evidence (alarm, number) WHERE alarm <> '';
CREATE INDEX evidence_file ON evidence (sha256, format);
""",
    """
CREATE TABLE held (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    bytes INTEGER NOT NULL
) STRICT;
INSERT INTO held (one, bytes) SELECT 1, coalesce(sum(files.bytes), 0)
FROM (SELECT max(size_bytes) AS bytes FROM evidence GROUP BY sha256, format) AS files;
""",
)
_COLUMNS = "id, device, kind, format, sha256, size_bytes, time_ms, received_ms, stored_ms, lat, lon, channel, event, source, alarm"
_SELECT = f"SELECT {_COLUMNS} FROM evidence"  # noqa: S608 (constants)
_INSERT = f"INSERT INTO evidence (number, {_COLUMNS}) VALUES ({', '.join('?' * 16)}) ON CONFLICT DO NOTHING"  # noqa: S608 (constants)
_COUNTED = "SELECT 1 FROM evidence WHERE sha256 = ? AND format = ? LIMIT 1"
_SAME = f"{_SELECT} WHERE device = ? AND sha256 = ? AND time_ms = ? AND source = ?"
#: When it was taken, by the device; unknown: when it came.
_MOMENT = "CASE WHEN time_ms <> 0 THEN time_ms ELSE received_ms END"
_NO_SUCH = "`lucheng evidence list` shows what there is."


class EvidenceFolder:
    """Implements `model.evidence.EvidenceStore` in one folder. Any thread may call anything.

    Args:
        folder: holds the files; made when missing, unless `read_only`.
        index: where the rows lie; None: in `evidence.db` of the folder. On a server several processes that have the same
            folder may write.
        clock: gives the store time.
        audit: where reads are written down.
        read_only: read beside a running writer.
        max_item_bytes: largest piece.
        max_total_bytes: of all files; more are refused.

    Raises:
        StoreError: it cannot be opened; Corrupt: `evidence.db` is damaged.
    """

    def __init__(
        self,
        folder: Path,
        *,
        clock: Clock,
        audit: Audit,
        index: Where | None = None,
        read_only: bool = False,
        max_item_bytes: int = DEFAULT_MAX_ITEM_BYTES,
        max_total_bytes: int = DEFAULT_MAX_TOTAL_BYTES,
    ) -> None:
        self._clock = clock
        self._audit = audit
        self._max_item_bytes = max_item_bytes
        self._max_total_bytes = max_total_bytes
        if not read_only:
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise StoreError(f"{folder} cannot be made: {error.strerror}.", mend="Check its owner.") from error
        self._files = HashedFiles(folder)
        self._file = KeptFile(index or folder / DATABASE, MIGRATIONS, read_only=read_only)
        self._putting = threading.Lock()

    @property
    def total_bytes(self) -> int:
        """Bytes of all files that a row names."""
        found = self._file.rows("SELECT bytes FROM held")
        return int(found[0][0]) if found else 0

    def put(self, new: NewEvidence) -> Evidence:
        """Keep it durably, file first, then its row; the same again is the same row.

        The same again with an alarm attaches it to that alarm when it had none.

        Raises:
            UsageError: kind or format is none. Refused: it is empty, or over the limit of a piece or of all.
            StoreError: it is not kept.
        """
        if new.kind not in KINDS:
            raise UsageError(f"{new.kind[:20]!r} is no kind of evidence.", mend="Use one of " + ", ".join(KINDS) + ".")
        checked_suffix(new.format)
        size = len(new.data)
        if not size:
            raise Refused("The piece of evidence is empty.", mend="Ask the device for it again.")
        if size > self._max_item_bytes:
            raise Refused(
                f"The piece of evidence has {size} bytes, the limit is {self._max_item_bytes}.",
                mend="Raise evidence.max_item_bytes, and ask the device for it again.",
            )
        sha256 = hashlib.sha256(new.data).hexdigest()
        with self._putting:
            known = self._same(new, sha256)
            if known is not None:
                self._files.write(sha256, known.format, new.data)  # puts a file right that was lost or changed
                if new.alarm and not known.alarm:
                    self.bind(known.id, new.alarm)
                    return self._row(known.id)
                return known
            total_bytes = self.total_bytes
            if total_bytes + size > self._max_total_bytes and not self._file.rows(_COUNTED, (sha256, new.format)):
                raise Refused(
                    f"The evidence has {total_bytes} bytes, and {size} more are over the limit of"
                    f" {self._max_total_bytes}.",
                    mend="Raise evidence.max_total_bytes, and see that the disk has room.",
                )
            self._files.write(sha256, new.format, new.data)
            return self._insert(new, sha256)

    def share(self, evidence_id: str, uses: Sequence[tuple[str, str]]) -> int:
        """Rows of their own for other alarms that have the same piece: same device, bytes, time and place, in one commit.

        Args:
            evidence_id: the piece, which is kept already.
            uses: (source, alarm) of each; one that is there already changes nothing.

        Returns how many rows are new. Raises NotFound, StoreError.
        """
        with self._putting:
            known = self._row(evidence_id)
            made = 0
            with self._file.writing() as connection:
                number = int(connection.execute("SELECT coalesce(max(number), 0) FROM evidence").fetchone()[0])
                now_ms = self._clock.now_ms()
                for source, alarm in uses:
                    name = f"E{datetime.fromtimestamp(now_ms / 1000, UTC).year}-{number + made + 1:06d}"
                    row = replace(known, id=name, stored_ms=now_ms, source=_plain(source), alarm=_plain(alarm))
                    made += connection.execute(_INSERT, (number + made + 1, *_values(row))).rowcount
            return made

    def bind(self, evidence_id: str, alarm: str) -> None:
        """Attach to an alarm what came without one; the same alarm again changes nothing.

        Raises NotFound, Conflict (it belongs to another alarm), UsageError (no alarm), StoreError.
        """
        if not alarm or len(alarm) > MAX_TEXT_CHARS:
            raise UsageError("That is no id of an alarm.", mend="Name the alarm.")
        with self._file.writing() as connection:
            row = connection.execute("SELECT alarm FROM evidence WHERE id = ?", (evidence_id,)).fetchone()
            if row is None:
                raise _no_such(evidence_id)
            if row[0] not in ("", alarm):
                raise Conflict(f"{evidence_id} belongs to the alarm {row[0]}.", mend="Evidence stays where it is.")
            connection.execute("UPDATE evidence SET alarm = ? WHERE id = ?", (alarm, evidence_id))

    def list(
        self,
        grant: Grant,
        *,
        device: str = "",
        alarm: str = "",
        before: str = "",
        limit: int = DEFAULT_LIST_ROWS,
    ) -> Sequence[Evidence]:
        """What is kept, the newest first, of the grant's window of time; audited before it is returned.

        Args:
            grant: who reads and why; it must cover the device ("": all).
            device: only this device's.
            alarm: only this alarm's.
            before: id of the last one of the page before.
            limit: at most as many, 1..10,000.

        Raises:
            Refused: the grant does not cover it. NotFound: there is no `before`. UsageError: the limit is out of range.
            AuditUnwritable: nothing is given out. StoreError: the file cannot be read.
        """
        if not 1 <= limit <= DEFAULT_MAX_LIST_ROWS:
            raise UsageError(f"A page of {limit} rows.", mend=f"Ask for 1 to {DEFAULT_MAX_LIST_ROWS}.")
        grant.cover([device] if device else None, grant.from_ms, grant.to_ms)
        where, values = f"{_MOMENT} >= ? AND {_MOMENT} < ?", builtins.list[object]((grant.from_ms, grant.to_ms))
        for column, value in (("device", device), ("alarm", alarm)):
            if value:
                where += f" AND {column} = ?"
                values.append(value)
        if before:
            where += " AND number < ?"
            values.append(self._number(before))
        found = self._file.rows(f"{_SELECT} WHERE {where} ORDER BY number DESC LIMIT ?", (*values, limit))
        self._audit.append(
            grant.who,
            grant.role,
            "read.evidence",
            device or "*",
            purpose_text(grant.purpose),
            {"alarm": alarm[:MAX_TEXT_CHARS], "rows": len(found)},
        )
        return [Evidence(*row) for row in found]

    def get(self, grant: Grant, evidence_id: str) -> Evidence:
        """What is known of one piece, without the bytes; audited before it is returned. Raises as `read`."""
        return self._audited(grant, evidence_id, "read.evidence")

    def read(self, grant: Grant, evidence_id: str) -> tuple[Evidence, bytes]:
        """One piece and its bytes; audited, then read and checked against the SHA-256.

        Raises:
            NotFound. Refused: the grant does not cover it. AuditUnwritable: nothing is given out.
            Corrupt: the file is missing or was changed. StoreError: it cannot be read.
        """
        found = self._audited(grant, evidence_id, "read.evidence_bytes")
        return found, self._files.read(found.sha256, found.format, found.size_bytes)

    def check(self, *, max_problems: int = DEFAULT_MAX_PROBLEMS) -> builtins.list[Problem]:
        """Read every file and say which are missing, changed, or named by no row. Changes nothing."""
        problems = self._file.check(max_problems=max_problems)
        if problems:
            return problems
        named: dict[str, str] = {}
        for sha256, suffix, first in self._file.rows(
            "SELECT sha256, format, min(id) FROM evidence GROUP BY sha256, format"
        ):
            name = self._files.name(sha256, suffix)
            named[name] = first
            fault = self._files.fault(sha256, suffix)
            if fault:
                problems.append(Problem(f"evidence/{name}", f"{first}: {fault}", "Restore the file from a back-up."))
            if len(problems) >= max_problems:
                return problems
        for name in self._files.names():
            if name not in named and not self._entered(name):
                problems.append(
                    Problem(
                        f"evidence/{name}",
                        "no row names this file: it was cut off before it was entered",
                        "Nothing is lost that was confirmed to a device; delete the file, or leave it.",
                    )
                )
            if len(problems) >= max_problems:
                break
        return problems

    def close(self) -> None:
        """Release the files; any later call raises StoreError."""
        self._file.close()

    def _entered(self, name: str) -> bool:
        """Whether a row names the file by now: who looks at a running store waits for the piece that is being kept."""
        sha256, _, suffix = name.replace("/", "", 1).partition(".")
        with self._putting:
            rows = self._file.rows(_COUNTED, (sha256, suffix))
        return bool(rows)

    def _insert(self, new: NewEvidence, sha256: str) -> Evidence:
        now_ms = self._clock.now_ms()
        with self._file.writing() as connection:
            number = int(connection.execute("SELECT coalesce(max(number), 0) + 1 FROM evidence").fetchone()[0])
            kept = Evidence(
                id=f"E{datetime.fromtimestamp(now_ms / 1000, UTC).year}-{number:06d}",
                device=new.device,
                kind=new.kind,
                format=new.format,
                sha256=sha256,
                size_bytes=len(new.data),
                time_ms=new.time_ms,
                received_ms=new.received_ms,
                stored_ms=now_ms,
                lat=new.lat,
                lon=new.lon,
                channel=new.channel,
                event=_plain(new.event),
                source=_plain(new.source),
                alarm=_plain(new.alarm),
            )
            counted = connection.execute(_COUNTED, (sha256, new.format)).fetchone()
            if not connection.execute(_INSERT, (number, *_values(kept))).rowcount:
                # another process was first
                return Evidence(*connection.execute(_SAME, (new.device, sha256, new.time_ms, kept.source)).fetchone())
            if counted is None:
                connection.execute("UPDATE held SET bytes = bytes + ?", (kept.size_bytes,))
        return kept

    def _same(self, new: NewEvidence, sha256: str) -> Evidence | None:
        found = self._file.rows(_SAME, (new.device, sha256, new.time_ms, _plain(new.source)))
        return Evidence(*found[0]) if found else None

    def _audited(self, grant: Grant, evidence_id: str, action: str) -> Evidence:
        found = self._row(evidence_id)
        moment_ms = found.time_ms or found.received_ms
        grant.cover([found.device], moment_ms, moment_ms + 1)
        self._audit.append(
            grant.who, grant.role, action, evidence_id, purpose_text(grant.purpose), {"device": found.device}
        )
        return found

    def _row(self, evidence_id: str) -> Evidence:
        found = self._file.rows(f"{_SELECT} WHERE id = ?", (evidence_id,))
        if not found:
            raise _no_such(evidence_id)
        return Evidence(*found[0])

    def _number(self, evidence_id: str) -> int:
        found = self._file.rows("SELECT number FROM evidence WHERE id = ?", (evidence_id,))
        if not found:
            raise _no_such(evidence_id)
        return int(found[0][0])


def _values(kept: Evidence) -> tuple[Any, ...]:
    return tuple(getattr(kept, name) for name in _COLUMNS.split(", "))


def _plain(text: str) -> str:
    """The text within its limit, and what no file could hold (half a character) in escapes."""
    return text[:MAX_TEXT_CHARS].encode("utf-8", "backslashreplace").decode()


def _no_such(evidence_id: str) -> NotFound:
    return NotFound(f"There is no evidence {evidence_id[:64]!r}.", mend=_NO_SUCH)
