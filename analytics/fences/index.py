"""`FenceIndex`: which places lie in which fences."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely

from analytics.fences.shapes import shape_of
from model.fence import Fence, FenceSet

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class FenceIndex:
    """The enabled fences of a set.

    Attributes:
        set: as given.
        fences: the indexed ones, in order of number.
        number: int64, shape (m,), ascending: their numbers.
    """

    def __init__(self, fences: FenceSet) -> None:
        self.set = fences
        self.fences: tuple[Fence, ...] = tuple(
            sorted((fence for fence in fences.fences if fence.enabled), key=lambda fence: fence.number)
        )
        self.number: Ints = np.array([fence.number for fence in self.fences], np.int64)
        self._shapes = np.array([shape_of(fence) for fence in self.fences], dtype=object)
        shapely.prepare(self._shapes)

    def hits(self, lat: Floats, lon: Floats) -> tuple[Ints, Ints]:
        """Pairs (row, index into `fences`), ascending; a place that is NaN hits nothing."""
        rows, fences = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for at, shape in enumerate(self._shapes):
            found = np.flatnonzero(shapely.intersects_xy(shape, lon, lat))
            rows.append(found)
            fences.append(np.full(len(found), at))
        row, fence = np.concatenate(rows), np.concatenate(fences)
        order = np.argsort(row, kind="stable")
        return row[order], fence[order]

    def index_of(self, numbers: Ints) -> Ints:
        """Index into `fences` of each number, -1 for one that is not there."""
        if not len(self.number):
            return np.full(len(numbers), -1, np.int64)
        at = np.minimum(np.searchsorted(self.number, numbers), len(self.number) - 1)
        return np.where(self.number[at] == numbers, at, -1)
