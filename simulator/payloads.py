"""What devices send: MQTT topics and payloads, as `mqtt.md` has them.

Purpose: points as JSON objects and arrays, the 28-byte records of a gateway, alarms and statuses. Invariants: a value that is missing in
the columns is not sent; numbers have the store's resolution (1e-6°, 0.1 km/h, 0.1°, 0.1 m); `NaN` and `Infinity` are
written as broken devices write them, though JSON has no such words. It reads no clock and sends nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from model.batch import PointBatch
from model.codes import Flag, alarm_names

TOPIC_ROOT = "lucheng/v1"
#: One record of a gateway, little-endian, 28 bytes.
RECORD = np.dtype(
    [
        ("id", "<u4"),
        ("ts", "<i8"),
        ("lon", "<i4"),
        ("lat", "<i4"),
        ("speed", "<u2"),
        ("heading", "<u2"),
        ("alt", "<i2"),
        ("status", "u1"),
        ("sat", "u1"),
    ]
)
#: Status bits of a record and the flag each stands for.
_STATUS = ((0, Flag.VALID), (1, Flag.IGNITION), (2, Flag.OCCUPIED), (3, Flag.ARMED), (4, Flag.BUFFERED))
_STATUS_SOS = 1 << 5
_SOS = 1 << 0
_FLOATS = (("speed_kmh", ".1f"), ("heading_deg", ".1f"), ("alt_m", ".1f"), ("acc_m", ".1f"))
_INTEGERS = ("seq", "sat", "battery_pct")
_BOOLEANS = (
    ("valid", Flag.VALID, Flag.VALID_SENT),
    ("ignition", Flag.IGNITION, Flag.IGNITION_SENT),
    ("occupied", Flag.OCCUPIED, Flag.OCCUPIED_SENT),
    ("armed", Flag.ARMED, Flag.ARMED_SENT),
    ("buffered", Flag.BUFFERED, Flag.BUFFERED),
)


def topic(device: str, stream: str) -> str:
    """Topic of a device's own messages: `lucheng/v1/{kind}/{name}/up/{stream}`."""
    return f"{TOPIC_ROOT}/{device}/up/{stream}"


def point_objects(points: PointBatch) -> list[bytes]:
    """One JSON object per row."""
    rows = len(points)
    places = zip(points.time_ms.tolist(), _numbers(points.lat, ".6f"), _numbers(points.lon, ".6f"), strict=True)
    parts: list[Sequence[str]] = [[f'{{"ts":{ts},"lat":{lat},"lon":{lon}' for ts, lat, lon in places]]
    for name in _INTEGERS:
        values = points.column(name)
        if rows and bool((values >= 0).any()):
            parts.append([f',"{name}":{value}' if value >= 0 else "" for value in values.tolist()])
    for name, form in _FLOATS:
        values = points.column(name)
        if rows and not bool(np.isnan(values).all()):
            written = _numbers(values, form)
            parts.append([f',"{name}":{text}' if text != "NaN" else "" for text in written])
    for name, flag, sent in _BOOLEANS:
        told = (points.flags & int(sent)) != 0
        if rows and bool(told.any()):
            texts = np.array(["", "", f',"{name}":false', f',"{name}":true'], object)
            parts.append(texts[told * 2 + ((points.flags & int(flag)) != 0)].tolist())
    if rows and bool(points.alarm_bits.any()):
        bits = points.alarm_bits.tolist()
        parts.append(
            [f',"alarms":{json.dumps(alarm_names(one), separators=(",", ":"))}' if one else "" for one in bits]
        )
    return [("".join(row) + "}").encode("ascii") for row in zip(*parts, strict=True)]


def point_array(objects: Sequence[bytes]) -> bytes:
    """One payload of many points."""
    return b"[" + b",".join(objects) + b"]"


def _numbers(values: npt.NDArray[Any], form: str) -> list[str]:
    if bool(np.isfinite(values).all()):
        return [format(value, form) for value in values.tolist()]
    words = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
    texts = (format(value, form) for value in values.tolist())
    return [words.get(text, text) for text in texts]


def records(numbers: npt.NDArray[np.uint32], points: PointBatch) -> bytes:
    """The rows as 28-byte records of a gateway.

    Args:
        numbers: registry number of each row's device, shape (n,).
        points: the rows; a missing speed, heading, height or satellite count is sent as 0, as the record has no word for it,
            and so are alarms other than `sos`. The status bit `valid` is set unless a device said that it is not.
    """
    out = np.zeros(len(points), RECORD)
    out["id"] = numbers
    out["ts"] = points.time_ms
    for name, values, scale in (
        ("lon", points.lon, 1e6),
        ("lat", points.lat, 1e6),
        ("speed", points.speed_kmh, 10),
        ("heading", points.heading_deg, 10),
        ("alt", points.alt_m, 1),
    ):
        limits = np.iinfo(RECORD[name].type)
        scaled = np.rint(np.nan_to_num(values.astype(np.float64), nan=0.0) * scale)
        out[name] = np.clip(scaled, limits.min, limits.max)
    flags = points.flags.copy()
    flags[(flags & int(Flag.VALID_SENT)) == 0] |= int(Flag.VALID)
    status = np.zeros(len(points), np.uint8)
    for bit, flag in _STATUS:
        status |= (((flags & int(flag)) != 0) << bit).astype(np.uint8)
    status[(points.alarm_bits & np.uint64(_SOS)) != 0] |= _STATUS_SOS
    out["status"] = status
    out["sat"] = np.clip(points.sat, 0, 255)
    return out.tobytes()


def alarm(
    alarm_id: str, time_ms: int, kind: str, *, lat: float | None = None, lon: float | None = None, note: str = ""
) -> bytes:
    """An alarm message; `alarm_id` makes repeats harmless."""
    message: dict[str, Any] = {"id": alarm_id, "ts": time_ms, "kind": kind}
    if lat is not None and lon is not None:
        message |= {"lat": round(lat, 6), "lon": round(lon, 6)}
    if note:
        message["note"] = note
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


def status(time_ms: int, *, online: bool, battery_pct: int | None = None) -> bytes:
    """A status message (retained by the broker)."""
    message: dict[str, Any] = {"ts": time_ms, "online": online}
    if battery_pct is not None:
        message["battery_pct"] = battery_pct
    return json.dumps(message, separators=(",", ":")).encode()
