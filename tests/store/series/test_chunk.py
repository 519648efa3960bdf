"""The column codec: what goes in comes out, whatever it is; what is not a frame is Corrupt and nothing else."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from model.batch import PointBatch
from model.errors import Corrupt
from model.extras import Extras
from store.series.chunk import MAX_FRAME_ROWS, decode_many, encode_groups
from store.series.rows import IDENTITY_NAMES, NAMES, Rows
from tests.store.series.conformance import drive

_WHOLE = st.one_of(
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.integers(-300, 300),
    st.sampled_from([0, -1, 1000, 10, 255, 256, 1 << 27, 1 << 28, (1 << 63) - 1, -(1 << 63)]),
)


def compare(left: Rows, right: Rows) -> None:
    assert left.count == right.count
    for name in NAMES:
        np.testing.assert_array_equal(left.array(name), right.array(name), err_msg=name)
    assert left.extra == right.extra


@given(data=st.data(), counts=st.lists(st.integers(1, 9), min_size=1, max_size=5), small=st.booleans())
def test_any_integers_survive_in_any_grouping(data: st.DataObject, counts: list[int], small: bool) -> None:
    total = sum(counts)
    columns: dict[
        str, np.ndarray[tuple[int], np.dtype[np.int64]] | np.ndarray[tuple[int], np.dtype[np.int32]] | int
    ] = {}
    for name in NAMES:
        if data.draw(st.booleans()):
            columns[name] = data.draw(_WHOLE)
        elif small:
            columns[name] = np.array(
                data.draw(st.lists(st.integers(-(1 << 27), 1 << 27), min_size=total, max_size=total)), np.int32
            )
        else:
            columns[name] = np.array(data.draw(st.lists(_WHOLE, min_size=total, max_size=total)), np.int64)
    extra = data.draw(st.dictionaries(st.integers(0, total - 1), st.binary(max_size=20)))
    rows = Rows(total, dict(columns), Extras.of(extra))
    starts = np.cumsum([0, *counts[:-1]], dtype=np.int64)
    frames = encode_groups(rows, starts)
    back, sizes = decode_many(frames)
    assert sizes.tolist() == counts
    compare(back, rows)
    for start, count, frame in zip(starts.tolist(), counts, frames, strict=True):
        compare(decode_many([frame])[0], rows.take(np.arange(start, start + count)))


def test_only_some_columns() -> None:
    rows = Rows.of_batches([drive(3, 600)], 20_000)
    frames = encode_groups(rows, np.zeros(1, np.int64))
    some, _ = decode_many(frames, only=IDENTITY_NAMES)
    np.testing.assert_array_equal(some.array("lat"), rows.array("lat"))
    assert some.columns["lag"] == 0


def test_a_constant_column_costs_next_to_nothing() -> None:
    base = {"slot": 0, "time_ms": np.arange(360) * 10_000, "lat": 40.0, "lon": 109.0}
    bare = encode_groups(Rows.of_batches([PointBatch.of(360, base)], 0), np.zeros(1, np.int64))[0]
    more = encode_groups(
        Rows.of_batches([PointBatch.of(360, {**base, "sat": 11, "battery_pct": 87})], 0), np.zeros(1, np.int64)
    )[0]
    assert len(more) - len(bare) <= 8
    assert len(bare) < 80


@given(st.binary(max_size=200))
def test_noise_is_corrupt(raw: bytes) -> None:
    with pytest.raises(Corrupt):
        decode_many([raw])
    with pytest.raises(Corrupt):  # neither is a frame of noise: its last byte belongs to nothing
        decode_many([zstandard.ZstdCompressor().compress(raw[:6])])


@given(at=st.integers(0, 10_000), bit=st.integers(0, 7), cut=st.booleans())
def test_a_damaged_payload_is_corrupt_or_other_rows_but_nothing_worse(at: int, bit: int, cut: bool) -> None:
    payload = bytearray(zstandard.ZstdDecompressor().decompress(_FRAME))
    at %= len(payload)
    if cut:
        del payload[at:]
    else:
        payload[at] ^= 1 << bit
    try:
        rows, counts = decode_many([zstandard.ZstdCompressor().compress(bytes(payload))])
    except Corrupt:
        return
    assert rows.count == int(counts[0]) <= MAX_FRAME_ROWS


_FRAME = encode_groups(Rows.of_batches([drive(1, 300)], 0), np.zeros(1, np.int64))[0]


@given(st.dictionaries(st.integers(0, 4), st.binary(max_size=9), min_size=1))
def test_extras_as_they_were_written_before_are_read(extra: dict[int, bytes]) -> None:
    bare = Rows.of_batches([PointBatch.of(5, {"slot": 3, "time_ms": np.arange(5)})], 1)
    (frame,) = encode_groups(bare, np.zeros(1, np.int64))
    plain = zstandard.ZstdDecompressor().decompress(frame)
    present = int.from_bytes(plain[:4], "little") | 1 << 31
    old = present.to_bytes(4, "little") + plain[4:] + struct.pack("<I", len(extra))
    old += b"".join(struct.pack("<II", row, len(text)) + text for row, text in sorted(extra.items()))
    compare(decode_many([zstandard.ZstdCompressor().compress(old)])[0], Rows(5, bare.columns, Extras.of(extra)))
    for broken in (old[:-1], old + b"\0"):
        with pytest.raises(Corrupt):
            decode_many([zstandard.ZstdCompressor().compress(broken)])
