"""Installations, their photos and a device's history as JSON-ready rows. Pure."""

from __future__ import annotations

from typing import Any

from console.alarm_rows import moment
from devices.history import Entry
from devices.photos import Photo
from devices.swapping import Retirement
from model.installation import Installation


def installation_row(one: Installation, now_ms: int) -> dict[str, Any]:
    """One installation; `open` is whether its installer may look at the device now."""
    return {
        "installation": one.id,
        "device": one.device,
        "by": one.by,
        "how": one.how,
        "began": moment(one.began_ms),
        "until": moment(one.until_ms),
        "open": one.is_open(now_ms),
        "renewals": one.renewals,
        "ended": moment(one.ended_ms),
        "note": one.note,
        "lat": None if one.lat is None else round(one.lat, 6),
        "lon": None if one.lon is None else round(one.lon, 6),
        "accuracy_m": one.acc_m,
        "seen": {step.value: moment(at_ms) for step, at_ms in sorted(one.seen_ms.items())},
        "skipped": [step.value for step in one.skipped],
        "alarm": one.alarm,
    }


def entry_row(entry: Entry) -> dict[str, Any]:
    """One entry of a device's history."""
    return {
        "number": entry.number,
        "device": entry.device,
        "time": moment(entry.time_ms),
        "by": entry.who,
        "action": entry.action,
        "detail": dict(entry.detail),
    }


def photo_row(photo: Photo) -> dict[str, Any]:
    """One photo without its bytes."""
    return {
        "photo": photo.id,
        "device": photo.device,
        "sha256": photo.sha256,
        "format": photo.format,
        "size_bytes": photo.size_bytes,
        "width_px": photo.width_px,
        "height_px": photo.height_px,
        "by": photo.who,
        "time": moment(photo.time_ms),
    }


def retirement_row(found: Retirement | None) -> dict[str, Any] | None:
    """Why a device was retired; None where it was not."""
    if found is None:
        return None
    return {"time": moment(found.time_ms), "by": found.who, "reason": found.reason, "successor": found.successor}
