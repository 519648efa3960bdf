"""Order and duplicates: in the batch, among the recent keys, and what only the store knows."""

from __future__ import annotations

from typing import Any

import numpy as np

from analytics.limits import CleanLimits
from analytics.pipeline import Analysis
from analytics.state import DEFAULT_RECENT, State
from model.batch import PointBatch
from model.codes import Mark
from model.extras import Extras
from tests.analytics.keeper import BUFFERED, NOW_MS, Keeper, batch, marks


def _at(second: int, **more: Any) -> dict[str, Any]:
    return {"time_ms": NOW_MS + second * 1_000, "received_ms": NOW_MS + 3_600_000, "flags": BUFFERED, **more}


def test_rows_come_out_by_device_time_and_arrival(keeper: Keeper) -> None:
    rows = [_at(3, slot=2), _at(1, slot=2, seq=9), _at(5, slot=0), _at(1, slot=2, seq=8), _at(2, slot=0)]
    result = keeper.feed(batch(rows))
    assert result.row.tolist() == [4, 2, 1, 3, 0]
    assert result.points.slot.tolist() == [0, 0, 2, 2, 2]


def test_rows_whose_key_does_not_fit_63_bits_are_ordered_all_the_same(keeper: Keeper) -> None:
    seed = 5
    print("seed", seed)
    chance = np.random.default_rng(seed)
    rows = 5_000
    given_rows = PointBatch.of(
        rows,
        {
            "slot": chance.choice([0, 7, 4_000_000], rows),
            "time_ms": chance.integers(1, 4_000_000_000_000, rows),
            "received_ms": 4_000_000_000_000,
            "flags": BUFFERED,
            "lat": 40.65,
            "lon": 109.84,
        },
    )
    result = keeper.feed(given_rows)
    expected = np.lexsort((np.arange(rows), given_rows.time_ms, given_rows.slot))
    np.testing.assert_array_equal(result.row, expected)


def test_copies_in_one_batch_are_stored_once_and_the_first_stays(keeper: Keeper) -> None:
    rows = [_at(1, seq=1, acc_m=1.0), _at(1, seq=2), _at(1, seq=1, acc_m=2.0), _at(1, seq=1, acc_m=3.0)]
    result = keeper.feed(batch(rows))
    assert result.row.tolist() == [0, 1]
    assert result.duplicate == 2
    assert marks(result) == [Mark(0), Mark.SAME_TIME]


def test_a_copy_without_seq_is_known_by_its_content_and_buffered_makes_no_difference(keeper: Keeper) -> None:
    first = keeper.feed(batch([_at(1, speed_kmh=30.0)]))
    again = keeper.feed(batch([_at(1, speed_kmh=30.04), _at(1, speed_kmh=30.2)]))
    assert (len(first.points), again.duplicate, len(again.points)) == (1, 1, 1)
    assert marks(again) == [Mark.SAME_TIME]


def test_the_last_few_are_known_without_the_store_and_older_ones_by_it(keeper: Keeper) -> None:
    rows = [_at(second, seq=second) for second in range(20)]
    keeper.feed(batch(rows))
    again = keeper.feed(batch(rows))
    assert (again.duplicate, len(again.points)) == (20, 0)
    assert keeper.asked == 20 - DEFAULT_RECENT


def test_a_newer_row_never_asks(keeper: Keeper) -> None:
    for second in range(50):
        keeper.feed(batch([_at(second, slot=slot) for slot in range(3)]))
    assert keeper.asked == 0


def test_late_within_the_recent_keys_is_decided_here_and_remembered(keeper: Keeper) -> None:
    keeper.feed(batch([_at(0), _at(10)]))
    late = keeper.feed(batch([_at(5)]))
    assert marks(late) == [Mark.LATE]
    assert keeper.feed(batch([_at(5)])).duplicate == 1
    assert keeper.asked == 0


def test_late_is_by_arrival_within_a_batch_too(keeper: Keeper) -> None:
    result = keeper.feed(batch([_at(1), _at(5), _at(3), _at(4), _at(6)]))
    assert dict(zip(result.row.tolist(), marks(result), strict=True)) == {
        0: Mark(0),
        1: Mark(0),
        2: Mark.LATE,
        3: Mark.LATE,
        4: Mark(0),
    }


def test_same_time_is_said_of_the_one_that_came_second_in_either_way(keeper: Keeper) -> None:
    keeper.feed(batch([_at(1, seq=1)]))
    assert marks(keeper.feed(batch([_at(1, seq=2)]))) == [Mark.SAME_TIME]
    assert keeper.feed(batch([_at(1, seq=2), _at(1, seq=1)])).duplicate == 2


def test_what_the_store_answers_moves_no_state() -> None:
    rows = [_at(second) for second in range(20)]
    states = []
    for answer in (True, False):
        analysis = Analysis(CleanLimits(), State())
        for given_rows in (rows, rows[:5], [_at(20)], rows[3:9]):
            step = analysis.begin(batch(given_rows))
            analysis.finish(step, np.full(len(step.unsure), answer))
        states.append(analysis.state.to_bytes())
    assert states[0] == states[1]


def test_extras_stay_with_their_rows(keeper: Keeper) -> None:
    given_rows = batch([_at(3), _at(1), _at(2)])
    given_rows.extra = Extras.of({0: b"a", 2: b"c"})
    assert keeper.feed(given_rows).points.extra == {1: b"c", 2: b"a"}


def test_columns_that_cannot_be_written_are_fine(keeper: Keeper) -> None:
    given_rows = batch([_at(1, speed_kmh=-4.0), _at(2), _at(0)])
    for name in ("time_ms", "speed_kmh", "marks", "lat"):
        given_rows.column(name).setflags(write=False)
    assert len(keeper.feed(given_rows).points) == 3
