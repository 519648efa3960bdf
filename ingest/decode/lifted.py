"""Alarms in points that were quarantined: an alarm is not lost with the place it came with.

The signal's id derives from what was sent, so the same point again is the same signal. It decides nothing.
"""

from __future__ import annotations

import hashlib

from ingest.decode.limits import DecodeLimits
from ingest.decode.points import Bad
from model.codes import ALARM_KINDS
from model.signal import Signal, message_signal_id


def lifted_signals(device: str, bits: int, bad: Bad, received_ms: int, limits: DecodeLimits) -> list[Signal]:
    """A signal for each alarm bit of `bits`, at our time and without a place; `log_position` is 0 until stored."""
    note = f"{bad.reason.name.lower()}: {bad.detail}"[: limits.alarm_note_chars]
    return bit_signals(device, bits, bad.raw, note, received_ms)


def bit_signals(device: str, bits: int, raw: bytes, note: str, received_ms: int) -> list[Signal]:
    """The same for a frame or a payload `raw`: the ids derive from what was sent, so the same again is the same signals."""
    digest = hashlib.blake2b(raw, digest_size=12).hexdigest()
    return [
        Signal(
            id=message_signal_id(device, f"point:{kind.name}:{digest}"),
            device=device,
            kind=kind.name,
            source="bit",
            time_ms=received_ms,
            received_ms=received_ms,
            lat=None,
            lon=None,
            severity=kind.severity,
            late=False,
            note=note,
            log_position=0,
        )
        for kind in ALARM_KINDS
        if bits >> kind.bit & 1
    ]
