"""The city: repeatable, possible, and like the real data."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from model.batch import COLUMN_NAMES, PointBatch
from model.codes import Flag
from simulator.city import City
from simulator.city.roads import build

START_MS = 1_760_000_000_000


def digest(batch: PointBatch) -> str:
    return hashlib.sha256(b"".join(batch.column(name).tobytes() for name in COLUMN_NAMES)).hexdigest()


def small(seed: int = 1) -> City:
    return City(seed, taxis=60, bikes=300, buttons=20, units=5, start_ms=START_MS, presses_per_day=200)


def test_the_same_seed_gives_the_same_bytes_however_time_is_cut() -> None:
    whole = small().step(START_MS + 900_000)
    pieces = small()
    cut = PointBatch.concat(
        [pieces.step(START_MS + k * 33_333) for k in range(1, 27)] + [pieces.step(START_MS + 900_000)]
    )
    assert digest(whole) == digest(cut)
    assert digest(small(2).step(START_MS + 900_000)) != digest(whole)
    one, other = small(), small()
    other.step(START_MS + 50_000)
    other.beats(START_MS + 50_000)
    end_ms = START_MS + 10_000_000
    pressed = one.presses(end_ms)
    assert len(pressed.index) > 50
    assert np.array_equal(pressed.time_ms, other.presses(end_ms).time_ms)


def test_every_device_reports_on_its_own_interval_and_time_goes_on() -> None:
    city = small()
    assert len(city.ids) == len(set(city.ids)) == 385
    points = city.step(START_MS + 3_600_000)
    assert bool((np.diff(points.received_ms) >= 0).all())
    assert bool((points.time_ms <= points.received_ms).all())
    order = np.argsort(points.slot, kind="stable")
    sorted_points = points.take(order)
    same = np.diff(sorted_points.slot) == 0
    gap_s = np.diff(sorted_points.time_ms)[same] / 1000
    kind = sorted_points.slot[1:][same]
    assert gap_s.min() >= 1
    assert np.median(gap_s[kind < 60]) == 10
    assert np.median(gap_s[kind >= 360]) == 5
    assert bool((np.diff(sorted_points.seq)[same] == 1).all())
    assert len(np.unique(points.slot)) == 365
    # Phases are spread: no second carries more than a small share of the taxis' reports.
    seconds = np.bincount((points.time_ms[points.slot < 60] // 1000 % 10).astype(np.int64), minlength=10)
    assert seconds.max() < 3 * seconds.min()


def test_vehicles_move_as_vehicles_can_and_as_the_real_ones_do() -> None:
    """Bounds are wide around what `simulator.measure` found: see docs/design/simulator.md."""
    seed = 5
    print(f"seed {seed}")
    points = City(seed, taxis=150, bikes=200, buttons=0, units=0, start_ms=START_MS).step(START_MS + 2 * 3_600_000)
    points = points.take(np.argsort(points.slot, kind="stable"))
    same = np.diff(points.slot) == 0
    step_m = np.hypot(np.diff(points.lat) * 111_133, np.diff(points.lon) * 84_450)
    kmh = (step_m[same] / (np.diff(points.time_ms)[same] / 1000)) * 3.6
    assert kmh.max() < 180
    taxi = points.slot < 150
    standing = points.speed_kmh[taxi] == 0
    assert 0.2 < standing.mean() < 0.4
    assert 0.35 < ((points.flags[taxi] & Flag.OCCUPIED) != 0).mean() < 0.6
    moving = points.speed_kmh[taxi][~standing]
    assert 30 < np.median(moving) < 48
    assert moving.max() <= 117
    bike = ~taxi
    riding = bike & (points.speed_kmh > 0)
    assert 13 < np.median(points.speed_kmh[riding]) < 22
    assert points.speed_kmh[bike].max() <= 25
    armed = (points.flags & Flag.ARMED) != 0
    assert not (armed & riding).any()
    assert armed[bike & ~riding].mean() > 0.9
    assert bool((points.battery_pct[bike] > 0).all())
    assert bool((points.battery_pct[taxi] == -1).all())
    still = same & (points.speed_kmh[1:] == 0) & (points.speed_kmh[:-1] == 0)
    assert 0.3 < (step_m[still] == 0).mean() < 0.7
    drift = step_m[still & (step_m > 0)]
    assert 0.5 < np.sqrt((drift**2).mean()) < 6
    assert np.array_equal(points.lat, np.round(points.lat, 6))


def test_occupied_flips_only_where_the_taxi_stands() -> None:
    points = City(3, taxis=80, bikes=0, buttons=0, units=0, start_ms=START_MS).step(START_MS + 3_600_000)
    points = points.take(np.argsort(points.slot, kind="stable"))
    flips = (np.diff((points.flags & int(Flag.OCCUPIED)).astype(np.int32)) != 0) & (np.diff(points.slot) == 0)
    assert flips.sum() > 80
    assert (points.speed_kmh[1:][flips] == 0).mean() > 0.95


def test_every_junction_can_be_reached() -> None:
    roads = build(1)
    seen = np.zeros(roads.nodes, np.bool_)
    seen[0] = True
    for _ in range(roads.nodes):
        reached = roads.neighbour[seen]
        before = seen.sum()
        seen[reached[reached >= 0]] = True
        if seen.sum() == before:
            break
    assert bool(seen.all())
    back = [(int(b), a) for a, row in enumerate(roads.neighbour) for b in row if b >= 0]
    assert {(a, b) for b, a in back} == set(back)


@pytest.mark.parametrize("counts", [(0, 0, 0, 0), (1, 0, 0, 0), (0, 1, 1, 0)])
def test_a_city_of_almost_nothing(counts: tuple[int, int, int, int]) -> None:
    city = City(1, *counts, start_ms=START_MS)
    points = city.step(START_MS + 120_000)
    assert (len(points) > 0) == (counts != (0, 0, 0, 0))
    assert len(city.beats(START_MS + 120_000).index) == 2 * counts[2]
