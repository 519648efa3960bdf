"""The memory of pairs: as a dictionary would hold them, through growth, dropping and bytes."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.rules.fence_memory import ENTRY, Memberships

PAIRS = st.sets(st.tuples(st.integers(0, 600), st.integers(1, 9)), max_size=40)


def made(pairs: set[tuple[int, int]]) -> np.ndarray:
    """Entries whose time says whose they are."""
    rows = np.zeros(len(pairs), ENTRY)
    for at, (slot, number) in enumerate(pairs):
        rows[at] = (slot, number, 0, slot * 10 + number, 0, 1, 0, 0, 0)
    return rows


@given(st.lists(st.tuples(PAIRS, PAIRS), max_size=8), st.integers(1, 20))
@settings(max_examples=60, deadline=None)
def test_it_holds_what_a_dictionary_holds(
    changes: list[tuple[set[tuple[int, int]], set[tuple[int, int]]]], more: int
) -> None:
    memory, held = Memberships(), set[tuple[int, int]]()
    for add, drop in changes:
        # More than there is room for, now and then.
        new = {(slot * 700 + again, number) for slot, number in add for again in range(more)} - held
        slots = np.array(sorted({slot for slot, _ in new | drop}), np.int64)
        device, entry = memory.find(slots)
        rows = memory.rows[entry]
        assert (slots[device] == rows["slot"]).all()
        assert sorted(zip(rows["slot"].tolist(), rows["number"].tolist(), strict=True)) == sorted(
            pair for pair in held if pair[0] in set(slots.tolist())
        )
        pairs = zip(rows["slot"].tolist(), rows["number"].tolist(), strict=True)
        memory.change(entry, np.array([pair in drop for pair in pairs], np.bool_), made(new))
        held = (held - drop) | new
    rows = memory.entries()
    assert list(zip(rows["slot"].tolist(), rows["number"].tolist(), strict=True)) == sorted(held)
    assert (rows["since_ms"] == rows["slot"].astype(np.int64) * 10 + rows["number"]).all()
    assert len(memory) == len(held)
    again = Memberships()
    again.restore(memoryview(memory.to_bytes()))
    assert again.to_bytes() == memory.to_bytes()
    slots = np.unique(rows["slot"]).astype(np.int64)
    assert sorted(again.find(slots)[0].tolist()) == sorted(memory.find(slots)[0].tolist())
