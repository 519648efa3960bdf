"""The noise of a parked vehicle: standing stretches are found, a known noise is fitted back, and the real one is reproduced."""

from __future__ import annotations

import csv
import gzip
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from simulator.parked import (
    MEMORIES_S,
    Noise,
    Stretch,
    calm,
    draw,
    fit,
    standing_stretches,
    structure,
)

SEED = 20_260_301
FLEET = Path("taxi", "cabspotting-sf-2008-05-30.csv.gz")
CABS = 120
#: Spread 3 m, half of it lasting a minute and a half, half of it half an hour; an excursion of 40 m every two hours.
KNOWN = Noise((3.0,), (0.0, 0.5, 0.0, 0.5, 0.0), 0.5, 180.0, (float(np.log(40.0)), 0.1))


def drawn(noise: Noise, bikes: int, hours: int, every_s: float = 60.0) -> list[Stretch]:
    print("seed", SEED)
    rng = np.random.default_rng(SEED)
    count = int(hours * 3_600 / every_s)
    errors = draw(noise, rng.choice(noise.spreads_m, bikes), every_s, count, rng)
    return [Stretch(np.arange(count, dtype=np.float64) * every_s, one - np.median(one, axis=0)) for one in errors]


def test_a_known_noise_is_fitted_back() -> None:
    found = fit(drawn(KNOWN, 40, 24))
    assert np.median(found.spreads_m) == pytest.approx(3.0, rel=0.1)
    assert found.excursions_per_h == pytest.approx(0.5, rel=0.2)
    assert found.excursion_s == pytest.approx(180.0, rel=0.35)
    assert np.exp(found.excursion_log_m[0]) == pytest.approx(40.0, rel=0.1)
    for lag in (60.0, 300.0, 1_800.0):
        assert found.correlation(lag) == pytest.approx(KNOWN.correlation(lag), abs=0.08)


def test_white_noise_is_not_taken_for_a_lasting_one() -> None:
    found = fit(drawn(replace(KNOWN, weights=(1.0, 0.0, 0.0, 0.0, 0.0)), 20, 12))
    assert found.correlation(120.0) < 0.1


@pytest.mark.parametrize("every_s", [10.0, 30.0, 60.0])
def test_the_drawn_noise_has_the_same_spread_and_memory_at_any_interval(every_s: float) -> None:
    calm_noise = replace(KNOWN, excursions_per_h=0.0)
    stretches = drawn(calm_noise, 30, 12, every_s)
    spread = np.sqrt(np.mean([(one.offset_m**2).mean() for one in stretches]))
    assert spread == pytest.approx(3.0, rel=0.1)
    assert structure(stretches, [60.0])[0] / 2.0 == pytest.approx(1.0 - calm_noise.correlation(60.0), abs=0.06)


def parked_then(drive_m: float, away_s: float, hours: float = 2.0) -> list[Stretch]:
    """A vehicle that stands, is somewhere else for so long, and comes back."""
    rng = np.random.default_rng(SEED)
    time_s = np.arange(int(2 * hours * 60), dtype=np.float64) * 60.0
    place = rng.normal(0.0, 2.0, (len(time_s), 2))
    middle = time_s[len(time_s) // 2]
    place[(time_s >= middle) & (time_s < middle + away_s), 0] += drive_m
    return standing_stretches(time_s, place[:, 0], place[:, 1])


def test_a_short_leap_stays_in_its_stretch_and_a_long_absence_ends_it() -> None:
    (one,) = parked_then(60.0, 300.0)
    assert np.hypot(*one.offset_m.T).max() > 50.0
    first, second = parked_then(60.0, 2_400.0)
    assert max(np.hypot(*part.offset_m.T).max() for part in (first, second)) < 15.0


def test_a_vehicle_that_drives_or_is_silent_does_not_stand() -> None:
    time_s = np.arange(600, dtype=np.float64) * 60.0
    assert standing_stretches(time_s, time_s * 8.0, time_s * 0.0) == []
    seldom = np.arange(60, dtype=np.float64) * 700.0
    assert standing_stretches(seldom, seldom * 0.0, seldom * 0.0) == []


def real() -> list[Stretch]:
    """Stretches of part of the real fleet."""
    root = Path(os.environ.get("LUCHENG_TEST_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
    if not (root / FLEET).is_file():
        pytest.skip("the real tracks are not there (LUCHENG_TEST_DATA)")
    with gzip.open(root / FLEET, "rt", newline="") as lines:
        rows = [row for row in csv.reader(lines) if row][1:]
    _, cab = np.unique(np.array([row[1] for row in rows]), return_inverse=True)
    time_s, lat, lon = (np.array([float(row[k]) for row in rows]) for k in (0, 2, 3))
    found = []
    for number in range(CABS):
        mine = np.flatnonzero(cab == number)
        mine = mine[np.argsort(time_s[mine], kind="stable")]
        east = lon[mine] * 111_195.0 * np.cos(np.radians(37.77))
        found += standing_stretches(time_s[mine], east, lat[mine] * 111_195.0)
    return found


def test_the_model_has_the_spread_and_the_autocorrelation_of_places_it_has_not_seen() -> None:
    stretches = real()
    known, held_out = stretches[0::2], stretches[1::2]
    noise = fit(known)
    made = drawn(noise, 200, 6)
    seen = np.concatenate([np.hypot(*one.offset_m.T) for one in held_out])
    ours = np.concatenate([np.hypot(*one.offset_m.T) for one in made])
    print("seen", np.percentile(seen, (50, 90, 99)), "drawn", np.percentile(ours, (50, 90, 99)))
    for quantile in (50, 90, 99):
        assert 0.5 < np.percentile(ours, quantile) / np.percentile(seen, quantile) < 2.0
    lags = (60.0, 300.0, 900.0)
    for real_change, made_change in zip(structure(held_out, lags), structure(made, lags), strict=True):
        assert made_change == pytest.approx(real_change, rel=0.3)
    # Neither white nor frozen: a fix a minute later still shares most of the error, one an hour later little.
    assert noise.correlation(60.0) > 0.4
    assert noise.correlation(3_600.0) < 0.3
    assert 1.0 < np.median([calm(one)[1] for one in held_out]) < 6.0
    assert len(noise.weights) == len(MEMORIES_S)
