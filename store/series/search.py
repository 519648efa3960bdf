"""Who was inside an area: asks the boxes of `places`, then reads the hours of those devices alone.

Works inside its caller's snapshot, part by part and hour by hour, so memory is that of one part-hour's boxes and of
`max_batch_rows` points. What has not been sealed is boxed here and asked in the same way; a group without an index is read
once for its boxes. It judges no grant: `embedded.py` does, before it calls here.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from model.errors import Refused
from model.presence import Gather
from store.series import places
from store.series.boxes import Boxes, boxes_of_hour, candidates, joined, together
from store.series.open_rows import OpenBatch, select
from store.series.read import ChunkRow, Window, decode_chunks, segment_rows
from store.series.rows import PART_BITS, IntArray, Rows
from store.series.schema import MAX_PATCH, chunk_key, key_parts, part_slots

DEFAULT_MAX_SEARCH_ROWS = 20_000_000
#: Of one hour, more of a part's slots than this share are fetched with all chunks between them.
_MOST = 0.3
_INDEXED = (
    "SELECT hour, day, groups.rows, places.rows, checksum, blob FROM groups"
    " LEFT JOIN places USING (part, hour, day) WHERE part = ? AND hour BETWEEN ? AND ? ORDER BY hour"
)
_PLAIN = "SELECT hour, day, rows, NULL, NULL, NULL FROM groups WHERE part = ? AND hour BETWEEN ? AND ? ORDER BY hour"


@dataclass(slots=True)
class SearchLimits:
    """Limits of one search.

    Attributes:
        max_rows: points read from chunks, for boxes that are missing and of devices that may have been there.
        max_batch_rows: points in memory at once.
    """

    max_rows: int
    max_batch_rows: int


@dataclass(slots=True)
class Search:
    """One search.

    Args:
        connection: a snapshot of series.db.
        open_batches: level 0 of the same snapshot.
        gather: takes the points, and knows the area.
        from_ms, to_ms: the window, half open.
        slots: ascending, None for all.
        limits: see there.
    """

    connection: sqlite3.Connection
    open_batches: Sequence[OpenBatch]
    gather: Gather
    from_ms: int
    to_ms: int
    slots: IntArray | None
    limits: SearchLimits
    rows_read: int = field(default=0, init=False)
    #: Chunks whose points were read.
    chunks_read: int = field(default=0, init=False)

    def run(self) -> None:
        """Give `gather` every point that may matter. Raises Refused over a limit, Corrupt at a damaged chunk."""
        for part in self._parts():
            self._part(part)

    def _parts(self) -> list[int]:
        """Parts that have anything in the window's hours, as far as that is told cheaply."""
        found: set[int] = set()
        for table in ("groups", "segments"):
            part = -1
            while True:
                (part,) = self.connection.execute(f"SELECT min(part) FROM {table} WHERE part > ?", (part,)).fetchone()  # noqa: S608 - constants
                if part is None:
                    break
                found.add(part)
        for batch in select(self.open_batches, self.from_ms, self.to_ms, 0, 1 << 31):
            found.update(np.unique(batch.slot >> PART_BITS).tolist())
        if self.slots is not None:
            found &= set(np.unique(self.slots >> PART_BITS).tolist())
        return sorted(found)

    def _part(self, part: int) -> None:
        window = Window(self.from_ms, self.to_ms, *part_slots(part))
        loose = self._loose(window)
        boxed = {hour: boxes_of_hour(rows) for hour, rows in loose.items()}
        before: tuple[int, Boxes, set[int]] | None = None
        for hour, boxes in self._hours(window, boxed):
            met = candidates(boxes, hour, self.gather.box, self.from_ms, self.to_ms)
            chosen = set(boxes.slot[met].tolist())
            if before is not None and before[0] == hour - 1:
                crossed = joined(before[1], boxes, self.gather.box).tolist()
                chosen.update(crossed)
                before[2].update(crossed)
            if before is not None:
                self._read(before[0], len(before[1]), sorted(before[2]), loose.get(before[0]))
            before = hour, boxes, chosen
        if before is not None:
            self._read(before[0], len(before[1]), sorted(before[2]), loose.get(before[0]))

    def _loose(self, window: Window) -> dict[int, Rows]:
        """What a part has in segments and open batches of the window, by hour, ordered."""
        pieces = segment_rows(self.connection, window)
        chosen = select(self.open_batches, window.from_ms, window.to_ms, window.from_slot, window.to_slot)
        if chosen:
            pieces.append(Rows.of_batches(chosen, 0))
        rows = Rows.concat(pieces)
        if not rows.count:
            return {}
        time_ms = rows.time_ms()
        kept = (time_ms >= window.from_ms) & (time_ms < window.to_ms)
        if self.slots is not None:
            kept &= np.isin(rows.array("slot"), self.slots)
        rows = rows.take(kept).ordered()
        if not rows.count:
            return {}
        starts = rows.starts(rows.columns["hour"])
        ends = np.append(starts[1:], rows.count)
        return {
            int(rows.array("hour")[start]): rows.take(np.arange(start, end))
            for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
        }

    def _hours(self, window: Window, boxed: dict[int, Boxes]) -> Iterator[tuple[int, Boxes]]:
        """The boxes of every hour of a part, in order, of the wanted slots."""
        first, last = window.hours
        ask = _INDEXED if places.there(self.connection) else _PLAIN
        found = self.connection.execute(ask, (window.part, first, last))
        left = dict(boxed)
        now: int | None = None
        pieces: list[Boxes] = []
        for hour, day, rows, covered, check, blob in found:
            if hour != now:
                if now is not None:
                    yield now, together(pieces)
                for loose in sorted(other for other in left if other < hour):
                    yield loose, left.pop(loose)
                now, pieces = hour, [left.pop(hour)] if hour in left else []
            group = (window.part, hour, day)
            boxes = places.read(group, check, blob) if covered == rows else None
            if boxes is None:
                self._count(rows)
                boxes = places.scan(self.connection, group, rows, self.limits.max_batch_rows)
            if self.slots is not None:
                boxes = boxes.take(np.isin(boxes.slot, self.slots))
            pieces.append(boxes)
        if now is not None:
            yield now, together(pieces)
        for loose in sorted(left):
            yield loose, left[loose]

    def _read(self, hour: int, of: int, slots: list[int], loose: Rows | None) -> None:
        """Give `gather` what those slots have in that hour and in the window, a bounded number of rows at a time."""
        if not slots:
            return
        chunks = self._chunks(hour, slots, whole=len(slots) > of * _MOST)
        slot_of_loose = loose.array("slot") if loose is not None else np.zeros(0, np.int64)
        at = 0
        while at < len(slots):
            rows, end, wanted = 0, at, list[ChunkRow]()
            while end < len(slots) and (rows < self.limits.max_batch_rows or end == at):
                for count, chunk in chunks.get(slots[end], ()):
                    rows += count
                    wanted.append(chunk)
                end += 1
            self._count(rows)
            self.chunks_read += len(wanted)
            pieces = [decode_chunks(wanted)]
            if loose is not None:
                pieces.append(loose.take(np.isin(slot_of_loose, slots[at:end])))
            self._give(Rows.concat(pieces))
            at = end

    def _give(self, rows: Rows) -> None:
        if not rows.count:
            return
        time_ms = rows.time_ms()
        inside = (time_ms >= self.from_ms) & (time_ms < self.to_ms)
        self.gather.add((rows if inside.all() else rows.take(inside)).ordered().to_batch())

    def _chunks(self, hour: int, slots: list[int], *, whole: bool) -> dict[int, list[tuple[int, ChunkRow]]]:
        """Rows and chunks of each slot in an hour."""
        ask = "SELECT key, day, checksum, blob, rows FROM chunks WHERE key BETWEEN ? AND ?"
        found: defaultdict[int, list[tuple[int, ChunkRow]]] = defaultdict(list)
        if whole:
            wanted = set(slots)
            first, last = chunk_key(hour, slots[0]), chunk_key(hour, slots[-1], MAX_PATCH)
            for key, day, check, blob, rows in self.connection.execute(ask, (first, last)):
                slot = key_parts(key)[1]
                if slot in wanted:
                    found[slot].append((rows, (key, day, check, blob)))
            return found
        for slot in slots:
            first = chunk_key(hour, slot)
            for key, day, check, blob, rows in self.connection.execute(ask, (first, first + MAX_PATCH)):
                found[slot].append((rows, (key, day, check, blob)))
        return found

    def _count(self, rows: int) -> None:
        self.rows_read += rows
        if self.rows_read > self.limits.max_rows:
            raise Refused(
                f"The search would read more than {self.limits.max_rows} points.",
                mend="Search a smaller area or a shorter time; `lucheng store index` makes old hours quicker to search.",
            )
