"""When an e-bike's place may be given out (trust.md 8: only after its owner reported it stolen).

The rule: an e-bike is never among the places of all devices. By its own id its track and newest place are given out for its
owner's request, to the technician who installs it, or for a test, and then only with the reference that says which
(`subject_request:R-17`, `maintenance:WO-4`); and to police while its owner's report stands: the purpose is then
`case:<case id>`, and that case is open and of this very e-bike. Its alarms and signals tell the jurisdiction, and the
point only while such a case is open; its quarantined payloads follow the rule of its track. The audit keeps every reference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from model.desk import Case, CaseState
from model.device import Kind
from model.grant import Purpose

#: Purposes under which an e-bike's place may be read, with a reference.
EBIKE_PURPOSES = frozenset({"subject_request", "maintenance", "test"})
CASE_PURPOSE = "case"

#: The open cases of one e-bike.
OpenCases = Callable[[str], Iterable[Case]]


def is_ebike(device: str) -> bool:
    """Whether the id is one of an e-bike."""
    return device.partition("/")[0] == Kind.EBIKE


def stands(case: Case, device: str) -> bool:
    """Whether the case lets police see where `device` is: it is of that very e-bike and not closed."""
    return case.device == device and case.state is not CaseState.CLOSED


def shows_ebike(device: str, purpose: Purpose, open_cases: OpenCases) -> bool:
    """Whether the place of this e-bike, named by its id, may be shown for this purpose."""
    if purpose.ref == "":
        return False
    if purpose.code in EBIKE_PURPOSES:
        return True
    if purpose.code != CASE_PURPOSE:
        return False
    return any(case.id == purpose.ref and stands(case, device) for case in open_cases(device))


def shows_alarm_place(device: str, open_cases: OpenCases) -> bool:
    """Whether the point of an alarm or signal of `device` may be shown: any device's but an e-bike's without an open case."""
    return not is_ebike(device) or any(stands(case, device) for case in open_cases(device))
