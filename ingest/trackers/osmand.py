"""OsmAnd's and Traccar's client: one HTTP request to points. Pure: no socket, no clock, no registry.

Two forms (source: traccar/traccar, OsmAndProtocolDecoder; for the JSON also transistorsoft's "Location Data Schema" and
HTTP guide, whose plug-in Traccar's client uses): a query or form body `id=…&timestamp=…&lat=…&lon=…&speed=…` with the speed in
knots, and a JSON body `{"device_id","location":{"timestamp","coords":{…},"battery":{…}}}` with the speed in m/s and the
battery as 0..1, where `location` may be an array. Invariants: nothing raises; every place ends in `rows` or in its `bad`;
the token is in neither `extra` nor in what is kept of a bad request; of a key that comes twice the last one counts; an
optional value that is no number is kept in `extra` as it came and spoils nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec

from ingest.decode.limits import BAD_PAYLOAD, DecodeLimits, judge
from ingest.decode.points import Bad, OpenPoint, PointRows, kept_extra
from ingest.trackers.tracked import not_negative, whole
from model.batch import NAN
from model.codes import ALARM_BY_NAME, Reason

_KMH_PER_KNOT = 1.852
_KMH_PER_MPS = 3.6
#: A timestamp below this is in seconds, as traccar takes it.
_SECONDS_BELOW = 2**31 - 1
#: Names of traccar (org.traccar.model.Position, ALARM_…) that are not ours already.
TRACCAR_ALARMS: dict[str, str] = {
    "accident": "collision",
    "fatigueDriving": "fatigue",
    "fault": "device_fault",
    "geofenceEnter": "entered_area",
    "geofenceExit": "left_area",
    "gpsAntennaCut": "antenna_cut",
    "jamming": "tamper",
    "lowBattery": "low_battery",
    "lowPower": "low_battery",
    "powerCut": "power_cut",
    "removing": "detached",
    "tampering": "tamper",
    "tow": "illegal_move",
}
MAX_FIELDS = 100
_ID_KEYS = ("id", "deviceid", "device_id")
_TOKEN = "token"  # noqa: S105 a key's name
_TRUE, _FALSE = frozenset({"true", "1"}), frozenset({"false", "0"})
_NUMBER = re.compile(r"[+-]?(?:\d{1,20}(?:\.\d{0,20})?|\.\d{1,20})(?:[eE][+-]?\d{1,3})?", re.ASCII)
_MOST_MEASURE = 1e9
_MOST_INT64 = float(2**63)
#: A longer number is a name, which a float would not keep.
_MOST_DIGITS = 15
_ZERO_FIRST = re.compile(r"0\d", re.ASCII)
_SPACE = b" \t\r\n"
_DECODE_KEYS = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_DECODE_LIST = msgspec.json.Decoder(list[msgspec.Raw]).decode
_DECODE_PLACE = msgspec.json.Decoder(dict[str, Any]).decode
_DECODE_TEXT = msgspec.json.Decoder(str | int).decode


class _Wrong(Exception):
    """A place that cannot be used, and why."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


@dataclass(slots=True)
class Asked:
    """What one request holds.

    Attributes:
        id: what the client calls itself, "" when it does not say.
        token: the password it sent, "" for none; shown nowhere.
        rows: its places; `slots` is empty until it is known whose they are.
        refusal: why nothing of it can be used, or None.
        raw: the request without its token, to be kept where it is refused.
    """

    id: str = ""
    token: str = field(default="", repr=False)
    rows: PointRows = field(default_factory=PointRows)
    refusal: tuple[Reason, str] | None = None
    raw: bytes = b""


def read_request(query: bytes, body: bytes, received_ms: int, limits: DecodeLimits) -> Asked:
    """Read one request. Never raises.

    Args:
        query: behind the `?`, still encoded.
        body: whole; JSON where it begins with a brace, else a form.
        received_ms: our clock, UTC ms: the time of a place in a form that says none.
        limits: `payload_points`, `payload_quarantined`, `extra_bytes`.
    """
    asked = Asked()
    try:
        fields = _fields(query)
        asked.token = fields.pop(_TOKEN, "")
        asked.id = _first_id(fields)
        if body.lstrip(_SPACE)[:1] == b"{":
            _read_json(asked, body, limits)
        else:
            fields.update(_fields(body))
            asked.token = fields.pop(_TOKEN, "") or asked.token
            asked.id = _first_id(fields)
            asked.raw = urlencode(fields).encode()
            _read_form(asked, fields, received_ms, limits)
    except _Wrong as error:
        asked.refusal = error.reason, error.detail
    except BAD_PAYLOAD as error:
        asked.refusal = judge(error)
    return asked


def _fields(text: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(text.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
    except UnicodeDecodeError as error:
        raise _Wrong(Reason.NOT_JSON, "The form is not UTF-8") from error
    except ValueError as error:
        raise _Wrong(Reason.TOO_LARGE, f"A form has at most {MAX_FIELDS} fields") from error
    return dict(pairs)


def _first_id(fields: Mapping[str, str]) -> str:
    return next((fields[key] for key in _ID_KEYS if fields.get(key)), "")


# -- the form -----------------------------------------------------------------------------------


def _read_form(asked: Asked, fields: dict[str, str], received_ms: int, limits: DecodeLimits) -> None:
    alarms = _alarms(fields.get("alarm", ""))
    try:
        lat, lon = _form_place(fields)
        time_ms = _time_ms(fields["timestamp"]) if fields.get("timestamp") else received_ms
    except _Wrong as error:
        asked.rows.bad.append(Bad(0, error.reason, 1, error.detail, asked.raw, _bits(alarms)))
        return
    taken = {*_ID_KEYS, "lat", "lon", "location", "timestamp", "alarm"}
    bearing = "bearing" if "bearing" in fields else "heading"
    values = {name: _number(fields.get(name, "")) for name in ("speed", bearing, "altitude", "accuracy", "batt")}
    flags = {name: _switch(fields.get(name, "")) for name in ("valid", "ignition")}
    taken |= {name for name, value in (values | flags).items() if value is not None}
    extra = {name: _plain(value) for name, value in fields.items() if name not in taken}
    point = OpenPoint(
        ts=time_ms,
        lat=lat,
        lon=lon,
        speed_kmh=not_negative(values["speed"]) * _KMH_PER_KNOT,
        heading_deg=not_negative(values[bearing]),
        alt_m=NAN if values["altitude"] is None else values["altitude"],
        acc_m=not_negative(values["accuracy"]),
        battery_pct=whole(values["batt"]),
        alarms=alarms,
    )
    _set_flags(point, flags["valid"], flags["ignition"])
    _keep(asked, point, kept_extra(extra, limits.extra_bytes))


def _form_place(fields: Mapping[str, str]) -> tuple[float, float]:
    """Latitude and longitude of `lat` and `lon`, or of `location=lat,lon`."""
    texts = [fields.get("lat", ""), fields.get("lon", "")]
    if "location" in fields and not any(texts):
        texts = fields["location"].split(",")
    if len(texts) != 2 or not all(texts):
        raise _Wrong(Reason.MISSING_FIELD, "`lat` or `lon` is missing")
    lat, lon = (_number(text) for text in texts)
    if lat is None or lon is None:
        raise _Wrong(Reason.NOT_A_NUMBER, f"`lat` or `lon` is no number: {','.join(texts)[:80]!r}")
    return lat, lon


# -- JSON ---------------------------------------------------------------------------------------


def _read_json(asked: Asked, body: bytes, limits: DecodeLimits) -> None:
    body.decode()
    keys = _DECODE_KEYS(body)
    if _TOKEN in keys:
        asked.token = str(_DECODE_TEXT(keys.pop(_TOKEN)))
    asked.raw = msgspec.json.encode(keys)
    for key in ("device_id", "deviceid", "id"):
        if key in keys:
            said = str(_DECODE_TEXT(keys[key]))
            if asked.id and said != asked.id:
                raise _Wrong(Reason.IDENTITY_MISMATCH, f"The address says {asked.id[:80]!r}, the body {said[:80]!r}")
            asked.id = said
            break
    if "location" not in keys:
        raise _Wrong(Reason.MISSING_FIELD, "Object missing required field `location`")
    location = keys["location"]
    elements = _DECODE_LIST(location) if bytes(location).lstrip(_SPACE)[:1] == b"[" else [location]
    if len(elements) > limits.payload_points:
        raise _Wrong(Reason.TOO_LARGE, f"{len(elements)} places in one request; {limits.payload_points} are allowed")
    left_out = 0
    for element in elements:
        bad = _read_element(asked, bytes(element), limits)
        if bad is None:
            continue
        if len(asked.rows.bad) < limits.payload_quarantined or bad.alarm_bits:
            asked.rows.bad.append(bad)
        else:
            left_out += 1
    if left_out:
        last = asked.rows.bad[-1]
        asked.rows.bad.append(replace(last, rows=left_out, alarm_bits=0, detail=f"{left_out} more of one request"))


def _read_element(asked: Asked, raw: bytes, limits: DecodeLimits) -> Bad | None:
    """Keep one place, or say why not."""
    alarms: tuple[str, ...] = ()
    try:
        said = _DECODE_PLACE(raw)
        alarms = _alarms(said.get("alarm"))
        if alarms:
            del said["alarm"]
        point = _element_point(said, alarms)
        extra = kept_extra(said, limits.extra_bytes)
    except _Wrong as error:
        return Bad(0, error.reason, 1, error.detail, raw, _bits(alarms))
    except BAD_PAYLOAD as error:
        reason, detail = judge(error)
        return Bad(0, reason, 1, detail, raw, _bits(alarms))
    _keep(asked, point, extra)
    return None


def _element_point(said: dict[str, Any], alarms: tuple[str, ...]) -> OpenPoint:
    """The point of one `location`; takes out of `said` what went into it."""
    coords = said.get("coords")
    if not isinstance(coords, dict):
        raise _Wrong(Reason.MISSING_FIELD, "Object missing required field `coords` - at `$.location`")
    lat, lon = _json_number(coords, "latitude"), _json_number(coords, "longitude")
    if lat is None or lon is None:
        raise _Wrong(Reason.MISSING_FIELD, "`latitude` or `longitude` is missing or no number - at `$.location.coords`")
    if said.get("timestamp") is None:
        raise _Wrong(Reason.MISSING_FIELD, "Object missing required field `timestamp` - at `$.location`")
    time_ms = _time_ms(str(said.pop("timestamp")))
    speed, altitude = _json_number(coords, "speed"), _json_number(coords, "altitude")
    point = OpenPoint(
        ts=time_ms,
        lat=lat,
        lon=lon,
        speed_kmh=not_negative(speed) * _KMH_PER_MPS,
        heading_deg=not_negative(_json_number(coords, "heading")),
        alt_m=NAN if altitude is None else altitude,
        acc_m=not_negative(_json_number(coords, "accuracy")),
        alarms=alarms,
    )
    if not coords:
        del said["coords"]
    battery = said.get("battery")
    if isinstance(battery, dict):
        level = _json_number(battery, "level")
        point.battery_pct = whole(None if level is None else level * 100)
    _set_flags(point, _json_switch(said, "valid"), _json_switch(said, "ignition"))
    return point


def _json_number(said: dict[str, Any], key: str) -> float | None:
    """Take a number out; what is none stays, and null goes."""
    value = said.get(key)
    if value is None:
        said.pop(key, None)
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= _MOST_MEASURE:
        return None
    del said[key]
    return float(value)


def _json_switch(said: dict[str, Any], key: str) -> bool | None:
    value = said.get(key)
    if not isinstance(value, bool):
        return None
    del said[key]
    return value


# -- both ---------------------------------------------------------------------------------------


def _keep(asked: Asked, point: OpenPoint, extra: bytes) -> None:
    if extra:
        asked.rows.extra[len(asked.rows.points)] = extra
    asked.rows.points.append(point)


def _set_flags(point: OpenPoint, valid: bool | None, ignition: bool | None) -> None:  # noqa: FBT001 two flags of a point, each may be unsaid
    if valid is not None:
        point.valid = valid
    if ignition is not None:
        point.ignition = ignition


def _number(text: str) -> float | None:
    """A plain decimal number within a measure's bounds, else None."""
    if not _NUMBER.fullmatch(text.strip()):
        return None
    value = float(text)
    return value if abs(value) <= _MOST_MEASURE else None


def _switch(text: str) -> bool | None:
    if text.lower() in _TRUE:
        return True
    return False if text.lower() in _FALSE else None


def _plain(text: str) -> float | bool | str:
    """A value for `extra`: a number where it is written as one, a word of truth, else the text."""
    if text in ("true", "false"):
        return text == "true"
    value = _number(text)
    # A card's number or a zero in front would not survive as a number.
    return text if value is None or len(text) > _MOST_DIGITS or _ZERO_FIRST.match(text) else value


def _time_ms(text: str) -> int:
    """UTC ms of seconds or milliseconds since 1970, or of an ISO date and time (UTC where it names no zone)."""
    if _NUMBER.fullmatch(text):
        value = float(text)
        time_ms = value * 1_000 if value < _SECONDS_BELOW else value
        if abs(time_ms) >= _MOST_INT64:  # infinity too
            raise _Wrong(Reason.OUT_OF_RANGE, f"`timestamp` is {text[:40]!r}")
        return round(time_ms)
    try:
        moment = datetime.fromisoformat(text)
        return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1_000)
    except (ValueError, OverflowError):
        raise _Wrong(Reason.WRONG_TYPE, f"`timestamp` is {text[:40]!r}, no time that is known here") from None


def _alarms(value: object) -> tuple[str, ...]:
    """Names of alarms, traccar's as ours; one that nobody knows stays as it is and is counted later."""
    if not isinstance(value, str):
        return ()
    names = (name.strip() for name in value.split(","))
    return tuple(dict.fromkeys(TRACCAR_ALARMS.get(name, name) for name in names if name))


def _bits(alarms: tuple[str, ...]) -> int:
    return sum(1 << ALARM_BY_NAME[name].bit for name in alarms if name in ALARM_BY_NAME)
