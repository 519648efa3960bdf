"""The form of a camera's address, and what of it may be shown. Pure; it resolves and opens nothing.

Invariants: what gets past `checked_address` is one line whose parts everybody reads alike (no `@`, `#` or backslash where a
password could be taken for a host or a path for a password); what `shown_address` gives holds no user name, no password
and no query. No error holds any part of an address. Whether it may be connected to is `ingest.video.address`'s to say.
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

from model.errors import UsageError

MAX_ADDRESS_CHARS = 2_048
#: Longest path that is shown, characters.
SHOWN_PATH_CHARS = 100
SCHEMES = ("rtsp", "rtsps")
FILE_PREFIX = "file:"

_FORMS = "Write rtsp://user:password@host:port/path, rtsps://… or file:NAME."
_FILE_NAME = re.compile(r"[A-Za-z0-9_\-](?:[A-Za-z0-9_.\-]{0,126}[A-Za-z0-9_\-])?", re.ASCII)
#: What a part of a path may hold to be shown: some cameras take their password as `user=x&password=y` there.
_SHOWN_PART = re.compile(r"[A-Za-z0-9_.~%\-]*", re.ASCII)
_HIDDEN = "…"


def checked_address(address: str) -> str:
    """`address` without space around it, when it has the form of a camera's.

    Raises UsageError that says what is wrong and nothing of the address.
    """
    address = address.strip()
    if not address:
        raise UsageError("The camera's address is empty.", mend=_FORMS)
    if len(address) > MAX_ADDRESS_CHARS:
        raise UsageError(
            f"The camera's address has {len(address)} characters.", mend=f"The limit is {MAX_ADDRESS_CHARS}."
        )
    if not address.isascii() or not address.isprintable() or " " in address or "\\" in address:
        raise UsageError(
            "The camera's address holds a space, a backslash or a letter beyond ASCII.",
            mend="Write such a letter of a password as %XX.",
        )
    if address.startswith(FILE_PREFIX):
        if not _FILE_NAME.fullmatch(address.removeprefix(FILE_PREFIX)):
            raise UsageError("The camera's address names no plain file.", mend="Write file:NAME, without a folder.")
        return address
    parts = _split(address)
    if parts.scheme not in SCHEMES:
        raise UsageError("The camera's address has a scheme that is not allowed.", mend=_FORMS)
    if "#" in address or "@" in parts.path + parts.query:
        raise UsageError(
            "The camera's address can be read in two ways.",
            mend="In a user name or a password write / as %2F, ? as %3F, # as %23 and @ as %40.",
        )
    if not parts.hostname:
        raise UsageError("The camera's address names no host.", mend=_FORMS)
    return address


def shown_address(address: str) -> str:
    """scheme://host:port/path of a checked address, without user, password, query and any part that could hold one."""
    if address.startswith(FILE_PREFIX):
        return address
    parts = _split(address)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    port = f":{parts.port}" if parts.port is not None else ""
    path = "/".join(part if _SHOWN_PART.fullmatch(part) else _HIDDEN for part in parts.path.split("/"))
    if len(path) > SHOWN_PATH_CHARS:
        path = path[:SHOWN_PATH_CHARS] + _HIDDEN
    return f"{parts.scheme}://{host}{port}{path}"


def _split(address: str) -> SplitResult:
    try:
        parts = urlsplit(address)
        _ = parts.port  # looked at here, so that a wrong one is said here
    except ValueError:
        raise UsageError("The camera's address is none.", mend=_FORMS) from None  # its text would quote the address
    return parts
