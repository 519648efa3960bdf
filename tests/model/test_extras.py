"""Texts by row as columns, against a dict that does the same one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.extras import NO_EXTRAS, Extras

ROWS = 60


def texts(longest: int = 40) -> st.SearchStrategy[dict[int, bytes]]:
    some = st.dictionaries(st.integers(0, ROWS - 1), st.binary(max_size=longest), max_size=ROWS)
    every = st.lists(st.binary(min_size=3, max_size=6), min_size=ROWS, max_size=ROWS)
    return some | every.map(lambda held: dict(enumerate(held)))


def indices() -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(0, ROWS - 1), max_size=2 * ROWS)


@given(texts())
def test_it_is_the_mapping_it_was_made_of(held: dict[int, bytes]) -> None:
    made = Extras.of(held)
    assert made == held
    assert (len(made), bool(made), list(made)) == (len(held), bool(held), sorted(held))
    assert all(made[row] == text and made.get(row) == text for row, text in held.items())
    assert made.get(ROWS) is None
    with pytest.raises(KeyError):
        made[-1]
    assert Extras.of(made) is made


@given(texts(), indices())
def test_take_is_what_a_loop_takes(held: dict[int, bytes], index: list[int]) -> None:
    taken = Extras.of(held).take(np.array(index, np.int64))
    assert taken == {at: held[row] for at, row in enumerate(index) if row in held}
    assert taken.tight() == taken
    again = taken.take(np.arange(len(index))[::-1])
    assert again == {len(index) - 1 - at: text for at, text in taken.items()}


@given(texts(), indices())
def test_what_few_rows_hold_is_not_all_bytes(held: dict[int, bytes], index: list[int]) -> None:
    taken = Extras.of(held).take(np.array(index, np.int64))
    assert len(taken.blob) <= 4 * sum(map(len, taken.values()))
    assert len(taken.tight().blob) == sum(map(len, taken.values()))


@given(st.lists(st.tuples(texts(8), indices()), max_size=4))
def test_concat_counts_on(pieces: list[tuple[dict[int, bytes], list[int]]]) -> None:
    made = [(len(index), Extras.of(held).take(np.array(index, np.int64))) for held, index in pieces]
    wanted: dict[int, bytes] = {}
    row = 0
    for held, index in pieces:
        wanted |= {row + at: held[one] for at, one in enumerate(index) if one in held}
        row += len(index)
    assert Extras.concat(made) == wanted


@given(texts(), texts(9))
def test_but_puts_others_in_their_place(held: dict[int, bytes], others: dict[int, bytes]) -> None:
    assert Extras.of(held).but(others) == held | others
    left = Extras.of(held).without(np.array(list(others), np.int64))
    assert left == {row: text for row, text in held.items() if row not in others}
    assert len(left.blob) <= max(4 * sum(map(len, left.values())), 0 if len(left) < len(held) else 1 << 20)


def test_texts_of_many_lengths_and_very_long_ones() -> None:
    rng = np.random.default_rng(3)
    for longest in (30, 300, 100_000):
        held = {row: bytes(rng.integers(0, 256, int(rng.integers(0, longest)), np.uint8)) for row in range(200)}
        index = rng.permutation(200)
        assert Extras.of(held).take(index).tight() == {at: held[row] for at, row in enumerate(index.tolist())}


def test_nothing_costs_nothing() -> None:
    assert NO_EXTRAS == {}
    assert NO_EXTRAS.tight() == {}
    assert Extras.concat([(3, NO_EXTRAS), (4, NO_EXTRAS)]) is NO_EXTRAS
    assert NO_EXTRAS.take(np.arange(5)) is NO_EXTRAS
