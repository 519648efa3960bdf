"""What a worker was at when it died: a few bytes a camera in memory that outlives it; and until when its cameras are this machine's.

Invariants: a camera's thread writes its own bytes alone, before it enters a library and after it is back; whoever shares
the memory reads them when the process is gone. A torn write tells a wrong moment at worst. It decides nothing.
"""

from __future__ import annotations

import mmap
import os
import struct
from types import TracebackType
from typing import Self

#: Bytes of one camera: what it is at, and since when (seconds of the monotonic clock, one for all processes of a machine).
_ROW = struct.Struct("<Bd")
ROW_BYTES = 16
#: After the rows: monotonic time until which the cameras are ours; 0: for good.
_UNTIL = struct.Struct("<d")
IDLE, DECODING = 0, 1


class Crumbs:
    """The shared memory of one worker.

    Args:
        descriptor: of the memory, from `make`; owned from now on.
        rows: cameras at most.
    """

    def __init__(self, descriptor: int, rows: int) -> None:
        self.descriptor = descriptor
        self.rows = rows
        self._memory = mmap.mmap(descriptor, rows * ROW_BYTES + _UNTIL.size)

    @classmethod
    def make(cls, rows: int) -> Crumbs:
        """New memory, all idle."""
        descriptor = os.memfd_create("lucheng-crumbs")
        os.ftruncate(descriptor, rows * ROW_BYTES + _UNTIL.size)
        return cls(descriptor, rows)

    def enter(self, row: int, at_s: float) -> Crumb:
        """For a `with`: the library works on this camera's bytes meanwhile."""
        return Crumb(self, row, at_s)

    def write(self, row: int, what: int, at_s: float) -> None:
        """Note what the camera is at."""
        _ROW.pack_into(self._memory, row * ROW_BYTES, what, at_s)

    def clear(self, row: int) -> None:
        """Forget a camera that has left."""
        self.write(row, IDLE, 0.0)

    def suspects(self) -> list[int]:
        """Rows of which one ended the process: those in a library; else the one that was last, if any was."""
        found = [_ROW.unpack_from(self._memory, row * ROW_BYTES) for row in range(self.rows)]
        inside = [row for row, (what, _) in enumerate(found) if what == DECODING]
        if inside:
            return inside
        last = max(range(self.rows), key=lambda row: float(found[row][1]), default=-1)
        return [last] if last >= 0 and found[last][1] > 0 else []

    @property
    def until_s(self) -> float:
        """Monotonic time until which the cameras are this machine's, as the service last said; 0: for good."""
        return float(_UNTIL.unpack_from(self._memory, self.rows * ROW_BYTES)[0])

    @until_s.setter
    def until_s(self, until_s: float) -> None:
        _UNTIL.pack_into(self._memory, self.rows * ROW_BYTES, until_s)

    def close(self) -> None:
        """Release the memory here; once, for the number of the descriptor may be another's by the second time."""
        if not self._memory.closed:
            self._memory.close()
            os.close(self.descriptor)


class Crumb:
    """One stay of a camera in a library."""

    __slots__ = ("_at_s", "_crumbs", "_row")

    def __init__(self, crumbs: Crumbs, row: int, at_s: float) -> None:
        self._crumbs = crumbs
        self._row = row
        self._at_s = at_s

    def __enter__(self) -> Self:
        self._crumbs.write(self._row, DECODING, self._at_s)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._crumbs.write(self._row, IDLE, self._at_s)
