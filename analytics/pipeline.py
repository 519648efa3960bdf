"""`Analysis`: the stages one after the other, in two halves with the store's answer between them.

    step = analysis.begin(batch)             # moves the state, whatever the store will say
    known = store.contains(analysis.asked(step))   # only when len(step.unsure)
    result = analysis.finish(step, known)    # does not touch the state

A replay for the state alone calls `begin` and drops the step. Invariant of the counters:
`len(batch) == len(result.points) + result.duplicate + sum of the rows of result.rejected`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analytics.clean import clean
from analytics.clock import set_clocks
from analytics.gaps import GAUGE, count_gaps
from analytics.limits import CleanLimits
from analytics.order import order
from analytics.rise import rise
from analytics.state import State
from analytics.step import Bools, Risen, Rows, Step
from analytics.validate import validate
from model.batch import COLUMN_NAMES, PointBatch
from model.codes import Mark, Reason


@dataclass(frozen=True, slots=True)
class Result:
    """What one batch came to.

    Attributes:
        points: rows to store, repaired and marked, ordered by (slot, time, arrival).
        duplicate: rows that were known already.
        rejected: reason and rows of the batch (intp, ascending), for quarantine.
        gauges: other counters: `points_missing`, `mark.<name>`, `cleared.<column>`.
        risen: alarm bits that rose; `row` counts in the batch that was given.
        row: row of the batch that each point of `points` was.
    """

    points: PointBatch
    duplicate: int
    rejected: list[tuple[Reason, Rows]]
    gauges: dict[str, int]
    risen: Risen
    row: Rows


class Analysis:
    """The stages with their limits and their state.

    Args:
        limits: thresholds.
        state: what is remembered of each device; moved by `begin`.
    """

    def __init__(self, limits: CleanLimits, state: State) -> None:
        self.limits = limits
        self.state = state

    def begin(self, batch: PointBatch) -> Step:
        """Judge a batch and move the state; the batch is not written."""
        step = Step.of(batch)
        if len(batch):
            validate(step, self.limits)
            set_clocks(step, self.state, self.limits)
            order(step, self.state)
            count_gaps(step, self.state, self.limits)
            clean(step, self.state, self.limits)
            rise(step, self.state, self.limits)
        return step

    def asked(self, step: Step) -> PointBatch:
        """The rows of which only the store knows whether it has them; in the order of `step.unsure`."""
        return _take(step, step.row[step.unsure], step.mark[step.unsure])

    def finish(self, step: Step, known: Bools | None = None) -> Result:
        """Drop what the store knows and count.

        Args:
            step: what `begin` returned.
            known: for each row of `asked(step)` whether the store has it; None when none was asked.

        Raises ValueError when `known` has another length than `step.unsure`.
        """
        known = np.zeros(0, np.bool_) if known is None else np.asarray(known, np.bool_)
        if known.shape != step.unsure.shape:
            raise ValueError(f"{len(step.unsure)} rows were unsure, not {known.shape}")
        row, mark, risen = step.row, step.mark, step.risen
        duplicate = len(step.duplicate_rows)
        fills = step.fills
        if known.any():
            drop = step.unsure[known]
            fills = fills[~np.isin(fills, drop)]
            gone = row[drop]
            keep = np.ones(len(row), np.bool_)
            keep[drop] = False
            row, mark = row[keep], mark[keep]
            duplicate += len(gone)
            if len(risen):
                risen = risen.take(~np.isin(risen.row, gone))
        gauges = dict(step.gauges)
        if len(fills):
            gauges[GAUGE] = gauges.get(GAUGE, 0) - len(fills)
        if mark.any():
            for one in Mark:
                count = int(np.count_nonzero(mark & np.uint16(one)))
                if count:
                    gauges[f"mark.{str(one.name).lower()}"] = count
        return Result(_take(step, row, mark), duplicate, _rejected(step), gauges, risen, row)


def _take(step: Step, row: Rows, mark: np.typing.NDArray[np.uint16]) -> PointBatch:
    columns = {name: getattr(step.batch, name).take(row) for name in COLUMN_NAMES if name != "marks"}
    return PointBatch(**columns, marks=mark, extra=step.batch.extra.take(row))


def _rejected(step: Step) -> list[tuple[Reason, Rows]]:
    if step.reason is None:
        return []
    return [(Reason(code), np.flatnonzero(step.reason == code)) for code in np.unique(step.reason).tolist() if code]
