"""Alarm bits: each rise once, never lost with a bad row, late ones flagged, none twice."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.limits import CleanLimits
from analytics.pipeline import Result
from analytics.state import State
from model.codes import ALARM_BY_NAME, Mark
from tests.analytics.keeper import BUFFERED, NOW_MS, Keeper, batch, marks

SOS = 1 << ALARM_BY_NAME["sos"].bit
SPEED = 1 << ALARM_BY_NAME["overspeed"].bit
HOUR_S = 3_600


def _row(second: float, bits: int = 0, **more: Any) -> dict[str, Any]:
    time_ms = NOW_MS + round(second * 1_000)
    return {"time_ms": time_ms, "received_ms": time_ms, "alarm_bits": bits, **more}


def _risen(results: list[Result]) -> list[tuple[int, int, bool]]:
    """(seconds, bit, late) of all that rose."""
    return [
        ((time - NOW_MS) // 1_000, bit, late)
        for one in results
        for time, bit, late in zip(
            one.risen.time_ms.tolist(), one.risen.bit.tolist(), one.risen.late.tolist(), strict=True
        )
    ]


@pytest.mark.parametrize("cut", [1, 2, 100])
def test_a_bit_that_stays_rises_once_and_again_after_it_fell(keeper: Keeper, cut: int) -> None:
    bits = [0, SOS, SOS, SOS | SPEED, SPEED, 0, SOS, 0]
    rows = [_row(10 * at, word) for at, word in enumerate(bits)]
    results = keeper.feed_all(batch(rows[at : at + cut]) for at in range(0, len(rows), cut))
    assert _risen(results) == [(10, 0, False), (30, 12, False), (60, 0, False)]


def test_rises_name_rows_of_the_batch_that_was_given_and_every_bit(keeper: Keeper) -> None:
    result = keeper.feed(batch([_row(3, slot=2), _row(1, 2**64 - 1, slot=9), _row(1, SPEED | SOS, slot=2)]))
    found = list(zip(result.risen.row.tolist(), result.risen.bit.tolist(), strict=True))
    assert found == [(1, bit) for bit in range(64)] + [(2, 0), (2, 12)]


@pytest.mark.parametrize(
    ("bad", "placed"),
    [
        ({"lat": math.nan}, False),
        ({"lat": 0.0, "lon": 0.0}, False),
        ({"lat": 95.0}, False),
        ({"time_ms": NOW_MS + 10**9}, True),
        ({"time_ms": NOW_MS - 10**10}, True),
        ({"time_ms": -1}, False),
    ],
)
def test_a_quarantined_row_raises_its_alarm_once(keeper: Keeper, bad: dict[str, Any], placed: bool) -> None:
    row = {**_row(0, SOS), **bad}
    results = keeper.feed_all([batch([row]), batch([{**row, "received_ms": NOW_MS + 1_000}])])
    assert [len(one.risen) for one in results] == [1, 0]
    assert results[0].risen.placed.tolist() == [placed]
    assert results[0].risen.late.tolist() == [False]
    assert len(results[0].points) == 0


def test_copies_raise_nothing(keeper: Keeper) -> None:
    rows = [_row(0), _row(10, SOS), _row(20)]
    keeper.feed(batch(rows))
    again = [{**row, "flags": BUFFERED, "received_ms": NOW_MS + 10**6} for row in rows]
    results = keeper.feed_all([batch(again), batch(again * 3), batch([again[1]])])
    assert _risen(results) == []
    assert sum(one.duplicate for one in results) == 13


def test_copies_that_only_the_store_knows_raise_nothing(keeper: Keeper) -> None:
    rows = [_row(10 * at, SOS if at == 1 else 0) for at in range(20)]
    keeper.feed(batch(rows))
    keeper.state.episodes.clear()
    result = keeper.feed(batch([{**rows[1], "flags": BUFFERED}]))
    assert (result.duplicate, len(result.risen), keeper.asked) == (1, 0, 1)


@pytest.mark.parametrize("cut", [1, 100])
def test_48_hours_late_is_raised_once_and_flagged(keeper: Keeper, cut: int) -> None:
    now = 48 * HOUR_S
    keeper.feed(batch([_row(now)]))
    rows = [
        {**_row(10 * at, SOS if 3 <= at < 9 else 0), "received_ms": NOW_MS + now * 1_000, "flags": BUFFERED}
        for at in range(12)
    ]
    results = keeper.feed_all(batch(rows[at : at + cut]) for at in range(0, len(rows), cut))
    assert _risen(results) == [(30, 0, True)]
    assert {Mark.LATE} == {mark for one in results for mark in marks(one)}
    assert _risen([keeper.feed(batch([_row(now + 10, SOS)]))]) == [(now + 10, 0, False)]


def test_late_rows_of_a_live_alarm_do_not_raise_it_again(keeper: Keeper) -> None:
    live = keeper.feed_all(batch([_row(second, SOS if 20 <= second < 60 else 0)]) for second in (0, 20, 50, 60, 90))
    late = keeper.feed_all(
        batch([{**_row(second, SOS), "received_ms": NOW_MS + 48 * HOUR_S * 1_000, "flags": BUFFERED}])
        for second in (15, 25, 30, 55, 61)
    )
    assert _risen(live) == [(20, 0, False)]
    assert _risen(late) == []


def test_a_backlog_that_comes_in_order_is_no_live_news(keeper: Keeper) -> None:
    rows = [{**_row(10 * at, SOS), "received_ms": NOW_MS + 48 * HOUR_S * 1_000, "flags": BUFFERED} for at in range(5)]
    assert _risen([keeper.feed(batch(rows))]) == [(0, 0, True)]


def test_a_clock_known_to_be_behind_makes_no_alarm_late(keeper: Keeper) -> None:
    def behind(second: int, bits: int = 0) -> dict[str, Any]:
        return {**_row(second, bits), "time_ms": NOW_MS + second * 1_000 - HOUR_S * 1_000}

    keeper.feed(batch([behind(at) for at in range(0, 50, 10)]))
    assert _risen([keeper.feed(batch([behind(60, SOS)]))]) == [(60 - HOUR_S, 0, False)]


def test_bits_survive_a_restart(keeper: Keeper) -> None:
    keeper.feed(batch([_row(0, SOS)]))
    later = Keeper(state=State.from_bytes(keeper.state.to_bytes()))
    assert _risen([later.feed(batch([_row(10, SOS)]))]) == []
    assert _risen(later.feed_all([batch([_row(20)]), batch([_row(30, SOS)])])) == [(30, 0, False)]


def test_a_late_backlog_of_a_flapping_fleet_is_bounded() -> None:
    keeper = Keeper(limits=CleanLimits(max_episodes=100))
    seed = 11
    print("seed", seed)
    chance = np.random.default_rng(seed)
    for at in range(20):
        keeper.feed(batch([_row(10 * at, int(chance.integers(0, 8)), slot=slot) for slot in range(50)]))
    total = sum(len(known) for known in keeper.state.episodes.values())
    assert 0 < total == keeper.state.episode_count <= 100


def test_one_bit_that_flaps_for_ever_is_bounded(keeper: Keeper) -> None:
    keeper.feed(batch([_row(at, SOS * (at % 2)) for at in range(1_000)]))
    (known,) = keeper.state.episodes.values()
    assert len(known) == keeper.state.episode_count == keeper.limits.max_episodes_per_bit
    assert known == sorted(known)


@st.composite
def _disordered(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[int]]:
    """Rows of two devices that came out of order and more than once, with two bits that flap; and where to cut them."""
    seconds = draw(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 60)), min_size=1, max_size=40, unique=True))
    said = draw(
        st.lists(st.sampled_from([0, 0, SOS, SPEED, SOS | SPEED]), min_size=len(seconds), max_size=len(seconds))
    )
    rows = [
        _row(60 * second, bits, slot=slot, seq=second, received_ms=NOW_MS + 2 * HOUR_S * 1_000, flags=BUFFERED)
        for (slot, second), bits in zip(seconds, said, strict=True)
    ]
    rows += draw(st.lists(st.sampled_from(rows), max_size=10))
    return draw(st.permutations(rows)), sorted(draw(st.sets(st.integers(1, len(rows)), max_size=6)))


def _told(limits: CleanLimits, rows: list[dict[str, Any]], ends: list[int]) -> tuple[object, ...]:
    """What rose (row of the stream, bit, late), what fell, and the state, of a stream cut at `ends`."""
    keeper = Keeper(limits=limits)
    rose: list[tuple[int, int, bool]] = []
    for start, end in zip([0, *ends], [*ends, len(rows)], strict=True):
        if start < end:
            risen = keeper.feed(batch(rows[start:end])).risen
            columns = ((risen.row + start).tolist(), risen.bit.tolist(), risen.late.tolist())
            rose += zip(*columns, strict=True)
    return sorted(rose), keeper.state.to_bytes()


@given(_disordered(), st.sampled_from([1_000, 120_000, 400_000]))
def test_late_bits_do_not_depend_on_how_the_stream_is_cut(
    stream: tuple[list[dict[str, Any]], list[int]], pad_ms: int
) -> None:
    rows, cuts = stream
    limits = CleanLimits(episode_pad_ms=pad_ms)
    whole = _told(limits, rows, [])
    assert _told(limits, rows, cuts) == whole
    assert _told(limits, rows, list(range(1, len(rows)))) == whole
