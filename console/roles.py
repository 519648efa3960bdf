"""Who may be what: operating-system users to roles by the settings, until there are accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model.role import Role

if TYPE_CHECKING:
    from config.sections import Settings


def role_of(settings: Settings, who: str) -> Role:
    """The role of a user as `operators.users` has it, else `operators.default_role`. One person has one role."""
    return Role(settings.operators.users.get(who, settings.operators.default_role))
