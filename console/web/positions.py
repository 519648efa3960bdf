"""Where each device is now: a table by slot, fed by every batch that was stored.

Invariants: newest is the last in (time, seq, arrival), as in the store, so a late point never replaces a newer one; a point
without a place changes nothing; `take` costs a few array operations a batch, holds the lock for those alone and
raises for nothing that a batch may hold. What is shown to everybody is no older than the live window, and is neither an e-bike
nor a device that is disabled or deleted; an e-bike is in a picture only where its slot is asked for by name, which
`console.ebikes` allows or not. It stores nothing, and nothing in it is a read of history.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from enum import IntFlag
from typing import Any

import numpy as np
import numpy.typing as npt

from devices.directory import KIND_CODE, Directory
from model.batch import PointBatch
from model.clock import Clock
from model.codes import Mark
from model.device import Kind

#: Kinds that move and are shown to whoever may see the map.
SHOWN_KINDS: tuple[Kind, ...] = (Kind.TAXI, Kind.UNIT)
DEFAULT_WINDOW_S = 600
#: A fix that claims to be so far ahead of our clock is not believed to be live.
MAX_AHEAD_S = 300
_FIRST_CAPACITY = 1_024

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class State(IntFlag):
    """The state bits of a place as it is shown: the point's flags, and what makes it doubtful or urgent.

    Bits 0 to 9 are `model.codes.Flag`: valid, ignition, ignition sent, occupied, occupied sent, armed, armed sent,
    buffered, valid sent, sighted.
    """

    ALARM = 1 << 10
    JUMP = 1 << 11
    NO_FIX = 1 << 12


_FLAG_BITS = (1 << 10) - 1
_COLUMNS: tuple[tuple[str, str], ...] = (
    ("time_ms", "<i8"),
    ("received_ms", "<i8"),
    ("seq", "<i8"),
    ("lat", "<f8"),
    ("lon", "<f8"),
    ("speed_kmh", "<f4"),
    ("heading_deg", "<f4"),
    ("acc_m", "<f4"),
    ("bits", "<u2"),
    ("changed", "<i8"),
)


@dataclass(frozen=True, slots=True)
class Picture:
    """The places of one moment, by ascending slot; columns of one length.

    Attributes:
        revision: grows with every batch; a row whose `changed` is greater than an earlier picture's revision is new.
        at_ms: our clock.
        listed: bool, whether the device is shown to everybody; others are here because they were asked for by name.
        kind: index into `model.device.KINDS`. time_ms: of the fix. bits: `State`.
    """

    revision: int
    at_ms: int
    slot: Ints
    listed: npt.NDArray[np.bool_]
    kind: npt.NDArray[np.int8]
    time_ms: Ints
    lat: Floats
    lon: Floats
    speed_kmh: npt.NDArray[np.float32]
    heading_deg: npt.NDArray[np.float32]
    acc_m: npt.NDArray[np.float32]
    bits: npt.NDArray[np.uint16]
    changed: Ints

    def __len__(self) -> int:
        return len(self.slot)

    def rows_of(self, slots: Ints) -> Ints:
        """Rows of those of `slots` that are here, ascending."""
        if not len(self.slot) or not len(slots):
            return np.zeros(0, np.int64)
        at = np.searchsorted(self.slot, slots)
        at[at == len(self.slot)] = 0
        return np.sort(at[self.slot[at] == slots])


class Positions:
    """See the module. `take` and `picture` may be called from different threads.

    Args:
        directory: who is registered; the service's own.
        clock: source of time.
        window_s: how old a fix may be and still be shown to everybody: the live window.
        kinds: the kinds that are shown to everybody; an e-bike is never one of them.
    """

    def __init__(
        self,
        directory: Directory,
        clock: Clock,
        *,
        window_s: int = DEFAULT_WINDOW_S,
        kinds: tuple[Kind, ...] = SHOWN_KINDS,
    ) -> None:
        self._directory = directory
        self._clock = clock
        self._window_ms = window_s * 1000
        self._shown_kinds = np.zeros(len(KIND_CODE), np.bool_)
        self._shown_kinds[[KIND_CODE[kind] for kind in kinds if kind is not Kind.EBIKE]] = True
        self._lock = threading.Lock()
        self._revision = 0
        self._last_received_ms = 0
        self._known = np.zeros(0, np.bool_)
        self._columns: dict[str, npt.NDArray[Any]] = {name: np.zeros(0, dtype) for name, dtype in _COLUMNS}

    @property
    def directory(self) -> Directory:
        """Who is registered."""
        return self._directory

    @property
    def last_received_ms(self) -> int:
        """When the newest point that was taken over had come, our clock; 0 when none has."""
        return self._last_received_ms

    def take(self, points: PointBatch) -> None:
        """Take over what of a stored batch is newer; called by the one thread that stores."""
        rows = _newest_rows(points)
        if not len(rows):
            return
        slot = points.slot[rows].astype(np.int64)
        time_ms, seq = points.time_ms[rows], points.seq[rows]
        with self._lock:
            self._grow(int(slot[-1]) + 1)
            held_ms, held_seq = self._columns["time_ms"][slot], self._columns["seq"][slot]
            wins = ~self._known[slot] | (time_ms > held_ms) | ((time_ms == held_ms) & (seq >= held_seq))
            rows, slot = rows[wins], slot[wins]
            self._last_received_ms = max(self._last_received_ms, int(points.received_ms.max()))
            if not len(rows):
                return
            self._revision += 1
            self._known[slot] = True
            for name in ("time_ms", "received_ms", "seq", "lat", "lon", "speed_kmh", "heading_deg", "acc_m"):
                self._columns[name][slot] = points.column(name)[rows]
            self._columns["bits"][slot] = _state_bits(points, rows)
            self._columns["changed"][slot] = self._revision

    def picture(self, asked: Ints | None = None) -> Picture:
        """The places now: of every device that is shown to everybody, and of the slots `asked` for, however old."""
        directory = self._directory
        kind_of_slot, enabled = directory.kind_of_slot, directory.enabled
        at_ms = self._clock.now_ms()
        with self._lock:
            count = min(len(self._known), len(kind_of_slot), len(enabled))
            known = self._known[:count] & enabled[:count]
            times = self._columns["time_ms"][:count]
            listed = known & self._shown_kinds[kind_of_slot[:count]]
            listed &= (times >= at_ms - self._window_ms) & (times <= at_ms + MAX_AHEAD_S * 1000)
            wanted = listed
            if asked is not None and len(asked):
                wanted = listed.copy()
                asked = asked[(asked >= 0) & (asked < count)]
                wanted[asked] = known[asked]
            slot = np.flatnonzero(wanted)
            taken = {name: self._columns[name][slot] for name, _ in _COLUMNS if name not in ("received_ms", "seq")}
            revision = self._revision
        return Picture(revision, at_ms, slot, listed[slot], kind_of_slot[slot], **taken)

    def _grow(self, slots: int) -> None:
        """Room for so many slots; the caller holds the lock."""
        have = len(self._known)
        if slots <= have:
            return
        more = max(slots, have + have // 2, _FIRST_CAPACITY) - have
        self._known = np.concatenate((self._known, np.zeros(more, np.bool_)))
        for name, dtype in _COLUMNS:
            self._columns[name] = np.concatenate((self._columns[name], np.zeros(more, dtype)))


def _newest_rows(points: PointBatch) -> Ints:
    """The row of each slot's newest point that has a place, by ascending slot; of equal ones the last."""
    rows = np.flatnonzero(np.isfinite(points.lat) & np.isfinite(points.lon) & (points.slot >= 0))
    if not len(rows):
        return rows
    order = rows[np.lexsort((points.seq[rows], points.time_ms[rows], points.slot[rows]))]
    slot = points.slot[order]
    last = np.ones(len(order), np.bool_)
    last[:-1] = slot[1:] != slot[:-1]
    newest: Ints = order[last]
    return newest


def _state_bits(points: PointBatch, rows: Ints) -> npt.NDArray[np.uint16]:
    marks = points.marks[rows]
    bits = points.flags[rows] & np.uint16(_FLAG_BITS)
    bits |= (points.alarm_bits[rows] != 0).astype(np.uint16) * np.uint16(State.ALARM)
    bits |= ((marks & np.uint16(Mark.JUMP)) != 0).astype(np.uint16) * np.uint16(State.JUMP)
    bits |= ((marks & np.uint16(Mark.NO_FIX)) != 0).astype(np.uint16) * np.uint16(State.NO_FIX)
    return bits
