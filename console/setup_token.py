"""The one-time token that lets somebody make the first administrator: a file of who runs the service, and of nobody else.

Invariants: there is a token only while there is no account; it is 256 random bits in a file of mode 0600, is in no log line, and is
gone with the first account.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from console.live.tokens import new_token_file, read_token_file, write_token_file
from model.errors import Refused

#: In the data folder.
SETUP_TOKEN_FILE = "keys/setup.token"  # noqa: S105 a file's name


def setup_token(data_dir: Path) -> str:
    """The token, made when there is none that only its owner can read. Raises StoreError."""
    path = data_dir / SETUP_TOKEN_FILE
    try:
        return read_token_file(path)
    except Refused:
        return new_token_file(path)


def keep_setup_token(data_dir: Path, token: str) -> None:
    """Keep one that was made elsewhere: several desks have the same. Raises StoreError."""
    write_token_file(data_dir / SETUP_TOKEN_FILE, token)


def known_setup_token(data_dir: Path) -> str:
    """The token, "" where there is none."""
    try:
        return read_token_file(data_dir / SETUP_TOKEN_FILE)
    except Refused:
        return ""


def forget_setup_token(data_dir: Path) -> None:
    """There is an account now."""
    with contextlib.suppress(OSError):
        (data_dir / SETUP_TOKEN_FILE).unlink(missing_ok=True)
