"""When an e-bike's place may be given out (trust.md 8: only after its owner reported it stolen).

The rule, as long as there is no desk that knows what was reported stolen: an e-bike is never among
the places of all devices, and its signals and quarantined payloads show no place. By its own id it is
shown for its owner's request, to the technician who installs it, or for a test, and then only with
the reference that says which (`subject_request:R-17`, `maintenance:WO-4`); the audit keeps both.
"""

from __future__ import annotations

from model.device import Kind
from model.grant import Purpose

#: Purposes under which an e-bike's place may be read, with a reference.
EBIKE_PURPOSES = frozenset({"subject_request", "maintenance", "test"})


def is_ebike(device: str) -> bool:
    """Whether the id is one of an e-bike."""
    return device.partition("/")[0] == Kind.EBIKE


def shows_ebikes(purpose: Purpose) -> bool:
    """Whether an e-bike named by its id may be shown for this purpose."""
    return purpose.code in EBIKE_PURPOSES and purpose.ref != ""
