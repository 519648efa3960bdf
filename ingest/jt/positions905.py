"""Positions of JT/T 905 (0x0200, 0x0201, 0x0202, 0x0203) from many frames to columns.

Purpose: the fast way from `FrameColumns` to a `PointBatch`. Invariants: those of `ingest.jt.positions`. It does not look
at checksums, lengths or message ids: the caller chooses the frames.

Body (JT/T 905.2-2014 10.4.11): alarm u32, status u32, latitude and longitude u32 in 1/10,000 minute, speed u16 0.1 km/h,
direction u8 of 2°, time BCD6 of GMT+8; then items. 0x0202 (tracking) holds the same body; so does 0x0203 (blind zone), or
several fixed parts without items, one behind the other (as SmallChi/JT905 reads it): a body of n × 25 bytes is n places.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ingest.jt.columns import HEADER_BYTES, FrameColumns
from ingest.jt.extras import DEFAULT_EXTRA_BYTES, DEFAULT_MOST_ITEMS, Number, Table, read_items, write_extras
from ingest.jt.positions import (
    Bodies,
    Positions,
    alarm_words,
    bodies_of,
    clocked,
    degrees,
    fixed_part,
    names_of,
    nothing,
    put_together,
    received_with,
    spread,
    turned_out,
)
from ingest.jt905.alarms import ALARMS, SOUTH, WEST, to_kind_bits
from model.batch import NAN
from model.codes import Flag

BODY = np.dtype(
    [
        ("alarm", ">u4"),
        ("status", ">u4"),
        ("lat", ">u4"),
        ("lon", ">u4"),
        ("speed", ">u2"),
        ("heading", "u1"),
        ("time", ">u2", (3,)),
    ]
)
BODY_BYTES = BODY.itemsize
BLIND_ZONE_SUPPLEMENT = 0x0203
ITEMS = Table(
    (
        Number(0x01, "mileage_km", 4, tenths=True),
        Number(0x02, "fuel_l", 2, tenths=True),
        Number(0x03, "alt_m", 2, signed=True, column=True),
    )
)
_UNITS_PER_DEGREE = 600_000


def _flag_table() -> npt.NDArray[np.uint16]:
    """By status bits 0 (NOT fixed), 8 (ACC) and 9 (hired) put side by side."""
    sent = Flag.VALID_SENT | Flag.IGNITION_SENT | Flag.OCCUPIED_SENT
    return np.array(
        [
            sent
            | (Flag(0) if bits & 1 else Flag.VALID)
            | (Flag.IGNITION if bits & 2 else Flag(0))
            | (Flag.OCCUPIED if bits & 4 else Flag(0))
            for bits in range(8)
        ],
        np.uint16,
    )


_FLAGS = _flag_table()
_NAMES = names_of(ALARMS)


def positions905(
    frames: FrameColumns,
    rows: npt.ArrayLike,
    slots: npt.ArrayLike,
    received_ms: npt.ArrayLike,
    *,
    skip_bytes: int = 0,
    extra_bytes: int = DEFAULT_EXTRA_BYTES,
    most_items: int = DEFAULT_MOST_ITEMS,
) -> Positions:
    """Decode the position of each of the frames `rows`; those of 0x0203, one or several, are `Flag.BUFFERED`.

    Args:
        frames: what was cut.
        rows: indices of frames that hold a position, int (n,).
        slots: registry slot of each, int32 (n,), or one for all.
        received_ms: when they came, UTC ms, one for all or int64 (n,).
        skip_bytes: bytes of the body before the position: 2 for 0x0201.
        extra_bytes: longest JSON of additional items of one position.
        most_items: additional items of one position that are looked at.
    """
    at = np.asarray(rows, np.int64)
    start, end = frames.start[at] + HEADER_BYTES + skip_bytes, frames.start[at] + frames.size[at]
    blind = frames.message_id[at] == BLIND_ZONE_SUPPLEMENT
    if blind.any():
        several = blind & ((end - start) % BODY_BYTES == 0) & (end > start)
        counts = np.where(several, (end - start) // BODY_BYTES, 1)
        slots = np.repeat(spread(slots, len(at), np.int32), counts)
        received_ms = np.repeat(spread(received_ms, len(at), np.int64), counts)
        number = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        at, blind, several = np.repeat(at, counts), np.repeat(blind, counts), np.repeat(several, counts)
        start = np.repeat(start, counts) + number * BODY_BYTES
        end = np.where(several, start + BODY_BYTES, np.repeat(end, counts))
    bodies = bodies_of(frames, at, slots, start, end, more_flags=blind * np.uint16(Flag.BUFFERED))
    return _decode(bodies, received_ms, extra_bytes, most_items)


def _decode(bodies: Bodies, received_ms: npt.ArrayLike, extra_bytes: int, most_items: int) -> Positions:
    """The rows of all bodies."""
    found = nothing()
    bodies, received = received_with(bodies, received_ms, BODY_BYTES, found)
    fixed = fixed_part(bodies, BODY)
    count = len(fixed)
    words = fixed["alarm"].astype(np.uint32)
    bits = to_kind_bits(words) if np.count_nonzero(words) else np.zeros(count, np.uint64)
    values = read_items(bodies.data, bodies.start + BODY_BYTES, bodies.end, ITEMS, most_items=most_items)
    turned_out(bodies.data, words, bits, values)
    time_ms, good = clocked(bodies, fixed["time"], bits, found)
    status = fixed["status"].astype(np.int64)
    alt = np.full(count, NAN, np.float32)
    if "alt_m" in values.of:
        where, read = values.of["alt_m"]
        alt[where] = read
    flags = _FLAGS[status & 1 | status >> 7 & 6]
    flags |= bodies.more_flags
    lat, lon = degrees(fixed, status, units=_UNITS_PER_DEGREE, south=SOUTH, west=WEST)
    spoken = alarm_words(words, b"alarms905", _NAMES) if np.count_nonzero(words) else ()
    columns = {
        "time_ms": time_ms,
        "received_ms": received,
        "lat": lat,
        "lon": lon,
        "speed_kmh": (fixed["speed"] / 10).astype(np.float32),
        "heading_deg": fixed["heading"].astype(np.float32) * 2,
        "alt_m": alt,
        "sat": np.full(count, -1, np.int16),
        "flags": flags,
        "alarm_bits": bits,
        "extra": write_extras(bodies.data, count, bodies.end, ITEMS, values, spoken, extra_bytes=extra_bytes),
    }
    return put_together(found, bodies, good, columns)
