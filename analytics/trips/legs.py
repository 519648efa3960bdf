"""Which rows of tracks can be part of a stop at all, told from the legs between them.

Purpose: spare `stops` the driving. Invariants: no stop has a row that is left out; what is kept gives the same stops. It
looks at blocks of rows that stay in the processor's cache and decides no window.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from analytics.trips.boxes import NEARLY_A_LINE, never_from

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

#: Rows of a column that stay in the processor's cache together with what is made of them.
_BLOCK_ROWS = 1 << 14
_HALF_TURN_DEG = 180.0


def worth_looking(
    other: Bools, time: Ints, lat: Floats, lon: Floats, min_ms: int, diameter_m: float
) -> tuple[Ints, Bools]:
    """Rows that can be part of a stop, and which of them begin a piece that knows nothing of those before it.

    No stop holds a leg that no small window can hold, so stops lie in runs without one, and only in runs that last long
    enough. The row before a run goes with it: every window that begins there or earlier has the long leg in it and cannot
    be small, whatever its beginning, so that row is as good as a device's first.
    """
    near = _near(other, lat, lon, diameter_m)
    edges = np.flatnonzero(near[1:] != near[:-1])
    first, last = edges[::2], edges[1::2]
    long = time[last] - time[first] >= min_ms
    first, last = first[long], last[long]
    first -= ~other[first]
    if not len(first):
        return first, np.zeros(0, np.bool_)
    # Of two runs side by side the row before the second is the last of the first.
    joined = np.zeros(len(first), np.bool_)
    np.equal(first[1:], last[:-1], out=joined[1:])
    first += joined
    count = last - first + 1
    starts = np.cumsum(count) - count
    rows = np.arange(int(count.sum())) + np.repeat(first - starts, count)
    begins = np.zeros(len(rows), np.bool_)
    begins[starts] = ~joined
    return rows, begins


def _near(other: Bools, lat: Floats, lon: Floats, diameter_m: float) -> Bools:
    """Whether a small window can hold the leg to each row, False for a device's first and, at the end, for none; (n + 1,).

    Looked at in blocks that stay in the processor's cache.
    """
    rows = len(lat)
    near = np.zeros(rows + 1, np.bool_)
    for begin in range(1, rows, _BLOCK_ROWS):
        end = min(begin + _BLOCK_ROWS, rows)
        # One row more at either end, to tell lines.
        low, high = max(begin - 2, 0), min(end + 1, rows)
        places, turns = lat[low:high], lon[low:high]
        north, east = places[1:] - places[:-1], turns[1:] - turns[:-1]
        line = north[:-1] * east[1:]
        line -= east[:-1] * north[1:]
        np.abs(line, out=line)
        # On one line, even a long leg says nothing for certain (see `boxes`): it may be of the rows before or after.
        straight = line <= NEARLY_A_LINE
        # Across the date line a leg is not as long as it looks.
        around = np.abs(east) >= _HALF_TURN_DEG if np.ptp(turns) >= _HALF_TURN_DEG else None
        poleward = max(-float(places.min()), float(places.max()))
        limit = float(never_from(np.array([poleward]), diameter_m)[0]) * 1e-7
        north *= north
        east *= east
        north += east
        here = north < limit * limit
        if around is not None:
            here |= around
        here[1:] |= straight
        here[:-1] |= straight
        near[begin:end] = here[begin - low - 1 : end - low - 1]
    near[:rows] &= ~other
    return near
