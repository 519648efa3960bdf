"""The reel: true order, frames against a look at every point, gaps, and the fleet an hour at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.replay.reel import Reel, Told
from analytics.replay.windows import Windows
from analytics.search.along import along
from model.batch import PointBatch
from model.codes import Flag, Mark
from model.errors import Refused, UsageError
from tests.analytics.replay.tracks import FROM_MS, batch_of, batches

TO_MS = FROM_MS + 86_400_000
LEG_MS = 300_000


def plain(points: PointBatch) -> dict[int, list[tuple[int, int, float, float, bool]]]:
    """Of each device (time, seq, lat, lon, trusted) in true order, each point once, by Python's own sort."""
    rows = {
        (slot, time, seq, round(lat * 1e6), round(lon * 1e6), flags): (
            lat,
            lon,
            not marks & (Mark.JUMP | Mark.NO_FIX) and not flags & Flag.SIGHTED,
        )
        for slot, time, seq, lat, lon, marks, flags in zip(
            *(points.column(name).tolist() for name in ("slot", "time_ms", "seq", "lat", "lon", "marks", "flags")),
            strict=True,
        )
    }
    found: dict[int, list[tuple[int, int, float, float, bool]]] = {}
    for key in sorted(rows):
        lat, lon, trusted = rows[key]
        found.setdefault(key[0], []).append((key[1], key[2], lat, lon, trusted))
    return found


def where(rows: list[tuple[int, int, float, float, bool]], time_ms: int) -> tuple[Told, float, float, int]:
    """What a frame has to tell of one device: what, where, and the time of the point before."""
    way = [row for row in rows if row[4]]
    before = [row for row in way if row[0] <= time_ms]
    after = [row for row in way if row[0] > time_ms]
    if not before:
        return Told.NOTHING, math.nan, math.nan, -1
    last = before[-1]
    if last[0] == time_ms:
        return Told.POINT, last[2], last[3], last[0]
    if not after or after[0][0] - last[0] > LEG_MS:
        return Told.SILENT, math.nan, math.nan, last[0]
    share = (time_ms - last[0]) / (after[0][0] - last[0])
    lat, lon = last[2] + share * (after[0][2] - last[2]), last[3] + share * (after[0][3] - last[3])
    return Told.BETWEEN, lat, lon, last[0]


def moments_of(points: PointBatch) -> list[int]:
    """Times that matter: of points, beside them, between them, and beyond."""
    times = points.time_ms.tolist()
    beside = [at + by for at in times for by in (-1, 0, 7_777)]
    return sorted({at for at in [FROM_MS, TO_MS - 1, *beside] if FROM_MS <= at < TO_MS})


@settings(max_examples=40)
@given(points=batches(most=20))
def test_a_frame_is_what_a_look_at_every_point_tells(points: PointBatch) -> None:
    reel = Reel(points, FROM_MS, TO_MS)
    expected = plain(points)
    assert reel.slots.tolist() == sorted(expected)
    cursor = reel.cursor()
    for at in moments_of(points):
        frame, alone = cursor.frame(at), reel.frame(at)
        for row, slot in enumerate(reel.slots.tolist()):
            told, lat, lon, before = where(expected[slot], at)
            assert frame.told[row] == told
            assert np.array([frame.lat[row], frame.lon[row]]) == pytest.approx(
                [lat, lon], abs=1e-12, rel=0, nan_ok=True
            )
            assert (int(reel.points.time_ms[frame.row[row]]) if frame.row[row] >= 0 else -1) == before
        for one, other in ((frame.told, alone.told), (frame.row, alone.row)):
            assert one.tolist() == other.tolist()
        assert np.array_equal(frame.lat, alone.lat, equal_nan=True)
        assert np.array_equal(frame.lon, alone.lon, equal_nan=True)


@settings(max_examples=40)
@given(points=batches(most=20), jumps=st.lists(st.integers(0, 4_000_000), max_size=20))
def test_a_cursor_may_jump(points: PointBatch, jumps: list[int]) -> None:
    reel = Reel(points, FROM_MS, TO_MS)
    cursor = reel.cursor()
    for at in jumps:
        one, other = cursor.frame(FROM_MS + at), reel.frame(FROM_MS + at)
        assert one.row.tolist() == other.row.tolist()
        assert np.array_equal(one.lat, other.lat, equal_nan=True)


@settings(max_examples=40)
@given(points=batches(most=20), cuts=st.tuples(st.integers(-1_000, 5_000_000), st.integers(-1_000, 5_000_000)))
def test_points_come_in_true_order_and_none_is_lost(points: PointBatch, cuts: tuple[int, int]) -> None:
    reel = Reel(points, FROM_MS, TO_MS)
    every = [(time, slot, seq) for slot, rows in plain(points).items() for time, seq, *_ in rows]
    assert reel.duplicates == len(points) - len(every)
    for from_ms, to_ms in ((FROM_MS, TO_MS), (FROM_MS + min(cuts), FROM_MS + max(cuts))):
        found = reel.points_between(from_ms, to_ms)
        told = list(zip(found.time_ms.tolist(), found.slot.tolist(), found.seq.tolist(), strict=True))
        assert told == sorted(row for row in every if from_ms <= row[0] < to_ms)


@settings(max_examples=40)
@given(points=batches(most=20), others=st.lists(st.integers(0, 12), max_size=3))
def test_gaps_are_the_silences(points: PointBatch, others: list[int]) -> None:
    reel = Reel(points, FROM_MS, TO_MS, slots=np.array(others, np.int64))
    expected = []
    ways = {slot: [row[0] for row in rows if row[4]] for slot, rows in plain(points).items()}
    for slot in sorted({*ways, *others}):
        way = ways.get(slot, [])
        edges = [FROM_MS, *way, TO_MS]
        for at, (begin, end) in enumerate(pairwise(edges)):
            if end - begin > LEG_MS:
                expected.append((slot, begin, end, at == 0, at == len(way)))
    gaps = reel.gaps()
    found = zip(
        gaps.slot.tolist(),
        gaps.from_ms.tolist(),
        gaps.to_ms.tolist(),
        gaps.begins_before.tolist(),
        gaps.goes_on.tolist(),
        strict=True,
    )
    assert list(found) == expected


@settings(max_examples=20)
@given(points=batches(marks=False, most=15))
def test_of_one_device_it_is_the_place_that_a_search_tells(points: PointBatch) -> None:
    reel = Reel(points, FROM_MS, TO_MS)
    times = np.array(moments_of(points))
    for row, slot in enumerate(reel.slots.tolist()):
        there = along(reel.points.take(reel.points.slot == slot), times)
        frames = [reel.frame(at) for at in times.tolist()]
        assert np.array([frame.lat[row] for frame in frames]) == pytest.approx(there.lat, abs=1e-12, rel=0, nan_ok=True)
        assert [frame.told[row] == Told.BETWEEN for frame in frames] == there.interpolated.tolist()


def test_marks_and_late_rows_are_carried() -> None:
    rows = [
        (3, FROM_MS + 60_000, 2, 40.002, 109.0, 0, 0),
        (3, FROM_MS, 1, 40.000, 109.0, 0, 0),
        (3, FROM_MS + 30_000, 7, 41.000, 109.0, int(Mark.JUMP), 0),
        (3, FROM_MS + 15_000, 5, 40.001, 109.0, int(Mark.LATE), 0),
    ]
    reel = Reel(batch_of(rows), FROM_MS, TO_MS)
    assert reel.points.seq.tolist() == [1, 5, 7, 2]
    assert reel.points.marks.tolist() == [0, int(Mark.LATE), int(Mark.JUMP), 0]
    # The jump is a point to be seen, and no place of the vehicle's.
    at_jump = reel.frame(FROM_MS + 30_000)
    assert (at_jump.told[0], at_jump.row[0]) == (Told.BETWEEN, 1)
    assert at_jump.lat[0] == pytest.approx(40.001 + 0.001 / 3)


def test_of_points_with_one_time_the_last_is_the_place() -> None:
    rows = [(1, FROM_MS, seq, 40.0 + seq, 109.0, int(Mark.SAME_TIME), 0) for seq in (0, 1, 2)]
    reel = Reel(batch_of(rows), FROM_MS, TO_MS)
    assert (len(reel.points), reel.duplicates) == (3, 0)
    assert reel.frame(FROM_MS).lat.tolist() == [42.0]


def test_nothing_is_nothing() -> None:
    reel = Reel(PointBatch.empty(), FROM_MS, TO_MS)
    assert (len(reel), len(reel.frame(FROM_MS).lat), len(reel.rows_between(FROM_MS, TO_MS))) == (0, 0, 0)
    named = Reel(PointBatch.empty(), FROM_MS, TO_MS, slots=np.array([4]))
    assert named.frame(FROM_MS).told.tolist() == [Told.NOTHING]
    assert len(named.gaps()) == 1


class Pieces:
    """A store that says what was asked of it."""

    def __init__(self, points: PointBatch) -> None:
        self.points = points
        self.asked: list[tuple[int, int]] = []

    def load(self, from_ms: int, to_ms: int) -> Iterator[PointBatch]:
        self.asked.append((from_ms, to_ms))
        inside = self.points.take((self.points.time_ms >= from_ms) & (self.points.time_ms < to_ms))
        for start in range(0, len(inside), 7):
            yield inside.take(np.arange(start, min(start + 7, len(inside))))


@settings(max_examples=40)
@given(
    points=batches(most=20),
    window=st.tuples(st.integers(0, 2_000_000), st.integers(1, 9_000_000)),
    jumps=st.lists(st.integers(0, 8_999_999), max_size=12),
)
def test_the_fleet_an_hour_at_a_time_is_the_fleet_at_once(
    points: PointBatch, window: tuple[int, int], jumps: list[int]
) -> None:
    from_ms = FROM_MS + window[0]
    to_ms = from_ms + window[1]
    piece_ms = 1_200_001
    reel = Reel(points, from_ms, to_ms)
    store = Pieces(points)
    windows = Windows(store.load, from_ms, to_ms, piece_ms=piece_ms)
    forwards = [at for at in moments_of(points) if from_ms <= at < to_ms]
    for at in [*forwards, *(from_ms + jump % window[1] for jump in jumps)]:
        seen, frame = windows.at(at), reel.frame(at)
        placed = np.flatnonzero(frame.placed)
        assert seen.slot.tolist() == reel.slots[placed].tolist()
        assert np.array_equal(seen.lat, frame.lat[placed])
        assert seen.interpolated.tolist() == (frame.told[placed] == Told.BETWEEN).tolist()
        assert seen.point_ms.tolist() == reel.points.time_ms[frame.row[placed]].tolist()
        if at == (forwards or [0])[-1]:
            assert len(store.asked) == len(set(store.asked))
    assert all(from_ms <= begin < end <= to_ms for begin, end in store.asked)


def test_a_jump_loads_one_piece_or_the_two_beside_its_end() -> None:
    hour_ms = 3_600_000
    store = Pieces(PointBatch.empty())
    windows = Windows(store.load, FROM_MS, FROM_MS + 24 * hour_ms)
    windows.at(FROM_MS + 10 * hour_ms + hour_ms // 2)
    assert len(store.asked) == 1
    windows.at(FROM_MS + 20 * hour_ms - 1_000)
    assert len(store.asked) == windows.loads == 3
    windows.at(FROM_MS + 20 * hour_ms + hour_ms // 2)
    assert len(store.asked) == 3
    for at in (FROM_MS - 1, FROM_MS + 24 * hour_ms):
        with pytest.raises(UsageError):
            windows.at(at)


def test_too_many_points_are_refused() -> None:
    rows = [(at, FROM_MS + at, -1, 40.0, 109.0, 0, 0) for at in range(20)]
    with pytest.raises(Refused, match="10 points"):
        Windows(Pieces(batch_of(rows)).load, FROM_MS, TO_MS, max_piece_points=10).at(FROM_MS)
