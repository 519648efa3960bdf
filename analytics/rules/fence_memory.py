"""`Memberships`: what is remembered of pairs (device, fence), as many per device as there are.

Purpose: a memory that costs nothing for the many devices that are near no fence and has no fixed width for the few in
many. Invariants: a pair is in it once; the entries of one device are linked in the order of the fences' numbers; bytes
are canonical (equal entries, equal bytes, wherever they lie). It decides nothing: `analytics.rules.fences` does.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from analytics.slots import MAX_SLOTS
from analytics.step import Bools, group_starts
from model.errors import Corrupt

Ints = npt.NDArray[np.int64]
Entries = npt.NDArray[Any]

#: One pair: confirmed inside; its alarm is raised; the run that is pending began with the first fix of the device, so
#: that it ends in silence; fixes of the run on the other side (saturating) and its first time, 0 without one; time of
#: the first fix inside, 0 outside.
#: 32 bytes with aligned parts; `spare` is 0.
ENTRY = np.dtype(
    [
        ("slot", "<i4"),
        ("number", "<i4"),
        ("turn_ms", "<i8"),
        ("since_ms", "<i8"),
        ("count", "<u4"),
        ("inside", "|u1"),
        ("raised", "|u1"),
        ("silent", "|u1"),
        ("spare", "|u1"),
    ]
)
MAX_COUNT = 65_535
_NONE = -1
_FIRST_CAPACITY = 256


class Memberships:
    """Entries by device. `rows[i]` is the entry that `find` calls i."""

    def __init__(self) -> None:
        self.load(np.zeros(0, ENTRY))

    def load(self, entries: Entries) -> None:
        """Hold these entries and no others; each pair once."""
        capacity = max(_FIRST_CAPACITY, len(entries))
        self.rows: Entries = np.zeros(capacity, ENTRY)
        self._next = np.full(capacity, _NONE, np.int64)
        self._head = np.full(0, _NONE, np.int64)
        self._free = np.arange(capacity - 1, -1, -1)
        self._free_rows = capacity
        self.change(np.zeros(0, np.int64), np.zeros(0, np.bool_), entries)

    def __len__(self) -> int:
        return len(self.rows) - self._free_rows

    def find(self, slot: Ints) -> tuple[npt.NDArray[np.intp], Ints]:
        """Entries of these devices (each slot once): position in `slot`, and where in `rows`; in no order."""
        if not len(self):
            return np.zeros(0, np.intp), np.zeros(0, np.int64)
        if len(slot) and int(slot[-1]) < len(self._head):
            at = self._head[slot]
        else:
            at = np.full(len(slot), _NONE, np.int64)
            known = slot < len(self._head)
            at[known] = self._head[slot[known]]
        device = np.flatnonzero(at != _NONE)
        at = at[device]
        devices, found = [device], [at]
        # As often as the device with the most entries has entries.
        while len(at):
            at = self._next[at]
            more = at != _NONE
            device, at = device[more], at[more]
            devices.append(device)
            found.append(at)
        return np.concatenate(devices), np.concatenate(found)

    def change(self, found: Ints, gone: Bools, new: Entries) -> None:
        """Drop entries and add others.

        Args:
            found: every entry of the devices concerned, where in `rows`, as `find` gives them.
            gone: which of them are dropped, shape of `found`.
            new: `ENTRY` of shape (k,), of pairs that have none.
        """
        self._head[self.rows["slot"][found]] = _NONE
        left = found[gone]
        self._free[self._free_rows : self._free_rows + len(left)] = left
        self._free_rows += len(left)
        at = np.concatenate((found[~gone], self._placed(new)))
        if not len(at):
            return
        at = at[np.lexsort((self.rows["number"][at], self.rows["slot"][at]))]
        slot = self.rows["slot"][at].astype(np.int64)
        self._grow_slots(int(slot[-1]) + 1)
        self._next[at[:-1]] = np.where(slot[1:] == slot[:-1], at[1:], _NONE)
        self._next[at[-1]] = _NONE
        starts = group_starts(slot)
        self._head[slot[starts]] = at[starts]

    def entries(self) -> Entries:
        """All of them, in the order (slot, number); a copy."""
        held = np.ones(len(self.rows), np.bool_)
        held[self._free[: self._free_rows]] = False
        rows = self.rows[held]
        return rows[np.lexsort((rows["number"], rows["slot"]))]

    def to_bytes(self) -> bytes:
        """Everything."""
        return self.entries().tobytes()

    def restore(self, raw: memoryview) -> None:
        """Take over what `to_bytes` wrote; raises Corrupt when it is none, and then nothing has changed."""
        if len(raw) % ENTRY.itemsize:
            raise Corrupt("Not a memory of fences: a cut entry.", mend="It is made anew from what comes in.")
        rows = np.frombuffer(raw, ENTRY).copy()
        slot, number = rows["slot"], rows["number"]
        after = (slot[1:] > slot[:-1]) | ((slot[1:] == slot[:-1]) & (number[1:] > number[:-1]))
        if len(rows) and (int(slot.min()) < 0 or int(slot.max()) >= MAX_SLOTS or not after.all()):
            raise Corrupt("Not a memory of fences: entries out of order.", mend="It is made anew from what comes in.")
        self.load(rows)

    def _placed(self, new: Entries) -> Ints:
        """Where the new entries lie."""
        if len(new) > self._free_rows:
            self._grow(len(new))
        self._free_rows -= len(new)
        at: Ints = self._free[self._free_rows : self._free_rows + len(new)].copy()
        self.rows[at] = new
        return at

    def _grow(self, rows: int) -> None:
        """Double the room, or more, so that at least `rows` are free."""
        held = len(self.rows)
        more = max(held, rows)
        self.rows = np.concatenate((self.rows, np.zeros(more, ENTRY)))
        self._next = np.concatenate((self._next, np.full(more, _NONE, np.int64)))
        fresh = np.arange(held + more - 1, held - 1, -1)
        self._free = np.concatenate((self._free[: self._free_rows], fresh, np.zeros(held - self._free_rows, np.int64)))
        self._free_rows += more

    def _grow_slots(self, slots: int) -> None:
        known = len(self._head)
        if slots > known:
            more = max(slots, 2 * known, _FIRST_CAPACITY) - known
            self._head = np.concatenate((self._head, np.full(more, _NONE, np.int64)))
