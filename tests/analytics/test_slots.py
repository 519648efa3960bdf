"""The memory of a rule: grows, is saved canonically, comes back whole or not at all."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.slots import FIRST_CAPACITY, Field, Slots
from model.errors import Corrupt

FIELDS = (
    Field("since_ms", "<i8", -1, "since when"),
    Field("lat", "<f8", np.nan, "a place"),
    Field("inside", "<i4", 0, "fences", width=3),
)
WRITES = st.lists(st.tuples(st.integers(0, 3_000), st.integers(0, 1000), st.floats(-90, 90)), max_size=30)


def filled(writes: list[tuple[int, int, float]], *, room: int = 0) -> Slots:
    memory = Slots(FIELDS)
    memory.grow(room)
    for slot, number, lat in writes:
        memory.grow(slot + 1)
        memory["since_ms"][slot] = number
        memory["lat"][slot] = lat
        memory["inside"][slot] = (number, 0, number)
    return memory


@given(WRITES)
def test_bytes_come_back_and_are_canonical(writes: list[tuple[int, int, float]]) -> None:
    memory = filled(writes)
    raw = memory.to_bytes()
    again = Slots(FIELDS)
    again.restore(raw)
    assert again.to_bytes() == raw
    # Room that nobody uses leaves no trace.
    assert filled(writes, room=50_000).to_bytes() == raw
    for slot, _, _ in writes:
        for field in FIELDS:
            assert np.array_equal(again[field.name][slot], memory[field.name][slot], equal_nan=True)


@given(WRITES, st.data())
def test_what_is_cut_short_changes_nothing(writes: list[tuple[int, int, float]], data: st.DataObject) -> None:
    raw = filled(writes).to_bytes()
    memory = filled([(7, 7, 7.0)])
    before = memory.to_bytes()
    with pytest.raises(Corrupt):
        memory.restore(raw[: data.draw(st.integers(0, len(raw) - 1))])
    assert memory.to_bytes() == before


def test_growing_keeps_what_is_known() -> None:
    memory = filled([(3, 42, 1.5)])
    assert memory.capacity == FIRST_CAPACITY
    memory.grow(FIRST_CAPACITY + 1)
    assert memory.capacity == 2 * FIRST_CAPACITY
    assert memory["since_ms"][3] == 42
    assert memory["since_ms"][FIRST_CAPACITY] == -1
    assert memory["inside"].shape == (2 * FIRST_CAPACITY, 3)
