"""What became of one file's rows, counted by the pipeline while it works them off."""

from __future__ import annotations

from model.batch import PointBatch
from model.codes import Reason

#: Points of one file that are kept for its trips and stops (about 90 bytes each).
DEFAULT_MAX_JOB_POINTS = 5_000_000


class JobTally:
    """What became of the rows of one file, exactly."""

    def __init__(self) -> None:
        self.stored = 0
        self.duplicate = 0
        self.quarantined: dict[Reason, int] = {}
        self.signals: dict[str, int] = {}
        self.points: list[PointBatch] = []
        self.points_kept = 0
        #: Whether `points` are all that were stored: a job too large for it keeps none.
        self.whole = True

    @property
    def rows(self) -> int:
        """Rows accounted for."""
        return self.stored + self.duplicate + sum(self.quarantined.values())

    def keep(self, points: PointBatch) -> None:
        """Keep what was stored, for trips and stops at the end, as long as there is room."""
        self.points_kept += len(points)
        self.whole = self.whole and self.points_kept <= DEFAULT_MAX_JOB_POINTS
        if self.whole:
            self.points.append(points)
        else:
            self.points.clear()
