"""`PointBatch`: building, taking, joining, and the identity of a point."""

from __future__ import annotations

import numpy as np
import pytest

from model.batch import COLUMN_NAMES, COLUMNS, PointBatch, fixed, identity
from model.codes import Flag


def two() -> PointBatch:
    return PointBatch.of(2, {"slot": [1, 2], "time_ms": [10, 20], "lat": [40.1, 40.2], "lon": 109.5}, {1: b'{"a":1}'})


def test_columns_not_given_hold_their_missing_value() -> None:
    batch = two()
    for column in COLUMNS:
        values = batch.column(column.name)
        assert values.dtype == np.dtype(column.dtype)
        if column.name not in {"slot", "time_ms", "lat", "lon"}:
            np.testing.assert_array_equal(values, np.full(2, column.missing, column.dtype))
    assert batch.lon.tolist() == [109.5, 109.5]


@pytest.mark.parametrize(
    ("columns", "why"),
    [({"latitude": [1, 2]}, "no such column"), ({"lat": [1.0, 2.0, 3.0]}, "shape"), ({"lat": [[1.0], [2.0]]}, "shape")],
)
def test_a_wrong_column_is_refused(columns: dict[str, object], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        PointBatch.of(2, columns)


def test_concat_and_take_keep_rows_and_their_extras() -> None:
    both = PointBatch.concat([two(), PointBatch.empty(), two()])
    assert both.slot.tolist() == [1, 2, 1, 2]
    assert both.extra == {1: b'{"a":1}', 3: b'{"a":1}'}
    taken = both.take(np.array([3, 0]))
    assert taken.slot.tolist() == [2, 1]
    assert taken.extra == {0: b'{"a":1}'}
    assert both.take(both.slot == 1).extra == {}
    assert len(PointBatch.concat([])) == 0


def test_fixed_rounds_and_names_what_is_no_number() -> None:
    values = np.array([40.1234564, 40.1234566, np.nan, np.inf, 1e300])
    assert fixed(values, 1e6).tolist()[:2] == [40123456, 40123457]
    assert fixed(values, 1e6).tolist()[2:4] == [np.iinfo(np.int64).min] * 2


class TestIdentity:
    def test_the_seq_is_the_identity_where_there_is_one(self) -> None:
        batch = PointBatch.of(3, {"seq": [7, 7, 8], "lat": [1.0, 2.0, 1.0]})
        first, second, third = identity(batch).tolist()
        assert first == second != third

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("lat", 40.100001),
            ("lon", 109.500001),
            ("speed_kmh", 31.6),
            ("heading_deg", 90.1),
            ("alarm_bits", 1),
            ("flags", int(Flag.OCCUPIED | Flag.OCCUPIED_SENT)),
        ],
    )
    def test_another_content_is_another_point(self, name: str, value: float) -> None:
        base = {"lat": 40.1, "lon": 109.5, "speed_kmh": 31.5, "heading_deg": 90.0, "flags": int(Flag.OCCUPIED_SENT)}
        one, other = PointBatch.of(1, base), PointBatch.of(1, base | {name: value})
        assert identity(one)[0] != identity(other)[0]
        assert identity(one)[0] == identity(PointBatch.of(1, base))[0]

    def test_what_is_below_the_stores_resolution_or_only_buffered_is_the_same_point(self) -> None:
        one = PointBatch.of(1, {"lat": 40.1000001, "lon": 109.5, "speed_kmh": 31.51})
        same = PointBatch.of(1, {"lat": 40.1000004, "lon": 109.5, "speed_kmh": 31.49, "flags": int(Flag.BUFFERED)})
        assert identity(one)[0] == identity(same)[0]

    def test_a_row_has_the_same_identity_in_whichever_batch_it_is(self) -> None:
        mixed = PointBatch.of(2, {"seq": [5, -1], "lat": [40.0, 41.0], "lon": 109.0})
        alone = [int(identity(mixed.take(np.array([row])))[0]) for row in (0, 1)]
        assert identity(mixed).tolist() == alone

    def test_content_hashes_do_not_collide_over_a_citys_day(self) -> None:
        seed = 20260101
        print(f"seed {seed}")
        rng = np.random.default_rng(seed)
        rows = 1_000_000
        batch = PointBatch.of(
            rows,
            {
                "lat": 40.65 + rng.integers(-200, 200, rows) * 1e-6,
                "lon": 109.84 + rng.integers(-200, 200, rows) * 1e-6,
                "speed_kmh": rng.integers(0, 3, rows),
            },
        )
        content = {
            (lat, lon, speed)
            for lat, lon, speed in zip(
                fixed(batch.lat, 1e6).tolist(), fixed(batch.lon, 1e6).tolist(), batch.speed_kmh.tolist(), strict=True
            )
        }
        assert len(np.unique(identity(batch))) == len(content)


def test_columns_and_attributes_are_the_same_names() -> None:
    assert set(COLUMN_NAMES) | {"extra"} == set(PointBatch.__slots__)
