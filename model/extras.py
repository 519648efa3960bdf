"""`Extras`: what has no column, JSON bytes by row, held as columns.

Purpose: nearly every row of a taxi has some (mileage), so that a dict would cost a Python step for each row at every stage.
Invariants: rows ascend and come once; texts lie in one array of bytes, which several objects may share and nobody changes;
no more than `_MOST_SPARE` times the bytes that are needed are held. It looks into no text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
BytesArray = npt.NDArray[np.uint8]

_NONE: IntArray = np.zeros(0, np.int64)
_NO_BYTES: BytesArray = np.zeros(0, np.uint8)
#: How much longer the shared bytes may be than those that are meant.
_MOST_SPARE = 4
#: Texts of so many different lengths are put together by length, else one by one (measured: 40 against 150 ns a text).
_MOST_SIZES = 64
#: … and so few are too.
_FEW = 32
_LONGEST = 1 << 16


class Extras(Mapping[int, bytes]):
    """Texts by row; a mapping that cannot be changed.

    Args:
        rows: rows that have one, ascending, int64 (k,).
        start, size: where each begins in `blob`, and its length, int64 (k,).
        blob: the texts, uint8.
    """

    __slots__ = ("blob", "rows", "size", "start")

    def __init__(self, rows: IntArray, start: IntArray, size: IntArray, blob: BytesArray) -> None:
        self.rows = rows
        self.start = start
        self.size = size
        self.blob = blob

    @classmethod
    def of(cls, texts: Mapping[int, bytes]) -> Extras:
        """The same as a mapping by row."""
        if isinstance(texts, Extras):
            return texts
        if not texts:
            return NO_EXTRAS
        rows = sorted(texts)
        return cls.of_texts(np.array(rows, np.int64), [texts[row] for row in rows])

    @classmethod
    def of_texts(cls, rows: IntArray, texts: Sequence[bytes]) -> Extras:
        """One text for each of `rows`, which ascend."""
        size = np.fromiter(map(len, texts), np.int64, len(texts))
        return cls.packed(rows, size, np.frombuffer(b"".join(texts), np.uint8))

    @classmethod
    def packed(cls, rows: IntArray, size: IntArray, blob: BytesArray) -> Extras:
        """Texts that stand in `blob` one behind the other."""
        return cls(rows, size.cumsum() - size, size, blob)

    @classmethod
    def concat(cls, pieces: Sequence[tuple[int, Extras]]) -> Extras:
        """Those of batches that follow each other: how many rows each has, and its extras."""
        if not any(len(extras.rows) for _, extras in pieces):
            return NO_EXTRAS
        if len(pieces) == 1:
            return pieces[0][1]
        rows, starts, row, byte = [], [], 0, 0
        for count, extras in pieces:
            rows.append(extras.rows + row)
            starts.append(extras.start + byte)
            row += count
            byte += len(extras.blob)
        return cls(
            np.concatenate(rows),
            np.concatenate(starts),
            np.concatenate([extras.size for _, extras in pieces]),
            np.concatenate([extras.blob for _, extras in pieces]),
        )

    def take(self, index: npt.NDArray[np.integer[Any]]) -> Extras:
        """Those of a batch that has the rows `index` (m,) of this one's, in that order; a row may come more than once."""
        if not len(self.rows) or not len(index):
            return NO_EXTRAS
        if len(self.rows) == int(self.rows[-1]) + 1 and int(index.max()) < len(self.rows):  # every row has one
            rows, at = np.arange(len(index)), index
        else:
            at = np.minimum(self.rows.searchsorted(index), len(self.rows) - 1)
            rows = (self.rows[at] == index).nonzero()[0]
            if not len(rows):
                return NO_EXTRAS
            at = at[rows]
        return Extras(rows, self.start[at], self.size[at], self.blob).lean()

    def without(self, rows: npt.NDArray[np.integer[Any]]) -> Extras:
        """Those of other rows alone, which stay what they are."""
        if not len(self.rows):
            return self
        mine = (~np.isin(self.rows, rows)).nonzero()[0]
        return (
            self
            if len(mine) == len(self.rows)
            else Extras(self.rows[mine], self.start[mine], self.size[mine], self.blob).lean()
        )

    def but(self, texts: Mapping[int, bytes]) -> Extras:
        """The same with other texts in some rows, or texts in more rows."""
        other = Extras.of(texts)
        if not len(other.rows) or not len(self.rows):
            return self if len(self.rows) else other
        mine = self.without(other.rows)
        rows = np.concatenate([mine.rows, other.rows])
        order = rows.argsort(kind="stable")
        start = np.concatenate([mine.start, other.start + len(mine.blob)])[order]
        size = np.concatenate([mine.size, other.size])[order]
        return Extras(rows[order], start, size, np.concatenate([mine.blob, other.blob]))

    def lean(self) -> Extras:
        """The same, tight when too many bytes are held."""
        return self.tight() if int(self.size.sum()) * _MOST_SPARE < len(self.blob) else self

    def tight(self) -> Extras:
        """The same with the texts one behind the other, and nothing else."""
        size = self.size
        begins = size.cumsum() - size
        total = int(size.sum())
        first = int(self.start[0]) if len(size) else 0
        if bool((self.start == begins + first).all()):
            return Extras(self.rows, begins, size, self.blob[first : first + total])
        sizes = np.bincount(size).nonzero()[0].tolist() if len(size) > _FEW and size.max() < _LONGEST else []
        if not 0 < len(sizes) <= _MOST_SIZES:
            held = self.blob.data
            ends = (self.start + size).tolist()
            joined = b"".join([held[at:end] for at, end in zip(self.start.tolist(), ends, strict=True)])
            return Extras(self.rows, begins, size, np.frombuffer(joined, np.uint8))
        blob = np.empty(total, np.uint8)
        for one in sizes:
            if one:
                mine = slice(None) if len(sizes) == 1 else (size == one).nonzero()[0]
                _windows(blob, one)[begins[mine]] = _windows(self.blob, one)[self.start[mine]]
        return Extras(self.rows, begins, size, blob)

    def __getitem__(self, row: int) -> bytes:
        at = int(self.rows.searchsorted(row))
        if at == len(self.rows) or self.rows[at] != row:
            raise KeyError(row)
        return self._text(at)

    def __iter__(self) -> Iterator[int]:
        return iter(self.rows.tolist())

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return f"Extras({dict(self)!r})"

    def _text(self, at: int) -> bytes:
        first = int(self.start[at])
        return self.blob[first : first + int(self.size[at])].tobytes()


def _windows(data: BytesArray, size: int) -> npt.NDArray[np.void]:
    """`size` bytes at every place of `data`, as a view."""
    return np.ndarray((len(data) - size + 1,), f"V{size}", data, strides=(1,))


#: No row has any.
NO_EXTRAS = Extras(_NONE, _NONE, _NONE, _NO_BYTES)
