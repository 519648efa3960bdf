"""Tracks that hypothesis makes: a few devices, times that repeat, gaps, marks, rows late and twice."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from model.batch import PointBatch
from model.codes import Flag, Mark

FROM_MS = 1_795_334_400_000
#: Around what is bridged (300 s), and what is the same time.
_STEPS_MS = st.sampled_from([0, 1, 1_000, 15_000, 60_000, 299_999, 300_000, 300_001, 400_000, 900_000])


@st.composite
def batches(draw: st.DrawFn, *, most: int = 40, marks: bool = True, shuffled: bool = True) -> PointBatch:
    """Points of up to four devices, in any order, some of them twice."""
    rows: list[tuple[int, int, int, float, float, int, int]] = []
    for slot in draw(st.lists(st.integers(0, 9), max_size=4, unique=True)):
        time_ms = FROM_MS + draw(st.integers(0, 600_000))
        for seq in range(draw(st.integers(0, most))):
            time_ms += draw(_STEPS_MS)
            mark, flag = 0, 0
            if marks:
                mark = draw(st.sampled_from([0, 0, 0, 0, int(Mark.LATE), int(Mark.JUMP), int(Mark.NO_FIX)]))
                flag = draw(st.sampled_from([0, 0, 0, int(Flag.OCCUPIED_SENT), int(Flag.SIGHTED)]))
            north, east = draw(st.integers(-500, 500)), draw(st.integers(-500, 500))
            rows.append((slot, time_ms, seq, 40.65 + north * 1e-5, 109.84 + east * 1e-5, mark, flag))
    rows += [row for row in rows if draw(st.integers(0, 9)) == 0] if rows and shuffled else []
    if shuffled:
        rows = draw(st.permutations(rows))
    return batch_of(rows)


def batch_of(rows: list[tuple[int, int, int, float, float, int, int]]) -> PointBatch:
    """Rows of (slot, time, seq, lat, lon, marks, flags)."""
    names = ("slot", "time_ms", "seq", "lat", "lon", "marks", "flags")
    columns = zip(*rows, strict=True) if rows else ((),) * len(names)
    return PointBatch.of(len(rows), {name: np.array(column) for name, column in zip(names, columns, strict=True)})
