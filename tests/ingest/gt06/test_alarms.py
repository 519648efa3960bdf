"""Codes of alarms, each once; an alarm message is one signal, however often it is sent."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ingest.gt06.alarms import (
    ALARMS,
    AZ735_ALARMS,
    CAMERA_ALARMS,
    STATE_ALARMS,
    alarm_of,
    signals_of,
    unknown_code,
)
from ingest.gt06.codec import Frame, decode_body, encode, read_frame
from model.codes import ALARM_BY_NAME
from model.signal import Signal
from tests.ingest.gt06.conftest import frames_of

DEVICE, RECEIVED_MS = "ebike/7", 1_451_385_860_000
TABLES = (ALARMS, STATE_ALARMS, CAMERA_ALARMS, AZ735_ALARMS)


def alarm(code: int, *, states: int = 0x40, serial: int = 1, lat: float = 30.5) -> tuple[Frame, dict[str, Any]]:
    """What came of an alarm message 26 with that code."""
    course = {"heading_deg": 90, "north": True, "fixed": True}
    values = {
        "fix": {
            "time": "2015-12-29T10:43:33",
            "sky": {"size": 12, "satellites": 8},
            "lat": lat,
            "lon": 114.25,
            "speed_kmh": 5,
            "course": course,
        },
        "lbs": {"mcc": 460, "mnc": 0, "lac": 1, "cell": 2},
        "status": {"information": states, "battery": 4, "signal": 4, "alarm": code, "language": "zh"},
    }
    frame = read_frame(encode("alarm_2", values, serial=serial)[0])
    return frame, decode_body(frame)


def signals(frame: Frame, values: dict[str, Any], **more: Any) -> list[Signal]:
    return signals_of(frame, values, DEVICE, RECEIVED_MS, **more)


@pytest.mark.parametrize("table", TABLES)
def test_every_kind_is_one_of_ours(table: dict[int, Any]) -> None:
    assert {one.kind for one in table.values() if one.kind} <= set(ALARM_BY_NAME)
    assert all(one.code == code for code, one in table.items())
    assert len({one.name for one in table.values()}) == len(table)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (0x01, "sos"), (0x02, "power_cut"), (0x03, "vibration"), (0x04, "entered_area"), (0x05, "left_area"),
        (0x06, "overspeed"), (0x09, "illegal_move"), (0x0E, "low_battery"), (0x0F, "low_battery"),
        (0x19, "low_battery"), (0x13, "tamper"), (0x25, "tamper"), (0x32, "tamper"), (0x14, "tamper"),
        (0x23, "rollover"), (0x2C, "collision"),
    ],
)  # fmt: skip
def test_a_code_becomes_one_signal_of_its_kind(code: int, kind: str) -> None:
    (one,) = signals(*alarm(code))
    assert (one.kind, one.source, one.device, one.severity) == (kind, "message", DEVICE, ALARM_BY_NAME[kind].severity)
    assert one.lat == pytest.approx(30.5, abs=1e-6)
    assert one.lon == pytest.approx(114.25, abs=1e-6)
    assert (one.time_ms, one.received_ms, one.note) == (1_451_385_813_000, RECEIVED_MS, ALARMS[code].name)


@pytest.mark.parametrize("code", [0x00, 0x0C, 0x20, 0xFE, 0xFF])
def test_what_is_no_alarm_raises_nothing(code: int) -> None:
    frame, values = alarm(code)
    assert signals(frame, values) == []
    assert unknown_code(frame, values) is None


def test_an_unknown_code_raises_nothing_and_is_told() -> None:
    frame = read_frame(bytes.fromhex(frames_of("gt06.json")[93]["data"]))
    values = decode_body(frame)
    assert signals(frame, values) == []
    assert unknown_code(frame, values) == 0xEA


def test_the_states_count_where_the_code_says_nothing() -> None:
    found = alarm_of(*alarm(0x00, states=0x40 | 4 << 3))
    assert found is not None
    assert found.kind == "sos"
    found = alarm_of(*alarm(0x06, states=0x40 | 4 << 3))
    assert found is not None
    assert found.kind == "overspeed"


def test_what_moves_while_armed() -> None:
    (one,) = signals(*alarm(0x09, states=0x41))
    assert one.kind == "moved_while_armed"


def test_the_same_message_again_is_the_same_signal_and_another_press_is_not() -> None:
    first, again = signals(*alarm(0x01))[0], signals(*alarm(0x01))[0]
    assert first.id == again.id
    others = [signals(*alarm(0x01, serial=2)), signals(*alarm(0x02)), signals(*alarm(0x01, lat=30.6))]
    assert len({first.id, *(one[0].id for one in others)}) == 4
    elsewhere = signals_of(*alarm(0x01), "ebike/8", RECEIVED_MS)[0]
    assert elsewhere.id != first.id


def test_an_old_alarm_is_late_and_never_dropped() -> None:
    frame, values = alarm(0x01)
    assert not signals(frame, values)[0].late
    (old,) = signals_of(frame, values, DEVICE, RECEIVED_MS + 86_400_000)
    assert old.late
    (shifted,) = signals(frame, values, zone_offset_ms=8 * 3_600_000)
    assert shifted.late
    assert shifted.time_ms == signals(frame, values)[0].time_ms - 8 * 3_600_000


@pytest.mark.parametrize(
    ("index", "kind"),
    [(12, "tamper"), (18, "low_battery"), (32, "vibration"), (41, "sos"), (79, "overspeed"), (82, "driving_warning"),
     (83, "driving_warning"), (84, "collision"), (85, "low_battery")],
)  # fmt: skip
def test_foreign_alarms(index: int, kind: str) -> None:
    frame = read_frame(bytes.fromhex(frames_of("gt06.json")[index]["data"]))
    (one,) = signals(frame, decode_body(frame))
    assert one.kind == kind
    fixed = index in {18, 79, 83, 84, 85}
    assert (one.lat is not None) == fixed  # no place where there is no fix
    assert one.time_ms == RECEIVED_MS if index in {41, 82} else one.time_ms != RECEIVED_MS


def test_other_messages_raise_nothing() -> None:
    frame, values = alarm(0x01)
    assert alarm_of(replace(frame, message_id=0x12), values) is None
    assert unknown_code(replace(frame, message_id=0x12), values) is None
    quiet = read_frame(bytes.fromhex(frames_of("gt06.json")[4]["data"]))
    assert signals(quiet, decode_body(quiet)) == []  # states of seven bytes, no code
    armed = read_frame(bytes.fromhex(frames_of("gt06.json")[56]["data"]))
    assert signals(armed, decode_body(armed)) == []
