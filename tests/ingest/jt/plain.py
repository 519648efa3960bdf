"""A plain decoder of JT/T 808 and 905 positions, byte by byte and field by field, to hold the columns against.

Written from the field tables of the protocols alone; it shares no code with `ingest.jt`.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ingest.jt808 import alarms as alarms808
from ingest.jt905 import alarms as alarms905
from model.codes import ALARM_BY_NAME

NO_NUMBER = 2**64 - 1


def framed(plain: bytes, *, checksum: int | None = None) -> bytes:
    """A frame around header and body; `checksum` replaces the right one."""
    right = 0
    for byte in plain:
        right ^= byte
    out = b""
    for byte in plain + bytes([right if checksum is None else checksum]):
        out += {0x7D: b"\x7d\x01", 0x7E: b"\x7d\x02"}.get(byte, bytes([byte]))
    return b"\x7e" + out + b"\x7e"


def header(
    message_id: int, size: int, *, number: bytes = bytes(6), serial: int = 0, wide: bool = False, flags: int = 0
) -> bytes:
    """A header of 808; `number` is padded to the width of its edition."""
    props = size | flags | (0x4000 if wide else 0)
    version = b"\x01" if wide else b""
    parts = b"\0\2\0\1" if flags & 0x2000 else b""
    number = number.rjust(10 if wide else 6, b"\0")
    return struct.pack(">HH", message_id, props) + version + number + struct.pack(">H", serial) + parts


@dataclass
class PlainFrame:
    """One frame as the slow way reads it."""

    source: int
    raw: bytes
    plain: bytes
    checksum_ok: bool
    escape_ok: bool

    @property
    def fields(self) -> dict[str, Any]:
        """The header; only for frames of at least 12 bytes."""
        message_id, props = struct.unpack_from(">HH", self.plain)
        wide, parted = bool(props & 0x4000), bool(props & 0x2000)
        size = (17 if wide else 12) + (4 if parted else 0)
        padded = self.plain + bytes(64)  # what a header that is too short lacks is not looked at by any test
        number = padded[5:15] if wide else padded[4:10]
        digits = number.hex()
        value = int(digits) if digits.isdecimal() else NO_NUMBER
        return {
            "message_id": message_id,
            "version": 2019 if wide else 2013,
            "serial": struct.unpack_from(">H", padded, 15 if wide else 10)[0],
            "parted": parted,
            "encrypted": bool(props & 0x1C00),
            "length_ok": props & 0x3FF == len(self.plain) - size,
            "length_ok_905": props == len(self.plain) - 12,
            "number": min(value, NO_NUMBER),
            "body": self.plain[size:],
        }


def cut(pieces: list[bytes]) -> tuple[list[PlainFrame], list[bytes], list[tuple[int, bytes]]]:
    """All that `ingest.jt.columns.cut` says, a byte at a time."""
    frames: list[PlainFrame] = []
    leftovers: list[bytes] = []
    junk: list[tuple[int, bytes]] = []
    for source, piece in enumerate(pieces):
        gathered: bytes | None = None  # what came since the last mark
        before = b""
        for byte in piece:
            if byte == 0x7E:
                if gathered:
                    frames.append(_frame(source, gathered))
                gathered = b""
            elif gathered is None:
                before += bytes([byte])
            else:
                gathered += bytes([byte])
        leftovers.append(b"" if gathered is None else b"\x7e" + gathered)
        if before:
            junk.append((source, before))
    return frames, leftovers, junk


def _frame(source: int, inner: bytes) -> PlainFrame:
    plain, at, good = b"", 0, True
    while at < len(inner):
        pair = inner[at : at + 2]
        if pair in (b"\x7d\x01", b"\x7d\x02"):
            plain += b"\x7d" if pair[1] == 1 else b"\x7e"
            at += 2
            continue
        good = good and inner[at] != 0x7D
        plain += inner[at : at + 1]
        at += 1
    total = 0
    for byte in plain:
        total ^= byte
    return PlainFrame(source, b"\x7e" + inner + b"\x7e", plain[:-1], total == 0, good)


NUMBERS_808 = {
    0x01: ("mileage_km", ">I", 10),
    0x02: ("fuel_l", ">H", 10),
    0x03: ("recorder_kmh", ">H", 10),
    0x04: ("alarm_event_id", ">H", 1),
    0x06: ("cabin_c", ">h", 1),
    0x14: ("video_alarm", ">I", 1),
    0x15: ("channels_lost", ">I", 1),
    0x16: ("channels_covered", ">I", 1),
    0x17: ("storages", ">H", 1),
    0x18: ("behaviour", ">H", 1),
    0x25: ("signals", ">I", 1),
    0x2A: ("io", ">H", 1),
    0x2B: ("analog", ">I", 1),
    0x30: ("rssi", ">B", 1),
    0x31: ("sat", ">B", 1),
}
NUMBERS_905 = {0x01: ("mileage_km", ">I", 10), 0x02: ("fuel_l", ">H", 10), 0x03: ("alt_m", ">h", 1)}


def items_of(rest: bytes, table: dict[int, tuple[str, str, int]]) -> tuple[dict[str, Any], list[tuple[int, bytes]]]:
    """What the items say, and the items one by one."""
    said: dict[str, Any] = {}
    items: list[tuple[int, bytes]] = []
    while rest:
        if len(rest) < 2 or len(rest) < 2 + rest[1]:
            said["rest"] = rest.hex()
            break
        kind, value = rest[0], rest[2 : 2 + rest[1]]
        rest = rest[2 + len(value) :]
        items.append((kind, value))
        name, code, divisor = table.get(kind, ("", ">x", 1))
        if name and struct.calcsize(code) == len(value):
            number = struct.unpack(code, value)[0]
            said[name] = number / divisor if divisor > 1 else number
        else:
            said[f"x{kind:02x}"] = value.hex()
    return said, items


def _bits(word: int, table: tuple[alarms808.AlarmBit, ...], items: list[tuple[int, bytes]]) -> int:
    bits = 0
    crossings = [value[5] for kind, value in items if kind == 0x12 and len(value) == 6]
    for one in table:
        if word >> one.bit & 1:
            bits |= 1 << ALARM_BY_NAME[one.kind].bit
    if word >> 20 & 1 and 1 in crossings:
        bits &= ~(1 << ALARM_BY_NAME["entered_area"].bit)
        bits |= 1 << ALARM_BY_NAME["left_area"].bit
    return bits


def _names(word: int, table: tuple[alarms808.AlarmBit, ...]) -> list[str]:
    named = {one.bit: one.name for one in table}
    return [named.get(bit, f"bit_{bit}") for bit in range(32) if word >> bit & 1]


def time_ms(bcd: bytes) -> int | None:
    """UTC ms of a BCD time of GMT+8."""
    digits = bcd.hex()
    if not digits.isdecimal():
        return None
    year, month, day, hour, minute, second = (int(digits[at : at + 2]) for at in range(0, 12, 2))
    try:
        local = datetime(2000 + year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
    return round((local - timedelta(hours=8)).timestamp() * 1000)


def position808(body: bytes) -> dict[str, Any] | None:
    """One row; None for what is bad."""
    if len(body) < 28:
        return None
    alarm, status, lat, lon, alt, speed, heading = struct.unpack_from(">IIIIhHH", body)
    said, items = items_of(body[28:], NUMBERS_808)
    bits = _bits(alarm, alarms808.ALARMS, items)
    if "video_alarm" in said:
        for one in alarms808.VIDEO_ALARMS:
            bits |= (said["video_alarm"] >> one.bit & 1) << ALARM_BY_NAME[one.kind].bit
    if alarm:
        said["alarms808"] = _names(alarm, alarms808.ALARMS)
    when = time_ms(body[22:28])
    if when is None:
        return None
    return {
        "time_ms": when,
        "lat": lat / 1e6 * (-1 if status & 4 else 1),
        "lon": lon / 1e6 * (-1 if status & 8 else 1),
        "speed_kmh": speed / 10,
        "heading_deg": heading,
        "alt_m": alt,
        "sat": said.pop("sat", -1),
        "valid": bool(status & 2),
        "ignition": bool(status & 1),
        "occupied": status >> 8 & 3 != 0,
        "alarm_bits": bits,
        "extra": said,
    }


def position905(body: bytes) -> dict[str, Any] | None:
    """One row; None for what is bad."""
    if len(body) < 25:
        return None
    alarm, status, lat, lon, speed, heading = struct.unpack_from(">IIIIHB", body)
    said, items = items_of(body[25:], NUMBERS_905)
    bits = _bits(alarm, alarms905.ALARMS, items)
    if alarm:
        said["alarms905"] = _names(alarm, alarms905.ALARMS)
    when = time_ms(body[19:25])
    if when is None:
        return None
    return {
        "time_ms": when,
        "lat": lat / 600_000 * (-1 if status & 2 else 1),
        "lon": lon / 600_000 * (-1 if status & 4 else 1),
        "speed_kmh": speed / 10,
        "heading_deg": heading * 2,
        "alt_m": said.pop("alt_m", math.nan),
        "sat": -1,
        "valid": not status & 1,
        "ignition": bool(status >> 8 & 1),
        "occupied": bool(status >> 9 & 1),
        "alarm_bits": bits,
        "extra": said,
    }


def batch704(body: bytes) -> tuple[list[bytes], bool, bool]:
    """The bodies of a batch that can be found, whether it is of a blind zone, whether all of it was in order."""
    if len(body) < 3:
        return [], False, False
    count, blind = struct.unpack_from(">HB", body)
    found, rest = [], body[3:]
    while len(rest) >= 2 and len(rest) >= 2 + struct.unpack_from(">H", rest)[0]:
        size = struct.unpack_from(">H", rest)[0]
        found.append(rest[2 : 2 + size])
        rest = rest[2 + size :]
    return found, blind == 1, not rest and len(found) == count
