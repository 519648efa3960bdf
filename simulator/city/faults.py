"""Faults on request, put into clean batches, with the count of what was put in.

Purpose: what goes wrong with real devices, so that tests can compare what was found with what was injected. Invariants: clean rows stay as they are and in
order; a row has at most one of jump and not-a-number; devices with a wrong clock are chosen once. The same seed and batches
give the same faults.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from model.batch import PointBatch
from model.codes import Flag

_EIGHT_HOURS_MS = 8 * 3600 * 1000
_M_PER_DEG = 111_000.0


@dataclass(frozen=True, slots=True)
class Faults:
    """How much of each; shares from 0 to 1.

    Attributes:
        late_batches: share of rows after which a device loses its link for `outage_s`, sends live again first and
            then what it kept, marked buffered.
        duplicates: share of rows that are sent twice.
        plus_8h: share of devices whose clock is eight hours ahead.
        jumps: share of rows displaced by `jump_m`.
        frozen: share of devices whose clock stands still.
        nan: share of rows without a number for a place.
        outage_s, jump_m: ranges.
    """

    late_batches: float = 0.0
    duplicates: float = 0.0
    plus_8h: float = 0.0
    jumps: float = 0.0
    frozen: float = 0.0
    nan: float = 0.0
    outage_s: tuple[float, float] = (60.0, 300.0)
    jump_m: tuple[float, float] = (20_000.0, 60_000.0)


@dataclass(slots=True)
class Injected:
    """What was put in so far: rows by fault, and the devices concerned.

    `late` counts rows that were given out after a newer one of their device; `held` those still kept back.
    """

    late: int = 0
    duplicates: int = 0
    plus_8h: int = 0
    jumps: int = 0
    frozen: int = 0
    nan: int = 0
    held: int = 0
    outages: int = 0
    plus_8h_slots: list[int] = field(default_factory=list)
    frozen_slots: list[int] = field(default_factory=list)


class FaultMaker:
    """Puts faults into the batches of one city.

    Args:
        devices: slots run from 0 to this.
        faults: how much of each.
        seed: of everything random.
    """

    def __init__(self, devices: int, faults: Faults, seed: int) -> None:
        self._faults = faults
        self._rng = np.random.default_rng([seed, 4])
        draw = self._rng.random(devices)
        self._ahead = draw < faults.plus_8h
        self._still = (draw >= faults.plus_8h) & (draw < faults.plus_8h + faults.frozen)
        self._still_ms = np.full(devices, -1, np.int64)
        self._back_ms = np.full(devices, -1, np.int64)
        self._held: list[PointBatch] = []
        self.injected = Injected(
            plus_8h_slots=np.flatnonzero(self._ahead).tolist(), frozen_slots=np.flatnonzero(self._still).tolist()
        )

    def apply(self, batch: PointBatch) -> PointBatch:
        """The batch with its faults; rows kept back come out in later batches."""
        if not len(batch):
            return batch
        batch = batch.take(np.arange(len(batch)))
        self._spoil_places(batch)
        received = batch.time_ms.copy()
        self._spoil_clocks(batch)
        batch = self._outages(batch, received)
        twice = self._rng.random(len(batch)) < self._faults.duplicates
        self.injected.duplicates += int(twice.sum())
        return batch.take(np.repeat(np.arange(len(batch)), 1 + twice)) if twice.any() else batch

    def flush(self) -> PointBatch:
        """Every row still kept back: all devices come back at once."""
        kept = PointBatch.concat(self._held)
        self._held = []
        self._back_ms[:] = -1
        self.injected.held = 0
        self.injected.late += len(kept)
        return kept

    def _spoil_places(self, batch: PointBatch) -> None:
        draw = self._rng.random(len(batch))
        lost = draw < self._faults.nan
        jump = (draw >= self._faults.nan) & (draw < self._faults.nan + self._faults.jumps)
        batch.lat[lost] = np.nan
        count = int(jump.sum())
        angle = self._rng.uniform(0, 2 * np.pi, count)
        far_deg = self._rng.uniform(*self._faults.jump_m, count) / _M_PER_DEG
        batch.lat[jump] = np.round(batch.lat[jump] + far_deg * np.sin(angle), 6)
        batch.lon[jump] = np.round(batch.lon[jump] + far_deg * np.cos(angle), 6)
        self.injected.nan += int(lost.sum())
        self.injected.jumps += count

    def _spoil_clocks(self, batch: PointBatch) -> None:
        ahead = self._ahead[batch.slot]
        batch.time_ms[ahead] += _EIGHT_HOURS_MS
        still = np.flatnonzero(self._still[batch.slot])
        slots = batch.slot[still]
        unseen, first = np.unique(slots, return_index=True)
        fresh = self._still_ms[unseen] < 0
        self._still_ms[unseen[fresh]] = batch.time_ms[still[first[fresh]]]
        moved = batch.time_ms[still] != self._still_ms[slots]
        batch.time_ms[still] = self._still_ms[slots]
        self.injected.plus_8h += int(ahead.sum())
        self.injected.frozen += int(moved.sum())

    def _outages(self, batch: PointBatch, true_ms: npt.NDArray[np.int64]) -> PointBatch:
        """Keep back rows of devices without a link; give out those of devices that are back, after their first live row."""
        slots = batch.slot
        dark = self._back_ms[slots] > true_ms
        back = np.unique(slots[(self._back_ms[slots] >= 0) & ~dark])
        starts = np.flatnonzero((self._rng.random(len(batch)) < self._faults.late_batches) & (self._back_ms[slots] < 0))
        for_ms = (self._rng.uniform(*self._faults.outage_s, len(starts)) * 1000).astype(np.int64)
        self._back_ms[back] = -1
        self._back_ms[slots[starts]] = true_ms[starts] + for_ms
        self.injected.outages += len(np.unique(slots[starts]))
        out = [batch.take(~dark)]
        if dark.any():
            kept = batch.take(dark)
            kept.flags = kept.flags | np.uint16(int(Flag.BUFFERED))
            self._held.append(kept)
        if len(back) and self._held:
            held = PointBatch.concat(self._held)
            returned = np.isin(held.slot, back)
            self.injected.late += int(returned.sum())
            out.append(held.take(returned))
            self._held = [held.take(~returned)]
        self.injected.held = sum(len(kept) for kept in self._held)
        return PointBatch.concat(out)
