"""Statuses and ticks as records of the log."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.errors import Corrupt
from model.status_batch import StatusBatch, Tick

ROWS = st.lists(
    st.tuples(
        st.integers(0, 2**31 - 1),
        st.integers(-(2**62), 2**62),
        st.integers(0, 2**62),
        st.integers(0, 1),
        st.integers(-1, 100),
    ),
    max_size=20,
)


@given(ROWS)
def test_what_was_written_is_read(rows: list[tuple[int, int, int, int, int]]) -> None:
    batch = StatusBatch.of(rows)
    again = StatusBatch.from_bytes(batch.to_bytes())
    columns = (again.slot, again.time_ms, again.received_ms, again.online, again.battery_pct)
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == rows
    assert [column.dtype for column in columns] == [np.int32, np.int64, np.int64, np.int8, np.int16]


@given(ROWS, st.data())
def test_a_damaged_record_is_named(rows: list[tuple[int, int, int, int, int]], data: st.DataObject) -> None:
    raw = StatusBatch.of(rows).to_bytes()
    cut = data.draw(st.integers(0, len(raw) - 1))
    with pytest.raises(Corrupt):
        StatusBatch.from_bytes(raw[:cut])
    with pytest.raises(Corrupt):
        StatusBatch.from_bytes(b"LCT9" + raw[4:])


@given(ROWS, ROWS)
def test_concat_keeps_the_order(
    first: list[tuple[int, int, int, int, int]], second: list[tuple[int, int, int, int, int]]
) -> None:
    both = StatusBatch.concat([StatusBatch.of(first), StatusBatch.of(second)])
    assert both.to_bytes() == StatusBatch.of(first + second).to_bytes()
    assert len(StatusBatch.concat([])) == 0


@given(st.integers(-(2**63), 2**63 - 1), st.booleans())
def test_a_tick_comes_back(time_ms: int, listening: bool) -> None:
    tick = Tick(time_ms, listening)
    assert Tick.from_bytes(tick.to_bytes()) == tick
    with pytest.raises(Corrupt):
        Tick.from_bytes(tick.to_bytes() + b"x")
