"""`Rows`: fixed-point columns, order, extremes."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from model.batch import PointBatch, identity
from model.extras import Extras
from store.series.rows import Rows
from tests.store.series.conformance import T0, drive, same


@given(st.data())
def test_identity_is_the_same_after_the_store(data: st.DataObject) -> None:
    rows = data.draw(st.integers(1, 20))
    f8 = hnp.arrays(np.float64, rows, elements=st.floats(allow_nan=True, allow_infinity=True))
    f4 = hnp.arrays(np.float32, rows, elements=st.floats(width=32, allow_nan=True, allow_infinity=True))
    batch = PointBatch.of(
        rows,
        {
            "slot": 1,
            "time_ms": T0,
            "lat": data.draw(f8),
            "lon": data.draw(f8),
            "speed_kmh": data.draw(f4),
            "heading_deg": data.draw(f4),
            "flags": data.draw(hnp.arrays(np.uint16, rows)),
            "alarm_bits": data.draw(hnp.arrays(np.uint64, rows)),
        },
    )
    small = np.abs(np.nan_to_num(batch.lat, posinf=0, neginf=0)) < 1e9
    small &= np.abs(np.nan_to_num(batch.lon, posinf=0, neginf=0)) < 1e9
    small &= np.abs(np.nan_to_num(batch.speed_kmh, posinf=0, neginf=0)) < 1e15
    small &= np.abs(np.nan_to_num(batch.heading_deg, posinf=0, neginf=0)) < 1e15
    batch = batch.take(small)
    if len(batch):
        back = Rows.of_batches([batch], 0).to_batch()
        np.testing.assert_array_equal(identity(back), identity(batch))
        same(Rows.of_batches([back], 0).to_batch(), back)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(-2, 9_000_000), st.integers(-1, 2)), min_size=1, max_size=60),
    st.booleans(),
)
def test_order_is_hour_slot_time_seq_and_stable(drawn: list[tuple[int, int, int]], wide: bool) -> None:
    far = 1 << 50 if wide else 0  # spreads the hours so that one 63-bit key cannot hold them
    times = np.array([time + (far if number % 2 else 0) for number, (_, time, _) in enumerate(drawn)], np.int64)
    slots = np.array([slot * (100_000 if wide else 1) for slot, _, _ in drawn], np.int32)
    batch = PointBatch.of(
        len(drawn), {"slot": slots, "time_ms": times, "seq": [seq for _, _, seq in drawn], "sat": np.arange(len(drawn))}
    )
    made = Rows.of_batches([batch], 0).ordered().to_batch()
    expected = sorted(
        range(len(drawn)),
        key=lambda row: (int(times[row]) // 3_600_000, int(slots[row]), int(times[row]), drawn[row][2]),
    )
    if not wide:
        assert made.sat.tolist() == expected
    else:
        assert sorted(made.sat.tolist()) == sorted(expected)
        assert made.time_ms.tolist()[0] == int(times[expected[0]])


def test_concat_and_take_keep_extras() -> None:
    first = drive(1, 50)
    first.extra = Extras.of({0: b"a", 4: b"b"})
    pieces = [Rows.of_batches([first], 1), Rows.of_batches([first], 1)]
    both = Rows.concat(pieces)
    assert both.columns["day"] == 1
    assert both.extra == {0: b"a", 4: b"b", 5: b"a", 9: b"b"}
    assert both.take(np.array([9, 1, 5])).extra == {0: b"b", 2: b"a"}
    assert both.take(np.array([9, 1, 9])).extra == {0: b"b", 2: b"b"}
    assert both.take(np.zeros(10, np.bool_)).count == 0
    assert len(Rows.empty().to_batch()) == 0
