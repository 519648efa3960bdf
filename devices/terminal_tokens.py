"""Tokens with which a bound terminal authenticates, made from the data folder's secret key and never stored.

Invariants: the same device and generation give the same token under the same key; nobody without the key file can make
one; a key file that cannot be read any more leaves the key as it was, so that a running service goes on. It decides nothing.
"""

from __future__ import annotations

import base64
import hmac
from pathlib import Path

from devices.schema import RegistryFile
from model.errors import LuchengError

TOKEN_CHARS = 24
#: Longest token that is looked at, characters; ours have `TOKEN_CHARS`.
MAX_TOKEN_CHARS = 128

_LABEL = "terminal token"
_TOKEN_BYTES = TOKEN_CHARS * 3 // 4


class TerminalTokens:
    """Tokens under the key in `key_file`, which is made when it is first needed.

    Args:
        file: the registry's file, which knows whether a new key may be made.
        key_file: see `devices.secrets`.
    """

    def __init__(self, file: RegistryFile, key_file: Path) -> None:
        self._file = file
        self._key_file = key_file
        self._key = b""
        self._key_state: tuple[int, int, int] | None = None

    def prepare(self) -> None:
        """Read the key now. Raises Refused saying what is wrong with the key file."""
        self._current_key()

    def of(self, slot: int, device: str, generation: int) -> str:
        """`TOKEN_CHARS` of A-Z a-z 0-9 - and _; the slot is in it because a device id may be given again."""
        text = f"{slot}:{device}:{generation}".encode()
        return base64.urlsafe_b64encode(hmac.digest(self._current_key(), text, "sha256")[:_TOKEN_BYTES]).decode()

    def _current_key(self) -> bytes:
        """The key; read again when the key file is another, e.g. after a rotation."""
        try:
            status = self._key_file.stat()
            state: tuple[int, int, int] | None = (status.st_ino, status.st_mtime_ns, status.st_size)
        except OSError:
            state = None
        if self._key and (state is None or state == self._key_state):
            return self._key
        from devices.secrets import SealedSecrets  # noqa: PLC0415 cryptography costs 0.1 s at start

        try:
            key = SealedSecrets(self._file, self._key_file).derived_key(_LABEL)
        except LuchengError:
            if not self._key:
                raise
            return self._key
        self._key, self._key_state = key, state
        return key
