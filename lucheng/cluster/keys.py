"""The secret key that all machines of a city have the same: whether this one's is, and the mark by which the others see it.

What is sealed in the registry (addresses of cameras), the tokens of terminals, the signer of the MQTT listener and the console's kept answers come from
`keys/secret.key`. One thing is sealed when a city begins; who cannot open it has another machine's key and does not start.

Invariants: nothing of a key leaves its file; a process that opens nothing that is sealed (`analyze` alone) needs none. Files are copied by
people (docs/operations/machines.md), never by us.
"""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from console.live.tokens import TOKEN_BYTES
from console.setup_token import forget_setup_token, keep_setup_token
from devices.secrets import SealedSecrets, key_mark
from lucheng.cluster.roles import Role
from lucheng.rooms import SECRET_KEY_FILE
from model.errors import LuchengError, NotFound, Refused

if TYPE_CHECKING:
    from pathlib import Path

    from lucheng.cluster.nodes import Node
    from lucheng.rooms import Rooms

#: What is sealed when a city begins, and the token of its first administrator while there is none.
ANCHOR, SETUP_TOKEN = "city:key", "city:setup"


def agree_on_key(rooms: Rooms, roles: Iterable[Role], others: Callable[[], Sequence[Node]]) -> None:
    """Raise Refused, in words that name the machines, where this one's secret key is not the city's.

    Args:
        rooms: open for writing. Where its registry is its own, nothing has to agree.
        roles: what this process does.
        others: who is there, asked when it does not agree.
    """
    if rooms.database is None or set(roles) == {Role.ANALYZE}:
        return
    path = rooms.data_dir / SECRET_KEY_FILE
    mine = key_mark(path)
    host = socket.gethostname()
    try:
        SealedSecrets(rooms.registry.file, path).agree(ANCHOR, host)
    except Refused as error:
        have = sorted({node.host for node in others() if node.key and node.key != mine})
        what = "is another than" if mine else "is missing; it has to be"
        raise Refused(
            f"{path} on {host} {what} the city's" + (f", which {', '.join(have)} have." if have else "."),
            mend=f"Copy {SECRET_KEY_FILE} of a machine that has it into this data folder (mode 0600, owned by the service), then "
            "start again: docs/operations/machines.md.",
        ) from error


class KeyMark:
    """The mark of a key file, as it is now; read again when the file is another."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._state: tuple[int, int, int] | None = None
        self._mark = ""

    def __call__(self) -> str:
        """The mark; "" where there is no key that can be read."""
        try:
            status = self._path.stat()
            state = (status.st_ino, status.st_mtime_ns, status.st_size)
            if state != self._state:
                self._mark, self._state = key_mark(self._path), state
        except (OSError, LuchengError):
            self._mark, self._state = "", None
        return self._mark


def differing(nodes: Sequence[Node]) -> list[Node]:
    """Processes whose key is another than most have; of as many, than the one that was there first."""
    having = [node for node in nodes if node.key]
    marks = [node.key for node in sorted(having, key=lambda node: node.since_ms)]
    usual = max(marks, key=marks.count, default="")
    return [node for node in having if node.key != usual]


class SharedSetup:
    """The one-time token of a city's first administrator: one for all desks, sealed in the registry, a copy in each desk's own file."""

    def __init__(self, rooms: Rooms) -> None:
        self._data_dir = rooms.data_dir
        self._sealed = SealedSecrets(rooms.registry.file, rooms.data_dir / SECRET_KEY_FILE)

    def make(self) -> None:
        """There is no account: be told the token, or make it. Raises Refused, StoreError."""
        keep_setup_token(self._data_dir, self._sealed.agree(SETUP_TOKEN, secrets.token_urlsafe(TOKEN_BYTES)))

    def forget(self) -> None:
        """There is one now, wherever it was made."""
        forget_setup_token(self._data_dir)
        try:
            self._sealed.delete(SETUP_TOKEN)
        except NotFound:
            return
