"""Places as JSON rows, without a Python step per row.

Purpose: the text of every row that anybody looks at is made once and then copied into each frame that holds it. A row is
`["taxi/1",40.65,109.84,heading,speed,age,bits,acc],`: degrees with six decimals, the rest with one, `null` where the device
sent nothing; ages in seconds at the moment of the picture. Invariant: rows are words of one width, zero bytes in them are no
text; what `joined` gives is valid JSON between brackets, for an id holds no character that JSON would escape.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from console.web.positions import Picture
from store.series.influx.digits import millionths, tenths, whole

Text = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
_Array = npt.NDArray[Any]

_NULL = np.frombuffer(b"null", "<u4")[0]
_FIRST_ROWS = 1_024


class IdTexts:
    """Device ids as rows of bytes, each made when its device is first shown. Any thread."""

    def __init__(self) -> None:
        self._row_of_slot = np.full(0, -1, np.int32)
        self._text = np.zeros((_FIRST_ROWS, 1), np.uint8)
        self._count = 0
        self._lock = threading.Lock()

    def of(self, slots: Ints, ids: Sequence[str]) -> Text:
        """The ids of `slots`, shape (n, width); `ids` by slot."""
        if not len(slots):
            return self._text[:0]
        with self._lock:
            return self._found(slots, ids)

    def _found(self, slots: Ints, ids: Sequence[str]) -> Text:
        highest = int(slots.max()) + 1
        if highest > len(self._row_of_slot):
            more = max(highest, 2 * len(self._row_of_slot)) - len(self._row_of_slot)
            self._row_of_slot = np.concatenate((self._row_of_slot, np.full(more, -1, np.int32)))
        new = slots[self._row_of_slot[slots] < 0]
        if len(new):
            self._add(new, [ids[slot].encode("ascii") for slot in new.tolist()])
        return self._text[self._row_of_slot[slots]]

    def _add(self, slots: Ints, texts: list[bytes]) -> None:
        made = np.array(texts)
        made = made.view(np.uint8).reshape(len(texts), made.dtype.itemsize)
        rows, width = self._text.shape
        count = self._count + len(texts)
        if count > rows or made.shape[1] > width:
            grown = np.zeros((max(count, 2 * rows) if count > rows else rows, max(made.shape[1], width)), np.uint8)
            grown[: self._count, :width] = self._text[: self._count]
            self._text = grown
        self._text[self._count : count, : made.shape[1]] = made
        self._row_of_slot[slots] = np.arange(self._count, count)
        self._count = count


def rows_text(picture: Picture, rows: Ints, ids: Text) -> Text:
    """The text of these rows, shape (n, width); `ids` are theirs."""
    count = len(rows)
    if not count:
        return np.zeros((0, 0), np.uint8)
    age_ms = np.maximum(picture.at_ms - picture.time_ms[rows], 0)
    columns: list[list[_Array] | bytes] = [
        b'["', [ids], b'",', millionths(_fixed(picture.lat[rows], 1e6)),
        b",", millionths(_fixed(picture.lon[rows], 1e6)),
        b",", _optional(picture.heading_deg[rows]),
        b",", _optional(picture.speed_kmh[rows]),
        b",", tenths(age_ms // 100),
        b",", whole(picture.bits[rows].astype(np.int64)),
        b",", _optional(picture.acc_m[rows]),
        b"],",
    ]  # fmt: skip
    pieces = [
        np.broadcast_to(np.frombuffer(piece, np.uint8), (count, len(piece)))
        if isinstance(piece, bytes)
        else np.concatenate([np.ascontiguousarray(word).view(np.uint8).reshape(count, -1) for word in piece], axis=1)
        for piece in columns
    ]
    text: Text = np.concatenate(pieces, axis=1)
    return text


def joined(text: Text) -> bytes:
    """Rows one behind the other, without the last one's comma."""
    flat = text.ravel()
    made: bytes = flat[flat != 0].tobytes()
    return made[:-1]


class Texts:
    """The texts of one picture: those of `needed` rows made at once, any others when they are asked for.

    Args:
        picture: the places.
        ids: device ids by slot.
        texts: ids as bytes, kept from picture to picture.
        needed: rows, ascending, each once.
    """

    def __init__(self, picture: Picture, ids: Sequence[str], texts: IdTexts, needed: Ints) -> None:
        self._picture = picture
        self._ids = ids
        self._id_texts = texts
        self._needed = needed
        self._text = self._made(needed)

    def of(self, rows: Ints) -> bytes:
        """The texts of `rows`, joined."""
        if not len(rows):
            return b""
        at = np.searchsorted(self._needed, rows)
        if len(self._needed) and int(at.max()) < len(self._needed) and bool((self._needed[at] == rows).all()):
            return joined(self._text[at])
        return joined(self._made(rows))

    def _made(self, rows: Ints) -> Text:
        return rows_text(self._picture, rows, self._id_texts.of(self._picture.slot[rows], self._ids))


def _fixed(values: npt.NDArray[np.float64], scale: float) -> Ints:
    return np.rint(values * scale).astype(np.int64)


def _optional(values: npt.NDArray[np.float32]) -> list[_Array]:
    """Pieces of numbers with one decimal, `null` for what is none."""
    missing = ~np.isfinite(values)
    if not missing.any():
        return tenths(_fixed(values.astype(np.float64), 10))
    pieces = tenths(_fixed(np.where(missing, 0.0, values.astype(np.float64)), 10))
    for piece in pieces:
        piece[missing] = 0
    return [*pieces, np.where(missing, _NULL, np.uint32(0))]
