"""Bodies that a JT/T 808 or JT/T 905 terminal sends.

Purpose: one function a message, values in, bytes out. Source: JT/T 808-2013 and -2019 chapter 8, JT/T 905.2-2014. Texts
are GBK, times Beijing time, numbers big-endian. It decides nothing: `obey` says when which is sent.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence

from simulator.terminal.fix import Fix
from simulator.terminal.wire import Protocol, bcd, bcd_time

#: Names of messages, up and down, for people.
NAMES: dict[int, str] = {
    0x0001: "general_reply", 0x0002: "heartbeat", 0x0003: "logout", 0x0005: "parts_missing", 0x0100: "register",
    0x0102: "authenticate", 0x0104: "parameters", 0x0107: "attributes", 0x0200: "position", 0x0201: "position_asked",
    0x0203: "blind_zone", 0x0500: "vehicle_controlled", 0x0702: "driver_card", 0x0704: "batch", 0x0800: "media_event",
    0x0801: "media", 0x0802: "media_found", 0x0805: "photo_taken", 0x0B03: "sign_on", 0x0B04: "sign_off",
    0x0B05: "trip_record", 0x0B11: "inspected", 0x1003: "av_attributes", 0x1205: "av_files",
    0x8001: "reply", 0x8003: "parts_wanted", 0x8100: "registered", 0x8103: "set_parameters", 0x8104: "get_parameters",
    0x8105: "control", 0x8106: "get_some_parameters", 0x8107: "get_attributes", 0x8201: "get_position",
    0x8202: "track", 0x8203: "confirm_alarm", 0x8300: "text", 0x8400: "call_back", 0x8401: "phone_book",
    0x8500: "control_vehicle", 0x8800: "media_received", 0x8801: "take_photo", 0x8802: "find_media",
    0x8803: "upload_media", 0x8804: "record_sound", 0x8805: "upload_one", 0x8B0A: "confirm_alarm",
    0x8B0B: "clear_alarm", 0x8B11: "inspect", 0x9003: "get_av_attributes", 0x9101: "start_av", 0x9102: "control_av",
    0x9205: "list_av_files",
}  # fmt: skip

# Status bits that a terminal keeps itself (JT/T 808 table 25; JT/T 905.2 table of status bits).
_FIXED_808, _ACC_808 = 1 << 1, 1 << 0
_ACC_905 = 1 << 8
OIL_CUT, CIRCUIT_CUT, DOOR_LOCKED = 1 << 10, 1 << 11, 1 << 12
#: Bits that the terminal sets when it was ordered so; the same in both standards.
ORDERED = OIL_CUT | CIRCUIT_CUT | DOOR_LOCKED
HIRED_905 = 1 << 9
_UNITS_PER_DEGREE = {Protocol.JT905: 600_000}

#: Why 8100 refuses, by its result; anything else is the general reply's word.
REFUSED_REGISTRATION = {
    1: "its plate is another vehicle's",
    2: "its plate is not the one registered for its number: give it with --plate",
    3: "another terminal is bound: `lucheng terminal release`",
    4: "no enabled device has its number: `lucheng device add … --phone`",
}


def default_status(protocol: Protocol) -> int:
    """A valid fix and ignition on: bit 1 and bit 0 of 808; of 905 bit 0 means no fix, and bit 8 is ignition."""
    return _ACC_905 if protocol is Protocol.JT905 else _FIXED_808 | _ACC_808


def text(value: str, size_bytes: int) -> bytes:
    """GBK, zeros behind, cut to its size."""
    return value.encode("gbk", "replace")[:size_bytes].ljust(size_bytes, b"\0")


def fixed_position(fix: Fix, protocol: Protocol) -> bytes:
    """The fixed part of 0200: 28 bytes, of JT/T 905 25."""
    south, west = (2, 4) if protocol is Protocol.JT905 else (4, 8)
    status = default_status(protocol) if fix.status is None else fix.status
    status |= (south if fix.lat < 0 else 0) | (west if fix.lon < 0 else 0)
    units = _UNITS_PER_DEGREE.get(protocol, 1_000_000)
    lat, lon = round(abs(fix.lat) * units), round(abs(fix.lon) * units)
    speed = round(fix.speed_kmh * 10)
    if protocol is Protocol.JT905:
        heading = fix.heading_deg % 360 // 2
        return struct.pack(">4IHB", fix.alarm, status, lat, lon, speed, heading) + bcd_time(fix.time_ms)
    fixed = struct.pack(">4I3H", fix.alarm, status, lat, lon, fix.altitude_m & 0xFFFF, speed, fix.heading_deg % 360)
    return fixed + bcd_time(fix.time_ms)


def position(fix: Fix, protocol: Protocol) -> bytes:
    """Body of 0200: the fixed part and the additional items."""
    items = b"".join(bytes((number, len(value))) + value for number, value in fix.items)
    return fixed_position(fix, protocol) + items


def batch(fixes: Sequence[Fix], protocol: Protocol, *, blind: bool) -> bytes:
    """Body of 0704, each place with its length; of JT/T 905 the body of 0203, places of 25 bytes one after the other."""
    if protocol is Protocol.JT905:
        return b"".join(fixed_position(fix, protocol) for fix in fixes)
    bodies = [position(fix, protocol) for fix in fixes]
    lengths = b"".join(struct.pack(">H", len(body)) + body for body in bodies)
    return struct.pack(">HB", len(bodies), int(blind)) + lengths


def reply(serial: int, message_id: int, result: int) -> bytes:
    """Body of 0001: the general reply."""
    return struct.pack(">HHB", serial, message_id, result)


def register(
    protocol: Protocol,
    *,
    maker: str,
    model: str,
    terminal_id: str,
    plate: str,
    colour: int = 1,
    province: int = 15,
    city: int = 202,
) -> bytes:
    """Body of 0100."""
    sizes = (11, 30, 30) if protocol is Protocol.JT808_2019 else (5, 20, 7)
    names = b"".join(text(value, size) for value, size in zip((maker, model, terminal_id), sizes, strict=True))
    return struct.pack(">HH", province, city) + names + bytes((colour,)) + plate.encode("gbk", "replace")


def authenticate(protocol: Protocol, token: str, *, imei: str = "", software: str = "") -> bytes:
    """Body of 0102: the token alone, or in 2019 with its length, IMEI and software."""
    raw = token.encode("gbk", "replace")
    if protocol is not Protocol.JT808_2019:
        return raw
    return bytes((len(raw),)) + raw + text(imei, 15) + text(software, 20)


def attributes(
    protocol: Protocol,
    *,
    maker: str,
    model: str,
    terminal_id: str,
    iccid: str,
    hardware: str,
    software: str,
    kind: int = 0,
) -> bytes:
    """Body of 0107."""
    sizes = (11, 30, 30) if protocol is Protocol.JT808_2019 else (5, 20, 7)
    names = b"".join(text(value, size) for value, size in zip((maker, model, terminal_id), sizes, strict=True))
    versions = b"".join(bytes((len(raw),)) + raw for raw in (hardware.encode("gbk"), software.encode("gbk")))
    return struct.pack(">H", kind) + names + bcd(iccid, 10) + versions + b"\x03\x80"


def parameters(protocol: Protocol, serial: int, values: Mapping[int, bytes]) -> bytes:
    """Body of 0104: serial of the question, count (808 alone) and the parameters."""
    if protocol is Protocol.JT905:
        rows = b"".join(struct.pack(">HB", number, len(value)) + value for number, value in values.items())
        return struct.pack(">H", serial) + rows
    rows = b"".join(struct.pack(">IB", number, len(value)) + value for number, value in values.items())
    return struct.pack(">HB", serial, len(values)) + rows


def parts_missing(serial: int, parts: Sequence[int]) -> bytes:
    """Body of 0005 (of 2019): serial of the first part of the message, and the parts that did not come."""
    return struct.pack(f">HH{len(parts)}H", serial, len(parts), *parts)


# -- media -------------------------------------------------------------------------------------


def media_head(media_id: int, *, kind: int, coding: int, event: int, channel: int) -> bytes:
    """Body of 0800, and the beginning of 0801. Kinds 0 image, 1 audio, 2 video; codings 0 JPEG, 3 WAV, 4 WMV."""
    return struct.pack(">I4B", media_id, kind, coding, event, channel)


def media(head: bytes, fix: Fix, data: bytes, protocol: Protocol) -> bytes:
    """Body of 0801: head, place (28 bytes) and the file."""
    return head + fixed_position(fix, protocol) + data


def photo_taken(serial: int, media_ids: Sequence[int]) -> bytes:
    """Body of 0805: serial of the order, result 0, and the numbers of the photos."""
    return struct.pack(f">HBH{len(media_ids)}I", serial, 0, len(media_ids), *media_ids)


def media_found(serial: int, rows: Iterable[tuple[int, int, int, int, bytes]]) -> bytes:
    """Body of 0802: (number, kind, channel, event, place of 28 bytes) of everything that is stored."""
    items = [struct.pack(">I3B", number, kind, channel, event) + place for number, kind, channel, event, place in rows]
    return struct.pack(">HH", serial, len(items)) + b"".join(items)


def taxi_photo(media_id: int, whole: bytes, *, reason: int, camera: int, piece_bytes: int) -> list[bytes]:
    """Bodies of 0800 of JT/T 905, a piece of `whole` (place and picture) each, with size and offset.

    Reasons: 0 hired, 1 rating, 2 alarm, 3 the centre asked.
    """
    head = struct.pack(">HIBI", reason, media_id, camera, len(whole))
    return [
        head + struct.pack(">I", offset) + whole[offset : offset + piece_bytes]
        for offset in range(0, len(whole), piece_bytes)
    ]
