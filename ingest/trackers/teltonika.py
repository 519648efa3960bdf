"""Teltonika's "Codec JSON" over MQTT: `teltonika/{kind}/{name}/data` to points and replies.

Purpose: `{"state":{"reported":{"ts","latlng","alt","ang","sat","sp","pr","evt","<AVL id>":value}}}` as columns, and
`{"RSP": "…"}`, what a tracker answers to a command, as a reply (it names none, so `Reply.command` is ""). Sources:
wiki.teltonika-gps.com, "Codec JSON", "TST100 AVL ID List", "TFT100 AVL ID List", "AVL ID List - Eventual elements"; the
alarms also as traccar's TeltonikaProtocolDecoder takes them (246 tow, 247 accident, 249 jamming, 252 power cut, 236 alarm).
Invariants: one message ends in one place; a value of an AVL id that is not what its table says is kept in `extra` and
spoils nothing; an alarm in a message whose place is wrong is not lost. Ids without a table entry are kept as they came.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from ingest.decode.limits import BAD_PAYLOAD, DecodeLimits, judge
from ingest.decode.points import Bad, OpenPoint, kept_extra
from ingest.trackers.tracked import (
    DECODE_KEYS,
    Int64,
    Measure,
    Tracked,
    TrackerMessage,
    measure,
    not_negative,
    whole,
)
from model.codes import ALARM_BY_NAME, Reason
from model.command import Reply

#: AVL ids of alarms: any value above 0 is the alarm. 255 carries the speed (at its start and at its end), 247 how the crash
#: was measured (1 to 6); the others are 0 or 1. Jamming is somebody's doing, hence tamper.
ALARMS: dict[str, str] = {
    "236": "one_key",
    "246": "illegal_move",
    "247": "collision",
    "249": "tamper",
    "252": "power_cut",
    "255": "overspeed",
}
#: AVL ids that are kept in `extra` under a name with their unit.
NAMED: dict[str, str] = {
    "16": "odometer_m",
    "66": "external_mv",
    "67": "battery_mv",
    "69": "gnss_state",
    "200": "sleep_mode",
    "240": "moving",
}
_IGNITION, _BATTERY, _GNSS = "239", "113", "69"
#: GNSS states: 0 off, 1 on with a fix, 2 on without a fix, 3 sleeping, 4 off, in static navigation.
_WITH_FIX, _GNSS_STATES = 1, range(5)
_IN_COLUMNS = frozenset({"ts", "latlng", "alt", "ang", "sat", "sp"})
_LATLNG = re.compile(r"\s*([+-]?\d{1,3}(?:\.\d{0,20})?)\s*,\s*([+-]?\d{1,3}(?:\.\d{0,20})?)\s*", re.ASCII)


class Reported(msgspec.Struct, gc=False):
    """What is reported, but for the AVL ids."""

    ts: Int64
    latlng: str
    alt: Measure = None
    ang: Measure = None
    sat: Measure = None
    sp: Measure = None


class _State(msgspec.Struct, gc=False):
    reported: msgspec.Raw


class _Message(msgspec.Struct, gc=False):
    state: _State | None = None
    response: str | None = msgspec.field(default=None, name="RSP")


_DECODE_MESSAGE = msgspec.json.Decoder(_Message).decode
_DECODE_REPORTED = msgspec.json.Decoder(Reported, strict=False).decode
_DECODE_NUMBER = msgspec.json.Decoder(int, strict=False).decode


@dataclass(slots=True)
class _Elements:
    """What the AVL ids of one message say."""

    alarms: tuple[str, ...]
    ignition: bool | None
    valid: bool | None
    battery_pct: int
    extra: dict[str, msgspec.Raw]


def decode_teltonika(messages: Sequence[TrackerMessage], limits: DecodeLimits) -> Tracked:
    """Everything that `messages` held, in order. Never raises for what they hold."""
    tracked = Tracked()
    for index, message in enumerate(messages):
        bad = _one(index, message, limits, tracked)
        if bad is not None:
            tracked.rows.bad.append(bad)
    return tracked


def _one(index: int, message: TrackerMessage, limits: DecodeLimits, tracked: Tracked) -> Bad | None:
    alarm_bits = 0
    try:
        message.payload.decode()
        said = _DECODE_MESSAGE(message.payload)
        if said.state is None:
            if said.response is None:
                return Bad(index, Reason.MISSING_FIELD, 1, "There is neither `state` nor `RSP`", message.payload)
            detail = said.response[: limits.reply_detail_chars]
            tracked.replies.append(Reply("", ok=True, detail=detail, device=message.device))
            return None
        keys = DECODE_KEYS(said.state.reported)
        elements = _elements(keys)
        alarm_bits = sum(1 << ALARM_BY_NAME[name].bit for name in elements.alarms)
        reported = _DECODE_REPORTED(said.state.reported)
        extra = kept_extra(elements.extra, limits.extra_bytes)
    except BAD_PAYLOAD as error:
        reason, detail = judge(error)
        return Bad(index, reason, 1, detail, message.payload, alarm_bits)
    place = _LATLNG.fullmatch(reported.latlng)
    if place is None:
        detail = f"`latlng` is {reported.latlng[:80]!r}, not two numbers with a comma between"
        return Bad(index, Reason.WRONG_TYPE, 1, detail, message.payload, alarm_bits)
    point = OpenPoint(
        ts=reported.ts,
        lat=float(place[1]),
        lon=float(place[2]),
        speed_kmh=not_negative(reported.sp),
        heading_deg=not_negative(reported.ang),
        alt_m=measure(reported.alt),
        sat=whole(reported.sat),
        battery_pct=elements.battery_pct,
        alarms=elements.alarms,
    )
    if elements.ignition is not None:
        point.ignition = elements.ignition
    if elements.valid is not None:
        point.valid = elements.valid
    tracked.add(message.slot, point, extra)
    return None


def _elements(keys: dict[str, msgspec.Raw]) -> _Elements:
    """Read the AVL ids among `keys`; what is no number there is left in `extra`."""
    extra: dict[str, msgspec.Raw] = {}
    alarms: dict[str, None] = {}
    ignition = valid = None
    battery_pct = -1
    for key, raw in keys.items():
        if key in _IN_COLUMNS:
            continue
        value = _number(raw)
        if key == _IGNITION and value in (0, 1):
            ignition = value == 1
        elif key == _BATTERY and value is not None and value >= 0:
            battery_pct = whole(value)
        else:
            extra[NAMED.get(key, key)] = raw
            if key == _GNSS and value in _GNSS_STATES:
                valid = value == _WITH_FIX
            elif key in ALARMS and value is not None and value > 0:
                alarms[ALARMS[key]] = None
    return _Elements(tuple(alarms), ignition, valid, battery_pct, extra)


def _number(raw: msgspec.Raw) -> int | None:
    try:
        return _DECODE_NUMBER(raw)
    except BAD_PAYLOAD:
        return None
