"""Impossible values: quarantined with a reason, or set to missing and counted."""

from __future__ import annotations

import math

import numpy as np
import pytest

from model.codes import Reason
from tests.analytics.keeper import BUFFERED, NOW_MS, Keeper, batch, reasons

DAY_MS = 86_400_000


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"lat": math.nan}, Reason.NOT_A_NUMBER),
        ({"lon": math.inf}, Reason.NOT_A_NUMBER),
        ({"lat": -math.inf}, Reason.NOT_A_NUMBER),
        ({"lat": 90.001}, Reason.OUT_OF_RANGE),
        ({"lon": -180.001}, Reason.OUT_OF_RANGE),
        ({"time_ms": 0}, Reason.OUT_OF_RANGE),
        ({"time_ms": -5}, Reason.OUT_OF_RANGE),
        ({"time_ms": 4_102_444_800_000}, Reason.OUT_OF_RANGE),
        ({"time_ms": np.iinfo(np.int64).min}, Reason.OUT_OF_RANGE),
        ({"lat": 0.0, "lon": 0.0}, Reason.NULL_ISLAND),
        ({"lat": -0.0001, "lon": 0.00009}, Reason.NULL_ISLAND),
        ({"slot": -1}, Reason.UNKNOWN_DEVICE),
        ({"slot": 2**31 - 1}, Reason.UNKNOWN_DEVICE),
        ({"time_ms": NOW_MS + 2 * DAY_MS}, Reason.FUTURE),
        ({"time_ms": NOW_MS + 2 * DAY_MS, "flags": BUFFERED}, Reason.FUTURE),
        ({"time_ms": NOW_MS - 31 * DAY_MS}, Reason.STALE_CLOCK),
    ],
)
def test_an_impossible_row_is_quarantined_and_its_neighbours_are_not(
    keeper: Keeper, row: dict[str, float], reason: Reason
) -> None:
    result = keeper.feed(batch([{"slot": 1}, row, {"slot": 2}]))
    assert reasons(result) == {reason: [1]}
    assert result.points.slot.tolist() == [1, 2]


@pytest.mark.parametrize(
    "row",
    [
        {"lat": 90.0},
        {"lat": -90.0, "lon": 180.0},
        {"lat": 0.0},
        {"lat": 0.0, "lon": 0.00011},
        {"time_ms": NOW_MS - 29 * DAY_MS},
        {"time_ms": NOW_MS - 3_650 * DAY_MS, "flags": BUFFERED},
        {"time_ms": NOW_MS + DAY_MS},
    ],
)
def test_a_rare_but_possible_row_is_kept(keeper: Keeper, row: dict[str, float]) -> None:
    result = keeper.feed(batch([row]))
    assert len(result.points) == 1
    assert result.rejected == []


@pytest.mark.parametrize(
    ("name", "bad", "good", "missing"),
    [
        ("speed_kmh", [-0.1, 1_000.1, math.inf, -math.inf], [0.0, 1_000.0, math.nan], math.nan),
        ("heading_deg", [-1.0, 360.1, math.inf], [0.0, 360.0, math.nan], math.nan),
        ("alt_m", [-1_001.0, 20_001.0], [-400.0, 8_849.0, math.nan], math.nan),
        ("acc_m", [-1.0, 1e6], [0.0, 30.0, math.nan], math.nan),
        ("sat", [-2, 201], [-1, 0, 24], -1),
        ("battery_pct", [-2, 101], [-1, 0, 100], -1),
        ("seq", [-2, np.iinfo(np.int64).min], [-1, 0, np.iinfo(np.int64).max], -1),
    ],
)
def test_an_impossible_secondary_value_is_cleared_and_counted(
    keeper: Keeper, name: str, bad: list[float], good: list[float], missing: float
) -> None:
    given = batch([{"slot": at, name: value} for at, value in enumerate(bad + good)])
    result = keeper.feed(given)
    assert result.rejected == []
    assert result.gauges == {f"cleared.{name}": len(bad)}
    expected = np.array([missing] * len(bad) + good, dtype=given.column(name).dtype)
    np.testing.assert_array_equal(result.points.column(name), expected)
