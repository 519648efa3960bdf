"""Cameras, their recordings and clips as JSON-ready rows. Pure; decides nothing but the shape.

Invariants: no row holds an address beyond its shown form; a number that is not known is None.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from console.alarm_rows import moment
from devices.camera_checks import settings_to_json
from model.camera import CameraState, health_names

if TYPE_CHECKING:
    from console.camera_seams import CameraRow
    from devices.cameras import CameraRecord
    from store.recordings.rows import Segment, Span


def state_of(record: CameraRecord, now: CameraRow | None) -> str:
    """How the camera is; "" where no service says so."""
    if not record.enabled:
        return CameraState.DISABLED.value
    if record.parked:
        return CameraState.PARKED.value
    return now.state.value if now is not None else ""


def camera_row(record: CameraRecord, now: CameraRow | None) -> dict[str, Any]:
    """A camera in a list."""
    settings = record.settings
    return {
        "camera": record.device,
        "slot": record.slot,
        "name": record.name,
        "site": record.site,
        "state": state_of(record, now),
        "since": moment(now.since_ms) if now is not None else None,
        "policy": settings.policy.value,
        "mode": now.mode if now is not None else "",
        "gate": now.gate if now is not None else "",
        "recall": _number(now.recall, 3) if now is not None else None,
        "fps": _number(now.fps, 1) if now is not None else None,
        "bitrate_kbps": _number(now.bitrate_kbps, 0) if now is not None else None,
        "lag_ms": _number(now.lag_ms, 0) if now is not None else None,
        "health": health_names(now.health) if now is not None else [],
        "record": settings.record,
        "recording": now.recording if now is not None else None,
        "masked": bool(settings.masks),
        "loss": now.loss if now is not None else "",
        "detail": record.parked or (now.detail if now is not None else ""),
        "address": record.shown,
    }


def camera_details(record: CameraRecord, now: CameraRow | None) -> dict[str, Any]:
    """Everything that may be known of a camera."""
    return {
        **camera_row(record, now),
        "sub_address": record.shown_sub,
        "set": moment(record.set_ms),
        "version": record.version,
        "gate_why": now.gate_why if now is not None else "",
        "gate_why_zh": now.gate_why_zh if now is not None else "",
        "codec": now.codec if now is not None else "",
        "width_px": now.width_px or None if now is not None else None,
        "height_px": now.height_px or None if now is not None else None,
        "keyframe_gap_s": _number(now.keyframe_gap_s, 2) if now is not None else None,
        "media_age_s": _number(now.media_age_s, 1) if now is not None else None,
        "worker": now.worker or None if now is not None else None,
        **({"machine": now.machine} if now is not None and now.machine else {}),
        "settings": settings_to_json(record.settings),
    }


def segment_row(segment: Segment) -> dict[str, Any]:
    """A piece of a recording, without the name of its file."""
    return {
        "recording": segment.id,
        "camera": segment.camera,
        "from": moment(segment.from_ms),
        "to": moment(segment.to_ms),
        "seconds": round((segment.to_ms - segment.from_ms) / 1_000, 1),
        "size_bytes": segment.size_bytes,
        "sha256": segment.sha256,
        "codec": segment.codec,
        "width_px": segment.width_px,
        "height_px": segment.height_px,
        "motion_s": None if segment.adopted else round(segment.motion_ms / 1_000, 1),
        "masked": segment.masked,
        "held": segment.held,
    }


def span_row(span: Span) -> dict[str, Any]:
    """Recorded without a gap."""
    return {
        "from": moment(span.from_ms),
        "to": moment(span.to_ms),
        "seconds": round((span.to_ms - span.from_ms) / 1_000, 1),
        "segments": span.segments,
        "held": span.held,
    }


def _number(value: float, digits: int) -> float | None:
    return round(float(value), digits) if math.isfinite(value) else None
