"""`Levels`: from exact shapes to cells, each of which a fence covers, does not touch, or crosses with edges.

Purpose: decide that conservatively, on cells no finer than is useful. Invariants: "covers" and "does not touch" hold for the
cell's box grown by `MARGIN`, which no edge of the fence meets, and are read off the middle of a cell by shapely; cells
with more than `leaf_edges` edges are split, the fullest first, while the limits allow. It answers no query.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from analytics.fences.grid import BLOCK, SPLIT, SPLIT_BITS, Edges, Floats, Ints, make_grid, spread, trace

#: Shapes that are prepared at one time while building; a prepared one takes about 100 bytes a vertex.
_PREPARED_AT_ONCE = 1_000
_EDGES_AT_ONCE = 500_000
_LAST = SPLIT - 1
Shapes = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Limits:
    """What an index may take; see `FenceIndex`."""

    max_cells: int
    max_entries: int
    edges_a_point: float
    leaf_edges: int


@dataclass(slots=True)
class Level:
    """Cells of one level that are not empty.

    Attributes:
        number: of the level, 0 the coarsest.
        cell, column, row, edge: int64, one row for each edge that meets a cell, ascending by cell, then edge; columns and
            rows are counted on the level's whole plane.
        covered_cell, covered_fence: int64: each cell that a fence covers.
    """

    number: int
    cell: Ints
    column: Ints
    row: Ints
    edge: Ints
    covered_cell: Ints
    covered_fence: Ints

    def part(self, met: Bools, covered: Bools) -> Level:
        """Some of its rows."""
        return Level(
            self.number,
            self.cell[met],
            self.column[met],
            self.row[met],
            self.edge[met],
            self.covered_cell[covered],
            self.covered_fence[covered],
        )


class Levels:
    """All cells of some shapes.

    Args:
        shapes: shapely polygons and multipolygons, shape (m,), m > 0, valid and none of them empty.
        limits: what it may take.

    Attributes:
        grid, edges: level 0, and all edges.
        cells: number of cells of all levels: those of level 0, then blocks of `BLOCK`.
        split_cells: the cells that were split, block by block.
        kept: the cells that were not, coarse to fine; their numbers ascend.
        depth: levels below level 0.
    """

    def __init__(self, shapes: Shapes, limits: Limits) -> None:
        self._shapes, self._limits = shapes, limits
        self.edges = edges_of(shapes)
        area = float(shapely.area(shapes).sum())
        self.grid = make_grid(
            self.edges,
            area,
            max_cells=limits.max_cells // 2,
            max_covered=limits.max_entries,
            edges_a_point=limits.edges_a_point,
        )
        self.cells = self.grid.cells
        self.depth = 0
        self.kept: list[Level] = []
        self._entries = 0
        split: list[Ints] = []
        level = self._first()
        for _ in range(self.grid.depth):
            chosen = self._chosen(level)
            if not len(chosen):
                break
            split.append(chosen)
            level = self._split(level, chosen)
        self.kept.append(level)
        self.split_cells: Ints = np.concatenate([np.zeros(0, np.int64), *split])

    def _first(self) -> Level:
        """Level 0: what all edges meet, and what lies between along each row."""
        grid, edges = self.grid, self.edges
        parts = []
        for start in range(0, len(edges), _EDGES_AT_ONCE):
            of = np.arange(start, min(start + _EDGES_AT_ONCE, len(edges)))
            zero = np.zeros(len(of), np.int64)
            columns, rows = (zero, zero + (1 << grid.bits_x) - 1), (zero, zero + (1 << grid.bits_y) - 1)
            which, column, row = trace(grid, 0, edges, of, columns, rows)
            parts.append((of[which], (row << grid.bits_x) | column))
        edge, cell = (np.concatenate(part) for part in zip(*parts, strict=True))
        order = np.argsort(cell, kind="stable")
        edge, cell = edge[order], cell[order]
        fence = edges.fence[edge]
        starts = group_starts(cell, fence)
        covered_cell, covered_fence = self._between(cell[starts], fence[starts])
        self._entries = len(covered_cell) + len(starts)
        column, row = cell & ((1 << grid.bits_x) - 1), cell >> grid.bits_x
        return Level(0, cell, column, row, edge, covered_cell, covered_fence)

    def _between(self, cell: Ints, fence: Ints) -> tuple[Ints, Ints]:
        """Cells of level 0 that a fence covers: in each row the runs of cells between two that its edges meet."""
        grid = self.grid
        met = np.sort(fence * grid.cells + cell)
        fence, cell = np.divmod(met, grid.cells)
        gap = np.diff(cell) - 1
        runs = np.flatnonzero((np.diff(met >> grid.bits_x) == 0) & (gap > 0))
        first, fence, gap = cell[runs] + 1, fence[runs], gap[runs]
        lon, lat = self._middle(first & ((1 << grid.bits_x) - 1), first >> grid.bits_x, 0)
        inside = covers(self._shapes, fence, lon, lat)
        which, offset = spread(gap[inside])
        return first[inside][which] + offset, fence[inside][which]

    def _middle(self, column: Ints, row: Ints, level: int) -> tuple[Floats, Floats]:
        width, height = self.grid.size(level)
        lon, lat = self.grid.corner(column, row, level)
        return lon + width / 2, lat + height / 2

    def _chosen(self, level: Level) -> Ints:
        """Cells to split, ascending: the fullest first while cells and entries last."""
        starts = group_starts(level.cell)
        cell, count = level.cell[starts], np.diff(np.append(starts, len(level.cell)))
        full = np.flatnonzero(count > self._limits.leaf_edges)
        full = full[np.argsort(-count[full], kind="stable")]
        full = full[: max(self._limits.max_cells - self.cells, 0) // BLOCK]
        # At worst each of a cell's entries becomes one in each of its parts.
        groups = level.cell[group_starts(level.cell, self.edges.fence[level.edge])]
        entries = np.bincount(np.searchsorted(cell, groups), minlength=len(cell))
        at = among(level.covered_cell, cell)[1]
        entries += np.bincount(at, minlength=len(cell))
        worst = np.cumsum(entries[full]) * BLOCK
        chosen: Ints = np.sort(cell[full[worst <= self._limits.max_entries - self._entries]])
        return chosen

    def _split(self, level: Level, chosen: Ints) -> Level:
        """The finer level within the chosen cells; the others are kept."""
        base = self.cells
        met, block = among(level.cell, chosen)
        covered, covered_block = among(level.covered_cell, chosen)
        self.kept.append(level.part(~met, ~covered))
        level = level.part(met, covered)
        self.cells += len(chosen) * BLOCK
        self.depth = level.number + 1
        column, row = level.column << SPLIT_BITS, level.row << SPLIT_BITS
        which, child_column, child_row = trace(
            self.grid, self.depth, self.edges, level.edge, (column, column + _LAST), (row, row + _LAST)
        )
        child = ((child_row & _LAST) << SPLIT_BITS) | (child_column & _LAST)
        cell, edge = base + block[which] * BLOCK + child, level.edge[which]
        # Parts of a split cell that a fence's edges do not meet lie inside or outside of it as a whole.
        fence = self.edges.fence[level.edge]
        starts = group_starts(level.cell, fence)
        group = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(fence))))
        free = np.ones((len(starts), BLOCK), np.bool_)
        free[group[which], child] = False
        at, child = np.nonzero(free)
        at = starts[at]
        lon, lat = self._middle(column[at] + (child & _LAST), row[at] + (child >> SPLIT_BITS), self.depth)
        inside = covers(self._shapes, fence[at], lon, lat)
        every = base + covered_block[:, None] * BLOCK + np.arange(BLOCK)
        order = np.argsort(cell, kind="stable")
        finer = Level(
            self.depth,
            cell[order],
            child_column[order],
            child_row[order],
            edge[order],
            np.concatenate(((base + block[at] * BLOCK + child)[inside], every.ravel())),
            np.concatenate((fence[at][inside], np.repeat(level.covered_fence, BLOCK))),
        )
        self._entries += len(finer.covered_cell) - len(level.covered_cell) - len(starts)
        self._entries += len(group_starts(finer.cell, self.edges.fence[finer.edge]))
        return finer


def edges_of(shapes: Shapes) -> Edges:
    """All edges of all rings, ascending by shape; those without a length left out."""
    parts, of_part = shapely.get_parts(shapes, return_index=True)
    rings, of_ring = shapely.get_rings(parts, return_index=True)
    places, ring = shapely.get_coordinates(rings, return_index=True)
    one, other = places[:-1], places[1:]
    real = (ring[:-1] == ring[1:]) & (one != other).any(axis=1)
    one, other = one[real], other[real]
    up = (one[:, 1] <= other[:, 1])[:, None]
    low, high = np.where(up, one, other), np.where(up, other, one)
    x0, y0, x1, y1 = (np.ascontiguousarray(column) for column in (*low.T, *high.T))
    return Edges(x0, y0, x1, y1, of_part[of_ring[ring[:-1][real]]].astype(np.int64))


def group_starts(*columns: Ints) -> Ints:
    """First row of each run of equal rows; int64."""
    rows = len(columns[0])
    changes = np.zeros(rows, np.bool_)
    changes[:1] = True
    for column in columns:
        changes[1:] |= column[1:] != column[:-1]
    return np.flatnonzero(changes)


def among(values: Ints, wanted: Ints) -> tuple[Bools, Ints]:
    """Which values are among `wanted` (ascending), and for those, in order, their index there."""
    if not len(wanted):
        return np.zeros(len(values), np.bool_), np.zeros(0, np.int64)
    at = np.minimum(np.searchsorted(wanted, values), len(wanted) - 1)
    found = wanted[at] == values
    return found, at[found]


def covers(shapes: Shapes, fence: Ints, lon: Floats, lat: Floats) -> Bools:
    """Whether each place lies in its fence, by shapely; leaves no shape prepared."""
    inside = np.zeros(len(fence), np.bool_)
    order = np.argsort(fence, kind="stable")
    ends = np.searchsorted(fence[order], np.arange(0, len(shapes) + _PREPARED_AT_ONCE, _PREPARED_AT_ONCE))
    for number, (start, end) in enumerate(pairwise(ends)):
        some = shapes[number * _PREPARED_AT_ONCE : (number + 1) * _PREPARED_AT_ONCE]
        at = order[start:end]
        shapely.prepare(some)
        inside[at] = shapely.intersects_xy(shapes[fence[at]], lon[at], lat[at])
        shapely.destroy_prepared(some)
    return inside
