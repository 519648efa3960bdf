"""`Context`: what the rules go by besides points: kinds, fences, thefts, limits.

Invariants: kinds are the registry's and permanent; fences and thefts change by records of the log alone (facts), so
that a replay judges each point by what held when it came.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from analytics.meaning.limits import RuleLimits

if TYPE_CHECKING:
    from analytics.fences.index import FenceIndex


def _nobody(devices: Sequence[str]) -> npt.NDArray[np.int64]:
    return np.full(len(devices), -1, np.int64)


@dataclass(slots=True)
class Context:
    """See the module.

    Attributes:
        kind_of_slot: int8, shape (n,): index into `model.device.KINDS`.
        limits: thresholds.
        fences: the index of the fences in force (with their `FenceSet`), None where there are none.
        stolen: slots that are reported stolen, ascending int64.
        disabled: slots of devices that are disabled or deleted, ascending int64. It changes outside the log, so no
            memory may depend on it: it only keeps silent devices from being told.
        slots_of: the slots of device ids, int64, -1 for one that is not registered; asked once per change of the
            fences, and again when devices came while a fence names one that was not registered.
    """

    kind_of_slot: npt.NDArray[np.int8] = field(default_factory=lambda: np.zeros(0, np.int8))
    limits: RuleLimits = field(default_factory=RuleLimits)
    fences: FenceIndex | None = None
    stolen: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    disabled: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    slots_of: Callable[[Sequence[str]], npt.NDArray[np.int64]] = _nobody

    def kinds(self, slot: npt.NDArray[np.integer]) -> npt.NDArray[np.int8]:
        """Kind of each slot; -1 for one that the registry has not told yet."""
        kinds = np.full(len(slot), -1, np.int8)
        known = slot < len(self.kind_of_slot)
        kinds[known] = self.kind_of_slot[slot[known]]
        return kinds
