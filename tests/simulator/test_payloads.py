"""What is written is what `mqtt.md` says, read back by an independent reader."""

from __future__ import annotations

import json
import math
import struct
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from model.batch import PointBatch
from model.codes import Flag
from simulator import payloads


def test_a_full_and_a_bare_point() -> None:
    both = Flag.VALID | Flag.VALID_SENT | Flag.OCCUPIED_SENT | Flag.ARMED | Flag.ARMED_SENT | Flag.BUFFERED
    points = PointBatch.of(
        2,
        {
            "time_ms": 1760000000000,
            "lat": [40.65, -0.5],
            "lon": [109.84, 179.9999994],
            "seq": [7, -1],
            "speed_kmh": [31.5, np.nan],
            "heading_deg": [182.0, np.nan],
            "sat": [11, -1],
            "battery_pct": [88, -1],
            "flags": [int(both), 0],
            "alarm_bits": [0b100000001, 0],
        },
    )
    full, bare = (json.loads(one) for one in payloads.point_objects(points))
    assert full == {
        "seq": 7,
        "ts": 1760000000000,
        "lat": 40.65,
        "lon": 109.84,
        "speed_kmh": 31.5,
        "heading_deg": 182.0,
        "sat": 11,
        "battery_pct": 88,
        "valid": True,
        "occupied": False,
        "armed": True,
        "buffered": True,
        "alarms": ["sos", "vibration"],
    }
    assert bare == {"ts": 1760000000000, "lat": -0.5, "lon": 179.999999}


@given(
    st.lists(
        st.tuples(
            st.integers(0, 1 << 45), st.floats(), st.floats(width=32), st.integers(-1, 1 << 40), st.integers(0, 511)
        ),
        max_size=20,
    )
)
def test_any_batch_is_json_that_python_reads(rows: list[tuple[int, float, float, int, int]]) -> None:
    columns: dict[str, Any] = {
        "time_ms": [row[0] for row in rows],
        "lat": [row[1] for row in rows],
        "lon": 1.0,
        "speed_kmh": [row[2] for row in rows],
        "seq": [row[3] for row in rows],
        "flags": [row[4] for row in rows],
    }
    texts = payloads.point_objects(PointBatch.of(len(rows), columns))
    read = [json.loads(text) for text in texts]
    assert json.loads(payloads.point_array(texts)) == read or any(math.isnan(row[1]) for row in rows)
    for point, (ts, lat, speed, seq, _) in zip(read, rows, strict=True):
        assert point["ts"] == ts
        assert np.isclose(point["lat"], lat, rtol=0, atol=5.1e-7, equal_nan=True)
        assert point.get("seq", -1) == seq
        assert ("speed_kmh" in point) == (not math.isnan(speed))


def test_records_are_28_bytes_each_field_in_place() -> None:
    flags = int(Flag.IGNITION | Flag.IGNITION_SENT | Flag.OCCUPIED | Flag.OCCUPIED_SENT | Flag.BUFFERED)
    points = PointBatch.of(
        2,
        {
            "time_ms": [1760000000123, 5],
            "lat": [40.65, -33.123456],
            "lon": [109.84, -151.5],
            "speed_kmh": [31.5, np.nan],
            "heading_deg": [182.5, np.nan],
            "alt_m": [-12.0, 1e9],
            "sat": [11, -1],
            "flags": [flags, int(Flag.VALID_SENT)],
            "alarm_bits": [1, 2],
        },
    )
    raw = payloads.records(np.array([77, 4_000_000_000], np.uint32), points)
    assert len(raw) == 56
    first, second = struct.iter_unpack("<IqiiHHhBB", raw)
    assert first == (77, 1760000000123, 109_840_000, 40_650_000, 315, 1825, -12, 0b110111, 11)
    assert second == (4_000_000_000, 5, -151_500_000, -33_123_456, 0, 0, 32_767, 0, 0)


def test_alarm_status_and_topic() -> None:
    assert json.loads(payloads.alarm("a1", 5, "one_key", lat=40.65, lon=109.84, note="救命")) == {
        "id": "a1",
        "ts": 5,
        "kind": "one_key",
        "lat": 40.65,
        "lon": 109.84,
        "note": "救命",
    }
    assert json.loads(payloads.status(5, online=True, battery_pct=80)) == {"ts": 5, "online": True, "battery_pct": 80}
    assert payloads.topic("button/S1", "alarm") == "lucheng/v1/button/S1/up/alarm"
