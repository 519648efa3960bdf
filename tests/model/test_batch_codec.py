"""The batch's bytes: every batch comes back at the store's resolution, no bytes make it raise but Corrupt."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from model.batch import COLUMNS, PointBatch
from model.batch_codec import MAGIC, column_of, decode, encode
from model.errors import Corrupt

MAX_ROWS = 40


@st.composite
def batches(draw: st.DrawFn) -> PointBatch:
    rows = draw(st.integers(0, MAX_ROWS))
    columns = {}
    for column in COLUMNS:
        if draw(st.booleans()):
            dtype = np.dtype(column.dtype)
            if dtype.kind == "f":
                any_float = st.floats(width=64) if dtype.itemsize == 8 else st.floats(width=32)
                near = st.integers(-3600, 3600).map(lambda tenth: tenth / 10) | st.just(float("nan"))
                elements = draw(st.sampled_from([near, any_float]))
                columns[column.name] = draw(arrays(dtype, rows, elements=elements))
            else:
                columns[column.name] = draw(arrays(dtype, rows))
    extra = draw(st.dictionaries(st.integers(0, max(rows - 1, 0)), st.binary(max_size=30), max_size=3)) if rows else {}
    return PointBatch.of(rows, columns, extra)


def assert_same(got: PointBatch, given: PointBatch) -> None:
    assert got.extra == given.extra
    for column in COLUMNS:
        ours, theirs = got.column(column.name), given.column(column.name)
        assert ours.dtype == theirs.dtype
        if not column.scale:
            np.testing.assert_array_equal(ours, theirs)
            continue
        np.testing.assert_array_equal(np.isfinite(ours), np.isfinite(theirs))
        np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
        finite = np.isfinite(theirs)
        exact = theirs[finite].astype(np.float64)
        # half a stored unit, and what the column's own type cannot tell apart
        room = 0.5 / column.scale + np.abs(exact) * float(np.finfo(theirs.dtype).eps) * 2
        assert np.all(np.abs(ours[finite].astype(np.float64) - exact) <= room)


@given(batches())
def test_a_batch_comes_back(batch: PointBatch) -> None:
    assert_same(decode(encode(batch)), batch)


@given(batches())
def test_what_came_back_stays_what_it_is(batch: PointBatch) -> None:
    once = decode(encode(batch))
    twice = decode(encode(once))
    for column in COLUMNS:
        np.testing.assert_array_equal(once.column(column.name), twice.column(column.name))


@given(st.binary(max_size=400))
def test_rubbish_is_corrupt(raw: bytes) -> None:
    with pytest.raises(Corrupt):
        decode(raw)


@given(batches(), st.data())
def test_a_cut_batch_is_corrupt(batch: PointBatch, data: st.DataObject) -> None:
    raw = encode(batch)
    with pytest.raises(Corrupt):
        decode(raw[: data.draw(st.integers(0, len(raw) - 1))])
    with pytest.raises(Corrupt):
        decode(raw + b"\0")


@given(batches(), st.data())
def test_a_flipped_byte_never_raises_anything_else(batch: PointBatch, data: st.DataObject) -> None:
    raw = bytearray(encode(batch))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        decode(bytes(raw))
    except Corrupt:
        return


def test_a_width_that_is_none_is_no_batch() -> None:
    raw = encode(PointBatch.of(300, {"slot": np.arange(300) % 200, "time_ms": np.arange(300)}))
    at = next(at for at in range(8, len(raw)) if raw[at : at + 2] == b"\x02\x01")  # a narrow column of one byte a row
    for width in (0, 3, 9, 255):
        with pytest.raises(Corrupt):
            decode(raw[: at + 1] + bytes((width,)) + raw[at + 2 :])


def test_a_citys_batch_is_small() -> None:
    rng = np.random.default_rng(1)
    rows = 10_000
    batch = PointBatch.of(
        rows,
        {
            "slot": rng.integers(0, 7_000, rows),
            "time_ms": 1_760_000_000_000 + rng.integers(0, 10_000, rows),
            "received_ms": 1_760_000_010_000,
            "lat": 40.65 + rng.random(rows) / 10,
            "lon": 109.84 + rng.random(rows) / 10,
            "speed_kmh": rng.integers(0, 800, rows) / 10,
            "heading_deg": rng.integers(0, 360, rows),
        },
    )
    assert len(encode(batch)) / rows < 17


@given(st.dictionaries(st.integers(0, 4), st.binary(max_size=9)), st.integers(-3, 3))
def test_extras_as_they_were_written_before_are_read(extra: dict[int, bytes], off: int) -> None:
    batch = PointBatch.of(5, {"slot": 3, "seq": np.arange(5)}, extra)
    bare = encode(PointBatch.of(5, {"slot": 3, "seq": np.arange(5)}))[4:-4]
    old = b"LB1\0" + bare + struct.pack("<I", len(extra))
    old += b"".join(struct.pack("<II", row, len(text)) + text for row, text in extra.items())
    assert_same(decode(old), batch)
    with pytest.raises(Corrupt):
        decode(old[:-1])
    if off and extra:
        text = max(extra.values())
        last = struct.pack("<II", 5 + abs(off), len(text)) + text
        with pytest.raises(Corrupt):
            decode(b"LB1\0" + bare + struct.pack("<I", 1) + last)


def test_texts_of_every_row_cost_their_bytes_and_four_more() -> None:
    batch = PointBatch.of(1_000, {}, {row: b'{"mileage_km":%d.%d}' % (row, row % 10) for row in range(1_000)})
    bare = len(encode(PointBatch.of(1_000, {})))
    assert len(encode(batch)) == bare + sum(len(text) + 4 for text in batch.extra.values())


@given(batches())
def test_one_column_without_the_others(batch: PointBatch) -> None:
    raw = encode(batch)
    whole = decode(raw)
    for column in COLUMNS:
        found = column_of(raw, column.name)
        assert found.dtype == np.dtype(column.dtype)
        np.testing.assert_array_equal(found, whole.column(column.name))


@given(st.binary(max_size=300), st.integers(0, 1 << 16))
def test_one_column_of_what_is_no_batch(raw: bytes, rows: int) -> None:
    for tried in (raw, MAGIC + rows.to_bytes(4, "little") + raw):
        try:
            found = column_of(tried, "alarm_bits")
        except Corrupt:
            continue
        assert len(found) <= 1 << 20
