"""What a decoded message tells besides places, as a `Report`. Pure; it stores nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from ingest.wire.fields import Values
from model.evidence import Report

#: A time that a message names counts from here on (2000-01-01), and up to a day ahead: else it is no clock's.
_FIRST_MS = 946_684_800_000
_AHEAD_MS = 86_400_000


def report_of(
    device: str,
    protocol: str,
    message: str,
    values: Values,
    body: bytes,
    *,
    serial: int,
    received_ms: int,
    zone_offset_ms: int = 0,
) -> Report:
    """The report; its time is the one that the message names, else when it came.

    Args:
        device: who told.
        protocol: in which protocol.
        message: the message's name in its table.
        values: decoded.
        body: as it came.
        serial: the device's count of the message (of its last part).
        received_ms: our clock, UTC ms.
        zone_offset_ms: how far a clock is ahead of UTC that names no zone.
    """
    told_ms = _named_ms(values, zone_offset_ms)
    good = told_ms is not None and _FIRST_MS <= told_ms <= received_ms + _AHEAD_MS
    return Report(
        device=device,
        protocol=protocol,
        message=message,
        time_ms=told_ms if good and told_ms is not None else received_ms,
        received_ms=received_ms,
        fields=values,
        raw=body,
        serial=serial,
    )


def _named_ms(values: Values, zone_offset_ms: int) -> int | None:
    """The first time that a message names, of its own or of a group in it, UTC ms; None where it names none."""
    for group in (values, *(one for one in values.values() if isinstance(one, dict))):
        found = _moment_ms(group.get("time"), zone_offset_ms)
        if found is not None:
            return found
    return None


def _moment_ms(text: Any, zone_offset_ms: int) -> int | None:
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is not None:
        return round(moment.timestamp() * 1_000)
    return round(moment.replace(tzinfo=UTC).timestamp() * 1_000) - zone_offset_ms
