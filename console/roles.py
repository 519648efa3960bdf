"""Who may be what, by the account or by the settings.

Who came by web has the role of his account; on the command line the settings say it of the operating system's user.
One person has one role.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from model.role import Role

if TYPE_CHECKING:
    from config.sections import Settings
    from console.device_operations import Caller

#: `Caller.via` of who came with a session of an account; only the console's server makes such a caller.
WEB = "web"


def role_of(settings: Settings, asker: Caller | str) -> Role:
    """The role of who asks; of a mere name, as `operators.users` has it, else `operators.default_role`."""
    if isinstance(asker, str):
        return Role(settings.operators.users.get(asker, settings.operators.default_role))
    if asker.via == WEB:
        return Role(asker.role)
    return role_of(settings, asker.who)
