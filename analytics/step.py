"""`Step`: one batch on its way through the analytics, and what the stages leave in it.

Purpose: the one thing that stages hand on. Invariants: `batch` has the rows of what came, in the
order in which they came (repaired columns are new arrays, the given ones are never written);
`row` and everything of its length speak of trusted rows in the order (slot, time, arrival).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from model.batch import PointBatch

Rows = npt.NDArray[np.intp]
Bools = npt.NDArray[np.bool_]


@dataclass(slots=True)
class Risen:
    """Alarm bits that rose, one entry each.

    Attributes:
        row: row of the batch that was given, intp.
        bit: 0..63, uint8.
        late: the row came after newer data, or is too old to be news.
        placed: the row's place can be trusted (False for a row that was quarantined for it).
        time_ms: fix time after clock correction, UTC ms.
    """

    row: Rows
    bit: npt.NDArray[np.uint8]
    late: Bools
    placed: Bools
    time_ms: npt.NDArray[np.int64]

    @classmethod
    def none(cls) -> Risen:
        """Nothing rose."""
        nothing = np.zeros(0, np.int64)
        return cls(
            nothing.astype(np.intp), nothing.astype(np.uint8), nothing.astype(bool), nothing.astype(bool), nothing
        )

    def __len__(self) -> int:
        return len(self.row)

    def take(self, which: Bools) -> Risen:
        """The entries where `which` is True."""
        return Risen(self.row[which], self.bit[which], self.late[which], self.placed[which], self.time_ms[which])


@dataclass(slots=True)
class Fallen:
    """Alarm bits that fell, one entry each, in the order of rows; late rows make none.

    Attributes:
        row: row of the batch that was given, intp.
        bit: 0..63, uint8.
        time_ms: fix time after clock correction, UTC ms.
    """

    row: Rows
    bit: npt.NDArray[np.uint8]
    time_ms: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.row)


@dataclass(slots=True)
class Step:
    """What the stages know of one batch.

    Attributes:
        given: the batch as it came.
        batch: the same rows with repaired columns.
        reason: by row of the batch, a `model.codes.Reason` or 0; None while every row is trusted.
        marks: by row of the batch, marks of the clock; None while there are none.
        row: trusted rows that are not certainly duplicates, ordered by (slot, time, arrival).
        slot, time_ms, identity: their columns, in that order.
        mark: their marks.
        chain: which of them follow each other in time as they came (not late, clock not ahead); None: all.
        calm: every row is simply newer than all of its device before it: no ties, nothing late or ahead.
        unsure: positions in `row` which the store must answer.
        fills: positions in `row` which, when the store does not know them, fill a gap that was counted long ago.
        duplicate: rows found to be duplicates.
        duplicate_rows: their rows in the batch.
        risen: alarm bits that rose, the unsure rows' too.
        fallen: alarm bits that fell; None where none did.
        gauges: other counters to add to.
    """

    given: PointBatch
    batch: PointBatch
    reason: npt.NDArray[np.uint8] | None = None
    marks: npt.NDArray[np.uint16] | None = None
    row: Rows = field(default_factory=lambda: np.zeros(0, np.intp))
    slot: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    time_ms: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    identity: npt.NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64))
    mark: npt.NDArray[np.uint16] = field(default_factory=lambda: np.zeros(0, np.uint16))
    chain: Bools | None = None
    calm: bool = True
    unsure: Rows = field(default_factory=lambda: np.zeros(0, np.intp))
    fills: Rows = field(default_factory=lambda: np.zeros(0, np.intp))
    duplicate_rows: Rows = field(default_factory=lambda: np.zeros(0, np.intp))
    risen: Risen = field(default_factory=Risen.none)
    fallen: Fallen | None = None
    gauges: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, batch: PointBatch) -> Step:
        """A step at its beginning."""
        return cls(batch, replace(batch))

    def reject(self, where: Bools, reason: int) -> None:
        """Give rows of the batch that have no reason yet this one."""
        if self.reason is None:
            self.reason = np.zeros(len(self.batch), np.uint8)
        self.reason[where & (self.reason == 0)] = reason

    def mark_rows(self, where: Bools | Rows, mark: int) -> None:
        """Mark rows of the batch."""
        if self.marks is None:
            self.marks = np.zeros(len(self.batch), np.uint16)
        self.marks[where] |= np.uint16(mark)

    def count(self, gauge: str, number: int) -> None:
        """Add to a gauge; nothing is noted for 0."""
        if number:
            self.gauges[gauge] = self.gauges.get(gauge, 0) + number

    def chained(self) -> Rows | slice:
        """Positions in `row` of the chain."""
        return slice(None) if self.chain is None else np.flatnonzero(self.chain)


def group_starts(slot: npt.NDArray[np.int64]) -> Rows:
    """Where each device begins in a column of slots in order; empty for no rows."""
    if not len(slot):
        return np.zeros(0, np.intp)
    starts = np.flatnonzero(slot[1:] != slot[:-1])
    starts += 1
    return np.concatenate((np.zeros(1, np.intp), starts))


def group_lasts(starts: Rows, rows: int) -> Rows:
    """Where each device ends (inclusive), for `rows` rows."""
    lasts = np.empty_like(starts)
    lasts[:-1] = starts[1:]
    lasts[:-1] -= 1
    lasts[-1:] = rows - 1
    return lasts
