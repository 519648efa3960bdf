"""The embedded store's search: random tracks and areas, older files, kills, damage, limits."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import shapely
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from model.area import Area, Circle, Polygon
from model.batch import PointBatch
from model.clock import FakeClock
from model.codes import Mark
from model.errors import Refused, UsageError
from model.seams import Outcome
from store.database import connect
from store.series.embedded import EmbeddedSeries
from store.series.places import missing
from tests.store.series.conformance import DAY_MS, HOUR_MS, T0, ListAudit, drive, grant
from tests.store.series.searched import Oracle, check

SQUARE = Polygon((((109.84, 40.65), (109.841, 40.65), (109.841, 40.651), (109.84, 40.651)),))
EVERYWHERE = Polygon((((100.0, 30.0), (120.0, 30.0), (120.0, 50.0), (100.0, 50.0)),))


def opened(folder: Path, **limits: int) -> EmbeddedSeries:
    given = {"max_open_rows": 150, "max_seal_rows": 200, "max_patches": 2, "max_fleet_batch_rows": 50, **limits}
    return EmbeddedSeries(folder / "series.db", audit=ListAudit(), clock=FakeClock(T0), **given)  # type: ignore[arg-type] # no limit is the audit


def unindexed(folder: Path) -> int:
    with closing(connect(folder / "series.db", read_only=True)) as connection:
        return len(missing(connection, verify=True))


#: A place on a coarse grid, so that corners and edges are met, with a few off it: steps of 0.001 degree, and 1e-6.
_AXIS = st.tuples(st.integers(-6, 6), st.sampled_from([0, 0, 0, 1, -1, 500]))
_POINT = st.tuples(
    st.sampled_from([0, 1, 1023, 1024]),
    st.one_of(
        st.integers(-40, 40).map(lambda n: n * 100_000),
        st.integers(-3 * HOUR_MS, 3 * HOUR_MS),
        st.sampled_from([0, -1, HOUR_MS, HOUR_MS - 1, 299_999, 300_000]),
    ),
    _AXIS,
    _AXIS,
    st.sampled_from([0, 0, 0, 0, int(Mark.JUMP), int(Mark.NO_FIX), int(Mark.LATE)]),
)
_RING = st.lists(st.tuples(_AXIS, _AXIS), min_size=3, max_size=6)


def degrees(axis: tuple[int, int], middle: float) -> float:
    return round(middle + axis[0] * 0.001 + axis[1] * 1e-6, 6)


def area_of(drawn: list[tuple[tuple[int, int], tuple[int, int]]], radius_m: float | None) -> Area | None:
    """A circle around the first place, or a polygon; None where the ring crosses itself."""
    if radius_m is not None:
        return Circle(degrees(drawn[0][0], 40.65), degrees(drawn[0][1], 109.84), radius_m)
    ring = tuple((degrees(lon, 109.84), degrees(lat, 40.65)) for lat, lon in drawn)
    if not shapely.Polygon([(round(x * 1e6), round(y * 1e6)) for x, y in ring]).is_valid:
        return None
    return Polygon((ring,))


@settings(max_examples=60)
@given(
    drawn=st.lists(_POINT, min_size=1, max_size=60),
    cuts=st.lists(st.integers(0, 60), max_size=4),
    moves=st.lists(st.sampled_from(["", "flush", "seal", "seal_all", "reopen"]), min_size=5, max_size=5),
    ring=_RING,
    radius_m=st.one_of(st.none(), st.none(), st.sampled_from([5.0, 111.0, 200.0, 1500.0])),
    window=st.sampled_from([(-4 * HOUR_MS, 4 * HOUR_MS), (0, HOUR_MS), (-700_000, 900_001), (299_999, 300_001)]),
    some=st.booleans(),
)
@pytest.mark.soak
def test_a_search_is_what_looking_at_every_point_finds(
    drawn: list[tuple[int, int, tuple[int, int], tuple[int, int], int]],
    cuts: list[int],
    moves: list[str],
    ring: list[tuple[tuple[int, int], tuple[int, int]]],
    radius_m: float | None,
    window: tuple[int, int],
    *,
    some: bool,
) -> None:
    area = area_of(ring, radius_m)
    assume(area is not None)
    assert area is not None
    points = PointBatch.of(
        len(drawn),
        {
            "slot": [one[0] for one in drawn],
            "time_ms": [T0 + one[1] for one in drawn],
            "seq": np.arange(len(drawn)),
            "lat": [degrees(one[2], 40.65) for one in drawn],
            "lon": [degrees(one[3], 109.84) for one in drawn],
            "marks": [one[4] for one in drawn],
        },
    )
    with TemporaryDirectory() as name:
        store = opened(Path(name), max_open_rows=12, max_seal_rows=7, max_fleet_batch_rows=3)
        edges = sorted({0, len(drawn), *(cut for cut in cuts if cut < len(drawn))})
        for position, (first, end) in enumerate(pairwise(edges), start=1):
            store.commit(Outcome(position, points.take(np.arange(first, end))), stored_ms=T0 + position * DAY_MS // 2)
            move = moves[(position - 1) % len(moves)]
            if move == "flush":
                store.flush()
            elif move == "seal":
                store.seal(T0 + HOUR_MS)
            elif move == "seal_all":
                store.seal(T0 + DAY_MS)
            elif move == "reopen":
                store.close()
                store = opened(Path(name))
        wanted = np.array([1, 1024], np.int32) if some else None
        told = store.inside(grant(), area, T0 + window[0], T0 + window[1], max_vehicles=10, slots=wanted)
        assert unindexed(Path(name)) == 0
        assert store.check() == []
        store.close()
    oracle = Oracle(area)
    kept = points if wanted is None else points.take(np.isin(points.slot, wanted))
    expected = oracle.search(kept, T0 + window[0], T0 + window[1])
    assume(not oracle.grazed)
    check(told, expected)


def fill(store: EmbeddedSeries, points: PointBatch, pieces: int = 4) -> None:
    for number, rows in enumerate(np.array_split(np.arange(len(points)), pieces), start=1):
        store.commit(Outcome(number, points.take(rows)), stored_ms=T0)
        store.seal(T0 + HOUR_MS)


def areas(points: PointBatch) -> list[Area]:
    """A few that lie where the points are."""
    lat, lon = float(np.median(points.lat)), float(np.median(points.lon))
    return [
        Circle(lat, lon, 60.0),
        Circle(float(points.lat[5]), float(points.lon[5]), 300.0),
        Polygon((((lon - 0.01, lat), (lon, lat - 0.001), (lon + 0.01, lat), (lon, lat + 0.001)),)),
    ]


def test_an_older_file_is_searched_and_then_indexed(tmp_path: Path) -> None:
    store = opened(tmp_path)
    points = drive(20, 3 * 3600, step_s=100)
    points.slot *= 50  # a run of slots holds few of them
    fill(store, points)
    store.close()
    with closing(sqlite3.connect(tmp_path / "series.db")) as connection, connection:
        connection.execute("DROP TABLE places")
        connection.execute("PRAGMA user_version=2")
    reader = EmbeddedSeries(tmp_path / "series.db", audit=ListAudit(), clock=FakeClock(T0), read_only=True)
    wanted = [(area, Oracle(area).search(points, T0, T0 + 2 * HOUR_MS)) for area in areas(points)]
    assert any(len(found) > 3 for _, found in wanted)
    for area, expected in wanted:  # before the file was migrated
        check(reader.inside(grant(), area, T0, T0 + 2 * HOUR_MS, max_vehicles=99), expected)
    assert reader.check() == []
    reader.close()
    store = opened(tmp_path)
    left = unindexed(tmp_path)
    assert left > 0
    steps = read = 0
    while done := store.index_places(max_rows=150):
        steps, read, before = steps + 1, read + done, left
        left = unindexed(tmp_path)
        assert left <= before
        assert done < 150 + 200
        for area, expected in wanted:
            check(store.inside(grant(), area, T0, T0 + 2 * HOUR_MS, max_vehicles=99), expected)
    assert (left, read) == (0, 720)
    assert steps > 1
    # Late points come to groups that are indexed, and to one that is not.
    with closing(sqlite3.connect(tmp_path / "series.db")) as connection, connection:
        connection.execute("DELETE FROM places WHERE hour = ?", (T0 // HOUR_MS,))
    late = drive(20, 3600, seed=8, start_ms=T0 + 500, step_s=100)
    late.slot *= 50
    store.commit(Outcome(99, late), stored_ms=T0)
    store.seal(T0 + 2 * HOUR_MS)
    everything = PointBatch.concat([points, late])
    for area in areas(everything):
        expected = Oracle(area).search(everything, T0, T0 + 2 * HOUR_MS)
        check(store.inside(grant(), area, T0, T0 + 2 * HOUR_MS, max_vehicles=99), expected)
    store.close()
    store = opened(tmp_path)
    while store.seal(T0 + HOUR_MS, max_rows=300):  # nothing to seal: what is not indexed is
        pass
    assert unindexed(tmp_path) == 0


def test_a_damaged_index_is_told_passed_by_and_made_again(tmp_path: Path) -> None:
    store = opened(tmp_path)
    points = drive(10, 3600)
    fill(store, points)
    store.seal(T0 + DAY_MS)
    area = areas(points)[1]
    expected = Oracle(area).search(points, T0, T0 + HOUR_MS)
    with closing(sqlite3.connect(tmp_path / "series.db")) as connection, connection:
        number, blob = connection.execute("SELECT id, blob FROM places LIMIT 1").fetchone()
        connection.execute("UPDATE places SET blob = ? WHERE id = ?", (blob[:-1] + bytes([blob[-1] ^ 1]), number))
        connection.execute("INSERT INTO places (part, hour, day, rows, checksum, blob) VALUES (7, 7, 7, 1, 0, x'00')")
    said = {(problem.place, "index" in problem.mend) for problem in store.check()}
    assert said == {
        (f"places hour {T0 // HOUR_MS}, part 0, day {T0 // DAY_MS}", True),
        ("places hour 7, part 7, day 7", True),
    }
    check(store.inside(grant(), area, T0, T0 + HOUR_MS, max_vehicles=99), expected)
    assert 0 < store.index_places(again=True) <= len(points)
    assert store.check() == []
    assert store.index_places(again=True) == 0


@pytest.mark.parametrize("comes", ["late points", "retention", "another day's"])
def test_a_group_that_changes_while_it_is_indexed_is_begun_anew(tmp_path: Path, comes: str) -> None:
    store = opened(tmp_path)
    points = drive(20, 3600, step_s=100)
    points.slot *= 50
    store.commit(Outcome(1, points), stored_ms=T0)
    store.seal(T0 + HOUR_MS)
    with closing(sqlite3.connect(tmp_path / "series.db")) as connection, connection:
        connection.execute("DELETE FROM places")
    store.close()
    store = opened(tmp_path, max_seal_rows=100)
    assert 0 < store.index_places(max_rows=100) < len(points)
    assert unindexed(tmp_path) == 1
    later = drive(20, 3600, seed=8, start_ms=T0 + 500, step_s=100)
    later.slot *= 50
    day_ms = T0 if comes == "late points" else T0 + 2 * DAY_MS
    store.commit(Outcome(2, later), stored_ms=day_ms)
    store.seal(T0 + HOUR_MS)
    if comes == "retention":
        store.retain(T0 + DAY_MS)
        points = later
    else:
        points = PointBatch.concat([points, later])
    while store.index_places(max_rows=100):
        pass
    assert unindexed(tmp_path) == 0
    assert store.check() == []
    for area in areas(points):
        expected = Oracle(area).search(points, T0, T0 + HOUR_MS)
        check(store.inside(grant(), area, T0, T0 + HOUR_MS, max_vehicles=99), expected)


def test_only_devices_that_may_have_been_there_are_read(tmp_path: Path) -> None:
    slots, rows = np.repeat(np.arange(60), 60), np.tile(np.arange(60), 60)
    points = PointBatch.of(
        3600, {"slot": slots, "time_ms": T0 + rows * 60_000, "lat": 40.0 + slots * 0.01 + rows * 1e-5, "lon": 109.0}
    )
    store = opened(tmp_path)
    fill(store, points)
    store.seal(T0 + HOUR_MS)
    store.close()
    store = opened(tmp_path, max_search_rows=130)
    area = Circle(40.1002, 109.0, 60.0)
    told = store.inside(grant(), area, T0, T0 + HOUR_MS, max_vehicles=1)
    check(told, Oracle(area).search(points, T0, T0 + HOUR_MS))
    assert [one.slot for one in told] == [10]
    with pytest.raises(Refused, match="more than 130 points"):
        store.inside(grant(), EVERYWHERE, T0, T0 + HOUR_MS, max_vehicles=99)
    # Ten minutes in which the device was not yet there: its box of those minutes says so, and its chunk is not read.
    store.close()
    store = opened(tmp_path, max_search_rows=1)
    assert store.inside(grant(), Circle(40.1005, 109.0, 10.0), T0, T0 + 600_000, max_vehicles=1) == []


def test_limits_of_a_search(tmp_path: Path) -> None:
    store = opened(tmp_path, max_search_ms=HOUR_MS, max_search_points=50)
    points = drive(10, 600)
    store.commit(Outcome(1, points), stored_ms=T0)
    with pytest.raises(UsageError, match="longer than"):
        store.inside(grant(), SQUARE, T0, T0 + HOUR_MS + 1, max_vehicles=9)
    with pytest.raises(Refused, match="More than 9 vehicles"):
        store.inside(grant(), EVERYWHERE, T0, T0 + HOUR_MS, max_vehicles=9)
    with pytest.raises(Refused, match="More than 50 points"):
        store.inside(grant(), EVERYWHERE, T0, T0 + HOUR_MS, max_vehicles=99)
    assert store.inside(grant(), EVERYWHERE, T0, T0, max_vehicles=99) == []


#: Commits 40 rows a position and seals all the time; on the way it loses the index of a group and makes it again.
_CHILD = """
import sqlite3, sys
from pathlib import Path
import numpy as np
from model.batch import PointBatch
from model.clock import FakeClock
from model.seams import Outcome
from store.series.embedded import EmbeddedSeries
from tests.store.series.conformance import T0, ListAudit

store = EmbeddedSeries(Path(sys.argv[1]), audit=ListAudit(), clock=FakeClock(T0), max_open_rows=200, checkpoint_pages=16)
position = store.totals().position
print("ready", flush=True)
while True:
    position += 1
    row = np.arange(40)
    at = position * 7 % 600 * 60_000 + row * 1000
    points = PointBatch.of(40, {"slot": row % 5, "time_ms": T0 + at, "seq": position * 40 + row,
                                "lat": 40.0 + (position * 37 % 100) * 1e-4, "lon": 109.0 + row * 1e-5})
    store.commit(Outcome(position, points), stored_ms=T0)
    store.seal(T0 + position * 7 % 600 * 60_000)
    if position % 3 == 0:
        with sqlite3.connect(sys.argv[1]) as other:
            other.execute("DELETE FROM places WHERE id = (SELECT min(id) FROM places)")
        store.index_places(again=True)
"""


def test_killed_while_sealing_and_indexing_nothing_is_missed(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    path = tmp_path / "series.db"
    area = Circle(40.003, 109.0002, 150.0)
    found = 0
    for _ in range(3):
        child = subprocess.Popen(
            [sys.executable, "-c", _CHILD, str(path)], stdout=subprocess.PIPE, cwd=Path(__file__).resolve().parents[3]
        )
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        time.sleep(chance.uniform(0.05, 0.3))  # the random moment
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        store = EmbeddedSeries(path, audit=ListAudit(), clock=FakeClock(T0))
        points = PointBatch.concat(list(store.fleet(grant(), 0, 1 << 60)))
        expected = Oracle(area).search(points, T0, T0 + 20 * HOUR_MS)
        found += sum(len(one.points) for one in expected.values())
        check(store.inside(grant(), area, T0, T0 + 20 * HOUR_MS, max_vehicles=9), expected)
        store.index_places()
        assert unindexed(tmp_path) == 0
        check(store.inside(grant(), area, T0, T0 + 20 * HOUR_MS, max_vehicles=9), expected)
        assert store.check() == []
        store.close()
    assert found > 0


def test_retention_takes_the_index_with_the_points(tmp_path: Path) -> None:
    store = opened(tmp_path)
    points = drive(5, 600)
    store.commit(Outcome(1, points), stored_ms=T0)
    store.seal(T0 + HOUR_MS)
    assert len(store.inside(grant(), EVERYWHERE, T0, T0 + HOUR_MS, max_vehicles=9)) == 5
    store.retain(T0 + DAY_MS)
    assert store.inside(grant(), EVERYWHERE, T0, T0 + HOUR_MS, max_vehicles=9) == []
    with closing(sqlite3.connect(tmp_path / "series.db")) as connection:
        assert connection.execute("SELECT count(*) FROM places").fetchone() == (0,)


def test_rows_that_move_between_stored_days_stay_searchable(tmp_path: Path) -> None:
    store = opened(tmp_path)
    points = PointBatch.of(530, {"slot": 3, "time_ms": T0 + np.arange(530), "lat": 40.65, "lon": 109.84})
    for row in range(530):
        store.commit(Outcome(row + 1, points.take(np.array([row]))), stored_ms=T0 + row * DAY_MS)
        store.seal(T0 + HOUR_MS)
    (one,) = store.inside(grant(), SQUARE, T0, T0 + HOUR_MS, max_vehicles=1)
    assert len(one.points) == 530
    store.index_places(again=True)
    assert unindexed(tmp_path) == 0
    (one,) = store.inside(grant(), SQUARE, T0, T0 + HOUR_MS, max_vehicles=1)
    assert len(one.points) == 530
    assert store.check() == []
