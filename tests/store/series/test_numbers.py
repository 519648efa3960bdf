"""Numeric series: packing, replacing, bounds."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.errors import Corrupt
from store.series.numbers import decode_numbers, encode_numbers, get, put, retain
from store.series.schema import DAY_MS, MIGRATIONS
from tests.store.series.conformance import T0


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as made:
        made.executescript(MIGRATIONS[0])
        yield made


@given(st.lists(st.tuples(st.integers(-(1 << 62), 1 << 62), st.floats(width=64)), max_size=50))
def test_blobs_keep_every_number(samples: list[tuple[int, float]]) -> None:
    times = np.array(sorted(time for time, _ in samples), np.int64)
    values = np.array([value for _, value in samples], np.float64)
    back_times, back_values = decode_numbers(encode_numbers(times, values))
    np.testing.assert_array_equal(back_times, times)
    np.testing.assert_array_equal(back_values.view(np.int64), values.view(np.int64))


@given(st.binary(max_size=100))
def test_noise_is_corrupt(raw: bytes) -> None:
    with pytest.raises(Corrupt):
        decode_numbers(raw)


@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 40), st.integers(-5, 5)), min_size=1, max_size=15), min_size=1, max_size=8
    )
)
def test_the_last_value_of_a_time_wins(puts: list[list[tuple[int, int]]]) -> None:
    model: dict[int, float] = {}
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(MIGRATIONS[0])
        for samples in puts:
            times = np.array([T0 + time * (DAY_MS // 10) for time, _ in samples], np.int64)
            values = np.array([value for _, value in samples], np.float64)
            model.update(zip(times.tolist(), values.tolist(), strict=True))
            put(connection, "luma", "camera/1", times, values, 1, 8)
            assert connection.execute("SELECT count(*) FROM number_open").fetchone()[0] <= 8
        found_times, found_values = get(connection, "luma", "camera/1", 0, 1 << 60)
    assert found_times.tolist() == sorted(model)
    assert found_values.tolist() == [model[time] for time in sorted(model)]


def test_retention_by_stored_day(connection: sqlite3.Connection) -> None:
    times = T0 + np.arange(30, dtype=np.int64)
    put(connection, "luma", "a", times, np.zeros(30), 5, 8)
    put(connection, "luma", "a", times[:2] + DAY_MS, np.zeros(2), 6, 8)
    retain(connection, 6)
    assert get(connection, "luma", "a", 0, 1 << 60)[0].tolist() == (times[:2] + DAY_MS).tolist()
    retain(connection, 7)
    assert len(get(connection, "luma", "a", 0, 1 << 60)[0]) == 0
