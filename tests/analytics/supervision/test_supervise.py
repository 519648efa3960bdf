"""What a day comes to: by hand, for random days cut and shuffled, and for days that go wrong."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.fences.index import FenceIndex
from analytics.meaning.context import Context
from analytics.meaning.limits import RuleLimits
from analytics.supervision.day import DayPoints
from analytics.supervision.limits import SupervisionLimits
from analytics.supervision.rates import rates
from analytics.supervision.rows import Supervision, grouped
from model.batch import PointBatch
from model.codes import ALARM_BY_NAME, Flag, Mark
from model.errors import Refused, SettingsError, UsageError
from model.fence import Fence, FenceRule, FenceSet, Shape
from tests.analytics.supervision.oracle import supervised
from tests.analytics.supervision.ours import FROM_MS, WINDOW, as_frame, batch_of, context, judged

MINUTE_MS = 60_000
#: Degrees of latitude that 36 km/h makes in 10 s.
STEP = 100 / 111_195.08


def ride(slot: int = 7, start_ms: int = FROM_MS + 8 * 3_600_000, kmh: float = 36.0, rows: int = 121) -> pd.DataFrame:
    """Standing 5 min, northwards for `rows` - 61 tens of seconds, standing 5 min; every 10 s; occupied from row 40 to 69."""
    moves = np.ones(rows - 1)
    moves[:30] = moves[-30:] = 0
    lat = 40.65 + np.concatenate(([0.0], np.cumsum(moves))) * STEP * kmh / 36
    at = np.arange(rows)
    return pd.DataFrame(
        {
            "slot": slot,
            "time_ms": start_ms + at * 10_000,
            "lat": lat,
            "lon": 109.84,
            "occupied": ((at >= 40) & (at < 70)).astype(int),
            "speed": np.nan,
        }
    )


def same(one: Supervision, other: Supervision) -> bool:
    """To the last bit."""
    for field in fields(Supervision):
        left, right = getattr(one, field.name), getattr(other, field.name)
        if hasattr(left, "__dataclass_fields__"):
            pairs = [(getattr(left, name), getattr(right, name)) for name in left.__dataclass_fields__]
        else:
            pairs = [(left, right)]
        for here, there in pairs:
            np.testing.assert_array_equal(here, there, err_msg=field.name)
    return True


def test_a_ride_by_hand() -> None:
    found = judged([batch_of(ride())], [7, 9])
    one = found.vehicles
    assert found.slot.tolist() == [7, 9]
    assert one.distance_mm[0] == pytest.approx(6_000_000, abs=60)
    assert one.occupied_mm[0] == pytest.approx(3_000_000, abs=60)
    assert (one.driving_ms[0], one.standing_ms[0], one.trips[0], one.stops[0]) == (600_000, 600_000, 1, 2)
    assert (one.told_ms[0], one.occupied_ms[0], one.flips[0], one.hires[0]) == (1_200_000, 300_000, 2, 1)
    assert (one.offline_ms[0], one.gaps[0]) == (86_400_000 - 1_200_000, 0)
    # The other one said nothing at all.
    assert (one.vehicles[1], one.online[1], one.points[1], one.offline_ms[1]) == (1, 0, 0, 86_400_000)
    assert np.isnan(one.max_kmh[1])
    assert found.first_ms.tolist() == [FROM_MS + 8 * 3_600_000, -1]
    city = rates(grouped(one, np.zeros(2, np.int64), 1), 86_400_000)
    assert (city.online[0], city.completeness[0], city.valid[0], city.drift[0]) == (0.5, 1.0, 1.0, 0.0)
    assert city.occupied_distance[0] == pytest.approx(0.5, abs=1e-4)
    assert (city.occupied_time[0], city.online_time[0]) == (0.25, pytest.approx(1_200 / 172_800))
    assert found.hours.online.tolist() == [0] * 8 + [1] + [0] * 15
    assert found.hours.distance_mm[8] == one.distance_mm[0]


def test_overspeed_by_band_with_its_evidence() -> None:
    parts = [ride(slot, kmh=kmh) for slot, kmh in ((1, 84.0), (2, 87.0), (3, 95.0), (4, 110.0), (5, 130.0))]
    found = judged([batch_of(part) for part in parts], range(1, 6))
    assert found.vehicles.overspeed.tolist() == [[0] * 4, [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    worst = found.overspeed
    assert worst.slot.tolist() == [2, 3, 4, 5]
    assert worst.peak_kmh == pytest.approx([87, 95, 110, 130], abs=0.2)
    assert worst.limit_kmh.tolist() == [80.0] * 4
    assert (worst.end_ms - worst.start_ms).tolist() == [590_000] * 4
    assert (worst.first_lat < worst.last_lat).all()
    assert found.vehicles.overspeed_ms[1:].tolist() == [590_000] * 4
    # The bands are a setting.
    other = judged([batch_of(part) for part in parts], range(1, 6), limits=SupervisionLimits(band_edges_pct=(15,)))
    assert other.vehicles.overspeed.tolist() == [[0, 0], [1, 0], [0, 1], [0, 1], [0, 1]]


def test_driving_too_long_tells_when_and_where() -> None:
    start = FROM_MS + 3_600_000
    found = judged([batch_of(ride(start_ms=start, rows=61 + 5 * 360, kmh=20.0))], [7])
    assert found.vehicles.longest_drive_ms.tolist() == [5 * 3_600_000]
    assert found.spells.drive_ms.tolist() == [5 * 3_600_000]
    assert found.spells.start_ms.tolist() == [start + 300_000]
    assert found.spells.over_ms.tolist() == [start + 300_000 + 4 * 3_600_000]
    assert found.spells.over_lat[0] == pytest.approx(40.65 + 4 * 20_000 / 111_195.08, abs=1e-3)


def fenced(rule: FenceRule) -> Context:
    """One fence around the place where the rides end."""
    north = 40.65 + 60 * STEP
    fence = Fence(3, "f", "f", rule, Shape.CIRCLE, center=(109.84, north), radius_m=1_000.0)
    return context(fences=FenceIndex(FenceSet(1, (fence,))))


def test_forbidden_areas_and_those_left() -> None:
    found = judged([batch_of(ride())], [7], by=fenced(FenceRule.FORBIDDEN))
    assert found.areas.bit.tolist() == [ALARM_BY_NAME["forbidden_area"].bit]
    assert (found.areas.fence.tolist(), found.areas.end_ms.tolist()) == ([3], [-1])
    assert found.vehicles.areas.tolist() == [1]
    back = ride()
    back["lat"] = back["lat"].to_numpy()[::-1]
    found = judged([batch_of(back)], [7], by=fenced(FenceRule.EXIT))
    assert found.areas.bit.tolist() == [ALARM_BY_NAME["left_area"].bit]
    found = judged([batch_of(back)], [7], by=fenced(FenceRule.FORBIDDEN))
    assert found.areas.end_ms[0] > found.areas.start_ms[0] > FROM_MS
    assert len(judged([batch_of(back)], [7], by=fenced(FenceRule.ENTER)).areas) == 0


def test_a_gap_is_told_with_what_was_moved_in_it() -> None:
    broken = ride()
    broken.loc[61:, "time_ms"] += 3_600_000
    found = judged([batch_of(broken)], [7])
    assert (found.gaps.end_ms - found.gaps.start_ms).tolist() == [3_610_000]
    assert found.gaps.moved_m == pytest.approx([100.0], abs=0.1)
    assert found.vehicles.gaps.tolist() == [1]
    assert found.vehicles.broken_mm[0] == pytest.approx(100_000, abs=60)
    assert found.vehicles.complete_mm[0] == pytest.approx(5_900_000, abs=60)


def test_wrong_fixes_are_counted_and_no_part_of_the_way() -> None:
    batch = batch_of(ride()).take(np.arange(121))
    batch.lat[45], batch.marks[45] = 41.9, Mark.JUMP
    batch.marks[50] = Mark.NO_FIX
    batch.lat[55] = np.nan
    batch.flags[60] |= np.uint16(Flag.VALID_SENT)
    batch.lat[65] = 12.0
    batch.speed_kmh[70], batch.speed_kmh[71], batch.speed_kmh[72] = np.inf, -3.0, np.nan
    found = judged([batch], [7]).vehicles
    # Marked; and a place far off that nobody marked, there and back.
    assert (found.points[0], found.valid[0], found.drift[0]) == (121, 118, 3)
    assert found.distance_mm[0] == pytest.approx(5_900_000, abs=210_000)
    assert found.drifting[0] == 0
    assert judged([batch], [7], limits=SupervisionLimits(drift_points=3)).vehicles.drifting[0] == 1
    assert found.max_kmh[0] == pytest.approx(36.0, abs=0.2)


def test_clock_jumps_do_not_leave_the_day() -> None:
    part = ride()
    part.loc[50:54, "time_ms"] -= 20 * 86_400_000
    part.loc[60:64, "time_ms"] += 400 * 86_400_000
    part.loc[70:74, "time_ms"] = part.time_ms[70]
    part.loc[80:84, "time_ms"] -= 120_000
    found = judged([batch_of(part)], [7])
    assert found.points == 111
    inside = part[(part.time_ms >= WINDOW[0]) & (part.time_ms < WINDOW[1])]
    expected = supervised(inside, WINDOW)
    pd.testing.assert_series_equal(
        as_frame(found).iloc[0].sort_index(), expected.iloc[0].sort_index(), check_names=False, atol=0.2, rtol=0
    )


@pytest.mark.parametrize("rows", [0, 1])
def test_a_day_of_nothing_or_of_one_point(rows: int) -> None:
    found = judged([batch_of(ride().iloc[:rows])], [7], by=fenced(FenceRule.FORBIDDEN))
    assert found.vehicles.points.tolist() == found.vehicles.online.tolist() == [rows]
    assert found.vehicles.distance_mm.tolist() == found.vehicles.trips.tolist() == [0]
    assert found.vehicles.overspeed.shape == (1, 4)
    assert len(found.overspeed) == len(found.spells) == len(found.areas) == len(found.gaps) == 0
    assert judged([], []).vehicles.overspeed.shape == (0, 4)


@st.composite
def days(draw: st.DrawFn) -> pd.DataFrame:
    """Some vehicles at random: legs of any length and speed, places that repeat, clocks that stand or run back."""
    seed = draw(st.integers(0, 2**32 - 1))
    chance = np.random.default_rng(seed)
    parts = []
    for slot in sorted(chance.choice(40, draw(st.integers(1, 5)), replace=False).tolist()):
        rows = int(chance.integers(1, 60))
        took = chance.choice([0, 1_000, 10_000, 60_000, 290_000, 310_000, 1_300_000, 7_000_000], rows)
        kmh = chance.choice([0.0, 3.0, 20.0, 60.0, 90.0, 120.0, 400.0], rows)
        lat = 40 + np.cumsum(kmh / 3_600_000 * took * chance.choice([-1, 1], rows)) / 111.195
        speed = np.where(chance.random(rows) < 0.3, np.round(kmh), np.nan)
        parts.append(
            pd.DataFrame(
                {
                    "slot": slot,
                    "time_ms": FROM_MS + 1_000_000 + np.cumsum(took),
                    "lat": np.rint(lat * 1e6) / 1e6,
                    "lon": 109.84,
                    "occupied": chance.integers(0, 2, rows),
                    "speed": speed,
                }
            )
        )
    frame = pd.concat(parts, ignore_index=True)
    return frame[frame.time_ms < WINDOW[1]].drop_duplicates(["slot", "time_ms"]).reset_index(drop=True)


@settings(max_examples=15)
@given(days(), st.integers(0, 2**32 - 1))
def test_neither_cuts_nor_the_order_of_vehicles_matter(frame: pd.DataFrame, seed: int) -> None:
    """Batches as an hour's, or of single rows; vehicles in any order, looked at one by one or together."""
    chance = np.random.default_rng(seed)
    batch, slots = batch_of(frame), np.unique(frame.slot).tolist()
    by = fenced(FenceRule.FORBIDDEN)
    whole = judged([batch], slots, by=by)
    edges = np.sort(chance.integers(0, len(batch) + 1, 4))
    pieces = [batch.take(rows) for rows in np.split(np.arange(len(batch)), edges)]
    same(whole, judged(pieces, slots, by=by))
    shuffled = batch.take(chance.permutation(len(batch)))
    same(whole, judged([shuffled], slots, by=by, limits=SupervisionLimits(part_vehicles=1)))


@settings(max_examples=15)
@given(days())
def test_random_days_are_the_oracles(frame: pd.DataFrame) -> None:
    found, expected = as_frame(judged([batch_of(frame)], range(40))), supervised(frame, WINDOW)
    assert found.index.tolist() == expected.index.tolist()
    for name in expected:
        assert found[name].to_numpy(float) == pytest.approx(expected[name].to_numpy(float), abs=0.1), name


@settings(max_examples=15)
@given(days())
def test_companies_and_city_are_sums_of_vehicles(frame: pd.DataFrame) -> None:
    found = judged([batch_of(frame)], range(40)).vehicles
    companies = grouped(found, np.arange(40) % 3, 3)
    city = grouped(companies, np.zeros(3, np.int64), 1)
    same_city = grouped(found, np.zeros(40, np.int64), 1)
    for field in fields(city):
        np.testing.assert_array_equal(getattr(city, field.name), getattr(same_city, field.name))
    assert (city.vehicles[0], city.points[0]) == (40, len(frame))


def test_what_is_refused() -> None:
    with pytest.raises(UsageError, match="window"):
        DayPoints(np.zeros(0, np.int64), 5, 5)
    with pytest.raises(UsageError, match="order"):
        DayPoints(np.array([2, 1]), *WINDOW)
    with pytest.raises(Refused, match="100 points"):
        DayPoints(np.array([7]), *WINDOW, max_points=100).add(batch_of(ride()))
    with pytest.raises(SettingsError):
        SupervisionLimits(band_edges_pct=(20, 10))
    with pytest.raises(SettingsError):
        SupervisionLimits(drift_points=0)


def test_points_of_others_and_of_other_days_are_passed_over() -> None:
    batch = PointBatch.of(4, {"slot": [-1, 7, 900, 7], "time_ms": [FROM_MS, FROM_MS - 1, FROM_MS, WINDOW[1]]})
    assert judged([batch], [7]).points == 0


def test_the_rules_limits_are_used() -> None:
    by = context(limits=replace(RuleLimits(), overspeed_kmh=30.0, moving_kmh=40.0))
    found = judged([batch_of(ride())], [7], by=by)
    assert found.vehicles.overspeed.sum() == 1
    assert (found.vehicles.trips[0], found.vehicles.told_mm[0]) == (0, 0)
