"""GT06 messages to points: numbers, hemispheres, zones, states."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime

import pytest

from ingest.gt06.codec import Frame, decode_body, read_frame
from ingest.gt06.positions import PointRow, batch_of, position_of, zone_offset_ms_of
from model.codes import Flag
from tests.ingest.gt06.conftest import frames_of
from tests.ingest.gt06.test_codec import NO_BODIES
from tests.ingest.gt06.test_frame import NO_FRAMES

RECEIVED_MS = 1_800_000_000_000
#: The data says that these hold a position. 19 is no frame.
HAVE_ONE = {6, 9, 22, 31, 32, 36, 37, 40, 58, 60, 62, 64, 72, 73, 74, 75, 79, 89, 90, 91}
#: Latitude, longitude, km/h, heading and UTC time that a reader of the spec sees.
SEEN = {
    9: (19.702082, -99.119508, 0, 0, "2024-06-27T14:15:05"),
    12: (23.168665, 113.433458, 0, 334, "2023-10-08T12:14:36"),
    22: (-22.907096, -43.131200, 0, 70, "2022-06-26T16:54:00"),
    29: (32.808871, 34.957130, 85, 167, "2021-01-13T08:31:59"),
    36: (43.894508, -79.272751, 0, 349, "2019-08-25T17:02:50"),
    58: (-6.133382, 106.995049, 0, 53, "2017-06-23T12:27:24"),
    64: (54.739332, 25.273270, 0, 126.53, "2017-05-26T10:27:47"),
    72: (16.634709, 80.967076, 32, 258, "2015-08-27T18:29:55"),
    73: (23.111678, 114.409208, 1, 289, "2011-03-26T11:27:49"),
    83: (50.0, 19.0, None, 197, "2020-10-06T14:34:08"),
    89: (13.488940, 144.823040, 44, 250, "2026-02-12T10:30:50"),
}


def decoded(index: int) -> tuple[Frame, dict[str, object]]:
    frame = read_frame(bytes.fromhex(frames_of("gt06.json")[index]["data"]))
    return frame, decode_body(frame)


def row_of(index: int, zone_offset_ms: int = 0) -> PointRow:
    row = position_of(*decoded(index), RECEIVED_MS, zone_offset_ms=zone_offset_ms)
    assert row is not None
    return row


def test_every_position_of_the_data_becomes_a_point() -> None:
    said = {index for index, one in enumerate(frames_of("gt06.json")) if one["check"] == "verifyPosition"}
    assert said - {19} == HAVE_ONE
    for index in HAVE_ONE:
        row = row_of(index)
        assert abs(row.lat) <= 90
        assert abs(row.lon) <= 180
        assert 1_200_000_000_000 < row.time_ms < RECEIVED_MS


@pytest.mark.parametrize("index", SEEN)
def test_time_place_speed_and_heading(index: int) -> None:
    lat, lon, speed_kmh, heading_deg, time = SEEN[index]
    row = row_of(index)
    assert row.lat == pytest.approx(lat, abs=1e-6)
    assert row.lon == pytest.approx(lon, abs=1e-6)
    assert math.isnan(row.speed_kmh) if speed_kmh is None else row.speed_kmh == speed_kmh
    assert row.heading_deg == heading_deg
    assert datetime.fromtimestamp(row.time_ms / 1000, UTC).isoformat() == f"{time}+00:00"


def test_the_worked_frame_of_issue_325() -> None:
    """51.191707, 4.391276: the fix of the protocol notes."""
    block = bytes.fromhex("0f0408000b1a c7 057e05b1 00789c2a 00 34a7")
    frame = Frame(0x12, "", 1, block + bytes(8))
    row = position_of(frame, decode_body(frame), RECEIVED_MS)
    assert row is not None
    assert row.lat == pytest.approx(51.191707, abs=1e-6)
    assert row.lon == pytest.approx(4.391276, abs=1e-6)
    assert (row.sat, row.heading_deg, row.valid) == (7, 0xA7, True)


def test_no_place_no_point() -> None:
    silent = {0x01, 0x13, 0x15, 0x18, 0x19, 0x23, 0x28, 0x2C, 0x2E, 0x94, 0x9B, 0xA1, 0xA7, 0xF1, 0xF2, 0xF3}
    seen = set()
    for index in set(range(94)) - set(NO_FRAMES) - set(NO_BODIES):
        frame, values = decoded(index)
        if frame.message_id in silent:
            seen.add(frame.message_id)
            assert position_of(frame, values, RECEIVED_MS) is None
    assert seen == silent
    assert position_of(*decoded(34), RECEIVED_MS) is None  # a module of a fix that is all zeros
    assert position_of(*decoded(82), RECEIVED_MS) is None  # an alarm without a place


def test_states() -> None:
    vxt01, upload, status, none = row_of(23), row_of(62), row_of(79), row_of(73)
    assert (vxt01.ignition, vxt01.armed, vxt01.extra) == (False, False, {"voltage_v": 13.93})
    assert (upload.ignition, upload.buffered, upload.valid) == (True, True, False)
    assert (status.ignition, status.battery_pct, status.sat) == (True, 100, 4)
    assert (none.ignition, none.armed, none.battery_pct) == (None, None, -1)
    assert row_of(72).ignition is True  # by the word of the course
    assert row_of(12).battery_pct == 93
    assert row_of(72).extra == {"odometer_m": 4_320_784}
    assert all(row_of(index).alarm_bits == 0 for index in (12, 71, 79, 85))


def test_flags_tell_no_from_not_sent() -> None:
    assert row_of(73).flags == Flag.VALID | Flag.VALID_SENT
    assert row_of(62).flags == Flag.VALID_SENT | Flag.IGNITION | Flag.IGNITION_SENT | Flag.BUFFERED
    assert row_of(23).flags == Flag.VALID | Flag.VALID_SENT | Flag.IGNITION_SENT | Flag.ARMED_SENT


@pytest.mark.parametrize(
    ("zone", "hours"),
    [(0, 0), (800 << 4, 8), (545 << 4, 5.75), (500 << 4 | 8, -5), (330 << 4 | 8, -3.5), (0xFFFF, 0), (807 << 4, 0)],
)
def test_the_zone_of_a_login(zone: int, hours: float) -> None:
    assert zone_offset_ms_of({"zone": zone}) == hours * 3_600_000


def test_a_device_that_counts_in_its_own_zone() -> None:
    assert zone_offset_ms_of({}) == 0
    east_ms = 8 * 3_600_000
    assert row_of(73, east_ms).time_ms == row_of(73).time_ms - east_ms
    assert row_of(64, east_ms).time_ms == row_of(64).time_ms - east_ms
    assert row_of(36, east_ms).time_ms == row_of(36).time_ms  # counts seconds of UTC


def test_a_place_without_a_time_came_now() -> None:
    frame = Frame(0x10, "", 1, bytes(6) + bytes.fromhex("c8 02b0eb0f 0561ecdc 00 1400"))
    row = position_of(frame, decode_body(frame), RECEIVED_MS)
    assert row is not None
    assert row.time_ms == RECEIVED_MS


def test_a_text_that_is_no_time_is_no_place() -> None:
    text = "Current position!Lat:N54.7,Lon:E25.2,Course:1.0,Speed:0.0,DateTime:2017-99-26 10:27:47"
    assert position_of(Frame(0x21, "", 0, b""), {"text": text}, RECEIVED_MS) is None
    assert position_of(Frame(0x21, "", 0, b""), {"text": {"raw": "ff"}}, RECEIVED_MS) is None


def test_rows_become_a_batch() -> None:
    batch = batch_of([(3, row_of(72)), (5, row_of(83))], RECEIVED_MS)
    assert batch.slot.tolist() == [3, 5]
    assert batch.time_ms.tolist() == [row_of(72).time_ms, row_of(83).time_ms]
    assert batch.speed_kmh[0] == 32
    assert math.isnan(batch.speed_kmh[1])
    assert batch.sat.tolist() == [11, -1]
    assert batch.received_ms.tolist() == [RECEIVED_MS] * 2
    assert batch.flags.tolist() == [row_of(72).flags, row_of(83).flags]
    assert {row: json.loads(raw) for row, raw in batch.extra.items()} == {0: {"odometer_m": 4_320_784}}
