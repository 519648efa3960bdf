"""Points in JSON to columns.

Purpose: payloads of `point` messages, each one object or an array, to a `PointBatch`. Invariants: what is
wrong with a payload or an element touches no other; payloads of different messages are never joined into
one text, so nobody can speak for another; rows keep the order of arrival; nothing raises. Values are not
judged, as long as they fit their column.

The fast way decodes each payload into a `Point` that allows no unknown key. Whatever that refuses goes the
careful way, element by element: nulls mean "not sent", unknown keys are kept in `extra`, an id inside the
payload is compared with the topic's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from struct import pack
from typing import Annotated, Any, Literal, cast

import msgspec
import numpy as np
import numpy.typing as npt

from ingest.decode.limits import BAD_PAYLOAD, DecodeLimits, judge
from model.batch import NAN, PointBatch
from model.codes import ALARM_BY_NAME, Flag, Reason
from model.datum import to_wgs84
from model.extras import Extras

_Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_Int16 = Annotated[int, msgspec.Meta(ge=-(2**15), le=2**15 - 1)]
#: Far beyond anything real, and finite in a float32.
_Float32 = Annotated[float, msgspec.Meta(ge=-1e9, le=1e9)]
#: Third state of a flag. msgspec does not check defaults, so the column is 0, 1 or 2 and JSON may say true or false only.
_NOT_SENT = 2
_UNSENT = cast("bool", _NOT_SENT)


class OpenPoint(msgspec.Struct, gc=False):
    """A point as it comes (mqtt.md), unknown keys passed over; defaults mean "not sent"."""

    ts: _Int64
    lat: float
    lon: float
    seq: _Int64 = -1
    speed_kmh: _Float32 = NAN
    heading_deg: _Float32 = NAN
    alt_m: _Float32 = NAN
    acc_m: _Float32 = NAN
    sat: _Int16 = -1
    battery_pct: _Int16 = -1
    valid: bool = _UNSENT
    ignition: bool = _UNSENT
    occupied: bool = _UNSENT
    armed: bool = _UNSENT
    buffered: bool = _UNSENT
    alarms: tuple[str, ...] = ()
    datum: Literal["wgs84", "gcj02", "bd09"] = "wgs84"


class Point(OpenPoint, gc=False, forbid_unknown_fields=True):
    """The same with no key beside those: the fast way."""


_FIELDS = frozenset(OpenPoint.__struct_fields__)
#: Keys that say whose a point is; compared with the topic, not kept.
_ID_KEYS = ("id", "device", "device_id")
_KNOWN = _FIELDS.union(_ID_KEYS)
_DECODE = msgspec.json.Decoder(Point | list[Point]).decode
_DECODE_POINT = msgspec.json.Decoder(Point).decode
_DECODE_OPEN = msgspec.json.Decoder(OpenPoint).decode
_DECODE_KEYS = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_DECODE_ELEMENTS = msgspec.json.Decoder(list[msgspec.Raw]).decode
_DECODE_ID = msgspec.json.Decoder(str | int).decode
_DECODE_ANY = msgspec.json.Decoder().decode
_ENCODE = msgspec.json.encode
_DECODE_NAMES = msgspec.json.Decoder(list[str]).decode
_NULL = b"null"
_NO_NAMES = msgspec.Raw(b"[]")


def _flag_table(flag: Flag, sent: Flag) -> npt.NDArray[np.uint16]:
    return np.array([sent, sent | flag, 0], np.uint16)


#: In the order valid, ignition, occupied, armed, buffered.
_FLAG_TABLES = (
    _flag_table(Flag.VALID, Flag.VALID_SENT),
    _flag_table(Flag.IGNITION, Flag.IGNITION_SENT),
    _flag_table(Flag.OCCUPIED, Flag.OCCUPIED_SENT),
    _flag_table(Flag.ARMED, Flag.ARMED_SENT),
    _flag_table(Flag.BUFFERED, Flag(0)),
)


# A comprehension for each field and struct.pack are the quickest way from objects to columns: 17 ns a value, where
# transposing tuples and np.array take 38 ns.


def _whole(values: list[int], code: str) -> npt.NDArray[Any]:
    """Integers of the width that `code` of `struct` names; their bounds were checked by the decoder."""
    missing = values.count(-1) == len(values)
    return (
        np.full(len(values), -1, f"={code}") if missing else np.frombuffer(pack(f"{len(values)}{code}", *values), code)
    )


def _single(values: list[float]) -> npt.NDArray[np.float32]:
    """Floats as float32; a column that nobody sent is recognised by its default object."""
    count = len(values)
    if values.count(NAN) == count:
        return np.full(count, NAN, np.float32)
    return np.frombuffer(pack(f"{count}d", *values)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Bad:
    """Something in payload `index` that could not be trusted; it stands for `rows` points.

    `alarm_bits` are those it names nevertheless: an alarm is not lost with the place it came with.
    """

    index: int
    reason: Reason
    rows: int
    detail: str
    raw: bytes
    alarm_bits: int = 0


@dataclass(slots=True)
class PointRows:
    """What the payloads held.

    Attributes:
        points, slots: decoded points and whose they are, same length.
        extra: unknown keys by row, as JSON objects.
        bad: what could not be trusted.
        unknown_alarms: names in `alarms` that are not in the table.
    """

    points: list[OpenPoint] = field(default_factory=list)
    slots: list[int] = field(default_factory=list)
    extra: dict[int, bytes] = field(default_factory=dict)
    bad: list[Bad] = field(default_factory=list)
    unknown_alarms: int = 0


def kept_extra(unknown: Mapping[str, Any], most_bytes: int) -> bytes:
    """Unknown keys as one JSON object, b"" for none; over the limit only how many bytes they had.

    Raises what `BAD_PAYLOAD` names where a value that was passed over until now is no JSON.
    """
    if not unknown:
        return b""
    extra = _ENCODE(unknown)
    if len(extra) > most_bytes:
        return _ENCODE({"extra_dropped_bytes": len(extra)})
    _DECODE_ANY(extra)
    return extra


class PointDecoder:
    """Decodes `point` payloads.

    Args:
        limits: see `DecodeLimits`.
    """

    def __init__(self, limits: DecodeLimits) -> None:
        self._limits = limits

    def decode(self, slots: Sequence[int], payloads: Sequence[bytes], ids: Sequence[str]) -> PointRows:
        """Decode `payloads`, the i-th being of the device `ids[slots[i]]`. Never raises."""
        rows = PointRows()
        pairs: Iterator[tuple[int, tuple[int, bytes]]] = enumerate(zip(slots, payloads, strict=True))
        append, append_slot = rows.points.append, rows.slots.append
        most = self._limits.payload_points
        index, slot, payload = 0, 0, b""
        while True:  # the loop is entered again after each payload that the fast way refuses
            try:
                for index, (slot, payload) in pairs:
                    made = _DECODE(payload)
                    if type(made) is not list:
                        append(made)
                        append_slot(slot)
                    elif len(made) <= most:
                        rows.points += made
                        rows.slots += [slot] * len(made)
                    else:
                        rows.bad.append(self._too_many(index, len(made), payload))
            except BAD_PAYLOAD:
                self._carefully(rows, index, slot, payload, ids)
            else:
                return rows

    def _too_many(self, index: int, count: int, payload: bytes) -> Bad:
        detail = f"{count} points in one payload; {self._limits.payload_points} are allowed"
        return Bad(index, Reason.TOO_LARGE, count, detail, payload)

    def _carefully(self, rows: PointRows, index: int, slot: int, payload: bytes, ids: Sequence[str]) -> None:
        device = ids[slot]
        if payload.lstrip(b" \t\r\n")[:1] != b"[":
            bad = self._one(rows, index, slot, payload, device)
            if bad is not None:
                rows.bad.append(bad)
            return
        try:
            payload.decode()  # passing over an element does not check its texts
            elements = _DECODE_ELEMENTS(payload)
        except BAD_PAYLOAD as error:
            rows.bad.append(Bad(index, *_judged(error, rows=1), payload))
            return
        if len(elements) > self._limits.payload_points:
            rows.bad.append(self._too_many(index, len(elements), payload))
            return
        kept: dict[Reason, int] = {}
        over: dict[Reason, Bad] = {}
        for place, element in enumerate(elements):
            try:
                made = _DECODE_POINT(element)
            except BAD_PAYLOAD:
                bad = self._one(rows, index, slot, bytes(element), device, f"[{place}]")
            else:
                rows.points.append(made)
                rows.slots.append(slot)
                continue
            if bad is None:
                continue
            kept[bad.reason] = kept.get(bad.reason, 0) + 1
            if kept[bad.reason] <= self._limits.payload_quarantined:
                rows.bad.append(bad)
            else:
                first = over.setdefault(bad.reason, bad)
                over[bad.reason] = replace(first, alarm_bits=first.alarm_bits | bad.alarm_bits)
        for reason, bad in over.items():
            more = kept[reason] - self._limits.payload_quarantined
            rows.bad.append(replace(bad, rows=more, detail=f"{more} more of one array, the first: {bad.detail}"))

    def _one(self, rows: PointRows, index: int, slot: int, raw: bytes, device: str, at: str = "") -> Bad | None:
        """Decode one object the careful way, keep it, or say why not."""
        extra = b""
        keys: dict[str, msgspec.Raw] = {}
        try:
            raw.decode()
            keys = _DECODE_KEYS(raw)
            wrong = _other_device(keys, device)
            if wrong:
                return Bad(index, Reason.IDENTITY_MISMATCH, 1, f"{wrong} - at `${at}`", raw)
            nulls = [key for key in keys if bytes(keys[key]) == _NULL] if _NULL in raw else []
            for key in nulls:
                if key in _FIELDS:
                    del keys[key]
            names = keys.keys() - _KNOWN
            if names:
                unknown = {key: keys.pop(key) for key in list(keys) if key in names}
                extra = kept_extra(unknown, self._limits.extra_bytes)
            made = _DECODE_OPEN(_ENCODE(keys) if nulls else raw)
        except BAD_PAYLOAD as error:
            reason, detail = judge(error)
            detail = detail.replace("`$", f"`${at}") if "`$" in detail or not at else f"{detail} - at `${at}`"
            return Bad(index, reason, 1, detail, raw, _named_bits(keys))
        if extra:
            rows.extra[len(rows.points)] = extra
        rows.points.append(made)
        rows.slots.append(slot)
        return None

    def columns(self, rows: PointRows, received_ms: int) -> PointBatch:
        """The decoded points as columns, places converted to WGS-84."""
        points, count = rows.points, len(rows.points)
        if not count:
            return PointBatch.empty()
        flags = np.zeros(count, np.uint16)
        for states, table in zip(
            (
                [point.valid for point in points],
                [point.ignition for point in points],
                [point.occupied for point in points],
                [point.armed for point in points],
                [point.buffered for point in points],
            ),
            _FLAG_TABLES,
            strict=True,
        ):
            if states.count(_UNSENT) != count:
                flags |= table[np.frombuffer(bytes(states), np.uint8)]
        lat = np.frombuffer(pack(f"{count}d", *[point.lat for point in points])).copy()
        lon = np.frombuffer(pack(f"{count}d", *[point.lon for point in points])).copy()
        datum = [point.datum for point in points]
        if datum.count("wgs84") != count:
            _convert(datum, lat, lon)
        alarm_bits = np.zeros(count, "<u8")
        alarms = [point.alarms for point in points]
        if any(alarms):
            self._alarm_bits(rows, alarms, alarm_bits)
        return PointBatch(
            slot=np.frombuffer(pack(f"{count}i", *rows.slots), np.int32),
            time_ms=_whole([point.ts for point in points], "q"),
            received_ms=np.full(count, received_ms, "<i8"),
            seq=_whole([point.seq for point in points], "q"),
            lat=lat,
            lon=lon,
            speed_kmh=_single([point.speed_kmh for point in points]),
            heading_deg=_single([point.heading_deg for point in points]),
            alt_m=_single([point.alt_m for point in points]),
            acc_m=_single([point.acc_m for point in points]),
            sat=_whole([point.sat for point in points], "h"),
            battery_pct=_whole([point.battery_pct for point in points], "h"),
            flags=flags,
            alarm_bits=alarm_bits,
            marks=np.zeros(count, "<u2"),
            extra=Extras.of(rows.extra),
        )

    def _alarm_bits(
        self, rows: PointRows, alarms: Sequence[tuple[str, ...]], alarm_bits: npt.NDArray[np.uint64]
    ) -> None:
        """Names to bits, in place. A name that is not in the table is counted, and kept in `extra`."""
        for row, names in enumerate(alarms):
            if not names:
                continue
            bits = 0
            unknown: list[str] = []
            for name in names:
                kind = ALARM_BY_NAME.get(name)
                if kind is not None:
                    bits |= 1 << kind.bit
                else:
                    unknown.append(name)
            alarm_bits[row] = bits
            if unknown:
                rows.unknown_alarms += len(unknown)
                kept = _DECODE_ANY(rows.extra.get(row, b"{}"))
                kept["unknown_alarms"] = unknown[: self._limits.alarm_names]
                extra = _ENCODE(kept)
                if len(extra) > self._limits.extra_bytes:
                    extra = _ENCODE({"extra_dropped_bytes": len(extra)})
                rows.extra[row] = extra


def _judged(error: Exception, *, rows: int) -> tuple[Reason, int, str]:
    reason, detail = judge(error)
    return reason, rows, detail


def _named_bits(keys: dict[str, msgspec.Raw]) -> int:
    """Alarm bits that an object names, whatever else is wrong with it."""
    try:
        names = _DECODE_NAMES(keys.get("alarms", _NO_NAMES))
    except BAD_PAYLOAD:
        return 0
    kinds = {ALARM_BY_NAME[name] for name in names if name in ALARM_BY_NAME}
    return sum(1 << kind.bit for kind in kinds)


def _other_device(keys: dict[str, msgspec.Raw], device: str) -> str:
    """Words for an id inside the payload that is not the topic's (as `kind/name` or the bare name), else ""."""
    for key in _ID_KEYS:
        if key not in keys or bytes(raw := keys[key]) == _NULL:
            continue
        try:
            said = str(_DECODE_ID(raw))
        except msgspec.MsgspecError:
            return f"`{key}` is no device id"
        if said not in {device, device.partition("/")[2]}:
            return f"`{key}` says {said[:80]!r}"
    return ""


def _convert(datum: Sequence[str], lat: npt.NDArray[np.float64], lon: npt.NDArray[np.float64]) -> None:
    """Places of other datums to WGS-84, in place."""
    names = np.array(datum)
    for name in ("gcj02", "bd09"):
        where = np.flatnonzero(names == name)
        if len(where):
            lat[where], lon[where] = to_wgs84(name, lat[where], lon[where])
