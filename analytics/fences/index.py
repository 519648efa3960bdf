"""`FenceIndex`: which places lie in which fences, for whole columns.

Purpose: answer as shapely's `covers` does for each place and each fence, at a small part of its cost. Invariants: a place
in a cell that a fence covers or does not touch needs no test; in the others the few edges of the cell decide, and what
lies within 4 millionths of a cell of one of those is left to shapely itself. The answer for a place depends on nothing else
in the batch. It knows no rules, devices or schedules, and is used by one thread at a time.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely

from analytics.fences.grid import BLOCK, SPLIT, SPLIT_BITS, spans
from analytics.fences.levels import Levels, Limits
from analytics.fences.shapes import shape_of
from analytics.fences.tables import (
    ASK_AT,
    COUNT_AT,
    COUNT_MASK,
    FENCE_AT,
    FIRST_MASK,
    HIGH,
    INSIDE_AT,
    LON,
    LOW,
    NEAR,
    SLOPE,
    WEST,
    Tables,
    make_tables,
)
from model.fence import Fence, FenceSet

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: Cells of all levels, 4 bytes each.
MAX_CELLS = 8_388_608
#: Pairs of a cell and a fence that touches it, 8 to 12 bytes each; the edges in them take 20 for each cell that one meets.
MAX_ENTRIES = 8_388_608
#: Edges that a place anywhere meets on average; the cells of the first level are made as small as that needs.
EDGES_A_POINT = 0.15
#: A cell that more edges meet is split. Two fences that share a corner have four edges there.
LEAF_EDGES = 4
#: More edges of one fence in a cell that could not be split: shapely is asked.
ASK_EDGES = 64
#: Rows that are looked at together: their columns stay in the cache.
CHUNK_ROWS = 32_768
#: A shape with more vertices is kept prepared for shapely, which takes it about 100 bytes a vertex once it is asked.
PREPARED_VERTICES = 1_000
_NEAR = np.float32(NEAR)
_NONE = (np.zeros(0, np.int64), np.zeros(0, np.int64))


class FenceIndex:
    """The enabled fences of a set.

    Args:
        fences: the set.
        max_cells: most cells, 4 bytes each; 0 or few make it slower, never wrong.
        max_entries: pairs of a cell and a fence that covers or crosses it, 8 to 12 bytes each, beyond which cells are not
            made finer. Each edge is kept at least once (20 bytes for each cell it meets). Building takes up to 400 bytes
            a vertex more for a while.
        edges_a_point: how fine the first level is made: edges that a place anywhere meets on average.
        leaf_edges: a cell with more edges is split into 4 x 4.

    Raises:
        BadInput: a fence has no shape that can be drawn (see `shape_of`).

    Attributes:
        set: as given.
        fences: the indexed ones, in order of number.
        number: int64, shape (m,), ascending: their numbers.
    """

    def __init__(
        self,
        fences: FenceSet,
        *,
        max_cells: int = MAX_CELLS,
        max_entries: int = MAX_ENTRIES,
        edges_a_point: float = EDGES_A_POINT,
        leaf_edges: int = LEAF_EDGES,
    ) -> None:
        self.set = fences
        self.fences: tuple[Fence, ...] = tuple(
            sorted((fence for fence in fences.fences if fence.enabled), key=lambda fence: fence.number)
        )
        self.number: Ints = np.array([fence.number for fence in self.fences], np.int64)
        self._shapes = np.empty(len(self.fences), object)
        self._shapes[:] = [shape_of(fence) for fence in self.fences]
        self._tables: Tables | None = None
        if not len(self._shapes):
            return
        limits = Limits(max_cells, max_entries, edges_a_point, leaf_edges)
        levels = Levels(self._shapes, limits)
        self._grid, self._depth = levels.grid, levels.depth
        self._tables = make_tables(levels, self._shapes, ASK_EDGES)
        shapely.prepare(self._shapes[shapely.get_num_coordinates(self._shapes) > PREPARED_VERTICES])

    @property
    def memory_bytes(self) -> int:
        """What the tables take; the shapes themselves, some 16 bytes a vertex, not counted."""
        return 0 if self._tables is None else self._tables.memory_bytes

    def hits(self, lat: Floats, lon: Floats) -> tuple[Ints, Ints]:
        """Which places lie in which fences, boundaries included.

        Args:
            lat: float64, shape (n,), degrees; a place with a NaN hits nothing.
            lon: the same.

        Returns:
            Rows and indices into `fences`, int64, shape (h,) each, ascending by row, then fence.
        """
        if self._tables is None or not len(lat):
            return _NONE
        if len(lat) <= CHUNK_ROWS:
            return self._hits(self._tables, lat, lon)
        rows, fences = [], []
        for start in range(0, len(lat), CHUNK_ROWS):
            row, fence = self._hits(self._tables, lat[start : start + CHUNK_ROWS], lon[start : start + CHUNK_ROWS])
            rows.append(row + start)
            fences.append(fence)
        return np.concatenate(rows), np.concatenate(fences)

    def index_of(self, numbers: Ints) -> Ints:
        """Index into `fences` of each number, int64, shape (k,); -1 for one that is not there."""
        if not len(self.number):
            return np.full(len(numbers), -1, np.int64)
        at = np.minimum(np.searchsorted(self.number, numbers), len(self.number) - 1)
        return np.where(self.number[at] == numbers, at, -1)

    def _hits(self, tables: Tables, lat: Floats, lon: Floats) -> tuple[Ints, Ints]:
        value, x, y = self._values(tables, lat, lon)
        rows = np.flatnonzero(value)
        value = value[rows]
        covered = len(self._shapes)
        several = np.flatnonzero(value > covered)
        if not len(several):
            return rows, value.astype(np.int64) - 1
        number = value[several] - (covered + 1)
        start = tables.list_start.take(number)
        of, at = spans(start, tables.list_start.take(number + 1) - start)
        entry = tables.entries.take(at)
        hit = np.flatnonzero(self._inside(tables, entry, of, rows[several], lat, lon, x, y))
        found = np.ones(len(rows), np.int64)
        found[several] = np.bincount(of[hit], minlength=len(several))
        at = np.repeat(np.arange(len(rows)), found)
        fence = value[at].astype(np.int64) - 1
        fence[fence >= covered] = entry[hit] >> FENCE_AT
        return rows[at], fence

    def _values(self, tables: Tables, lat: Floats, lon: Floats) -> tuple[npt.NDArray[np.int32], Floats, Floats]:
        """What the cell of each place holds, blocks looked up, not negative; and the place counted in such cells."""
        grid = self._grid
        x, y = (lon - grid.west) * (1.0 / grid.cell_lon), (lat - grid.south) * (1.0 / grid.cell_lat)
        # The outermost cells are empty; NaN goes there as well.
        for axis, bits in ((x, grid.bits_x), (y, grid.bits_y)):
            np.fmax(axis, 0.0, out=axis)
            np.fmin(axis, (1 << bits) - 1, out=axis)
        cell = y.astype(np.int32)
        cell <<= grid.bits_x
        cell |= x.astype(np.int32)
        value = tables.cells.take(cell)
        if not self._depth:
            return value, x, y
        deep = np.flatnonzero(value < 0)
        last = SPLIT - 1
        while len(deep):
            # Exact: a product with a power of two.
            east, north = x[deep] * SPLIT, y[deep] * SPLIT
            x[deep], y[deep] = east, north
            child = ((north.astype(np.int32) & last) << SPLIT_BITS) | (east.astype(np.int32) & last)
            finer = tables.cells.take(grid.cells + (-1 - value[deep]) * BLOCK + child)
            value[deep] = finer
            deep = deep[finer < 0]
        return value, x, y

    def _inside(
        self, tables: Tables, entry: Ints, of: Ints, row: Ints, lat: Floats, lon: Floats, x: Floats, y: Floats
    ) -> npt.NDArray[np.bool_]:
        """Whether each entry's place lies in its fence: `entry` is of the place `row[of]`."""
        count = (entry >> COUNT_AT) & COUNT_MASK
        ends = np.cumsum(count)
        pair, edge_at = spans(entry & FIRST_MASK, count)
        edge = tables.edges.take(edge_at, axis=0)
        # Where in its cell each place is.
        east, north = x[row], y[row]
        east -= np.floor(east)
        north -= np.floor(north)
        at = of[pair]
        here, high = east.astype(np.float32)[at], north.astype(np.float32)[at]
        low, slope = edge[:, LOW], edge[:, SLOPE]
        up = high - low
        right = here - (edge[:, LON] + up * slope)
        crosses = ((up >= 0.0) & (high < edge[:, HIGH]) & (right > 0.0)) ^ (edge[:, WEST] <= high)
        # Written so that an edge due east, whose slope is NaN, counts as near.
        near = (up >= -_NEAR) & (high <= edge[:, HIGH] + _NEAR) & ~(np.abs(right) > _NEAR * (1 + np.abs(slope)))
        crossed = np.zeros(len(pair) + 1, np.int32)
        np.cumsum(crosses, out=crossed[1:])
        odd = (crossed[ends] - crossed[ends - count]) & 1
        inside: npt.NDArray[np.bool_] = (((entry >> INSIDE_AT) ^ odd) & 1).astype(np.bool_)
        ask = (entry & (1 << ASK_AT)) != 0
        ask[pair[near]] = True
        asked = np.flatnonzero(ask)
        if len(asked):
            place = row[of[asked]]
            inside[asked] = shapely.intersects_xy(self._shapes[entry[asked] >> FENCE_AT], lon[place], lat[place])
        return inside
