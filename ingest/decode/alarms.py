"""Alarm messages to signals.

Purpose: `{id, ts, kind, lat?, lon?, note?}` of an `alarm` stream to a `Signal`. Invariants: the signal's id
derives from device and alarm id, so a repeat is the same signal; an alarm is lost for nothing but a missing
or wrong id, time or kind, and then quarantined: a bad place is left out, a long note cut, an unknown key
passed over. It is never dropped for lateness, only marked.
"""

from __future__ import annotations

import math
from typing import Annotated

import msgspec

from ingest.decode.limits import BAD_PAYLOAD, DecodeLimits, judge
from model.codes import ALARM_BY_NAME, Reason
from model.signal import Signal, message_signal_id

_Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_CUT = "…"


class AlarmMessage(msgspec.Struct, gc=False):
    """An alarm as it comes; whatever is optional may be anything, so that it cannot spoil the rest."""

    id: str | int
    ts: _Int64
    kind: str
    lat: msgspec.Raw = msgspec.Raw()
    lon: msgspec.Raw = msgspec.Raw()
    note: msgspec.Raw = msgspec.Raw()
    device: msgspec.Raw = msgspec.Raw()
    device_id: msgspec.Raw = msgspec.Raw()


_DECODE = msgspec.json.Decoder(AlarmMessage).decode
_DECODE_NUMBER = msgspec.json.Decoder(float).decode
_DECODE_TEXT = msgspec.json.Decoder(str | int | float).decode


def decode_alarm(device: str, payload: bytes, received_ms: int, limits: DecodeLimits) -> Signal | tuple[Reason, str]:
    """The signal of one alarm message, or why there is none. Never raises. `log_position` is 0 until stored."""
    try:
        payload.decode()
        alarm = _DECODE(payload)
    except BAD_PAYLOAD as error:
        return judge(error)
    alarm_id = str(alarm.id)
    if not alarm_id or len(alarm_id) > limits.alarm_id_chars:
        return Reason.TOO_LARGE, f"An alarm id has 1 to {limits.alarm_id_chars} characters"
    for raw in (alarm.device, alarm.device_id):
        said = _text(raw)
        if said and said not in {device, device.partition("/")[2]}:
            return Reason.IDENTITY_MISMATCH, f"The payload says {said[:80]!r}"
    kind = ALARM_BY_NAME.get(alarm.kind)
    if kind is None:
        return Reason.UNKNOWN_ALARM, f"{alarm.kind[:80]!r} is no kind of alarm"
    lat, lon = _degrees(alarm.lat, 90.0), _degrees(alarm.lon, 180.0)
    note = _text(alarm.note)
    if len(note) > limits.alarm_note_chars:
        note = note[: max(0, limits.alarm_note_chars - 1)] + _CUT
    placed = lat is not None and lon is not None
    return Signal(
        id=message_signal_id(device, alarm_id),
        device=device,
        kind=kind.name,
        source="message",
        time_ms=alarm.ts,
        received_ms=received_ms,
        lat=lat if placed else None,
        lon=lon if placed else None,
        severity=kind.severity,
        late=received_ms - alarm.ts > limits.alarm_late_ms,
        note=note,
        log_position=0,
        device_alarm_id=alarm_id,
    )


def _degrees(raw: msgspec.Raw, most: float) -> float | None:
    try:
        value = _DECODE_NUMBER(raw)
    except BAD_PAYLOAD:
        return None
    return value if math.isfinite(value) and abs(value) <= most else None


def _text(raw: msgspec.Raw) -> str:
    try:
        return str(_DECODE_TEXT(raw))
    except BAD_PAYLOAD:
        return ""
