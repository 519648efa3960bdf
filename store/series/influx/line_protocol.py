"""Line protocol from columns: one body of bytes, no Python step per row.

Purpose: what InfluxDB is sent. Invariants: a row is one line, in the rows' order (`Lines.rows` says which row a line is);
what was not sent has no field; a body read back by `influx.flux` is the same points at the store's resolution. Texts from
outside cannot leave their place: see `tag`. It sends nothing and knows no server.

A point: `fix,age=0,device=taxi/1,slot=7 flags=1i,lat=40.650000,lon=109.840000,… 1760000000000000000`. `age` is how many
days (UTC) lie between the day of the fix and the day it was stored on, by which retention goes; the six last digits of
the time tell apart what one device said of one millisecond. Source: docs.influxdata.com, line protocol reference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from model.batch import PointBatch
from model.extras import Extras
from model.seams import Samples
from store.series.influx.digits import floats, millionths, padded, tenths, three, whole, whole_unsigned

Array = npt.NDArray[Any]
IntArray = npt.NDArray[np.int64]

FIX = "fix"
NUMBERS = "numbers"
#: Rows of one table of bytes: it stays in the processor's cache.
TABLE_ROWS = 4_096
#: A line without a long text is shorter.
_ROOMY_LINE_BYTES = 512
#: Of one request, before it is compressed.
DEFAULT_MAX_BODY_BYTES = 4 << 20
#: Bytes of one table where single rows are long.
TABLE_BYTES = 4 << 20
#: A row with a longer text is put into a table of its own kind.
WIDE_EXTRA_BYTES = 128
#: Server's limit of one text field.
MAX_TEXT_BYTES = 60_000
#: Of a device's id in its tag; rows are told apart by `slot`.
MAX_DEVICE_CHARS = 256

#: Times that nanoseconds of 64 bits can hold, ms; half open.
MIN_TIME_MS, MAX_TIME_MS = -((1 << 63) // 1_000_000) + 1, (1 << 63) // 1_000_000 - 1
#: Floats beyond this many stored units (see `model.batch.Column.scale`) count as not sent: no decimal gives them back.
MAX_FIXED = float(1 << 53)

_CONTROL = {code: f"%{code:02X}" for code in (*range(0x20), 0x7F, ord("%"), ord("\\"))}
_SEPARATORS = str.maketrans({",": "\\,", " ": "\\ ", "=": "\\="})
_EMPTY = "%"
_QUOTE, _BACKSLASH = ord('"'), ord("\\")


def plain_tag(text: str) -> str:
    """A tag value as it is kept: any text, each another one, in what a tag can hold.

    A backslash before a separator, a line break or an empty value cannot be written in line protocol at all; so these, other
    control characters and `%` itself are kept as `%` and two hexadecimal digits, and an empty text as `%`.
    """
    kept = text.encode("utf-8", "surrogatepass").decode("utf-8", "backslashreplace") if _lone(text) else text
    return kept.translate(_CONTROL) or _EMPTY


def _lone(text: str) -> bool:
    return any("\ud800" <= char <= "\udfff" for char in text)


def tag(text: str) -> bytes:
    """A tag value as it stands in a line: `plain_tag` with comma, space and equals sign escaped."""
    return plain_tag(text).translate(_SEPARATORS).encode()


@dataclass(frozen=True, slots=True)
class Lines:
    """Some lines: `body` ends with a line break, `rows` (m,) says which row of the caller's each line is."""

    body: bytes
    rows: IntArray


class _Table:
    """Lines of one chunk under construction, from left to right."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._pieces: list[bytes | Array] = []
        self._absent: list[tuple[int, int, Array]] = []

    def add(self, *pieces: bytes | Array) -> None:
        """Constant text, or one word for each row."""
        self._pieces += pieces

    def field(self, label: bytes, sent: Array | None, pieces: Sequence[bytes | Array]) -> None:
        """A label and its value; nothing in rows that are not `sent` (None: all are)."""
        first = len(self._pieces)
        self.add(label, *pieces)
        if sent is not None:
            self._absent.append((first, len(self._pieces), np.flatnonzero(~sent)))

    def text(self) -> npt.NDArray[np.uint8]:
        """Every line, one behind the other, with zero bytes where there is no text."""
        sizes = [len(piece) if isinstance(piece, bytes) else piece.dtype.itemsize for piece in self._pieces]
        ends = np.cumsum([0, *sizes]).tolist()
        template = b"".join(
            piece if isinstance(piece, bytes) else bytes(size) for piece, size in zip(self._pieces, sizes, strict=True)
        )
        made = np.empty((self._rows, ends[-1]), np.uint8)
        made[:] = np.frombuffer(template, np.uint8)
        flat = made.reshape(-1)
        for at, piece in enumerate(self._pieces):
            if not isinstance(piece, bytes):
                np.ndarray(self._rows, piece.dtype, flat, ends[at], (ends[-1],))[:] = piece
        for first, last, rows in self._absent:
            made[rows, ends[first] : ends[last]] = 0
        return flat


class Room:
    """Memory in which bodies are put together, used again for the next one, by one caller at a time.

    Fresh memory for every table would cost as much as squeezing it.

    Args:
        max_body_bytes: a body ends before it grows longer (a single table may).
    """

    def __init__(self, max_body_bytes: int = DEFAULT_MAX_BODY_BYTES) -> None:
        self.max_body_bytes = max_body_bytes
        self._bytes = np.empty(max_body_bytes, np.uint8)
        self._used = 0
        self._rows: list[IntArray] = []

    def bodies(self, tables: Iterable[tuple[_Table, IntArray]]) -> Iterator[Lines]:
        """Tables and their rows as bodies."""
        self._used, self._rows = 0, []
        for table, rows in tables:
            text = table.text()
            mask = text != 0
            size = int(np.count_nonzero(mask))
            if self._rows and self._used + size > self.max_body_bytes:
                yield self._take()
            if size > len(self._bytes):
                self._bytes = np.empty(size, np.uint8)
            np.compress(mask, text, out=self._bytes[self._used : self._used + size])
            self._used += size
            self._rows.append(rows)
        if self._rows:
            yield self._take()

    def _take(self) -> Lines:
        made = Lines(self._bytes[: self._used].tobytes(), np.concatenate(self._rows))
        self._used, self._rows = 0, []
        return made


class Prefixes:
    """The tags of each slot, made once.

    Args:
        device_ids: the registry's ids by slot; a slot without one has no `device` tag.
        partition: whose points they are; None: without the tag `partition`.
    """

    def __init__(self, device_ids: Callable[[], Sequence[str]] = tuple, *, partition: int | None = None) -> None:
        self._device_ids = device_ids
        self._end = (b"" if partition is None else b",partition=%d" % partition) + b",slot=%d flags="
        self._words: Array = np.zeros(0, "V1")
        self._texts: list[bytes] = []

    def of(self, slots: Array) -> Array:
        """Words `,device=…,partition=…,slot=… flags=` for each slot (>= 0)."""
        highest = int(slots.max())
        if highest >= len(self._texts):
            self._extend(highest + 1)
        return self._words[slots]

    def device(self, slot: int) -> str:
        """The id of a slot, "" when it is not known."""
        ids = self._device_ids()
        return ids[slot] if slot < len(ids) else ""

    def _extend(self, slots: int) -> None:
        ids = self._device_ids()
        for slot in range(len(self._texts), max(slots, len(ids))):
            name = tag(ids[slot][:MAX_DEVICE_CHARS]) if slot < len(ids) else b""
            device = b",device=" + name if name else b""
            self._texts.append(device + self._end % slot)
        self._words = np.array(self._texts)
        self._words = self._words.view(f"V{self._words.dtype.itemsize}")


def point_lines(
    points: PointBatch, ages: IntArray, subs: Array | None, prefixes: Prefixes, room: Room | None = None
) -> Iterator[Lines]:
    """Bodies of points.

    Args:
        points: rows whose slot is >= 0 and whose time lies in MIN_TIME_MS..MAX_TIME_MS.
        ages: days between fix and store of each row (n,), see the module.
        subs: 0 to 999,999 nanoseconds within the millisecond (n,); None: all 0.
        prefixes: the tags.
        room: memory to work in; None: new.
    """
    room = room or Room()
    most = min(TABLE_ROWS, max(room.max_body_bytes // _ROOMY_LINE_BYTES, 1))
    return room.bodies(_point_tables(points, ages, subs, prefixes, most))


def _point_tables(
    points: PointBatch, ages: IntArray, subs: Array | None, prefixes: Prefixes, most: int
) -> Iterator[tuple[_Table, IntArray]]:
    wide = np.zeros(len(points), np.bool_)
    long = points.extra.size > WIDE_EXTRA_BYTES
    wide[points.extra.rows[long]] = True
    widest = 2 * int(points.extra.size.max(initial=0)) + _ROOMY_LINE_BYTES
    for chosen, size in ((np.flatnonzero(~wide), most), (np.flatnonzero(wide), max(TABLE_BYTES // widest, 1))):
        for start in range(0, len(chosen), size):
            rows = chosen[start : start + size]
            plain = len(rows) == int(rows[-1]) - int(rows[0]) + 1
            piece = _rows(points, int(rows[0]), int(rows[-1]) + 1) if plain else points.take(rows)
            yield _point_table(piece, ages[rows], None if subs is None else subs[rows], prefixes), rows


def _rows(points: PointBatch, first: int, end: int) -> PointBatch:
    """Rows first..end as views."""
    if first == 0 and end == len(points):
        return points
    inside = slice(*points.extra.rows.searchsorted((first, end)).tolist())
    extra = Extras(
        points.extra.rows[inside] - first, points.extra.start[inside], points.extra.size[inside], points.extra.blob
    )
    names = (name for name in PointBatch.__dataclass_fields__ if name != "extra")
    return PointBatch(**{name: getattr(points, name)[first:end] for name in names}, extra=extra)


def _point_table(points: PointBatch, ages: IntArray, subs: Array | None, prefixes: Prefixes) -> _Table:
    table = _Table(len(points))
    table.add(b"fix,age=", *_maybe_constant(ages), prefixes.of(points.slot))
    table.add(*whole(points.flags.astype(np.int64)), b"i")
    _fixed(table, b",lat=", points.lat, 1e6, millionths)
    _fixed(table, b",lon=", points.lon, 1e6, millionths)
    _fixed(table, b",speed_kmh=", points.speed_kmh, 10, tenths)
    _fixed(table, b",heading_deg=", points.heading_deg, 10, tenths)
    _fixed(table, b",alt_m=", points.alt_m, 10, tenths)
    _fixed(table, b",acc_m=", points.acc_m, 10, tenths)
    lag = points.received_ms - points.time_ms
    _integers(table, b",lag_ms=", lag, points.received_ms != 0)
    _integers(table, b",seq=", points.seq, points.seq != -1)
    _integers(table, b",sat=", points.sat, points.sat != -1)
    _integers(table, b",battery_pct=", points.battery_pct, points.battery_pct != -1)
    _integers(table, b",marks=", points.marks, points.marks != 0)
    sent = points.alarm_bits != 0
    if sent.any():
        table.field(b",alarm_bits=", sent, [*whole_unsigned(points.alarm_bits), b"u"])
    if len(points.extra.rows):
        _extras(table, points.extra, len(points))
    _times(table, points.time_ms, subs)
    return table


def _maybe_constant(values: IntArray) -> list[bytes | Array]:
    first = int(values[0])
    return [b"%d" % first] if bool((values == first).all()) else [*whole(values)]


def _fixed(table: _Table, label: bytes, values: Array, scale: float, text: Callable[[IntArray], list[Array]]) -> None:
    with np.errstate(invalid="ignore", over="ignore"):
        scaled = np.rint(values * np.float64(scale))
        sent = np.abs(scaled) < MAX_FIXED  # False for NaN
    if sent.all():
        table.field(label, None, text(scaled.astype(np.int64)))
    elif sent.any():
        scaled[~sent] = 0
        table.field(label, sent, text(scaled.astype(np.int64)))


def _integers(table: _Table, label: bytes, values: Array, sent: Array) -> None:
    if sent.all():
        table.field(label, None, [*whole(values.astype(np.int64, copy=False)), b"i"])
    elif sent.any():
        table.field(label, sent, [*whole(np.where(sent, values, 0).astype(np.int64)), b"i"])


def _extras(table: _Table, extra: Extras, rows: int) -> None:
    """JSON as a text; what is no plain text of one line, or too long for one, as hexadecimal digits in pieces."""
    extra = extra.tight()
    blob = extra.blob
    odd = np.zeros(len(extra.rows), np.bool_)
    if len(blob) and (bool((blob < ord(" ")).any()) or not _is_utf8(blob)):
        odd = np.array([not _is_text(extra[row]) for row in extra], np.bool_)
    odd |= extra.size * 2 > MAX_TEXT_BYTES
    if not odd.all():
        plain = extra if not odd.any() else Extras(extra.rows[~odd], extra.start[~odd], extra.size[~odd], blob).tight()
        _put_texts(table, b',extra="', plain, rows)
    if odd.any():
        step = MAX_TEXT_BYTES // 2
        texts = {row: extra[row] for row in extra.rows[odd].tolist()}
        for number in range(-(-max(*map(len, texts.values()), 1) // step)):
            part = {
                row: text[number * step : (number + 1) * step].hex().encode()
                for row, text in texts.items()
                if number == 0 or len(text) > number * step
            }
            _put_texts(table, b',extra_hex%d="' % number, Extras.of(part), rows)


def _is_utf8(blob: npt.NDArray[np.uint8]) -> bool:
    try:
        blob.tobytes().decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_text(text: bytes) -> bool:
    return not any(byte < ord(" ") for byte in text) and _is_utf8(np.frombuffer(text, np.uint8))


def _put_texts(table: _Table, label: bytes, extra: Extras, rows: int) -> None:
    """Texts in quotes; quotes and backslashes within get a backslash."""
    blob, size = extra.blob, extra.size
    escaped = (blob == _QUOTE) | (blob == _BACKSLASH)
    line = np.repeat(np.arange(len(size)), size)
    before = np.cumsum(escaped)  # escapes up to and with a byte
    first = np.zeros(len(size), np.int64)
    begins = np.cumsum(size) - size
    filled = begins > 0
    first[filled] = before[begins[filled] - 1]
    at = np.arange(len(blob)) - begins[line] + before - first[line]
    width = int((size + np.bincount(line, escaped, len(size)).astype(np.int64)).max()) if len(blob) else 0
    words = np.zeros((rows, max(width, 1)), np.uint8)
    target = extra.rows[line] * words.shape[1] + at
    flat = words.reshape(-1)
    flat[target] = blob
    flat[target[escaped] - 1] = _BACKSLASH
    sent = np.zeros(rows, np.bool_)
    sent[extra.rows] = True
    table.field(label, None if sent.all() else sent, [words.view(f"V{words.shape[1]}").reshape(-1), b'"'])


def _times(table: _Table, time_ms: IntArray, subs: Array | None) -> None:
    """A space, the time in nanoseconds, a line break."""
    table.add(b" ")
    lowest, highest = int(time_ms.min()), int(time_ms.max())
    if lowest <= 0:
        time_ns = time_ms * 1_000_000 + (0 if subs is None else subs.astype(np.int64))
        table.add(*whole(time_ns), b"\n")
        return
    step = 10**8
    if lowest // step == highest // step and lowest >= step:
        table.add(b"%d" % (lowest // step), *padded(time_ms - lowest // step * step, 2))
    else:
        table.add(*whole(time_ms))
    if subs is None:
        table.add(b"000000\n")
    else:
        upper = subs.astype(np.int64) // 1_000
        table.add(three(upper), three(subs - upper * 1_000), b"\n")


#: Kinds of samples that are no finite number, as the field `gap` says them.
GAP_NUMBER, GAP_NAN, GAP_INFINITE, GAP_MINUS_INFINITE = range(4)


def number_lines(samples: Sequence[Samples], room: Room | None = None) -> Iterator[Lines]:
    """Bodies of numeric series, `numbers,series=…,source=… value=…,gap=0i time`; rows count through all of `samples`.

    The server keeps no NaN and no infinity: `gap` says what `value` then stands for, and is always there, for the same
    time again replaces.
    """
    given = [one for one in samples if len(one.time_ms)]
    return (room or Room()).bodies(_number_tables(given)) if given else iter(())


def _number_tables(given: Sequence[Samples]) -> Iterator[tuple[_Table, IntArray]]:
    texts = np.array([b"numbers,series=%b,source=%b value=" % (tag(one.series), tag(one.source)) for one in given])
    words = texts.view(f"V{texts.dtype.itemsize}")
    which = np.repeat(np.arange(len(given)), [len(one.time_ms) for one in given])
    time_ms = np.concatenate([one.time_ms for one in given])
    values = np.concatenate([one.values for one in given]).astype(np.float64)
    for start in range(0, len(which), TABLE_ROWS):
        rows = np.arange(start, min(start + TABLE_ROWS, len(which)))
        part = values[rows]
        gap = np.select(
            [np.isnan(part), np.isposinf(part), np.isneginf(part)], [GAP_NAN, GAP_INFINITE, GAP_MINUS_INFINITE]
        )
        table = _Table(len(rows))
        table.add(words[which[rows]], *floats(np.where(gap == GAP_NUMBER, part, 0.0)))
        table.add(b",gap=", *_maybe_constant(gap.astype(np.int64)), b"i")
        _times(table, time_ms[rows], None)
        yield table, rows
