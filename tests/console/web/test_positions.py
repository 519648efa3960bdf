"""Where devices are: newest wins whatever the order, what is shown is who may be shown; rows as text; clusters; boxes."""

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.web.plane import MAX_LAT_DEG, Box, cell_power, checked_zoom, clusters, mercator, within
from console.web.position_text import IdTexts, Texts
from console.web.positions import Positions, State
from console.web.views import Board, Viewport
from devices.directory import Directory
from model.batch import PointBatch
from model.clock import FakeClock
from model.codes import Flag, Mark
from model.errors import UsageError

NOW_MS = 1_795_334_400_000
KINDS = ("taxi", "unit", "ebike", "camera")


def directory_of(ids: list[str], off: tuple[int, ...] = ()) -> Directory:
    made = Directory()
    rows = [(slot, one, one.partition("/")[0], int(slot not in off), 0, -1) for slot, one in enumerate(ids)]
    made.apply(rows, 1)
    return made


def batch(**columns: Any) -> PointBatch:
    given_columns = {"received_ms": NOW_MS, "lat": 40.0, "lon": 109.0, **columns}
    return PointBatch.of(len(columns["slot"]), given_columns)


# -- the table --------------------------------------------------------------------------------

POINTS = st.lists(
    st.tuples(
        st.integers(0, 5),
        st.integers(NOW_MS - 5_000, NOW_MS),
        st.integers(-1, 3),
        st.one_of(st.floats(-90, 90), st.just(math.nan)),
    ),
    max_size=40,
)


@given(st.lists(POINTS, max_size=5))
def test_the_newest_point_wins_as_it_does_in_a_track(batches: list[list[tuple[int, int, int, float]]]) -> None:
    positions = Positions(directory_of([f"taxi/{slot}" for slot in range(6)]), FakeClock(NOW_MS))
    newest: dict[int, tuple[int, int, float]] = {}
    for points in batches:
        if points:
            slot, time_ms, seq, lat = zip(*points, strict=True)
            positions.take(batch(slot=slot, time_ms=time_ms, seq=seq, lat=lat))
        for one, time_ms_, seq_, lat_ in points:
            if not math.isnan(lat_) and (one not in newest or (time_ms_, seq_) >= newest[one][:2]):
                newest[one] = (time_ms_, seq_, lat_)
    picture = positions.picture()
    found = zip(picture.slot.tolist(), picture.time_ms.tolist(), picture.lat.tolist(), strict=True)
    assert {slot: (time_ms, lat) for slot, time_ms, lat in found} == {
        slot: (time_ms, lat) for slot, (time_ms, _, lat) in newest.items()
    }


def test_who_is_shown_to_everybody_and_who_only_when_asked_for() -> None:
    ids = ["taxi/1", "ebike/1", "unit/1", "taxi/off", "taxi/old", "taxi/ahead", "camera/1"]
    clock = FakeClock(NOW_MS)
    positions = Positions(directory_of(ids, off=(3,)), clock, window_s=600)
    ago_ms = np.array([0, 0, 0, 0, 600_001, -400_000, 0])
    positions.take(batch(slot=np.arange(7), time_ms=NOW_MS - ago_ms))
    assert positions.picture().slot.tolist() == [0, 2]
    asked = positions.picture(np.array([1, 3, 4, 99, -5]))
    assert (asked.slot.tolist(), asked.listed.tolist()) == ([0, 1, 2, 4], [True, False, True, False])
    assert asked.rows_of(np.array([4, 1, 77])).tolist() == [1, 3]
    clock.advance(601)
    assert len(positions.picture()) == 1  # the one that had been ahead


def test_a_device_that_the_directory_does_not_know_yet_waits_for_it() -> None:
    directory = directory_of(["taxi/1"])
    positions = Positions(directory, FakeClock(NOW_MS))
    positions.take(batch(slot=[0, 1, 5000], time_ms=[NOW_MS] * 3))
    assert positions.picture().slot.tolist() == [0]
    directory.apply([(1, "taxi/2", "taxi", 1, 0, -1)], 2)
    assert positions.picture().slot.tolist() == [0, 1]


def test_state_bits_say_what_makes_a_place_doubtful_or_urgent() -> None:
    positions = Positions(directory_of(["taxi/1"]), FakeClock(NOW_MS))
    flags, marks = int(Flag.OCCUPIED | Flag.OCCUPIED_SENT), int(Mark.JUMP | Mark.LATE)
    positions.take(batch(slot=[0], time_ms=[NOW_MS], flags=flags, marks=marks, alarm_bits=1))
    assert positions.picture().bits.tolist() == [flags | State.JUMP | State.ALARM]
    positions.take(batch(slot=[0], time_ms=[NOW_MS + 1], marks=int(Mark.NO_FIX)))
    assert positions.picture().bits.tolist() == [int(State.NO_FIX)]


def test_points_without_a_place_and_empty_batches_change_nothing() -> None:
    positions = Positions(directory_of(["taxi/1"]), FakeClock(NOW_MS))
    positions.take(PointBatch.empty())
    positions.take(batch(slot=[0, 0], time_ms=[NOW_MS] * 2, lat=[math.nan, 40.0], lon=[109.0, math.inf]))
    assert len(positions.picture()) == 0


# -- text -------------------------------------------------------------------------------------

NUMBER = st.one_of(st.floats(0, 400, width=32), st.just(math.nan))


@given(
    st.lists(
        st.tuples(
            st.from_regex(r"\A[A-Za-z0-9_\-][A-Za-z0-9_.\-]{0,20}[A-Za-z0-9_\-]\Z"),
            st.floats(-90, 90),
            st.floats(-180, 180),
            NUMBER,
            NUMBER,
            NUMBER,
            st.integers(-100_000, 599_000),
            st.integers(0, 8191),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_rows_are_the_json_that_a_loop_would_write(rows: list[tuple[Any, ...]]) -> None:
    names = [f"taxi/{number}{row[0]}" for number, row in enumerate(rows)]
    positions = Positions(directory_of(names), FakeClock(NOW_MS))
    _, lat, lon, heading, speed, acc, ago_ms, bits = (list(column) for column in zip(*rows, strict=True))
    positions.take(
        batch(
            slot=np.arange(len(rows)),
            time_ms=NOW_MS - np.array(ago_ms),
            lat=lat,
            lon=lon,
            heading_deg=heading,
            speed_kmh=speed,
            acc_m=acc,
            flags=np.array(bits) & 0x3FF,
        )
    )
    picture = positions.picture()
    texts = Texts(picture, names, IdTexts(), np.arange(0, len(picture), 2))
    written = json.loads(b"[" + texts.of(np.arange(len(picture))) + b"]")
    assert len(written) == len(rows)
    for row, (name, at_lat, at_lon, at_heading, at_speed, age_s, flags, at_acc) in zip(rows, written, strict=True):
        assert name == names[written.index([name, at_lat, at_lon, at_heading, at_speed, age_s, flags, at_acc])]
        assert (at_lat, at_lon) == pytest.approx((row[1], row[2]), abs=6e-7)
        for got, sent in ((at_heading, row[3]), (at_speed, row[4]), (at_acc, row[5])):
            assert got is None if math.isnan(sent) else got == pytest.approx(sent, abs=0.0501)
        assert age_s == max(row[6], 0) // 100 / 10
        assert flags == row[7] & 0x3FF


def test_ids_of_any_length_come_as_they_are() -> None:
    ids = [f"taxi/{'x' * length}" for length in range(1, 65)]
    texts = IdTexts()
    rng = np.random.default_rng(3)
    for _ in range(20):
        slots = rng.choice(len(ids), 7, replace=False)
        found = [bytes(row[row != 0]).decode() for row in texts.of(slots, ids)]
        assert found == [ids[slot] for slot in slots]


# -- boxes and clusters -----------------------------------------------------------------------

LAT = st.floats(-90, 90)
LON = st.floats(-180, 180)


@given(st.lists(st.tuples(LAT, LON), max_size=60), st.integers(0, 24))
def test_clusters_are_those_of_a_loop(places: list[tuple[float, float]], zoom: int) -> None:
    lat, lon = (np.array([place[axis] for place in places], np.float64) for axis in (0, 1))
    power = cell_power(zoom)
    found = clusters(lat, lon, power)
    cells: dict[tuple[int, int], list[int]] = {}
    side = 2**power
    for number, (at_lat, at_lon) in enumerate(places):
        bounded = min(max(at_lat, -MAX_LAT_DEG), MAX_LAT_DEG)
        down = 0.5 - math.atanh(math.sin(math.radians(bounded))) / (2 * math.pi)
        cell = tuple(min(max(int(value * side), 0), side - 1) for value in ((at_lon + 180) / 360, down))
        cells.setdefault((cell[1], cell[0]), []).append(number)
    assert found.count.sum() == len(places)
    got = list(zip(found.y.tolist(), found.x.tolist(), strict=True))
    assert got == sorted(got)
    # a place on the very edge of a cell may fall to either side by rounding
    if got == sorted(cells):
        for row, cell in enumerate(got):
            members = cells[cell]
            assert found.count[row] == len(members)
            assert found.first[row] == members[0]
            assert found.lat[row] == pytest.approx(np.mean([places[one][0] for one in members]), abs=1e-9)
            assert found.lon[row] == pytest.approx(np.mean([places[one][1] for one in members]), abs=1e-9)
    else:
        x, y = mercator(lat, lon)
        edge = np.abs(np.stack((x, y)) * side - np.rint(np.stack((x, y)) * side)).min()
        assert edge < 1e-6


@given(st.tuples(st.floats(-200, 200), st.floats(0, 400), LAT, LAT), st.lists(st.tuples(LAT, LON), max_size=30))
def test_a_box_holds_what_lies_in_it_also_over_the_antimeridian(
    bounds: tuple[float, float, float, float], places: list[tuple[float, float]]
) -> None:
    west, wide, one, other = bounds
    box = Box.of([west, min(one, other), west + wide, max(one, other)])
    lat, lon = (np.array([place[axis] for place in places], np.float64) for axis in (0, 1))
    for (at_lat, at_lon), inside in zip(places, within(box, lat, lon).tolist(), strict=True):
        turns = [at_lon + 360 * turn for turn in (-2, -1, 0, 1, 2)]
        expected = min(one, other) <= at_lat <= max(one, other) and any(west <= t <= west + wide for t in turns)
        near_edge = any(min(abs(t - west), abs(t - west - wide)) < 1e-9 for t in turns)
        assert inside == expected or near_edge


@given(st.tuples(st.floats(-180, 180), st.floats(0, 359), LAT, LAT), st.floats(0, 2), st.floats(0, 1), st.floats(0, 1))
def test_a_grown_box_holds_the_box_and_what_is_smaller(
    bounds: tuple[float, float, float, float], share: float, start: float, size: float
) -> None:
    west, wide, one, other = bounds
    box = Box.of([west, min(one, other), west + wide, max(one, other)])
    grown = box.grown(share + 0.01)
    part_west = box.west + box.width_deg * start
    part = Box.of([part_west, box.south, part_west + box.width_deg * (1 - start) * size, box.north])
    if box.width_deg > 1e-6:
        assert grown.holds(box)
        assert grown.holds(part)
    assert not box.holds(Box(-180, -90, 180, 90)) or box.width_deg >= 360


@pytest.mark.parametrize("text", ["", "1,2,3", "1,2,3,4,5", "a,b,c,d", "0,nan,1,2", "0,10,1,5", "0,0,inf,1", "9,0,1,1"])
def test_what_is_no_box_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Box.parse(text)


@pytest.mark.parametrize("zoom", [-1, 25, math.nan, math.inf])
def test_what_is_no_zoom_is_refused(zoom: float) -> None:
    with pytest.raises(UsageError):
        checked_zoom(zoom)


# -- views ------------------------------------------------------------------------------------

MOVES = st.lists(
    st.lists(st.tuples(st.integers(0, 11), st.floats(39.9, 40.2), st.floats(108.9, 109.2)), max_size=8), max_size=8
)


@given(MOVES, st.integers(1, 14), st.lists(st.booleans(), min_size=8, max_size=8))
def test_who_applies_every_frame_and_who_misses_some_see_the_same(
    moves: list[list[tuple[int, float, float]]], limit: int, awake: list[bool]
) -> None:
    clock = FakeClock(NOW_MS)
    ids = [f"{'unit' if slot % 3 == 0 else 'taxi'}/{slot}" for slot in range(12)]
    positions = Positions(directory_of(ids), clock)
    board = Board(positions, window_s=600, max_vehicles=limit)
    view = board.join(Viewport(Box(109.0, 40.0, 109.1, 40.1), 12, ("taxi",), (3,)))
    quick, slow = Client(), Client()
    for number, move in enumerate(moves):
        clock.advance(1)
        if move:
            slot, lat, lon = (list(column) for column in zip(*move, strict=True))
            positions.take(batch(slot=slot, time_ms=clock.now_ms(), lat=lat, lon=lon))
        board.tick()
        quick.take(view)
        if awake[number]:
            slow.take(view)
    slow.take(view)
    quick.take(view)
    assert (quick.devices, quick.cells) == (slow.devices, slow.cells)
    picture = positions.picture()
    inside = {
        ids[slot]
        for slot, lat, lon in zip(picture.slot.tolist(), picture.lat.tolist(), picture.lon.tolist(), strict=True)
        if slot % 3 and 40.0 <= lat <= 40.1 and 109.0 <= lon <= 109.1
    }
    followed = {ids[3]} & {ids[slot] for slot in picture.slot.tolist()}
    if len(inside) > limit:
        assert sum(cell[3] for cell in quick.cells) == len(inside)
        assert set(quick.devices) == followed
    else:
        assert set(quick.devices) == inside | followed
        assert not quick.cells


class Client:
    """What a page has drawn after the events it took, as the contract says."""

    def __init__(self) -> None:
        self.devices: dict[str, list[Any]] = {}
        self.cells: list[list[Any]] = []
        self._seen = 0

    def take(self, view: Any) -> None:
        text = view.frame.event(self._seen)
        self._seen = view.frame.number
        if not text:
            return
        name, data = text.decode().strip().split("\n")
        frame = json.loads(data.removeprefix("data: "))
        if name == "event: clusters":
            self.devices, self.cells = {}, frame["cells"]
        elif frame.get("all"):
            self.devices, self.cells = {}, []
        for device in frame.get("gone", ()):
            del self.devices[device]
        # how old a place was when it was sent depends on when that was
        self.devices |= {row[0]: row[1:3] for row in frame["devices"]}


def test_equal_viewports_share_a_view_and_the_last_viewer_takes_it_away() -> None:
    board = Board(Positions(directory_of(["taxi/1"]), FakeClock(NOW_MS)), window_s=600)
    viewport = Viewport(Box(109.0, 40.0, 109.1, 40.1), 12)
    first, second = board.join(viewport), board.join(Viewport(Box(109.0, 40.0, 109.1, 40.1), 12))
    other = board.join(Viewport(Box(109.0, 40.0, 109.1, 40.1), 13))
    assert first is second is not other
    assert len(board) == 2
    for view in (first, second, other):
        board.leave(view)
    assert len(board) == 0
