"""The audit row of a read of the series: the same words whichever store answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import numpy.typing as npt

from model.errors import UsageError
from model.grant import Grant
from model.seams import Audit

#: Slots that a row names; of more it says how many are left out, for a row has its limit.
MAX_NOTED_SLOTS = 400


def note_read(audit: Audit, grant: Grant, action: str, target: str, from_ms: int, to_ms: int, **detail: object) -> None:
    """Write the row; an error here ends the read."""
    slots = detail.get("slots")
    if isinstance(slots, list) and len(slots) > MAX_NOTED_SLOTS:
        detail |= {"slots": slots[:MAX_NOTED_SLOTS], "slots_left_out": len(slots) - MAX_NOTED_SLOTS}
    purpose = asdict(grant.purpose)
    text = ":".join(str(purpose[name]) for name in ("code", "ref", "note")).rstrip(":")
    audit.append(grant.who, grant.role, action, target, text, {"from_ms": from_ms, "to_ms": to_ms, **detail})


def devices_target(
    grant: Grant,
    slots: npt.NDArray[np.int32] | None,
    devices: Sequence[str] | None,
    from_ms: int,
    to_ms: int,
) -> str:
    """Whom a read of some slots (None: of all) is about, once the grant covers them. Raises UsageError, Refused."""
    if slots is not None and devices is not None and len(devices) != len(slots):
        raise UsageError("Not as many devices as slots.", mend="Give one device id for each slot.")
    named = None if slots is None or devices is None else list(devices)
    grant.cover(named, from_ms, to_ms)
    if named is None:
        return "every device" if slots is None else f"{len(slots)} slots"
    return named[0] if len(named) == 1 else f"{len(named)} devices"
