"""Who may read the past of many vehicles at once: the one question that every wide read asks.

Invariants: what is not wide is nobody's business here; a refusal is the caller's to audit. Until a second person's
approval can be given, a supervisor may ask for what is wide, and nobody else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.roles import role_of
from model.errors import Refused
from model.role import ROLE_WORDS, Role

if TYPE_CHECKING:
    from config.sections import Settings
    from console.device_operations import Caller


def check_wide(settings: Settings, caller: Caller, vehicles: int) -> bool:
    """Whether reading so many vehicles is wide. Raises Refused when it is and the caller may not."""
    if vehicles <= settings.supervision.wide_vehicles:
        return False
    role = role_of(settings, caller.who)
    if role is not Role.SUPERVISOR:
        raise Refused(
            f"A {ROLE_WORDS[role].en} may not read {vehicles} vehicles at once.",
            mend=f"Name {settings.supervision.wide_vehicles} at most, or let a supervisor ask.",
        )
    return True
