"""What the tests of columns share: strategies of frames and positions, and rows held against the plain decoder."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from model.batch import PointBatch
from model.codes import Flag
from tests.ingest.jt import plain

#: Bytes that frames and escapes are made of come often.
BYTE = st.one_of(st.sampled_from([0x7D, 0x7E, 0x01, 0x02, 0x00]), st.integers(0, 255))
TIMES = st.one_of(
    st.builds(
        lambda *parts: bytes.fromhex("".join(f"{part:02d}" for part in parts)),
        st.integers(0, 99),
        st.integers(1, 12),
        st.integers(1, 31),
        st.integers(0, 23),
        st.integers(0, 59),
        st.integers(0, 59),
    ),
    st.binary(min_size=6, max_size=6),
)
WORD = st.one_of(st.just(0), st.integers(0, 2**32 - 1), st.sampled_from([1 << bit for bit in range(32)]))
U16, U32 = st.integers(0, 2**16 - 1), st.integers(0, 2**32 - 1)


def _item(kind: int, value: bytes) -> bytes:
    return bytes([kind, len(value)]) + value


def items(table: dict[int, tuple[str, str, int]]) -> st.SearchStrategy[bytes]:
    """Additional items: mostly those of the table, some unknown, some that do not fit."""
    sizes = {kind: struct.calcsize(code) for kind, (_, code, _) in table.items()}
    known = st.sampled_from(sorted(sizes)).flatmap(
        lambda kind: st.binary(min_size=sizes[kind], max_size=sizes[kind]).map(lambda value: _item(kind, value))
    )
    crossing = st.binary(min_size=5, max_size=5).flatmap(
        lambda value: st.sampled_from([0, 1, 2]).map(lambda way: _item(0x12, value + bytes([way])))
    )
    other = st.builds(_item, st.integers(0, 255), st.binary(max_size=8))
    tail = st.one_of(st.just(b""), st.binary(max_size=4))
    return st.builds(
        lambda several, end: b"".join(several) + end, st.lists(st.one_of(known, crossing, other), max_size=6), tail
    )


def bodies808() -> st.SearchStrategy[bytes]:
    """Bodies of 0x0200, a few of them too short."""
    made = st.builds(
        lambda alarm, status, lat, lon, alt, speed, heading, time, more: (
            struct.pack(">IIIIHHH", alarm, status, lat, lon, alt, speed, heading) + time + more
        ),
        WORD,
        WORD,
        U32,
        U32,
        U16,
        U16,
        U16,
        TIMES,
        items(plain.NUMBERS_808),
    )
    return st.one_of(made, made, made, st.binary(max_size=30))


def bodies905() -> st.SearchStrategy[bytes]:
    """Bodies of 905's 0x0200, a few of them too short."""
    made = st.builds(
        lambda alarm, status, lat, lon, speed, heading, time, more: (
            struct.pack(">IIIIHB", alarm, status, lat, lon, speed, heading) + time + more
        ),
        WORD,
        WORD,
        U32,
        U32,
        U16,
        st.integers(0, 255),
        TIMES,
        items(plain.NUMBERS_905),
    )
    return st.one_of(made, made, made, st.binary(max_size=27))


def same_row(batch: PointBatch, row: int, wanted: dict[str, Any]) -> None:
    """Assert that a row is what the plain decoder makes of the same bytes."""
    assert batch.time_ms[row] == wanted["time_ms"]
    assert batch.lat[row] == pytest.approx(wanted["lat"], abs=1e-9)
    assert batch.lon[row] == pytest.approx(wanted["lon"], abs=1e-9)
    for name in ("speed_kmh", "heading_deg", "alt_m"):
        assert getattr(batch, name)[row] == pytest.approx(np.float32(wanted[name]), nan_ok=True), name
    assert batch.sat[row] == wanted["sat"]
    assert batch.alarm_bits[row] == wanted["alarm_bits"]
    flags = Flag(int(batch.flags[row]))
    assert (Flag.VALID in flags) == wanted["valid"]
    assert (Flag.IGNITION in flags) == wanted["ignition"]
    assert (Flag.OCCUPIED in flags) == wanted["occupied"]
    assert Flag.VALID_SENT | Flag.IGNITION_SENT | Flag.OCCUPIED_SENT in flags
    assert (Flag.BUFFERED in flags) == wanted.get("buffered", False)
    assert batch.seq[row] == batch.battery_pct[row] == -1
    assert np.isnan(batch.acc_m[row])
    assert json.loads(batch.extra.get(row, b"{}")) == wanted["extra"]


def shared_frames(name: str, key: str) -> list[bytes]:
    """Frames of a file of the shared data; skips the test where it is not there."""
    root = Path(os.environ.get("LUCHENG_TEST_DATA") or Path(__file__).parents[4] / "shared" / "data")
    path = root / "frames" / name
    if not path.is_file():
        pytest.skip(f"no data at {path}: set LUCHENG_TEST_DATA")
    frames = []
    for entry in json.loads(path.read_text()):
        try:
            frames.append(bytes.fromhex(entry[key]))
        except ValueError:
            continue  # a text protocol of the same makers
    return frames
