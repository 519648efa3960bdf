"""Gives every point of an outcome its place on the server: stored age and nanosecond; or says why it has none.

Invariants: a point that is placed again gets the place it has; two different points never share one. Only rows that are no
newer than the newest of their device, or share their millisecond with another row, are looked up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from model.batch import BoolArray, PointBatch, identity
from model.codes import Reason
from model.quarantine import Quarantined
from store.series.influx.line_protocol import MAX_TIME_MS, MIN_TIME_MS
from store.series.influx.newest_points import NewestPoints
from store.series.influx.occupied import MAX_SUBS, Occupied
from store.series.influx.reading import IntArray
from store.series.influx.sending import Sender
from store.series.schema import DAY_MS

_TIME_MIX, _SLOT_MIX = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)


@dataclass(frozen=True, slots=True)
class Refused:
    """Rows that cannot be stored: the reason, the rows, what is wrong, and a line where there is one."""

    reason: Reason
    points: PointBatch
    words: str
    line: bytes = b""


@dataclass(slots=True)
class Placed:
    """Points with their places.

    Attributes:
        points: what can be written.
        ages: days from fix to store of each, int64 (n,).
        subs: nanosecond of each, int64 (n,); None: all 0.
        twice: rows left out because the same point comes before them in this outcome.
        refused: what cannot be stored.
    """

    points: PointBatch
    ages: IntArray
    subs: IntArray | None
    twice: int = 0
    refused: list[Refused] = field(default_factory=list)

    def without(self, rows: Sequence[int]) -> Placed:
        """All but some rows."""
        kept = np.ones(len(self.points), np.bool_)
        kept[list(rows)] = False
        subs = None if self.subs is None else self.subs[kept]
        return Placed(self.points.take(kept), self.ages[kept], subs, self.twice, self.refused)


def place(
    points: PointBatch, day: int, newest: NewestPoints, occupied: Occupied, sender: Sender, *, late_days: int | None
) -> Placed:
    """Places for `points`, stored on `day` (UTC days since 1970).

    Args:
        points: rows of an outcome, in order.
        day: the stored day.
        newest: how new points of a slot may be.
        occupied: what is stored where.
        sender: waits when the server is away.
        late_days: see `InfluxSeries`.
    """
    ages = day - points.time_ms // DAY_MS
    refused: list[Refused] = []
    impossible = (points.slot < 0) | (points.time_ms < MIN_TIME_MS) | (points.time_ms >= MAX_TIME_MS)
    kept = ~impossible
    if impossible.any():
        words = "a time beyond what InfluxDB can hold (the years 1678 to 2262), or no slot"
        refused.append(Refused(Reason.OUT_OF_RANGE, points.take(impossible), words))
    if late_days is not None:
        late = (ages > late_days) & kept
        if late.any():
            words = f"stored more than {late_days} days after its fix: the bucket would not keep it (influx.late_days)"
            refused.append(Refused(Reason.STORE_REFUSED, points.take(late), words))
            kept &= ~late
    if not kept.all():
        points, ages = points.take(kept), ages[kept]
    unsure = _unsure(points, newest)
    if not unsure.any():
        return Placed(points, ages, None, 0, refused)
    rows = np.flatnonzero(unsure)
    asked = points.take(rows)
    found = sender.persist(lambda: occupied.find(asked))
    sub, first = _in_order(asked, found.held, found.free)
    subs = np.zeros(len(points), np.int64)
    subs[rows] = sub
    full = np.zeros(len(points), np.bool_)
    full[rows] = sub >= MAX_SUBS
    left = ~full
    left[rows[~first]] = False
    twice = int(np.count_nonzero(~first))
    if full.any():
        refused.append(Refused(Reason.STORE_LIMIT, points.take(full), "a million points of one millisecond are stored"))
    if left.all():
        return Placed(points, ages, subs if sub.any() else None, 0, refused)
    return Placed(points.take(left), ages[left], subs[left], twice, refused)


def _unsure(points: PointBatch, newest: NewestPoints) -> BoolArray:
    """Rows no newer than their slot's newest, and rows that share slot and millisecond with another one here."""
    unsure = newest.no_newer(points)
    mix = points.time_ms.astype(np.uint64) * _TIME_MIX
    mix ^= mix >> np.uint64(31)
    mix += points.slot.astype(np.uint64) * _SLOT_MIX
    ordered = np.sort(mix)
    same = ordered[1:][ordered[1:] == ordered[:-1]]
    if len(same):
        unsure |= np.isin(mix, same)
    return unsure


def _in_order(asked: PointBatch, held: IntArray, free: IntArray) -> tuple[IntArray, BoolArray]:
    """Nanosecond of each row asked about, and whether it is the first of its point among them."""
    ident = identity(asked)
    arrival = np.arange(len(asked))
    first = np.ones(len(asked), np.bool_)
    order = np.lexsort((arrival, ident, asked.time_ms, asked.slot))
    slot, time_ms, sorted_ident = asked.slot[order], asked.time_ms[order], ident[order]
    again = (slot[1:] == slot[:-1]) & (time_ms[1:] == time_ms[:-1]) & (sorted_ident[1:] == sorted_ident[:-1])
    first[order[1:][again]] = False
    sub = held.copy()
    new = np.flatnonzero(first & (held < 0))
    order = new[np.lexsort((new, asked.time_ms[new], asked.slot[new]))]
    begins = np.ones(len(order), np.bool_)
    slot, time_ms = asked.slot[order], asked.time_ms[order]
    begins[1:] = (slot[1:] != slot[:-1]) | (time_ms[1:] != time_ms[:-1])
    at = np.arange(len(order))
    rank = at - np.maximum.accumulate(np.where(begins, at, 0))
    sub[order] = free[order] + rank
    return sub, first


def refusals(refused: Sequence[Refused], device_of: Callable[[int], str]) -> list[Quarantined]:
    """One entry for each row that could not be stored."""
    entries = []
    for one in refused:
        for row in range(len(one.points)):
            slot, time_ms = int(one.points.slot[row]), int(one.points.time_ms[row])
            lat, lon = float(one.points.lat[row]), float(one.points.lon[row])
            raw = one.line or f"slot={slot} time_ms={time_ms} lat={lat} lon={lon}".encode()
            received_ms = int(one.points.received_ms[row]) or time_ms
            device = device_of(slot) if slot >= 0 else ""
            entries.append(Quarantined(one.reason, 1, received_ms, "store", device, one.words, raw))
    return entries
