"""Status messages (retained, last will): is a device online, and how is it.

`{ts, online, battery_pct?, rssi_dbm?, firmware?}`; unknown keys are passed over. An empty payload clears a
retained message and says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import msgspec

from ingest.decode.limits import BAD_PAYLOAD, DecodeLimits, judge
from model.codes import Reason

_Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_Int16 = Annotated[int, msgspec.Meta(ge=-(2**15), le=2**15 - 1)]


@dataclass(frozen=True, slots=True)
class Status:
    """What a device, or its last will, said of itself.

    Attributes:
        device, slot: whose it is.
        time_ms: device clock, UTC ms (of a last will: when it was left with the broker).
        received_ms: our clock, UTC ms.
        online: whether it is connected.
        battery_pct, rssi_dbm: None when not sent.
        firmware: bounded text, "" when not sent.
        retained: the broker had kept it: it may be old.
    """

    device: str
    slot: int
    time_ms: int
    received_ms: int
    online: bool
    battery_pct: int | None
    rssi_dbm: int | None
    firmware: str
    retained: bool


class StatusMessage(msgspec.Struct, gc=False):
    """A status as it comes."""

    ts: _Int64
    online: bool
    battery_pct: _Int16 | None = None
    rssi_dbm: _Int16 | None = None
    firmware: str | None = None


_DECODE = msgspec.json.Decoder(StatusMessage).decode


def decode_status(
    device: str, slot: int, payload: bytes, received_ms: int, limits: DecodeLimits, *, retained: bool
) -> Status | tuple[Reason, str] | None:
    """The status, or why there is none; None for an empty payload. Never raises."""
    if not payload:
        return None
    try:
        payload.decode()
        status = _DECODE(payload)
    except BAD_PAYLOAD as error:
        return judge(error)
    return Status(
        device=device,
        slot=slot,
        time_ms=status.ts,
        received_ms=received_ms,
        online=status.online,
        battery_pct=status.battery_pct,
        rssi_dbm=status.rssi_dbm,
        firmware=(status.firmware or "")[: limits.firmware_chars],
        retained=retained,
    )
