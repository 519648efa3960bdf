"""Alarm bits that a terminal's last position did not have: what must not wait for the next commit."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ingest.decode.lifted import bit_signals
from model.batch import PointBatch
from model.signal import Signal


class Rising:
    """Remembers the alarm bits of each slot's last position. One thread."""

    def __init__(self) -> None:
        self._last: npt.NDArray[np.uint64] = np.zeros(0, np.uint64)
        #: How many of them are not all clear.
        self._lit = 0

    def rose(self, batch: PointBatch) -> bool:
        """Whether a bit is set that the last point of its device before this batch did not have."""
        bits = batch.alarm_bits
        if not self._lit and not bits.any():
            return False
        slots = batch.slot
        self._grow(int(slots.max(initial=-1)) + 1)
        rising = bool((bits & ~self._last[slots]).any())
        seen = np.unique(slots)
        self._lit -= int(np.count_nonzero(self._last[seen]))
        self._last[slots] = bits  # of a device's several points the last one stays
        self._lit += int(np.count_nonzero(self._last[seen]))
        return rising

    def lifted(self, slot: int, device: str, bits: int, raw: bytes, why: str, received_ms: int) -> list[Signal]:
        """Signals of alarm bits in a position that could not be kept, as far as the device did not have them before.

        Their ids derive from what was sent, so the same frame again is the same signals.
        """
        self._grow(slot + 1)
        rising = bits & ~int(self._last[slot])
        self._lit += int(self._last[slot]) == 0 and bits != 0
        self._last[slot] |= np.uint64(bits)
        return bit_signals(device, rising, raw, why, received_ms)

    def _grow(self, slots: int) -> None:
        if slots > len(self._last):
            grown = np.zeros(slots + slots // 4, np.uint64)
            grown[: len(self._last)] = self._last
            self._last = grown
