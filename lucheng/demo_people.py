"""The demo's accounts: one for each role, all with one password that is made for this demo and told on its screen.

Invariants: no password is ever the same twice, none is written to a file, and an account of an earlier demo in the same data folder gets
the new one; whoever starts the demo is the only one who is told.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lucheng.cli.texts import text
from model.errors import Conflict
from model.role import ROLE_WORDS, Role

if TYPE_CHECKING:
    from console.client import RemoteClient

#: Three groups of four letters and digits without those that look alike: 59 bits, for the loopback interface and an hour.
_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"
_GROUPS, _GROUP_CHARS = 3, 4
#: Two of them, so that two windows can meet on one alarm.
SECOND = "operator2"


@dataclass(frozen=True, slots=True)
class Entrance:
    """Where the console is, and who may come in.

    Attributes:
        url: of the console. users: the accounts. password: of all of them.
    """

    url: str
    users: tuple[str, ...]
    password: str

    def lines(self) -> list[str]:
        """As whoever started the demo is told."""
        return [
            text("console.address", url=self.url),
            text("demo.people", users=", ".join(self.users), password=self.password),
        ]


def demo_people(client: RemoteClient, url: str) -> Entrance:
    """Make the accounts, or give those that are there the new password."""
    password = "-".join("".join(secrets.choice(_LETTERS) for _ in range(_GROUP_CHARS)) for _ in range(_GROUPS))
    wanted = [(role.value, role) for role in Role]
    wanted.insert(1, (SECOND, Role.OPERATOR))
    for user, role in wanted:
        try:
            client.call("account_add", user=user, role=role.value, password=password, name=ROLE_WORDS[role].zh)
        except Conflict:
            client.call("account_password", user=user, password=password)
    return Entrance(url, tuple(user for user, _ in wanted), password)
