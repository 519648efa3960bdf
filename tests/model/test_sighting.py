"""`sighting_uncertainty_m`: honest, bounded, never smaller for a weaker signal."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.sighting import (
    DEFAULT_PATH_LOSS_EXPONENT,
    DEFAULT_REFERENCE_DBM,
    DEFAULT_SHADOWING_DB,
    MAX_SIGHTING_M,
    MIN_SIGHTING_M,
    sighting_uncertainty_m,
)


@given(st.lists(st.floats(width=32), max_size=20))
def test_any_strength_gives_a_bounded_radius(rssi: list[float]) -> None:
    radius = sighting_uncertainty_m(np.array(rssi, np.float64))
    assert radius.shape == (len(rssi),)
    assert ((radius >= MIN_SIGHTING_M) & (radius <= MAX_SIGHTING_M)).all()


@given(st.floats(-130, 10), st.floats(-130, 10))
def test_a_weaker_signal_is_never_nearer(one: float, other: float) -> None:
    weak, strong = sighting_uncertainty_m(np.array([min(one, other), max(one, other)]))
    assert weak >= strong


def test_no_strength_told_is_as_far_as_a_reader_reads() -> None:
    assert float(sighting_uncertainty_m(float("nan"))) == MAX_SIGHTING_M


@pytest.mark.parametrize(("rssi_dbm", "radius_m"), [(-40, 10.0), (-70, 15.3), (-80, 35.9), (-90, 84.3), (-100, 150.0)])
def test_known_values(rssi_dbm: float, radius_m: float) -> None:
    assert float(sighting_uncertainty_m(rssi_dbm)) == pytest.approx(radius_m, abs=0.05)


def test_the_radius_holds_the_tag_as_often_as_it_says() -> None:
    """Tags anywhere within reach, strengths by the model it names: at least 97 % lie within the radius."""
    seed = 20_260_301
    print("seed", seed)
    chance = np.random.default_rng(seed)
    far_m = MAX_SIGHTING_M * np.sqrt(chance.random(20_000))
    fading_db = chance.normal(0.0, DEFAULT_SHADOWING_DB, len(far_m))
    rssi = DEFAULT_REFERENCE_DBM - 10 * DEFAULT_PATH_LOSS_EXPONENT * np.log10(np.maximum(far_m, 1.0)) + fading_db
    held = (far_m <= sighting_uncertainty_m(rssi)).mean()
    assert 0.97 <= held < 1.0
