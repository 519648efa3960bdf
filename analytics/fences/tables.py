"""`Tables`: the cells as a query reads them, and the few edges that decide within a cell.

Invariants: in a cell that edges of a fence meet, the south-west corner of the grown box is judged by shapely; between a place
p and that corner c lies the path west to the box's border and south along it. p is inside exactly when c is and the path
crosses edges an even number of times, or c is not and it does so an odd number of times (J. O'Rourke, "Computational
Geometry in C" (1998), 7.4). The path stays in the box, so that only edges that meet it count. Whatever is nearer than
`NEAR_DEG` to an edge is not decided so: rounding moves nothing by more than 1e-12 degrees, so the rest is exact.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from analytics.fences.grid import MARGIN_DEG, Floats, Ints
from analytics.fences.levels import Bools, Levels, Shapes, covers, group_starts

#: A place nearer to an edge than this, degrees (0.1 mm), is judged by shapely.
NEAR_DEG = 1e-9
#: Columns of `Tables.edges`: longitude at `LOW`; the latitudes from (in it) and to (not in it) which the way west can cross
#: the edge; degrees east per degree north, NaN for an edge due east; the latitude where it meets the western border, inf
#: where it does not.
LON, LOW, HIGH, SLOPE, WEST = range(5)
#: A latitude that no place has; finite, so that a level edge makes no warning of it.
_NEVER = 1e9


@dataclass(slots=True)
class Tables:
    """What a query reads.

    A cell holds 0: nothing; v in 1..m: fence v - 1 covers it and nothing else is there; v > m: the list v - m - 1; -b: it is
    split into block b - 1.

    Attributes:
        cells: int32: level 0, then the blocks.
        list_start: int32, shape (l + 1,): first entry of each list; a list ascends by fence.
        fence: int32, shape (e,): of each entry.
        inside: bool, shape (e,): the corner is inside; True for a fence that covers the cell.
        ask: bool, shape (e,): shapely decides.
        edge_start: int32, shape (e + 1,): first edge of each entry.
        edges: float64, shape (k, 5): `LON, LOW, HIGH, SLOPE, WEST`.
    """

    cells: npt.NDArray[np.int32]
    list_start: npt.NDArray[np.int32]
    fence: npt.NDArray[np.int32]
    inside: Bools
    ask: Bools
    edge_start: npt.NDArray[np.int32]
    edges: Floats

    @property
    def memory_bytes(self) -> int:
        """All arrays together."""
        return sum(int(getattr(self, field.name).nbytes) for field in fields(self))


def make_tables(levels: Levels, shapes: Shapes, ask_edges: int) -> Tables:
    """The tables of all kept cells; a fence with more than `ask_edges` edges in a cell is left to shapely there."""
    cell = np.concatenate([level.cell for level in levels.kept])
    edge = np.concatenate([level.edge for level in levels.kept])
    corner = [levels.grid.corner(level.column, level.row, level.number) for level in levels.kept]
    west = np.concatenate([lon for lon, _ in corner]) - MARGIN_DEG
    south = np.concatenate([lat for _, lat in corner]) - MARGIN_DEG
    of = levels.edges.fence[edge]
    starts = group_starts(cell, of)
    counts = np.diff(np.append(starts, len(cell)))
    rows, doubtful = _edge_rows(levels, edge, west, south)
    ask = (counts > ask_edges) | np.logical_or.reduceat(doubtful, starts)
    rows = rows[np.repeat(~ask, counts)]
    counts[ask] = 0
    inside = covers(shapes, of[starts], west[starts], south[starts])
    cells = np.zeros(levels.cells, np.int32)
    cells[levels.split_cells] = -1 - np.arange(len(levels.split_cells))
    covered_cell, covered_fence = _alone(levels, cell[starts], cells)
    # Edges met and fences covering, cell by cell; the order of the edges stays.
    all_cells = np.concatenate((cell[starts], covered_cell))
    all_fences = np.concatenate((of[starts], covered_fence))
    order = np.lexsort((all_fences, all_cells))
    all_cells = all_cells[order]
    lists = group_starts(all_cells)
    cells[all_cells[lists]] = 1 + len(shapes) + np.arange(len(lists))
    more = len(covered_cell)
    return Tables(
        cells=cells,
        list_start=np.append(lists, len(all_cells)).astype(np.int32),
        fence=all_fences[order].astype(np.int32),
        inside=np.concatenate((inside, np.ones(more, np.bool_)))[order],
        ask=np.concatenate((ask, np.zeros(more, np.bool_)))[order],
        edge_start=np.cumsum(np.concatenate(([0], np.concatenate((counts, np.zeros(more, np.int64)))[order]))).astype(
            np.int32
        ),
        edges=rows,
    )


def _alone(levels: Levels, met: Ints, cells: npt.NDArray[np.int32]) -> tuple[Ints, Ints]:
    """Writes the cells that one fence covers and nothing else touches; the other covered ones, with their fences."""
    cell = np.concatenate([level.covered_cell for level in levels.kept])
    fence = np.concatenate([level.covered_fence for level in levels.kept])
    used = np.bincount(cell, minlength=1)
    alone = (used[cell] == 1) & ~np.isin(cell, met)
    cells[cell[alone]] = 1 + fence[alone]
    return cell[~alone], fence[~alone]


def _edge_rows(levels: Levels, edge: Ints, west: Floats, south: Floats) -> tuple[Floats, Bools]:
    """Rows of `Tables.edges`, and whether the corner is too near to the edge to start from."""
    edges = levels.edges
    x0, y0, x1, y1 = edges.x0[edge], edges.y0[edge], edges.x1[edge], edges.y1[edge]
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.where(y1 > y0, (x1 - x0) / (y1 - y0), np.nan)
        meets = np.clip(y0 + (west - x0) / (x1 - x0) * (y1 - y0), y0, y1)
        off = np.abs(west - (x0 + (south - y0) * slope))
        doubtful = (south >= y0 - NEAR_DEG) & (south <= y1 + NEAR_DEG) & ~(off > NEAR_DEG * (1 + np.abs(slope)))
    low_west, high_west = x0 < west, x1 < west
    across = low_west != high_west
    rows = np.empty((len(edge), 5))
    rows[:, LON] = np.where(low_west, west, x0)
    rows[:, LOW] = np.where(low_west, np.where(across, meets, _NEVER), y0)
    rows[:, HIGH] = np.where(high_west, np.where(across, meets, -_NEVER), y1)
    rows[:, SLOPE] = slope
    rows[:, WEST] = np.where(across & (meets > south), meets, np.inf)
    return rows, doubtful
