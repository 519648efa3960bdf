"""Who may read the past of many vehicles at once: the one question that every wide read asks.

Invariants: what is not wide is nobody's business here; a refusal is audited before it is told. Until a second person's
approval can be given, a supervisor may ask for what is wide, and nobody else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from console.roles import role_of
from model.errors import Refused
from model.role import ROLE_WORDS, Role
from store.audit import purpose_text

if TYPE_CHECKING:
    from config.sections import Settings
    from console.device_operations import Caller
    from model.grant import Purpose


@dataclass(frozen=True, slots=True)
class WideRead:
    """What is about to be read.

    Attributes:
        operation: name of the operation of `console.operations`.
        vehicles: devices whose past may be told; a search that leaves nobody out counts every device that it may find.
        from_ms, to_ms: window of fix time, half open.
        asked: what exactly is asked, JSON-ready, such that two reads with the same mapping tell the same: an approval
            is for this and nothing else. Without purpose, language and form.
    """

    operation: str
    vehicles: int
    from_ms: int
    to_ms: int
    asked: Mapping[str, Any]


class House(Protocol):
    """What it needs of the operations."""

    _settings: Settings

    def _note(self, caller: Caller, action: str, target: str = "", purpose: str = "", **detail: Any) -> None: ...


def check_wide(house: House, caller: Caller, why: Purpose, read: WideRead, approval: str = "") -> str:
    """What allows this read: "" where it is not wide, else who or which approval; for the audit's row of the read.

    Args:
        house: the operations.
        caller: who asks.
        why: the purpose.
        read: what is asked.
        approval: the id of a second person's approval, or "".

    Raises Refused when it is wide and not allowed, after it was audited.
    """
    if read.vehicles <= house._settings.supervision.wide_vehicles:  # noqa: SLF001 a mixin's own
        return ""
    role = role_of(house._settings, caller.who)  # noqa: SLF001 as above
    if role is not Role.SUPERVISOR:
        house._note(  # noqa: SLF001 as above
            caller, "read.refused", f"{read.vehicles} vehicles", purpose_text(why), operation=read.operation
        )
        raise Refused(
            f"A {ROLE_WORDS[role].en} may not read {read.vehicles} vehicles at once.",
            mend=f"Name {house._settings.supervision.wide_vehicles} at most, or let a supervisor ask.",  # noqa: SLF001
        )
    return "supervisor"
