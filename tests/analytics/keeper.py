"""What the tests of the analytics share: a faithful store, and streams cut into batches."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from analytics.limits import CleanLimits
from analytics.pipeline import Analysis, Result
from analytics.state import State
from model.batch import PointBatch, identity
from model.codes import Flag, Mark, Reason

NOW_MS = 1_760_000_000_000


def batch(rows: list[dict[str, Any]]) -> PointBatch:
    """A batch of rows given as dicts; a valid live point where nothing is said."""
    base: dict[str, Any] = {"slot": 0, "time_ms": NOW_MS, "received_ms": NOW_MS, "lat": 40.65, "lon": 109.84}
    columns = {name: [{**base, **row}.get(name) for row in rows] for name in base}
    for name in ("seq", "speed_kmh", "heading_deg", "alt_m", "acc_m", "sat", "battery_pct", "flags", "alarm_bits"):
        missing = PointBatch.of(1, {}).column(name)[0]
        columns[name] = [row.get(name, missing) for row in rows]
    return PointBatch.of(len(rows), columns)


@dataclass
class Keeper:
    """An analysis with a store that answers truly: it knows exactly what was kept."""

    limits: CleanLimits = field(default_factory=CleanLimits)
    state: State = field(default_factory=State)
    kept: set[tuple[int, int, int]] = field(default_factory=set)
    marks: dict[tuple[int, int, int], int] = field(default_factory=dict)
    missing: int = 0
    asked: int = 0

    def feed(self, given: PointBatch) -> Result:
        analysis = Analysis(self.limits, self.state)
        step = analysis.begin(given)
        keys = self.keys(analysis.asked(step))
        self.asked += len(keys)
        result = analysis.finish(step, np.array([key in self.kept for key in keys], np.bool_))
        rejected = sum(len(rows) for _, rows in result.rejected)
        assert len(given) == len(result.points) + result.duplicate + rejected
        for key, mark in zip(self.keys(result.points), result.points.marks.tolist(), strict=True):
            assert key not in self.kept, "stored twice"
            self.kept.add(key)
            self.marks[key] = mark
        self.missing += result.gauges.get("points_missing", 0)
        return result

    @staticmethod
    def keys(points: PointBatch) -> list[tuple[int, int, int]]:
        return list(zip(points.slot.tolist(), points.time_ms.tolist(), identity(points).tolist(), strict=True))

    def feed_all(self, batches: Iterable[PointBatch]) -> list[Result]:
        return [self.feed(one) for one in batches]


def reasons(result: Result) -> dict[Reason, list[int]]:
    return {reason: rows.tolist() for reason, rows in result.rejected}


def marks(result: Result) -> list[Mark]:
    return [Mark(mark) for mark in result.points.marks.tolist()]


BUFFERED = int(Flag.BUFFERED)
