"""`Tables`: the cells as a query reads them, and the few edges that decide within a cell.

Invariants: in a cell that edges of a fence meet, the south-west corner of the grown box is judged by shapely; between a place
p and that corner c lies the path west to the box's border and south along it. p is inside exactly when c is and the path
crosses edges an even number of times, or c is not and it does so an odd number of times (J. O'Rourke, "Computational
Geometry in C" (1998), 7.4). The path stays in the box, so that only what lies in it of the edges counts.

Edges are kept in float32, in parts of the cell from its corner, cut off at the box: that moves nothing by more than 5e-7 of
a cell across an edge, and ends that two edges share stay shared. A place nearer than `NEAR` to an edge, eight times that,
is not decided so but by shapely; so is a fence whose edges come as near to the corner c. The rest is exact.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from analytics.fences.grid import MARGIN, Floats, Ints
from analytics.fences.levels import Bools, Level, Levels, Shapes, covers, group_starts

#: A place nearer to an edge than this, parts of a cell, is judged by shapely: 0.1 mm in a cell of 25 m.
NEAR = 4e-6
#: Columns of `Tables.edges`: how far east the edge is at `LOW`; from where (in it) to where (not in it) the way west can
#: cross it; cells east per cell north, NaN for an edge due east; where it meets the western border, `_NEVER` where it does not.
LON, LOW, HIGH, SLOPE, WEST = range(5)
_NEVER = 9.0
_ROWS_AT_ONCE = 500_000
#: Bits of an entry from the lowest: first edge, edges, whether the corner is inside, whether shapely decides; then the fence.
COUNT_AT, INSIDE_AT, ASK_AT, FENCE_AT = 31, 38, 39, 40
FIRST_MASK, COUNT_MASK = (1 << COUNT_AT) - 1, (1 << (INSIDE_AT - COUNT_AT)) - 1
#: Edges of one entry; with more, shapely decides.
MAX_ENTRY_EDGES = COUNT_MASK


@dataclass(slots=True)
class Tables:
    """What a query reads.

    A cell holds 0: nothing; v in 1..m: fence v - 1 covers it and nothing else is there; v > m: the list v - m - 1; -b: it is
    split into block b - 1.

    Attributes:
        cells: int32: level 0, then the blocks.
        list_start: int32, shape (l + 1,): first entry of each list; a list ascends by fence.
        entries: int64, shape (e,): see `COUNT_AT`; one that covers its cell has no edge and its corner inside.
        edges: float32, shape (k, 5): `LON, LOW, HIGH, SLOPE, WEST`, parts of the cell.
    """

    cells: npt.NDArray[np.int32]
    list_start: npt.NDArray[np.int32]
    entries: Ints
    edges: npt.NDArray[np.float32]

    @property
    def memory_bytes(self) -> int:
        """All arrays together."""
        return sum(int(getattr(self, field.name).nbytes) for field in fields(self))


def make_tables(levels: Levels, shapes: Shapes, ask_edges: int) -> Tables:
    """The tables of all kept cells; a fence with more than `ask_edges` edges in a cell is left to shapely there."""
    cell = np.concatenate([level.cell for level in levels.kept])
    of = levels.edges.fence[np.concatenate([level.edge for level in levels.kept])]
    starts = group_starts(cell, of)
    counts = np.diff(np.append(starts, len(cell)))
    rows, doubtful, west, south = _all_rows(levels, starts)
    ask = (counts > min(ask_edges, MAX_ENTRY_EDGES)) | np.logical_or.reduceat(doubtful, starts)
    rows = rows[np.repeat(~ask, counts)]
    counts[ask] = 0
    cell, of = cell[starts], of[starts]
    inside = covers(shapes, of, west, south)
    entries = (np.cumsum(counts) - counts) | (counts << COUNT_AT) | (of << FENCE_AT)
    entries |= (inside.astype(np.int64) << INSIDE_AT) | (ask.astype(np.int64) << ASK_AT)
    cells = np.zeros(levels.cells, np.int32)
    cells[levels.split_cells] = -1 - np.arange(len(levels.split_cells))
    covered_cell, covered_fence = _alone(levels, cell, cells)
    # Fences met and fences covering, cell by cell.
    cell = np.concatenate((cell, covered_cell))
    entries = np.concatenate((entries, (covered_fence << FENCE_AT) | (1 << INSIDE_AT)))
    order = np.lexsort((entries >> FENCE_AT, cell))
    cell = cell[order]
    lists = group_starts(cell)
    cells[cell[lists]] = 1 + len(shapes) + np.arange(len(lists))
    return Tables(cells, np.append(lists, len(cell)).astype(np.int32), entries[order], rows)


def _all_rows(levels: Levels, starts: Ints) -> tuple[npt.NDArray[np.float32], Bools, Floats, Floats]:
    """Rows of `Tables.edges`, whether the corner is too near to each; and the corners (lon, lat) of the rows `starts`."""
    total = sum(len(level.cell) for level in levels.kept)
    rows, doubtful = np.empty((total, 5), np.float32), np.empty(total, np.bool_)
    west, south, done = [], [], 0
    for level in levels.kept:
        wide, high = levels.grid.size(level.number)
        first, last = np.searchsorted(starts, (done, done + len(level.cell)))
        at = starts[first:last] - done
        lon, lat = levels.grid.corner(level.column[at], level.row[at], level.number)
        west.append(lon - MARGIN * wide)
        south.append(lat - MARGIN * high)
        for start in range(0, len(level.cell), _ROWS_AT_ONCE):
            part = slice(start, min(start + _ROWS_AT_ONCE, len(level.cell)))
            into = slice(done + part.start, done + part.stop)
            doubtful[into] = _edge_rows(levels, level, part, rows[into])
        done += len(level.cell)
    return rows, doubtful, np.concatenate(west), np.concatenate(south)


def _alone(levels: Levels, met: Ints, cells: npt.NDArray[np.int32]) -> tuple[Ints, Ints]:
    """Writes the cells that one fence covers and nothing else touches; the other covered ones, with their fences."""
    cell = np.concatenate([level.covered_cell for level in levels.kept])
    fence = np.concatenate([level.covered_fence for level in levels.kept])
    used = np.bincount(cell, minlength=1)
    alone = (used[cell] == 1) & ~np.isin(cell, met)
    cells[cell[alone]] = 1 + fence[alone]
    return cell[~alone], fence[~alone]


def _edge_rows(levels: Levels, level: Level, part: slice, rows: npt.NDArray[np.float32]) -> Bools:
    """Fill rows of `Tables.edges`; whether the corner is too near to the edge to start from."""
    wide, high = levels.grid.size(level.number)
    west, south = levels.grid.corner(level.column[part], level.row[part], level.number)
    edges, of = levels.edges, level.edge[part]
    x0, x1 = (edges.x0[of] - west) / wide, (edges.x1[of] - west) / wide
    y0, y1 = (edges.y0[of] - south) / high, (edges.y1[of] - south) / high
    right, rise = x1 - x0, y1 - y0
    least, most = -MARGIN, 1.0 + MARGIN
    # The part of the edge within the box, by how far along it (Y.-D. Liang and B. Barsky, ACM TOG 3 (1984) 1). Whether it
    # meets the western border, on which the path lies, is told by its ends, not by what rounding makes of the division.
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.where(rise > 0.0, right / rise, np.nan)
        sides = [(side - at) / by for at, by in ((x0, right), (y0, rise)) for side in (least, most)]
        enter_x, leave_x = np.fmin(np.minimum(*sides[:2]), 1.0), np.fmax(np.maximum(*sides[:2]), 0.0)
        enter_y, leave_y = np.minimum(*sides[2:]), np.maximum(*sides[2:])
        off = np.abs(least - (x0 + (least - y0) * slope))
        doubtful = (least >= y0 - NEAR) & (least <= y1 + NEAR) & ~(off > NEAR * (1.0 + np.abs(slope)))
    enter, leave = np.fmax(np.fmax(enter_x, enter_y), 0.0), np.fmin(np.fmin(leave_x, leave_y), 1.0)
    beside = (np.maximum(x0, x1) < least) | (np.minimum(x0, x1) > most) | (y1 < least) | (y0 > most)
    empty = beside | (enter > leave)
    enter, leave = np.fmin(enter, 1.0), np.fmax(leave, 0.0)
    low = np.where(enter >= 1.0, y1, np.where(enter > 0.0, y0 + enter * rise, y0))
    top = np.where(leave <= 0.0, y0, np.where(leave < 1.0, y0 + leave * rise, y1))
    from_west = (x0 < least) & (x1 >= least) & ~(enter_x < enter_y)
    to_west = (x1 < least) & (x0 >= least) & ~(leave_x > leave_y)
    rows[:, LON] = np.where(from_west, least, x0 + enter * right)
    rows[:, LOW] = np.where(empty, _NEVER, low)
    rows[:, HIGH] = np.where(empty, -_NEVER, top)
    rows[:, SLOPE] = slope
    rows[:, WEST] = np.where(empty, _NEVER, np.where(from_west, low, np.where(to_west, top, _NEVER)))
    return doubtful
