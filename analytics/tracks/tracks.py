"""`Tracks`: the objects of one camera at one time, as columns; and what is kept for each beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.uint8]
_Any = TypeVar("_Any", bound=np.generic)

#: Id of an object that is not confirmed.
NO_ID = -1


@dataclass(frozen=True, slots=True)
class Tracks:
    """Objects of one camera, columns of one length.

    Attributes:
        time_ms: of the picture, UTC ms.
        id: int64, 1 or more and never used again; -1 while it is not confirmed.
        box: float64 (n, 4), left, top, right, bottom, fractions of the picture, where it was last seen.
        first_box: float64 (n, 4), where it was seen first, before it was confirmed.
        kind: uint8, codes of `model.camera.OBJECT_CODE`, what it was most.
        confirmed: whether it was seen often enough to be one.
        seen: whether it was found in this very picture.
        score: float64, 0..1, of its last box.
        age_s: float64, since it was first seen.
        unseen_s: float64, since it was last seen.
    """

    time_ms: int
    id: Ints
    box: Floats
    first_box: Floats
    kind: Codes
    confirmed: Bools
    seen: Bools
    score: Floats
    age_s: Floats
    unseen_s: Floats

    def __len__(self) -> int:
        return len(self.id)

    def feet(self) -> Floats:
        """(n, 2) middle of the lower edge of each box: where an object stands."""
        return feet_of(self.box)


def feet_of(box: Floats) -> Floats:
    """(n, 2) middle of the lower edge of boxes (n, 4)."""
    return np.stack(((box[:, 0] + box[:, 2]) / 2, box[:, 3]), axis=1)


def carry(old_id: Ints, column: npt.NDArray[_Any], new_id: Ints, fill: Any) -> npt.NDArray[_Any]:
    """A column of `old_id` (ascending), in the order of `new_id` (ascending); ids that are new get `fill`."""
    out = np.full((len(new_id), *column.shape[1:]), fill, column.dtype)
    at = np.searchsorted(old_id, new_id)
    known = np.flatnonzero(at < len(old_id))
    known = known[old_id[at[known]] == new_id[known]]
    out[known] = column[at[known]]
    return out


def confirmed_rows(tracks: Tracks) -> Ints:
    """Places of the confirmed objects, by ascending id; an object without an id is nobody."""
    rows = np.flatnonzero(tracks.confirmed & (tracks.id > 0))
    return rows[np.argsort(tracks.id[rows])]
