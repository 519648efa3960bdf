"""Quarantine: where a point or payload goes that cannot be trusted; counted, listed, never lost silently."""

from __future__ import annotations

from dataclasses import dataclass

from model.codes import Reason


@dataclass(frozen=True, slots=True)
class Quarantined:
    """One thing that could not be trusted.

    Attributes:
        reason: why.
        rows: how many points it stands for (1 for a payload that could not be decoded).
        received_ms: when it came, our clock, UTC ms.
        source: where it came from: the topic, or `file:line`.
        device: device id as far as it is known, else "".
        detail: what exactly is wrong, in words, e.g. `Expected int, got str - at $.ts`.
        raw: the payload or the row as it came, cut to `limits.quarantine_raw_bytes`.
    """

    reason: Reason
    rows: int
    received_ms: int
    source: str
    device: str
    detail: str
    raw: bytes
