"""Which slots a search may name: those of some kinds of device.

Purpose: the filter that a store's `inside` takes, for the store knows no kinds. It decides nothing: that a search over all
devices leaves out e-bikes is the console's rule.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from model.device import KIND_CODE, Kind


def slots_of(kind_of_slot: npt.NDArray[np.integer], kinds: Iterable[Kind]) -> npt.NDArray[np.int32]:
    """Slots of these kinds, ascending; `kind_of_slot` holds the index into `model.device.KINDS` of each slot."""
    wanted = [KIND_CODE[kind] for kind in kinds]
    return np.flatnonzero(np.isin(kind_of_slot, wanted)).astype(np.int32)
