"""Files of points to batches of columns.

Purpose: `open_file` reads the formats of `ingest.files.formats` block by block: separators are found in the whole block, fields
are parsed as columns, and only rows that are not regular are read one by one. Invariants: every row that is not blank is a point or is
quarantined with its line number, and no row changes its neighbours; what a regular row gives and what the row reader would give
is the same; memory is bounded by block size, rows per batch and devices per file. Points are marked `buffered`: a
file's time is taken as it is. It judges no values: not-a-number, infinite and out of range are left to the analytics.
"""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from ingest.files import times
from ingest.files.columns import ColumnParser, points_of
from ingest.files.formats import Layout, layout_of, with_header
from ingest.files.names import DEFAULT_MAX_DEVICES, NameTable
from ingest.files.rows import BadRow, RowReader
from ingest.files.source import DEFAULT_BLOCK_BYTES, DEFAULT_MAX_LINE_BYTES, Lines, LineSource
from model.batch import PointBatch
from model.clock import Clock
from model.codes import Reason
from model.errors import BadInput
from model.quarantine import Quarantined

#: Rows of one batch at most (a block of very short lines is cut).
DEFAULT_MAX_ROWS = 1 << 15
#: Bytes of a bad row that are kept for inspection.
DEFAULT_RAW_BYTES = 1024
#: A file without a header must have a readable row among its first ones.
FIRST_ROWS = 20

SlotsOf = Callable[[list[str]], npt.NDArray[np.int32]]


@dataclass(slots=True)
class FileBatch:
    """Points of one block of a file, in the file's order.

    Attributes:
        devices: ids of the devices in this batch, each once, e.g. `taxi/28249`.
        device_index: int32 (n,), each point's place in `devices`.
        points: the points; `slot` as the caller's `slots_of` gave them, -1 without one.
        rows: int64 (n,), each point's line number, from 1.
        quarantined: bad rows, each with `file:line` as its source.
        done_bytes, total_bytes: how much of the file was read, for a progress bar.
    """

    devices: list[str]
    device_index: npt.NDArray[np.int32]
    points: PointBatch
    rows: npt.NDArray[np.int64]
    quarantined: list[Quarantined]
    done_bytes: int
    total_bytes: int


def open_file(
    path: Path,
    format_name: str,
    *,
    time_zone: str,
    clock: Clock,
    date: datetime.date | None = None,
    slots_of: SlotsOf | None = None,
    block_bytes: int = DEFAULT_BLOCK_BYTES,
    max_line_bytes: int = DEFAULT_MAX_LINE_BYTES,
    max_rows: int = DEFAULT_MAX_ROWS,
    max_devices: int = DEFAULT_MAX_DEVICES,
    raw_bytes: int = DEFAULT_RAW_BYTES,
) -> FileReader:
    """Open a file of points and check that it is what it says.

    Args:
        path: the file, plain or gzip.
        format_name: `cabspotting`, `tdrive`, `shenzhen` or `csv`.
        time_zone: IANA name of the zone of local times.
        clock: gives the receive time.
        date: local day of a format whose times have none (shenzhen).
        slots_of: slots of device ids not asked for before; called once per new device, many at a time.
        block_bytes: text read at a time.
        max_line_bytes: a longer line is quarantined.
        max_rows: rows of one batch at most.
        max_devices: distinct devices of one file at most.
        raw_bytes: bytes kept of a bad row.

    Raises BadInput (file, line, reason), UsageError (format, date), SettingsError (time zone).
    """
    layout = layout_of(format_name, date)
    local = times.LocalTime(times.zone_of(time_zone))
    names = NameTable(layout.prefix, max_devices)
    source = LineSource(path, block_bytes=block_bytes, max_line_bytes=max_line_bytes)
    try:
        return FileReader(path, source, layout, names, local, clock, slots_of, max_line_bytes, max_rows, raw_bytes)
    except BaseException:
        source.close()
        raise


class FileReader:
    """Iterates the batches of one file; made by `open_file`. Iterate once.

    Raises BadInput while iterating when the file goes bad behind what it has given.
    """

    def __init__(
        self,
        path: Path,
        source: LineSource,
        layout: Layout,
        names: NameTable,
        local: times.LocalTime,
        clock: Clock,
        slots_of: SlotsOf | None,
        max_line_bytes: int,
        max_rows: int,
        raw_bytes: int,
    ) -> None:
        self._path = path
        self._source = source
        self._names = names
        self._clock = clock
        self._slots_of = slots_of
        self._slots = np.empty(0, np.int32)
        self._max_rows = max_rows
        self._raw_bytes = raw_bytes
        self._line = 1
        self._blocks = source.blocks()
        self._layout, self._first = self._begin(layout)
        self._columns = ColumnParser(self._layout, names, local, max_line_bytes)
        self._rows = RowReader(self._layout, names, local, max_line_bytes)
        self._unproven = not layout.header

    @property
    def total_bytes(self) -> int:
        """Size of the file."""
        return self._source.total_bytes

    @property
    def done_bytes(self) -> int:
        """How much of it was read."""
        return self._source.done_bytes

    def close(self) -> None:
        """Release the file."""
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[FileBatch]:
        """Batches in the file's order; a headerless file gives none before one of its first rows could be read."""
        held: list[FileBatch] = []
        bad_rows = 0
        for batch in self._batches():
            if not self._unproven:
                yield batch
                continue
            held.append(batch)
            first_line = int(batch.rows[0]) if len(batch.rows) else None
            for bad in batch.quarantined:
                bad_rows += first_line is None or int(bad.source.rpartition(":")[2]) < first_line
            if bad_rows >= FIRST_ROWS:
                raise self._unlike(held)
            if first_line is not None:
                self._unproven = False
                yield from held
                held = []
        if held:
            raise self._unlike(held)

    def _batches(self) -> Iterator[FileBatch]:
        lines: Lines | None = self._first
        while lines is not None:
            pieces = _pieces(lines.text, self._max_rows)
            for k, text in enumerate(pieces):
                batch = self._batch(text, cut=lines.cut and k == len(pieces) - 1)
                if len(batch.rows) or batch.quarantined:
                    yield batch
            if lines.broken is not None:
                error = lines.broken
                self.close()
                place = f"{self._path}:{self._line - lines.cut}"  # a line that is cut off was counted already
                raise BadInput(f"{place}: {error.message}", mend=error.mend) from error
            lines = next(self._blocks, None)
        self.close()

    def _begin(self, layout: Layout) -> tuple[Layout, Lines]:
        """Read the header, if the format has one, and leave the rest of its block."""
        for lines in self._blocks:
            text = lines.text
            while text:
                line, _, rest = text.partition(b"\n")
                if line.strip(b" \t\r"):
                    if not layout.header:
                        return layout, Lines(text, lines.broken, lines.cut)
                    names = tuple(name.strip(' \t\r"') for name in line.decode("utf-8", "replace").split(","))
                    found = with_header(layout, names, f"{self._path}:{self._line}")
                    self._line += 1
                    return found, Lines(rest, lines.broken, lines.cut and bool(rest))
                self._line += 1
                text = rest
            if lines.broken is not None:
                raise BadInput(f"{self._path}:{self._line}: {lines.broken.message}", mend=lines.broken.mend)
        raise BadInput(f"{self._path} holds no rows.", mend="Give the file that holds the rows.")

    def _unlike(self, held: list[FileBatch]) -> BadInput:
        first = next(batch.quarantined[0] for batch in held if batch.quarantined)
        self.close()
        return BadInput(
            f"{first.source}: {first.detail}: this is no {self._layout.name} file.",
            mend="Check the file and its --format.",
        )

    def _batch(self, lines: bytes, *, cut: bool) -> FileBatch:
        """The rows of some whole lines; `cut`: the last one is not whole after all."""
        parsed = self._columns.parse(lines)
        received_ms = self._clock.now_ms()
        keep = parsed.ok
        if cut:
            keep[-1] = False
        quarantined: list[Quarantined] = []
        for row in np.flatnonzero(~keep).tolist():
            raw = parsed.line(row)
            try:
                if cut and row == len(keep) - 1:
                    raise BadRow(Reason.BAD_ROW, "the line is cut off where the file goes bad")
                values = self._rows.read(raw)
            except BadRow as bad:
                place = f"{self._path}:{self._line + row}"
                quarantined.append(
                    Quarantined(bad.reason, 1, received_ms, place, bad.device, bad.detail, raw[: self._raw_bytes])
                )
                continue
            if values is not None:
                keep[row] = True
                parsed.put(row, values)
        line = self._line
        self._line += len(keep)
        whole = bool(keep.all())
        arrays = parsed.arrays if whole else {name: array[keep] for name, array in parsed.arrays.items()}
        rows = np.arange(line, self._line, dtype=np.int64) if whole else np.flatnonzero(keep) + line
        devices, index, slots = self._devices(arrays["device"])
        points = points_of(arrays, slots, received_ms)
        return FileBatch(devices, index, points, rows, quarantined, self.done_bytes, self.total_bytes)

    def _devices(
        self, numbers: npt.NDArray[np.int64]
    ) -> tuple[list[str], npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """Ids of the devices of these file-wide numbers, each row's place among them, each row's slot."""
        known = len(self._names.ids)
        present = np.flatnonzero(np.bincount(numbers, minlength=known))
        place = np.zeros(known, np.int32)
        place[present] = np.arange(len(present), dtype=np.int32)
        ids = self._names.ids
        if known > len(self._slots):
            fresh = ids[len(self._slots) :]
            slots = np.full(len(fresh), -1, np.int32) if self._slots_of is None else self._slots_of(fresh)
            self._slots = np.concatenate((self._slots, slots.astype(np.int32, copy=False)))
        return [ids[k] for k in present.tolist()], place[numbers], self._slots[numbers]


def _pieces(text: bytes, max_rows: int) -> list[bytes]:
    """`text` cut after every `max_rows` lines."""
    if text.count(b"\n") <= max_rows:
        return [text] if text else []
    ends = np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n")) + 1
    cuts = [0, *ends[max_rows - 1 : -1 : max_rows].tolist(), len(text)]
    return [text[a:b] for a, b in itertools.pairwise(cuts)]
