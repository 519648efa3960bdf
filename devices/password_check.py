"""`PasswordCheck`: is this a device's MQTT password, asked again and again by something that is no broker.

Purpose: what proves an OsmAnd client is its device's MQTT password; a client sends it with every place. Invariants: a
password is stretched (PBKDF2) once and then remembered as a keyed digest, with a key that lives as long as this object;
what is remembered is bounded and forgotten whenever any credential or device changed, so a revoked one ends at once; a
wrong password is never remembered, so that nobody can push others out; comparisons take the same time whatever differs.
It keeps no password.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading

from devices.credentials import MAX_PASSWORD_CHARS, Credentials
from devices.schema import RegistryFile

#: Devices whose password is remembered.
DEFAULT_MAX_ENTRIES = 100_000
_KEY_BYTES = 32
_DIGEST_BYTES = 32


class PasswordCheck:
    """Checks passwords of devices; safe to use from several threads.

    Args:
        credentials: where they are kept.
        file: the registry's file (`Registry.file`): its `broker_version` says when one changed.
        max_entries: devices whose password is remembered; more forget the oldest.
    """

    def __init__(self, credentials: Credentials, file: RegistryFile, *, max_entries: int = DEFAULT_MAX_ENTRIES) -> None:
        self._credentials = credentials
        self._file = file
        self._max_entries = max_entries
        self._key = secrets.token_bytes(_KEY_BYTES)
        self._lock = threading.Lock()
        self._known: dict[str, bytes] = {}
        self._version = -1

    def __len__(self) -> int:
        return len(self._known)

    def check(self, device: str, password: str) -> bool:
        """Whether `password` is that of the enabled device `device`. Service accounts have no place here: False.

        Raises StoreError when the registry cannot be read.
        """
        if "/" not in device or not password or len(password) > MAX_PASSWORD_CHARS:
            return False
        try:
            digest = hashlib.blake2b(password.encode(), key=self._key, digest_size=_DIGEST_BYTES).digest()
        except UnicodeEncodeError:
            return False
        version = self._file.broker_version()
        with self._lock:
            if version != self._version:
                self._known.clear()
                self._version = version
            known = self._known.get(device)
        if known is not None and hmac.compare_digest(known, digest):
            return True
        if not self._credentials.verify(device, password):
            return False
        with self._lock:
            # A change since then has emptied the memory, or will: what was verified before it must not stay.
            if version == self._version:
                self._known.pop(device, None)
                while len(self._known) >= self._max_entries:
                    del self._known[next(iter(self._known))]
                self._known[device] = digest
        return True
