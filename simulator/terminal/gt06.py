"""Messages of a GT06 tracker (Concox and its many kin).

Purpose: contents that it sends, and the command that it is sent. Source: the GT06 protocol description of Concox, and the
frames of real devices in the test data. Times are UTC.
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from typing import Any

from simulator.terminal.fix import Fix
from simulator.terminal.wire import BadFrame, bcd

LOGIN, HEARTBEAT, POSITION, ALARM = 0x01, 0x13, 0x22, 0x26
COMMAND, SHORT_REPLY, LONG_REPLY, TIME = 0x80, 0x15, 0x21, 0x8A
#: Messages that the platform answers; positions it does not.
ANSWERED = frozenset({LOGIN, HEARTBEAT, ALARM, TIME})
NAMES = {
    LOGIN: "login", HEARTBEAT: "heartbeat", 0x12: "position", POSITION: "position", 0x16: "alarm", ALARM: "alarm",
    COMMAND: "command", SHORT_REPLY: "command_reply", LONG_REPLY: "command_reply", TIME: "time",
}  # fmt: skip
# One cell: China Mobile in the city.
_CELL = struct.pack(">HBH", 460, 0, 0x287D) + b"\x00\x1f\x71"
_NORTH, _WEST, _FIXED = 1 << 10, 1 << 11, 1 << 12
_ACC, _ARMED, _CUT, _GPS_ON = 1 << 1, 1 << 0, 1 << 7, 1 << 6
_SATELLITES = 9
_UNITS_PER_DEGREE = 1_800_000


def login(imei: str, *, model: int = 0x1001) -> bytes:
    """IMEI, kind of tracker, time zone (0: UTC) and language."""
    return bcd(imei, 8) + struct.pack(">HH", model, 0)


def information(*, cut: bool, armed: bool) -> int:
    """The byte of states: power cut, GPS on, ignition, armed."""
    return _GPS_ON | _ACC | (_CUT if cut else 0) | (_ARMED if armed else 0)


def heartbeat(info: int, *, volts: int = 6, signal: int = 4) -> bytes:
    """States, battery level 0..6, signal 0..4, no alarm."""
    return bytes((info, volts, signal)) + b"\x00\x01"


def gps(fix: Fix) -> bytes:
    """The block of 18 bytes that positions and alarms begin with."""
    when = datetime.fromtimestamp(fix.time_ms // 1000, UTC)
    date = bytes((when.year % 100, when.month, when.day, when.hour, when.minute, when.second))
    flags = fix.heading_deg % 360 | _FIXED | (_NORTH if fix.lat >= 0 else 0) | (_WEST if fix.lon < 0 else 0)
    lat, lon = round(abs(fix.lat) * _UNITS_PER_DEGREE), round(abs(fix.lon) * _UNITS_PER_DEGREE)
    speed = min(round(fix.speed_kmh), 255)
    return date + struct.pack(">BIIBH", 0xC0 | _SATELLITES, lat, lon, speed, flags)


def position(fix: Fix, *, buffered: bool = False) -> bytes:
    """Content of 22: place, cell, ignition on, sent by time, and whether it was kept back."""
    return gps(fix) + _CELL + bytes((1, 0, int(buffered)))


def alarm(fix: Fix, code: int, info: int, *, volts: int = 6, signal: int = 4) -> bytes:
    """Content of 26: place, cell with its length, states and the code of the alarm."""
    return gps(fix) + bytes((len(_CELL) + 1,)) + _CELL + bytes((info, volts, signal, code, 1))


def command_reply(flag: int, answer: str, *, long: bool = False) -> tuple[int, bytes]:
    """Protocol number and content of the answer to a command: 15 with its length, or 21 with its encoding."""
    raw = answer.encode("ascii", "replace")
    if long:
        return LONG_REPLY, struct.pack(">IB", flag, 1) + raw
    return SHORT_REPLY, struct.pack(">BI", 4 + len(raw), flag) + raw + b"\x00\x01"


def read(number: int, content: bytes) -> dict[str, Any]:
    """What the platform says. BadFrame when it is too short."""
    if number != COMMAND:
        return {"hex": content.hex()} if content else {}
    if len(content) < 5 or content[0] < 4 or len(content) < 1 + content[0]:
        raise BadFrame(f"a command of {len(content)} bytes")
    (flag,) = struct.unpack_from(">I", content, 1)
    return {"flag": flag, "text": content[5 : 1 + content[0]].decode("ascii", "backslashreplace")}
