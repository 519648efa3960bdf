"""What is kept and what goes: holds of alarms, and deletion of the oldest.

Invariants: a row is marked before its file is deleted, and goes after it, so that whatever was cut off goes on at the next
turn; marking never takes what a hold covers, in the same transaction; holding takes its mark away from what is still
there, and never runs while files are being deleted: no held recording is lost (F18). Marks that could not be carried out
count as done where bytes are counted, so that a folder without rights does not empty the index.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from model.clock import Clock
from model.errors import UsageError
from store.kept_file import KeptFile
from store.recordings.files import SegmentFiles
from store.recordings.rows import HELD

#: Longest window that one alarm holds of one camera.
MAX_HOLD_MS = 24 * 3_600_000
MAX_ALARM_CHARS = 200
#: Segments deleted at a time: so long a hold may have to wait.
PAGE = 64
_ALL_BYTES = 1 << 62
_ALL_TIME_MS = 1 << 62


@dataclass(frozen=True, slots=True)
class Retained:
    """What one retention did.

    Attributes:
        deleted: segments. freed_bytes: of them.
        held: segments that are past their time, but held.
        stuck: segments whose files cannot be deleted; tried again each time.
    """

    deleted: int = 0
    freed_bytes: int = 0
    held: int = 0
    stuck: int = 0


class Keeping:
    """See the module. Any thread may call anything.

    Args:
        file: the index.
        files: what it indexes.
        clock: gives the time of a hold.
    """

    def __init__(self, file: KeptFile, files: SegmentFiles, clock: Clock) -> None:
        self._file = file
        self._files = files
        self._clock = clock
        #: Held by whoever enters, holds, or deletes.
        self.turn = threading.Lock()
        found = file.rows("SELECT coalesce(sum(size_bytes), 0) FROM segment")
        #: Bytes of all files that a row names.
        self.total_bytes = int(found[0][0]) if found else 0

    def entered(self, size_bytes: int) -> None:
        """A row was added; `turn` is the caller's."""
        self.total_bytes += size_bytes

    def go_on(self) -> None:
        """Finish what was marked before a crash."""
        with self.turn:
            self._delete_marked()

    # -- holds --------------------------------------------------------------------------------

    def hold(self, alarm: str, camera: str, from_ms: int, to_ms: int) -> None:
        """See `Recordings.hold`."""
        if not alarm or len(alarm) > MAX_ALARM_CHARS or not 0 < to_ms - from_ms <= MAX_HOLD_MS:
            raise UsageError("That is no window that an alarm can hold.", mend="Name the alarm and a day at most.")
        with self.turn:
            marked = self._file.rows(
                "SELECT number, file FROM segment WHERE camera = ? AND from_ms < ? AND to_ms > ? AND deleting = 1",
                (camera, to_ms, from_ms),
            )
            there = [(number,) for number, name in marked if self._files.size(name) is not None]
            with self._file.writing() as connection:
                connection.execute(
                    "INSERT OR IGNORE INTO hold VALUES (?, ?, ?, ?, ?)",
                    (alarm, camera, from_ms, to_ms, self._clock.now_ms()),
                )
                connection.executemany("UPDATE segment SET deleting = 0 WHERE number = ?", there)

    def release(self, alarm: str) -> int:
        """See `Recordings.release`."""
        with self.turn, self._file.writing() as connection:
            return connection.execute("DELETE FROM hold WHERE alarm = ?", (alarm,)).rowcount

    # -- retention ----------------------------------------------------------------------------

    def retain(self, before_ms: int, max_total_bytes: int) -> Retained:
        """See `Recordings.retain`."""
        deleted = freed_bytes = 0
        marked = True
        while marked:
            with self.turn:
                marked = self._mark(before_ms, _ALL_BYTES)
                count, size_bytes = self._delete_marked()
            deleted, freed_bytes = deleted + count, freed_bytes + size_bytes
        count = 1
        while count:
            count, size_bytes = self.make_room(max_total_bytes)
            deleted, freed_bytes = deleted + count, freed_bytes + size_bytes
        held = self._file.rows(
            f"SELECT count(*) FROM segment s WHERE deleting = 0 AND to_ms <= ? AND {HELD}",  # noqa: S608 (constants)
            (before_ms,),
        )
        stuck = self._file.rows("SELECT count(*) FROM segment WHERE deleting = 1")
        for day in list(self._files.days()):
            self._files.drop_empty(day)
        return Retained(deleted, freed_bytes, held[0][0], stuck[0][0])

    def make_room(self, max_total_bytes: int) -> tuple[int, int]:
        """Delete a page of the oldest when there is more than `max_total_bytes`; segments and bytes that went."""
        with self.turn:
            if self.total_bytes <= max_total_bytes:
                return 0, 0
            marked = self._file.rows("SELECT coalesce(sum(size_bytes), 0) FROM segment WHERE deleting = 1")
            self._mark(_ALL_TIME_MS, self.total_bytes - max_total_bytes - marked[0][0])
            return self._delete_marked()

    def _mark(self, before_ms: int, excess_bytes: int) -> bool:
        """Mark a page of the oldest that nothing holds, about `excess_bytes` of them; whether there was any."""
        with self._file.writing() as connection:
            rows = connection.execute(
                f"SELECT number, size_bytes FROM segment s WHERE deleting = 0 AND to_ms <= ? AND NOT {HELD}"  # noqa: S608 (constants)
                " ORDER BY to_ms, number LIMIT ?",
                (before_ms, PAGE),
            ).fetchall()
            numbers = []
            for number, size_bytes in rows:
                if excess_bytes <= 0:
                    break
                excess_bytes -= size_bytes
                numbers.append((number,))
            connection.executemany("UPDATE segment SET deleting = 1 WHERE number = ?", numbers)
        return bool(numbers)

    def _delete_marked(self) -> tuple[int, int]:
        """File, then row, of everything that is marked."""
        rows = self._file.rows("SELECT number, file, size_bytes FROM segment WHERE deleting = 1 ORDER BY number")
        gone = set(self._files.delete(name for _, name, _ in rows))
        done = [(number, size_bytes) for number, name, size_bytes in rows if name in gone]
        if done:
            with self._file.writing() as connection:
                connection.executemany("DELETE FROM segment WHERE number = ?", [(number,) for number, _ in done])
        freed_bytes = sum(size_bytes for _, size_bytes in done)
        self.total_bytes -= freed_bytes
        return len(done), freed_bytes
