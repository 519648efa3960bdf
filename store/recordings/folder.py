"""`Recordings`: what cameras recorded, in segments of about a minute: an index over files, retention, holds.

Invariants: a file is durable before its row is; a row is marked before its file is deleted, and goes after it, so that a
retention killed anywhere goes on at the next; a hold is set, or a segment marked, in one transaction each, and both take
turns with deleting, so that what an alarm holds is never deleted (F18); nothing is given out before it is audited, and
without an audit nothing is; bytes are checked against their SHA-256 before they are. It records nothing: the recorder does.
"""

from __future__ import annotations

import builtins
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from model.clock import Clock
from model.errors import BadInput, Conflict, Corrupt, NotFound, StoreError, UsageError
from model.grant import Grant
from model.seams import Audit, Problem
from model.video import NewSegment
from store.audit import purpose_text
from store.kept_file import DEFAULT_MAX_PROBLEMS, KeptFile
from store.recordings.checking import check_files, names_with_row
from store.recordings.files import FileMark, SegmentFiles
from store.recordings.keeping import Keeping, Retained
from store.recordings.names import PART, named
from store.recordings.rows import INSERT, MIGRATIONS, SELECT, Hold, Segment, Span, segment_of, values_of

DATABASE = "recordings.db"
DEFAULT_MAX_TOTAL_BYTES = 200 << 30
DEFAULT_MIN_FREE_BYTES = 2 << 30
#: Longest segment; a listing looks so far back for one that reaches into its window.
MAX_SEGMENT_MS = 2 * 3_600_000
#: Rows that one listing returns at most, and spans of one timeline.
DEFAULT_MAX_LIST_ROWS = 10_000
DEFAULT_LIST_ROWS = 100
DEFAULT_MAX_SPANS = 10_000
#: Pieces less far apart than so are one span: the time between the last picture of one and the first of the next.
DEFAULT_JOIN_MS = 2_000
#: Recording begins again where so much more than `min_free_bytes` is free.
_AGAIN_SHARE = 1.05
_NO_SUCH = "`lucheng camera recordings` shows what there is."


@dataclass(frozen=True, slots=True)
class Adopted:
    """What was found on the disk without a row.

    Attributes:
        entered: whole files. repaired: cut back to their last whole fragment, and entered.
        discarded: half written, nothing of them could be played. unreadable: files that are left where they are.
    """

    entered: int = 0
    repaired: int = 0
    discarded: int = 0
    unreadable: int = 0


@dataclass(frozen=True, slots=True)
class Room:
    """Whether there is room to record: bytes free on the disk, all recordings' bytes, and why not in words ("" there is)."""

    free_bytes: int
    total_bytes: int
    why: str


class Stretches(NamedTuple):
    """Segments as columns, UTC ms, the earliest first: how long there was motion in each; those of which it is not known are left out."""

    from_ms: npt.NDArray[np.int64]
    to_ms: npt.NDArray[np.int64]
    motion_ms: npt.NDArray[np.int64]


class Recordings:
    """See the module. Any thread may call anything.

    Args:
        folder: holds the files and `recordings.db`; made when missing, unless `read_only`.
        clock: gives the store time.
        audit: where reads are written down.
        read_only: read beside a running writer; nothing is adopted.
        max_total_bytes: of all files; the oldest give way.
        min_free_bytes: of the disk; with less there is no recording, so that evidence has room.

    Raises:
        StoreError: it cannot be opened; Corrupt: `recordings.db` is damaged.
    """

    def __init__(
        self,
        folder: Path,
        *,
        clock: Clock,
        audit: Audit,
        read_only: bool = False,
        max_total_bytes: int = DEFAULT_MAX_TOTAL_BYTES,
        min_free_bytes: int = DEFAULT_MIN_FREE_BYTES,
    ) -> None:
        self.folder = folder
        self._clock = clock
        self._audit = audit
        self._max_total_bytes = max_total_bytes
        self._min_free_bytes = min_free_bytes
        if not read_only:
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise StoreError(f"{folder} cannot be made: {error.strerror}.", mend="Check its owner.") from error
        self._files = SegmentFiles(folder)
        self._file = KeptFile(folder / DATABASE, MIGRATIONS, read_only=read_only)
        self._keeping = Keeping(self._file, self._files, clock)
        self._full = False
        if not read_only:
            self._keeping.go_on()

    @property
    def total_bytes(self) -> int:
        """Bytes of all files that a row names."""
        return self._keeping.total_bytes

    def room(self) -> Room:
        """Whether there is room to record. Cheap; the answer changes back only when there is somewhat more room again."""
        try:
            disk = os.statvfs(self.folder)
        except OSError as error:
            return Room(0, self.total_bytes, f"the disk cannot be looked at: {error.strerror}")
        free_bytes = disk.f_bavail * disk.f_frsize
        least = self._min_free_bytes
        self._full = free_bytes < (least * _AGAIN_SHARE if self._full else least)
        why = (
            f"the disk has {free_bytes >> 20} MiB left, {least >> 20} MiB are kept free of recordings"
            if self._full
            else ""
        )
        return Room(free_bytes, self.total_bytes, why)

    # -- entering -----------------------------------------------------------------------------

    def enter(self, new: NewSegment) -> Segment:
        """Note a finished segment whose file is durable; the same again is the same row. The oldest gives way over the limit.

        Raises:
            UsageError: the name is not that of this camera and time, or its times make no sense.
            Corrupt: the file is not there, or has another size. Conflict: another segment has the name. StoreError.
        """
        kept = self._enter(new, adopted=False)
        self._keeping.make_room(self._max_total_bytes)
        return kept

    def _enter(self, new: NewSegment, *, adopted: bool) -> Segment:
        says = named(new.file)
        if says is None or (says.camera, says.from_ms, says.masked) != (new.camera, new.from_ms, new.masked):
            raise UsageError(f"{new.file[:80]!r} is not the name of this segment.", mend="Name it by segment_file().")
        if not 0 < new.to_ms - new.from_ms <= MAX_SEGMENT_MS or len(new.sha256) != 64:
            raise UsageError("The segment's times or its SHA-256 make no sense.", mend="Cut segments sooner.")
        if self._files.size(new.file) != new.size_bytes:
            raise Corrupt(f"{new.file} is not there, or has another size.", mend="Look at the disk.")
        with self._keeping.turn:
            known = self._file.rows(f"{SELECT} WHERE file = ?", (new.file,))
            if known:
                found = segment_of(known[0])
                if found.sha256 != new.sha256:
                    raise Conflict(f"{found.id} has the name {new.file}.", mend="Choose another name.")
                return found
            with self._file.writing() as connection:
                values = (*values_of(new), self._clock.now_ms(), int(adopted))
                (number,) = connection.execute(f"{INSERT} RETURNING number", values).fetchone()
            self._keeping.entered(new.size_bytes)
            return segment_of(self._file.rows(f"{SELECT} WHERE number = ?", (number,))[0])

    def adopt(self, camera: str = "") -> Adopted:
        """Enter what lies on the disk without a row: after a crash of the service, or of a worker (`camera`: its camera).

        What a recorder is writing is left alone. Raises StoreError.
        """
        done = {"entered": 0, "repaired": 0, "discarded": 0, "unreadable": 0}
        wanted = camera.replace("/", ".", 1)
        for day in self._files.days():
            if camera and day.partition("/")[0] != wanted:
                continue
            known = names_with_row(self._file, day)
            for name in self._files.names(day):
                if name not in known:
                    how = self._adopt_one(name)
                    if how:
                        done[how] += 1
        return Adopted(**done)

    def _adopt_one(self, name: str) -> str:
        try:
            if name.endswith(PART):
                return self._adopt_part(name)
            self._enter(self._files.described(name), adopted=True)
        except (BadInput, OSError, UsageError, Corrupt, Conflict):
            return "unreadable"  # `check` tells of it
        return "entered"

    def _adopt_part(self, name: str) -> str:
        try:
            made = self._files.repaired(name)
        except BadInput:
            return "discarded"
        if made is None:
            return ""
        self._enter(made, adopted=True)
        return "repaired"

    # -- reads --------------------------------------------------------------------------------

    def list(
        self, grant: Grant, camera: str, from_ms: int, to_ms: int, limit: int = DEFAULT_LIST_ROWS
    ) -> builtins.list[Segment]:
        """Segments that reach into the window (half open, UTC ms), the earliest first; audited before they are returned.

        For the next page begin at the `to_ms` of the last one.

        Raises:
            Refused: the grant does not cover it. UsageError: the limit is out of range.
            AuditUnwritable: nothing is given out. StoreError: the file cannot be read.
        """
        if not 1 <= limit <= DEFAULT_MAX_LIST_ROWS:
            raise UsageError(f"A page of {limit} rows.", mend=f"Ask for 1 to {DEFAULT_MAX_LIST_ROWS}.")
        grant.cover([camera], from_ms, to_ms)
        found = [segment_of(row) for row in self._within(camera, from_ms, to_ms, limit)]
        self._write_down(grant, "read.recordings", camera, {"from_ms": from_ms, "to_ms": to_ms, "rows": len(found)})
        return found

    def coverage(
        self, grant: Grant, camera: str, from_ms: int, to_ms: int, *, join_ms: int = DEFAULT_JOIN_MS
    ) -> builtins.list[Span]:
        """When the camera was recorded, within the window: spans without gaps longer than `join_ms`; audited. As `list`."""
        grant.cover([camera], from_ms, to_ms)
        rows = [segment_of(row) for row in self._within(camera, from_ms, to_ms, -1)]
        spans = _joined(rows, from_ms, to_ms, join_ms)
        detail = {"from_ms": from_ms, "to_ms": to_ms, "spans": len(spans)}
        self._write_down(grant, "read.recordings", camera, detail)
        return spans

    def read(self, grant: Grant, segment_id: str) -> tuple[Segment, BinaryIO]:
        """One segment and its file, open at its beginning; the caller closes it. Audited, then checked by its SHA-256.

        It can be read to its end though it is deleted meanwhile.

        Raises:
            NotFound. Refused: the grant does not cover it. AuditUnwritable: nothing is given out.
            Corrupt: the file is missing or was changed. StoreError: it cannot be read.
        """
        found = self._row(segment_id)
        grant.cover([found.camera], found.from_ms, found.to_ms)
        self._write_down(grant, "read.recording_bytes", found.id, {"camera": found.camera, "from_ms": found.from_ms})
        try:
            return found, self._files.opened(found.file, found.size_bytes, found.sha256)
        except Corrupt:
            self._row(segment_id)  # NotFound: retention was first
            raise

    def read_on(self, grant: Grant, segment_id: str, mark: FileMark) -> tuple[Segment, BinaryIO]:
        """As `read`, of a reading that was audited and checked before: `mark` is what `file_mark` said of its file then.

        Raises as `read`, but AuditUnwritable; Corrupt where the file is not the one of then.
        """
        found = self._row(segment_id)
        grant.cover([found.camera], found.from_ms, found.to_ms)
        try:
            return found, self._files.reopened(found.file, mark)
        except Corrupt:
            self._row(segment_id)  # NotFound: retention was first
            raise

    def timeline(self, grant: Grant, camera: str, from_ms: int, to_ms: int) -> tuple[builtins.list[Span], Stretches]:
        """What `coverage` says, and for each segment that reaches into the window how long there was motion in it; audited once.

        Raises as `list`.
        """
        grant.cover([camera], from_ms, to_ms)
        rows = [segment_of(row) for row in self._within(camera, from_ms, to_ms, -1)]
        spans = _joined(rows, from_ms, to_ms, DEFAULT_JOIN_MS)
        detail = {"from_ms": from_ms, "to_ms": to_ms, "spans": len(spans)}
        self._write_down(grant, "read.recordings", camera, detail)
        known = [row for row in rows if not row.adopted]
        columns = ([row.from_ms for row in known], [row.to_ms for row in known], [row.motion_ms for row in known])
        return spans, Stretches(*(np.array(column, np.int64) for column in columns))

    def _within(self, camera: str, from_ms: int, to_ms: int, limit: int) -> builtins.list[tuple[object, ...]]:
        return self._file.rows(
            f"{SELECT} WHERE camera = ? AND from_ms > ? AND from_ms < ? AND to_ms > ? AND deleting = 0"
            " ORDER BY from_ms, number LIMIT ?",
            (camera, from_ms - MAX_SEGMENT_MS - 1, to_ms, from_ms, limit),
        )

    def _row(self, segment_id: str) -> Segment:
        number = segment_id[1:]
        known = segment_id[:1] == "R" and number.isascii() and number.isdecimal() and len(number) < 19
        found = self._file.rows(f"{SELECT} WHERE number = ? AND deleting = 0", (int(number),)) if known else []
        if not found:
            raise NotFound(f"There is no recording {segment_id[:64]!r}.", mend=_NO_SUCH)
        return segment_of(found[0])

    def _write_down(self, grant: Grant, action: str, target: str, detail: Mapping[str, object]) -> None:
        self._audit.append(grant.who, grant.role, action, target, purpose_text(grant.purpose), detail)

    # -- what keeping says --------------------------------------------------------------------

    def hold(self, alarm: str, camera: str, from_ms: int, to_ms: int) -> int:
        """Keep the camera's recordings of a window for an alarm, also those yet to be entered; the same again changes nothing.

        The caller audits it (`recording.hold`). What is being deleted at this moment is kept when its file is still there.

        Returns how many segments of it there are now.

        Raises UsageError (no alarm, no window, longer than a day), StoreError.
        """
        self._keeping.hold(alarm, camera, from_ms, to_ms)
        return len(self._within(camera, from_ms, to_ms, -1))

    def hold_segment(self, alarm: str, segment_id: str) -> Segment:
        """Keep one segment for an alarm. Raises NotFound, and as `hold`."""
        found = self._row(segment_id)
        self._keeping.hold(alarm, found.camera, found.from_ms, found.to_ms)
        return self._row(segment_id)

    def release(self, alarm: str) -> int:
        """The alarm holds nothing any more; how many windows it held. The caller audits it (`recording.release`)."""
        return self._keeping.release(alarm)

    def holds(self, *, alarm: str = "", camera: str = "") -> builtins.list[Hold]:
        """What is held, of one alarm or camera or of all, the earliest first; 10,000 at most. Names no picture: not audited."""
        rows = self._file.rows(
            "SELECT alarm, camera, from_ms, to_ms, made_ms FROM hold WHERE (? = '' OR alarm = ?) AND (? = '' OR camera = ?)"
            " ORDER BY from_ms LIMIT ?",
            (alarm, alarm, camera, camera, DEFAULT_MAX_LIST_ROWS),
        )
        return [Hold(*row) for row in rows]

    def retain(self, before_ms: int) -> Retained:
        """Delete what ended before `before_ms`, then the oldest while there is more than `max_total_bytes`; never what is held.

        Between pages others take their turn. The caller audits it (`store.retain`). Raises StoreError.
        """
        return self._keeping.retain(before_ms, self._max_total_bytes)

    def check(self, *, max_problems: int = DEFAULT_MAX_PROBLEMS, read_bytes: bool = True) -> builtins.list[Problem]:
        """Say which files are missing, changed, or named by no row. Changes nothing.

        Args:
            max_problems: problems named at most.
            read_bytes: read every file and compare its SHA-256; False looks at sizes alone.
        """
        problems = self._file.check(max_problems=max_problems)
        if problems:
            return problems
        return check_files(self._file, self._files, self._clock, max_problems=max_problems, read_bytes=read_bytes)

    def close(self) -> None:
        """Release the files; any later call raises StoreError."""
        self._file.close()


def _joined(rows: Sequence[Segment], from_ms: int, to_ms: int, join_ms: int) -> list[Span]:
    """Segments of one camera, the earliest first, as spans within the window without gaps longer than `join_ms`."""
    spans: list[Span] = []
    for one in rows:
        begin, end = max(one.from_ms, from_ms), min(one.to_ms, to_ms)
        last = spans[-1] if spans else None
        if last is not None and begin - last.to_ms <= join_ms:
            spans[-1] = Span(
                last.from_ms,
                max(last.to_ms, end),
                last.segments + 1,
                last.motion_ms + one.motion_ms,
                last.held or one.held,
            )
        elif len(spans) == DEFAULT_MAX_SPANS:
            break
        else:
            spans.append(Span(begin, end, 1, one.motion_ms, one.held))
    return spans
