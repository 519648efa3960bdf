"""A track as Braille: north is up, shape is true, nothing falls off the picture."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lucheng.plot import braille_track

WIDTH, HEIGHT = 20, 8


def drawn(lat: list[float], lon: list[float]) -> list[str]:
    return braille_track(np.array(lat, float), np.array(lon, float), width_cells=WIDTH, height_cells=HEIGHT)


def columns_used(lines: list[str]) -> list[int]:
    return [x for line in lines for x, char in enumerate(line) if char != "\u2800"]


def test_a_drive_north_is_a_vertical_line() -> None:
    lines = drawn([40.0, 40.1], [109.0, 109.0])
    assert len(set(columns_used(lines))) == 1
    assert all(any(char != "\u2800" for char in line) for line in lines)


def test_a_drive_east_is_a_horizontal_line() -> None:
    lines = drawn([40.0, 40.0], [109.0, 109.2])
    used = [line for line in lines if line.strip("\u2800")]
    assert len(used) == 1
    assert len(columns_used(lines)) == WIDTH


def test_north_is_up() -> None:
    lines = drawn([40.0, 40.1, 40.1], [109.0, 109.0, 109.05])
    top = next(line for line in lines if line.strip("\u2800"))
    bottom = next(line for line in reversed(lines) if line.strip("\u2800"))
    assert len(top.strip("\u2800")) > len(bottom.strip("\u2800"))


@pytest.mark.parametrize("place", [[], [40.0], [float("nan")]])
def test_little_or_nothing_is_drawn_without_fuss(place: list[float]) -> None:
    lines = drawn(place, [109.0] * len(place))
    assert [len(line) for line in lines] == [WIDTH] * HEIGHT


@given(st.lists(st.tuples(st.floats(-90, 90), st.floats(-180, 180)), max_size=30))
def test_any_track_fits(track: list[tuple[float, float]]) -> None:
    lines = drawn([lat for lat, _ in track], [lon for _, lon in track])
    assert [len(line) for line in lines] == [WIDTH] * HEIGHT
    assert all(0x2800 <= ord(char) < 0x2900 for line in lines for char in line)
    assert bool(columns_used(lines)) == bool(track)
