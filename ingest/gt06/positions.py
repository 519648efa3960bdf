"""Decoded GT06 messages to rows of points.

Purpose: `position_of`: time, place and states of every message that holds a place, in the units of `PointBatch`.
Invariants: a value that the message does not hold is the column's missing value; nothing is judged: a place without a fix
stays with its flag, and the analytics decide. Alarm messages hold events, which `ingest.gt06.alarms` makes signals of;
their points carry no alarm bits. Times are the device's: UTC unless its login says otherwise.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from ingest.gt06.codec import Frame
from ingest.wire.fields import Values
from model.batch import PointBatch
from model.codes import Flag

NAN = float("nan")
_QUARTER_MS = 15 * 60_000
_CURRENT = re.compile(
    r"Current position!Lat:([NS])(\d{1,3}\.\d+),Lon:([EW])(\d{1,3}\.\d+),Course:(\d{1,3}(?:\.\d+)?),"
    r"Speed:(\d{1,4}(?:\.\d+)?),DateTime:(\d{4}-\d\d-\d\d) +(\d\d:\d\d:\d\d)"
)


@dataclass(frozen=True, slots=True)
class PointRow:
    """One point, units as in `PointBatch`.

    Attributes:
        time_ms: UTC ms by the device's clock; 0 when the message holds none.
        lat, lon: WGS-84 degrees, signed.
        speed_kmh, heading_deg, alt_m: NaN when not sent.
        sat, battery_pct: -1 when not sent.
        valid: whether the device says that it has a fix.
        ignition: None when not sent.
        buffered: whether it comes from the device's own store.
        armed: None when not sent.
        alarm_bits: always 0: an alarm is an event here; see `ingest.gt06.alarms`.
        extra: what has no column, JSON values: odometer, voltages, driver.
    """

    time_ms: int
    lat: float
    lon: float
    speed_kmh: float = NAN
    heading_deg: float = NAN
    alt_m: float = NAN
    sat: int = -1
    battery_pct: int = -1
    valid: bool = False
    ignition: bool | None = None
    buffered: bool = False
    armed: bool | None = None
    alarm_bits: int = 0
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def flags(self) -> int:
        """`model.codes.Flag` bits."""
        made = Flag.VALID_SENT | (Flag.VALID if self.valid else Flag(0))
        if self.ignition is not None:
            made |= Flag.IGNITION_SENT | (Flag.IGNITION if self.ignition else Flag(0))
        if self.armed is not None:
            made |= Flag.ARMED_SENT | (Flag.ARMED if self.armed else Flag(0))
        return int(made | (Flag.BUFFERED if self.buffered else Flag(0)))


def zone_offset_ms_of(login: Values) -> int:
    """How far the device's clock is ahead of UTC, ms, by the zone word of its login; 0 when it sends none or nonsense."""
    zone = login.get("zone", 0)
    hours, minutes = divmod(int(zone) >> 4, 100)
    offset_ms = (hours * 60 + minutes) * 60_000
    if hours > 14 or offset_ms % _QUARTER_MS:
        return 0
    return -offset_ms if zone & 8 else offset_ms


def position_of(frame: Frame, values: Values, received_ms: int, *, zone_offset_ms: int = 0) -> PointRow | None:
    """The point of a decoded message; None when it holds no place.

    Args:
        frame: the frame.
        values: what `decode_body` made of it.
        received_ms: our clock, UTC ms; the time of a place that comes without one.
        zone_offset_ms: of the device's clock to UTC: see `zone_offset_ms_of`.
    """
    del frame
    fix = _fix_of(values)
    if fix is None:
        return _current(values.get("text"), zone_offset_ms)
    course = fix["course"]
    return PointRow(
        time_ms=fix["epoch_s"] * 1_000
        if "epoch_s" in fix
        else _time_ms(fix.get("time"), zone_offset_ms) or received_ms,
        lat=fix["lat"] if course["north"] else -fix["lat"],
        lon=-fix["lon"] if course["west"] else fix["lon"],
        speed_kmh=float(fix.get("speed_kmh", NAN)),
        heading_deg=float(course["heading_deg"]) if course["heading_deg"] <= 360 else NAN,
        alt_m=float(fix.get("altitude_m", NAN)),
        sat=_satellites(fix),
        battery_pct=_battery_pct(values),
        valid=course["fixed"],
        ignition=_ignition(values, course),
        buffered=_buffered(values),
        armed=_information(values, 0),
        extra=_extra(values),
    )


def _fix_of(values: Values) -> Values | None:
    """Time and place, wherever the message has them."""
    if isinstance(values.get("fix"), dict):
        return dict(values["fix"])
    for name in ("place", "gps"):
        if isinstance(values.get(name), dict):
            return {"time": values.get("time"), **values[name]}
    if "course" in values and "lat" in values:
        return {name: values[name] for name in ("time", "lat", "lon", "speed_kmh", "course", "sky") if name in values}
    for one in values.get("modules") or ():
        if one.get("name") == "fix" and isinstance(one.get("value"), dict):
            return dict(one["value"]) if one["value"]["epoch_s"] else None
    return None


def _time_ms(iso: str | None, zone_offset_ms: int) -> int:
    if iso is None:
        return 0
    return int(datetime.fromisoformat(iso).replace(tzinfo=UTC).timestamp() * 1_000) - zone_offset_ms


def _satellites(fix: Values) -> int:
    sky = fix.get("sky")
    if isinstance(sky, dict):
        return int(sky["satellites"])
    if isinstance(sky, int):
        return sky & 15
    return int(fix.get("satellites", -1))


def _states(values: Values) -> list[Values]:
    """Groups that may hold states, the message itself first."""
    return [values, *(values[name] for name in ("status", "upload", "vxt01", "s5", "seeworld") if name in values)]


def _information(values: Values, bit: int) -> bool | None:
    for group in _states(values):
        word = group.get("information")
        if isinstance(word, dict):
            return bool(word["value"] >> bit & 1)
    return None


def _ignition(values: Values, course: Values) -> bool | None:
    """By the states, else by the word behind the cell, else by the course's own bits."""
    stated = _information(values, 1)
    if stated is not None:
        return stated
    for group in _states(values):
        if "ignition" in group:
            return group["ignition"] not in ("off", 0)
    return course["ignition"] if course["ignition_sent"] else None


def _buffered(values: Values) -> bool:
    return any(group.get("buffered") in ("buffered", 1) for group in _states(values))


def _battery_pct(values: Values) -> int:
    """Levels 0 to 6 as sixths; above them a percentage."""
    for group in _states(values):
        level = group.get("battery")
        if isinstance(level, int):
            return round(level * 100 / 6) if level <= 6 else level if level <= 100 else -1
        if isinstance(group.get("battery_pct"), int):
            return int(group["battery_pct"])
    return -1


_EXTRA = ("odometer_m", "voltage_v", "power_v", "battery_v", "temperature_c", "humidity_pct", "driver", "card", "fence")


def _extra(values: Values) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for group in _states(values):
        made.update({name: group[name] for name in _EXTRA if name in group})
    return made


def _current(text: Any, zone_offset_ms: int) -> PointRow | None:
    """The place in the text that answers `WHERE#`."""
    found = _CURRENT.search(text) if isinstance(text, str) else None
    if found is None:
        return None
    try:
        time_ms = _time_ms(f"{found[7]}T{found[8]}", zone_offset_ms)
    except ValueError:
        return None
    return PointRow(
        time_ms=time_ms,
        lat=float(found[2]) * (1 if found[1] == "N" else -1),
        lon=float(found[4]) * (1 if found[3] == "E" else -1),
        speed_kmh=float(found[6]),
        heading_deg=float(found[5]),
        valid=True,
    )


def batch_of(rows: list[tuple[int, PointRow]], received_ms: int) -> PointBatch:
    """Rows of (registry slot, point) as a batch, `extra` as JSON."""
    points = [point for _, point in rows]
    columns: dict[str, Any] = {
        name: [getattr(point, name) for point in points]
        for name in ("time_ms", "lat", "lon", "speed_kmh", "heading_deg", "alt_m", "sat", "battery_pct", "flags")
    }
    columns["slot"] = [slot for slot, _ in rows]
    columns["alarm_bits"] = [np.uint64(point.alarm_bits) for point in points]
    extra = {row: json.dumps(point.extra).encode() for row, point in enumerate(points) if point.extra}
    return PointBatch.of(len(rows), {**columns, "received_ms": received_ms}, extra)
