"""Evidence, terminals and their reports as JSON-ready rows. Pure; decides nothing but the shape."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from console.alarm_rows import moment

if TYPE_CHECKING:
    from devices.terminals import Bound
    from model.evidence import Evidence
    from store.reports.store import KeptReport


def evidence_row(kept: Evidence, *, place: bool) -> dict[str, Any]:
    """What is known of a piece; `place` says whether its point may be given out."""
    return {
        "evidence": kept.id,
        "device": kept.device,
        "kind": kept.kind,
        "format": kept.format,
        "sha256": kept.sha256,
        "size_bytes": kept.size_bytes,
        "time": moment(kept.time_ms),
        "received": moment(kept.received_ms),
        "stored": moment(kept.stored_ms),
        "lat": None if kept.lat is None or not place else round(kept.lat, 6),
        "lon": None if kept.lon is None or not place else round(kept.lon, 6),
        "place_hidden": not place,
        "channel": kept.channel,
        "event": kept.event,
        "source": kept.source,
        "alarm": kept.alarm,
    }


def report_row(kept: KeptReport, *, shown: bool) -> dict[str, Any]:
    """One report; not `shown`: that there is one, without what it says."""
    report = kept.report
    return {
        "number": kept.number,
        "device": report.device,
        "protocol": report.protocol,
        "message": report.message,
        "time": moment(report.time_ms),
        "received": moment(report.received_ms),
        "withheld": not shown,
        "fields": report.fields if shown else None,
        "raw_base64": base64.b64encode(report.raw).decode() if shown else None,
        "raw_bytes": kept.raw_bytes,
    }


def terminal_row(bound: Bound) -> dict[str, Any]:
    """A terminal that is bound to its device."""
    return {
        "slot": bound.slot,
        "device": bound.device,
        "number": bound.number,
        "protocol": bound.protocol,
        "enabled": bound.enabled,
        "plate": bound.plate,
        "terminal_id": bound.terminal_id,
        "maker": bound.maker,
        "model": bound.model,
        "registered": moment(bound.registered_ms),
    }
