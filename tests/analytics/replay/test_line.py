"""The line for drawing: its bound holds at every point by the clock, gaps stay gaps, and it is small."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.replay import line as module
from analytics.replay.line import drawn, kept
from analytics.replay.reel import Reel
from model.batch import PointBatch
from model.errors import UsageError
from model.geo import haversine_m
from tests.analytics.replay.tracks import FROM_MS, batches

TO_MS = FROM_MS + 86_400_000


def worst_m(reel: Reel, line: module.Line) -> float:
    """How far any point of the way is from the line at its own time, one by one."""
    worst = 0.0
    for device, first, last in zip(*(column.tolist() for column in reel.runs()), strict=True):
        rows = [row for row in line.row.tolist() if reel.way[first] <= row <= reel.way[last]]
        assert rows[0] == reel.way[first]
        assert rows[-1] == reel.way[last]
        assert set(reel.points.slot[rows].tolist()) == {int(reel.slots[device])}
        time, lat, lon = (reel.points.column(name)[rows] for name in ("time_ms", "lat", "lon"))
        for row in reel.way[first : last + 1].tolist():
            if row in rows:
                continue
            at = reel.points.time_ms[row]
            # Of several kept points with one time, those around the row count.
            before, after = max(one for one in rows if one < row), min(one for one in rows if one > row)
            a, b = rows.index(before), rows.index(after)
            share = (at - time[a]) / max(time[b] - time[a], 1)
            there = lat[a] + share * (lat[b] - lat[a]), lon[a] + share * (lon[b] - lon[a])
            worst = max(worst, float(haversine_m(reel.points.lat[row], reel.points.lon[row], *there)))
    return worst


@settings(max_examples=50)
@given(points=batches(most=25), tolerance_m=st.sampled_from([0.0, 1.0, 10.0, 50.0, 300.0, 2_000.0]))
def test_nobody_is_farther_from_the_line_than_the_tolerance(points: PointBatch, tolerance_m: float) -> None:
    reel = Reel(points, FROM_MS, TO_MS)
    line = drawn(reel, tolerance_m=tolerance_m)
    assert line.tolerance_m == tolerance_m
    assert worst_m(reel, line) <= tolerance_m * 1.001 + 1e-3
    assert line.row.tolist() == sorted(set(line.row.tolist()))
    assert len(line.piece) == len(line.row)
    assert sorted(set(line.piece.tolist())) == list(range(len(line.device)))
    # A gap lies between two pieces, and none within one.
    time = reel.points.time_ms[line.row]
    for at in range(len(time) - 1):
        if line.piece[at] == line.piece[at + 1]:
            inner = reel.way[(reel.way >= line.row[at]) & (reel.way <= line.row[at + 1])]
            assert np.diff(reel.points.time_ms[inner]).max() <= 300_000


def straight(count: int, wobble_m: float, seed: int = 7) -> Reel:
    noise = np.random.default_rng(seed).uniform(-wobble_m, wobble_m, count) / 111_195.08
    columns = {"slot": 1, "time_ms": FROM_MS + 10_000 * np.arange(count), "lat": 40.65 + noise, "lon": 109.84}
    return Reel(PointBatch.of(count, columns), FROM_MS, TO_MS)


def test_what_stands_is_two_points_and_a_stop_on_a_straight_road_is_kept() -> None:
    assert len(drawn(straight(2_000, 4.0)).row) == 2
    moves = np.concatenate((np.arange(100), np.full(60, 99), np.arange(99, 200))) * 100 / 111_195.08
    columns = {"slot": 1, "time_ms": FROM_MS + 10_000 * np.arange(len(moves)), "lat": 40.65 + moves, "lon": 109.84}
    reel = Reel(PointBatch.of(len(moves), columns), FROM_MS, TO_MS)
    # By shape alone two points would do; by time the stop's begin and end stay.
    assert reel.points.time_ms[drawn(reel).row].tolist() == [FROM_MS + 10_000 * at for at in (0, 99, 160, 260)]


def test_too_many_points_make_it_coarser_and_say_so() -> None:
    reel = straight(5_000, 60.0)
    line = drawn(reel, max_points=1_000)
    assert line.tolerance_m in (20.0, 40.0, 80.0)
    assert len(line.row) <= 1_000
    assert worst_m(reel, line) <= line.tolerance_m * 1.001


def test_the_worst_track_costs_no_more_levels_than_a_piece_has_points(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ever farther to the north: each level splits off one point."""
    monkeypatch.setattr(module, "PIECE_POINTS", 64)
    count = 1_000
    lat = (40.0 + 1e-5 * 1.01 ** np.arange(count)).astype(np.float64)
    levels = 0
    apart = module._apart

    def counted(*arguments: object) -> object:
        nonlocal levels
        levels += 1
        return apart(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "_apart", counted)
    keep = kept(
        FROM_MS + 1_000 * np.arange(count), lat, np.full(count, 109.0), np.array([0]), np.array([count - 1]), 0.0
    )
    assert keep.all()
    assert levels <= 64


@pytest.mark.parametrize("tolerance_m", [-1.0, float("nan"), 10_001.0])
def test_what_is_no_tolerance(tolerance_m: float) -> None:
    with pytest.raises(UsageError, match="tolerance"):
        drawn(straight(3, 1.0), tolerance_m=tolerance_m)
