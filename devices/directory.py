"""`Directory`: who is registered, as the hot paths need it: lists, one dict, arrays by slot.

Invariants: index `i` of everything is slot `i`; `slot_of` holds enabled devices alone; a slot is in the
arrays before its id is in `slot_of`, so a reader that found a slot can index with it. It is changed in
place by `Registry.refresh` (microseconds a device, nothing copied); a reader takes an array once per batch
(`enabled = directory.enabled`) because growing replaces it, and looks `slot_of` up but never iterates over it.
It reads no database.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Any

import numpy as np
import numpy.typing as npt

from model.device import KIND_CODE, KINDS

__all__ = ["KINDS", "KIND_CODE", "Directory"]

_FIRST_CAPACITY = 1_024


class Directory:
    """The registry by slot.

    Attributes:
        ids: device id by slot (a deleted device's stays: its stored points still need a name).
        slot_of: slot by id, enabled devices alone.
        enabled: bool, shape (n,).
        gateway_of_slot: int32, shape (n,): slot of the gateway whose records may carry the device, else -1.
        kind_of_slot: int8, shape (n,): index into `KINDS`.
        version: the registry's version that it shows.
    """

    __slots__ = (
        "_capacity",
        "_disabled",
        "_enabled",
        "_gateway",
        "_kind",
        "enabled",
        "gateway_of_slot",
        "ids",
        "kind_of_slot",
        "slot_of",
        "version",
    )

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.slot_of: dict[str, int] = {}
        self.version = -1
        self._disabled: dict[str, int] = {}
        self._capacity = 0
        self._enabled: npt.NDArray[np.bool_] = np.zeros(0, np.bool_)
        self._gateway: npt.NDArray[np.int32] = np.zeros(0, np.int32)
        self._kind: npt.NDArray[np.int8] = np.zeros(0, np.int8)
        self.enabled, self.gateway_of_slot, self.kind_of_slot = self._enabled, self._gateway, self._kind

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def disabled(self) -> AbstractSet[str]:
        """Ids of the disabled devices."""
        return self._disabled.keys()

    def slot(self, device_id: str) -> int | None:
        """The slot of a device that is registered, enabled or not; None when there is none."""
        slot = self.slot_of.get(device_id)
        return slot if slot is not None else self._disabled.get(device_id)

    def apply(self, rows: list[tuple[Any, ...]], version: int) -> None:
        """Take over changed rows `(slot, id, kind, enabled, deleted, gateway_slot)` in ascending order of slot.

        New slots continue without a gap from `len(self)`. For the registry alone.
        """
        if rows:
            slots, ids, kinds, enabled, deleted, gateways = zip(*rows, strict=True)
            self._grow(slots[-1] + 1)
            index = np.array(slots, np.int64)
            self._enabled[index] = np.array(enabled, np.bool_)
            self._gateway[index] = np.array(gateways, np.int32)
            self._kind[index] = np.array([KIND_CODE[kind] for kind in kinds], np.int8)
            known = len(self.ids)
            first_new = int(np.searchsorted(index, known))
            self.ids.extend(ids[first_new:])
            count = len(self.ids)
            self.enabled = self._enabled[:count]
            self.gateway_of_slot = self._gateway[:count]
            self.kind_of_slot = self._kind[:count]
            self._index(slots, ids, enabled, deleted)
        self.version = version

    def _grow(self, count: int) -> None:
        if count <= self._capacity:
            return
        self._capacity = max(_FIRST_CAPACITY, count + count // 4)
        more = self._capacity - len(self._enabled)
        self._enabled = np.concatenate((self._enabled, np.zeros(more, np.bool_)))
        self._gateway = np.concatenate((self._gateway, np.full(more, -1, np.int32)))
        self._kind = np.concatenate((self._kind, np.zeros(more, np.int8)))

    def _index(
        self, slots: tuple[int, ...], ids: tuple[str, ...], enabled: tuple[int, ...], deleted: tuple[int, ...]
    ) -> None:
        if all(enabled):
            self.slot_of.update(zip(ids, slots, strict=True))
            if self._disabled:
                for device in ids:
                    self._disabled.pop(device, None)
            return
        for slot, device, on, gone in zip(slots, ids, enabled, deleted, strict=True):
            if gone:
                # the same id may live on under a newer slot
                for index in (self.slot_of, self._disabled):
                    if index.get(device) == slot:
                        del index[device]
            elif on:
                self.slot_of[device] = slot
                self._disabled.pop(device, None)
            else:
                self._disabled[device] = slot
                self.slot_of.pop(device, None)
