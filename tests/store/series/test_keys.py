"""Sorted keys: exact also where the mixes of two keys are equal, and bounded."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from store.series.keys import GroupKeys, KeyCache, KeyRun, Keys, RunStack
from tests.store.series.conformance import drive


def keys_of(triples: list[tuple[int, int, int]], mixes: int) -> Keys:
    """Keys whose mix has only a few values, so that most collide."""
    slot = np.array([triple[0] for triple in triples], np.int32)
    time_ms = np.array([triple[1] for triple in triples], np.int64)
    ident = np.array([triple[2] for triple in triples], np.uint64)
    mix = ((slot + time_ms + ident.astype(np.int64)) % mixes).astype(np.uint64)
    return Keys(mix, slot, time_ms, ident)


_TRIPLES = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40)


@given(held=_TRIPLES, asked=_TRIPLES, mixes=st.integers(1, 3), pieces=st.integers(1, 4))
def test_exact_when_mixes_collide(
    held: list[tuple[int, int, int]], asked: list[tuple[int, int, int]], mixes: int, pieces: int
) -> None:
    stack = RunStack()
    for start in range(pieces):
        if held[start::pieces]:
            stack.add(keys_of(held[start::pieces], mixes))
    assert len(stack) == len(held)
    found = np.zeros(len(asked), np.bool_)
    stack.mark(keys_of(asked, mixes), found)
    assert found.tolist() == [triple in held for triple in asked]


def test_runs_stay_few() -> None:
    stack = RunStack()
    points = drive(10, 3600)
    for start in range(0, len(points), 20):
        stack.add(Keys.of(points.take(np.arange(start, start + 20))))
    assert len(stack._runs) <= 10
    found = np.zeros(len(points), np.bool_)
    stack.mark(Keys.of(points), found)
    assert found.all()


def test_a_run_out_of_range_answers_no() -> None:
    run = KeyRun.of(Keys.of(drive(2, 100)))
    later = Keys.of(drive(2, 100, start_ms=run.max_ms + 1))
    found = np.zeros(20, np.bool_)
    run.mark(later, np.arange(20), found)
    assert not found.any()


def test_the_cache_forgets_what_was_used_longest_ago() -> None:
    cache = KeyCache(max_rows=250)
    loads: list[int] = []

    def load(hour: int) -> None:
        def fill(group: GroupKeys) -> None:
            if not group.segments_loaded:
                loads.append(hour)
                group.stack.add(Keys.of(drive(1, 1000)))
                group.segments_loaded = True

        cache.use(hour, 0, fill)

    for hour in (1, 2, 1, 3, 1, 2):
        load(hour)
    assert loads == [1, 2, 3, 2]
    cache.drop(2, 0)
    load(2)
    assert loads[-2:] == [2, 2]
