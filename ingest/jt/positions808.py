"""Positions of JT/T 808 (0x0200, 0x0201, 0x0704) from many frames to columns.

Purpose: the fast way from `FrameColumns` to a `PointBatch`. Invariants: those of `ingest.jt.positions`. It does not look
at checksums, lengths or message ids: the caller chooses the frames.

Body (JT/T 808-2013 8.12): alarm u32, status u32, latitude and longitude u32 in 1e-6°, altitude u16 m (read as signed:
places below the sea exist, places above 32 km do not), speed u16 0.1 km/h, direction u16 °, time BCD6 of GMT+8; then items.
A batch (8.49): count u16, type u8 (0 normal, 1 blind zone), then each position with its length u16 before it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ingest.jt.columns import FrameColumns
from ingest.jt.extras import DEFAULT_EXTRA_BYTES, DEFAULT_MOST_ITEMS, Number, Table, Values, read_items, write_extras
from ingest.jt.items import HEAD_BYTES, walk
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
from ingest.jt808.alarms import ALARMS, to_kind_bits, video_kind_bits
from model.codes import Flag

BODY = np.dtype(
    [
        ("alarm", ">u4"),
        ("status", ">u4"),
        ("lat", ">u4"),
        ("lon", ">u4"),
        ("alt", ">i2"),
        ("speed", ">u2"),
        ("heading", ">u2"),
        ("time", ">u2", (3,)),
    ]
)
BODY_BYTES = BODY.itemsize
#: Additional items (JT/T 808-2019 8.12, table of additional information; 0x14 to 0x18: JT/T 1078-2016).
ITEMS = Table(
    (
        Number(0x01, "mileage_km", 4, tenths=True),
        Number(0x02, "fuel_l", 2, tenths=True),
        Number(0x03, "recorder_kmh", 2, tenths=True),
        Number(0x04, "alarm_event_id", 2),
        Number(0x06, "cabin_c", 2, signed=True),
        Number(0x14, "video_alarm", 4),
        Number(0x15, "channels_lost", 4),
        Number(0x16, "channels_covered", 4),
        Number(0x17, "storages", 2),
        Number(0x18, "behaviour", 2),
        Number(0x25, "signals", 4),
        Number(0x2A, "io", 2),
        Number(0x2B, "analog", 4),
        Number(0x30, "rssi", 1),
        Number(0x31, "sat", 1, column=True),
    )
)
#: Positions of one batch; what follows them is told in `bad`.
DEFAULT_MOST_POSITIONS = 10_000
_BATCH_HEAD_BYTES = 3
_BLIND_ZONE = 1
_SOUTH, _WEST = 1 << 2, 1 << 3


def _flag_table() -> npt.NDArray[np.uint16]:
    """By status bits 0 (ACC), 1 (fix valid), 8 and 9 (load, 0 empty) put side by side."""
    sent = Flag.VALID_SENT | Flag.IGNITION_SENT | Flag.OCCUPIED_SENT
    return np.array(
        [
            sent
            | (Flag.IGNITION if bits & 1 else Flag(0))
            | (Flag.VALID if bits & 2 else Flag(0))
            | (Flag.OCCUPIED if bits & 12 else Flag(0))
            for bits in range(16)
        ],
        np.uint16,
    )


_FLAGS = _flag_table()
_NAMES = names_of(ALARMS)


def positions808(
    frames: FrameColumns,
    rows: npt.ArrayLike,
    slots: npt.ArrayLike,
    received_ms: npt.ArrayLike,
    *,
    skip_bytes: int = 0,
    extra_bytes: int = DEFAULT_EXTRA_BYTES,
    most_items: int = DEFAULT_MOST_ITEMS,
) -> Positions:
    """Decode one position from each of the frames `rows`.

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
    start = frames.body_start[at]
    bodies = bodies_of(frames, at, slots, start + skip_bytes, start + frames.body_size[at])
    return _decode(bodies, nothing(), received_ms, extra_bytes, most_items)


def positions704(
    frames: FrameColumns,
    rows: npt.ArrayLike,
    slots: npt.ArrayLike,
    received_ms: npt.ArrayLike,
    *,
    extra_bytes: int = DEFAULT_EXTRA_BYTES,
    most_items: int = DEFAULT_MOST_ITEMS,
    most_positions: int = DEFAULT_MOST_POSITIONS,
) -> Positions:
    """Decode all positions of the batches (0x0704) in the frames `rows`; arguments as `positions808`.

    Rows come in the order of the frames and, within one, of its items. An item that says a wrong length is bad alone as
    long as the next one can still be found; a count that is not that of the items is told in `bad` too, and changes nothing.
    """
    found = nothing()
    frame = np.asarray(rows, np.int64)
    slot = spread(slots, len(frame), np.int32)
    received = spread(received_ms, len(frame), np.int64)
    start = frames.body_start[frame]
    end = start + frames.body_size[frame]
    short = end - start < _BATCH_HEAD_BYTES
    for index in short.nonzero()[0].tolist():
        _tell(
            found,
            int(frame[index]),
            f"a batch needs {_BATCH_HEAD_BYTES} bytes and has {int(end[index] - start[index])}",
        )
    start = np.where(short, end, start)
    data = frames.data
    count = data[start].astype(np.int64) << 8 | data[start + 1]
    items = walk(data, np.where(short, end, start + _BATCH_HEAD_BYTES), end, most=most_positions, wide=True)
    order = np.argsort(items.row, kind="stable")
    row, at = items.row[order], items.at[order]
    held = np.bincount(row, minlength=len(frame))
    place = np.arange(len(row)) - np.repeat(np.cumsum(held) - held, held)
    for index, stuck in zip(items.rest.tolist(), items.rest_at.tolist(), strict=True):
        left = int(end[index]) - stuck - HEAD_BYTES
        says = int(data[stuck]) << 8 | int(data[stuck + 1])
        what = f"says {says} bytes and {left} are left" if left >= 0 else "ends within its length"
        if held[index] == most_positions:
            what = f"is more than the {most_positions} that one batch may have"
        _tell(found, int(frame[index]), f"position {int(held[index]) + 1} of the batch {what}")
    for index in ((held != count) & ~short).nonzero()[0].tolist():
        _tell(found, int(frame[index]), f"the batch says {int(count[index])} positions and holds {int(held[index])}")
    buffered = (data[start + 2] == _BLIND_ZONE)[row] * np.uint16(Flag.BUFFERED)
    bodies = Bodies(data, at, at + items.size[order], frame[row], place, slot[row], buffered)
    return _decode(bodies, found, received[row], extra_bytes, most_items)


def _tell(found: Positions, frame: int, what: str) -> None:
    found.bad.append((frame, what))
    found.bad_alarm_bits.append(0)


def _decode(
    bodies: Bodies, found: Positions, received_ms: npt.ArrayLike, extra_bytes: int, most_items: int
) -> Positions:
    """The rows of all bodies, into `found`."""
    bodies, received = received_with(bodies, received_ms, BODY_BYTES, found)
    fixed = fixed_part(bodies, BODY)
    words = fixed["alarm"].astype(np.uint32)
    values = read_items(bodies.data, bodies.start + BODY_BYTES, bodies.end, ITEMS, most_items=most_items)
    bits = _alarm_bits(bodies, words, values)
    time_ms, good = clocked(bodies, fixed["time"], bits, found)
    status = fixed["status"].astype(np.int64)
    count = len(fixed)
    sat = np.full(count, -1, np.int16)
    if "sat" in values.of:
        where, read = values.of["sat"]
        sat[where] = read
    flags = _FLAGS[status & 3 | status >> 6 & 12]
    flags |= bodies.more_flags
    lat, lon = degrees(fixed, status, units=1e6, south=_SOUTH, west=_WEST)
    spoken = alarm_words(words, b"alarms808", _NAMES) if np.count_nonzero(words) else ()
    extra = write_extras(bodies.data, count, bodies.end, ITEMS, values, spoken, extra_bytes=extra_bytes)
    columns = {
        "time_ms": time_ms,
        "received_ms": received,
        "lat": lat,
        "lon": lon,
        "speed_kmh": (fixed["speed"] / 10).astype(np.float32),
        "heading_deg": fixed["heading"].astype(np.float32),
        "alt_m": fixed["alt"].astype(np.float32),
        "sat": sat,
        "flags": flags,
        "alarm_bits": bits,
        "extra": extra,
    }
    return put_together(found, bodies, good, columns)


def _alarm_bits(bodies: Bodies, words: npt.NDArray[np.uint32], values: Values) -> npt.NDArray[np.uint64]:
    """Our bits of the alarm word, of the video alarm word, and which way an area was crossed."""
    alarmed = np.count_nonzero(words)
    bits = to_kind_bits(words) if alarmed else np.zeros(len(words), np.uint64)
    if "video_alarm" in values.of:
        where, video = values.of["video_alarm"]
        bits[where] |= video_kind_bits(video.astype(np.uint32))
    if alarmed:
        turned_out(bodies.data, words, bits, values)
    return bits
