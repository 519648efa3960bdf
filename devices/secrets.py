"""Secrets that must be read again (RTSP addresses with passwords in them), sealed under a key file.

Invariants: what is stored is AES-256-GCM with a fresh nonce, bound to the secret's name (a sealed value moved
to another name does not open); the key file is 0600 and ours; without it nothing opens, and a new key is
never made beside data sealed under a lost one. No value is in a `repr`, a log line or an error.

The key file holds one key a line, `key_id base64`, newest first. More than one is there only while a
rotation is under way: both keys are on disk before the first value is sealed anew, the old one goes after the
commit, so a crash at any moment leaves every value readable.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import os
import re
import secrets
import stat
import threading
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from devices.schema import Change, RegistryFile, in_lists
from model.errors import Corrupt, NotFound, Refused, UsageError

DEFAULT_MAX_SECRET_BYTES = 4_096
KEY_BYTES = 32
NONCE_BYTES = 12
KEY_FILE_MODE = 0o600
#: Longest key file that is read.
MAX_KEY_FILE_BYTES = 4_096

_LABEL = b"lucheng derived key:"
_MARK = b"lucheng key mark"
_MARK_CHARS = 16
_NAME = re.compile(r"[A-Za-z0-9_\-][A-Za-z0-9_.\-/]{0,99}:[a-z][a-z0-9_]{0,31}", re.ASCII)


class SealedSecrets:
    """Secrets by name, e.g. `camera/7:rtsp`.

    Args:
        file: the registry's file (`Registry.file`).
        key_file: made with the first secret (its folder 0700, itself 0600).
        max_bytes: longest value, bytes of UTF-8.
    """

    def __init__(self, file: RegistryFile, key_file: Path, *, max_bytes: int = DEFAULT_MAX_SECRET_BYTES) -> None:
        self._file = file
        self._key_file = key_file
        self._max_bytes = max_bytes
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"SealedSecrets({self._file.path.name})"

    def set(self, name: str, value: str) -> None:
        """Seal `value` under `name`, in the place of what was there. Raises UsageError, Refused (the key file)."""
        with self._lock, self._file.changing() as change:
            self.set_in(change, name, value)

    def agree(self, name: str, value: str) -> str:
        """What is sealed under `name`, which is `value` where nothing was: of several machines that ask, the first's.

        Whoever is told has the key that everything here is sealed under. Raises Refused: the key file is another machine's, or
        missing beside what is sealed already.
        """
        with self._lock:
            with self._file.changing() as change:
                found = change.connection.execute("SELECT name, key_id FROM secret").fetchall()
                if not any(known == name for known, _ in found):
                    mine = self._keys(make=True)
                    other = next((known for known, key_id in found if key_id not in mine), None)
                    if other is not None:
                        raise self._another(other)
                    self.set_in(change, name, value)
                    return value
            return self.get(name)

    def set_in(self, change: Change, name: str, value: str) -> None:
        """As `set`, within a change that is being made."""
        _check_name(name)
        try:
            plain = value.encode()
        except UnicodeEncodeError:
            raise UsageError("The secret is not text.", mend="Give it as UTF-8.") from None
        if len(plain) > self._max_bytes:
            raise UsageError(f"The secret has {len(plain)} bytes.", mend=f"The limit is {self._max_bytes}.")
        key_id, key = next(iter(self._keys(make=True).items()))
        change.connection.execute("DELETE FROM secret WHERE name = ?", (name,))
        change.connection.execute(
            "INSERT INTO secret VALUES (?, ?, ?, ?)",
            (name, key_id, _seal(key, name, plain), self._file.clock.now_ms()),
        )
        _ = change.version

    def get(self, name: str) -> str:
        """The value under `name`. Raises NotFound, Refused (the key file), Corrupt (the value was changed)."""
        _check_name(name)
        with self._file.reading() as connection:
            row = connection.execute("SELECT key_id, sealed FROM secret WHERE name = ?", (name,)).fetchone()
        if row is None:
            raise NotFound(f"There is no secret {name}.", mend="Set it first.")
        return self._open(self._keys(make=False), name, *row).decode()

    def values(self, names: Sequence[str]) -> dict[str, str]:
        """The values under many names at once, without those that are not there or whose sealed value does not open.

        Raises Refused (the key file) where there is anything to open. About 4 µs a value.
        """
        rows: list[tuple[str, str, bytes]] = []
        with self._file.reading() as connection:
            for marks, some in in_lists(names):
                sql = f"SELECT name, key_id, sealed FROM secret WHERE name IN {marks}"  # noqa: S608 (question marks)
                rows += connection.execute(sql, some)
        if not rows:
            return {}
        openers = {key_id: AESGCM(key) for key_id, key in self._keys(make=False).items()}
        found: dict[str, str] = {}
        for name, key_id, sealed in rows:
            with contextlib.suppress(KeyError, InvalidTag, ValueError):
                opened = openers[key_id].decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], name.encode())
                found[name] = opened.decode()
        return found

    def names(self) -> list[str]:
        """Names of all secrets, in order."""
        with self._file.reading() as connection:
            return [name for (name,) in connection.execute("SELECT name FROM secret ORDER BY name")]

    def delete(self, name: str) -> None:
        """Forget the secret. Raises NotFound."""
        _check_name(name)
        with self._file.changing() as change:
            if not self.delete_in(change, name):
                raise NotFound(f"There is no secret {name}.", mend="Nothing to delete.")

    def delete_in(self, change: Change, name: str) -> bool:
        """Forget the secret within a change that is being made; False when there is none."""
        _check_name(name)
        if not change.connection.execute("DELETE FROM secret WHERE name = ?", (name,)).rowcount:
            return False
        _ = change.version
        return True

    def rotate(self) -> int:
        """Seal everything anew under a new key and forget the old one; return how many secrets there are."""
        with self._lock:
            with self._file.changing() as change:
                old = self._keys(make=True)
                key = secrets.token_bytes(KEY_BYTES)
                rows = change.connection.execute("SELECT name, key_id, sealed FROM secret").fetchall()
                needed = {key_id for _, key_id, _ in rows}
                _write_keys(self._key_file, {_key_id(key): key, **{i: k for i, k in old.items() if i in needed}})
                for name, key_id, sealed in rows:
                    plain = self._open(old, name, key_id, sealed)
                    change.connection.execute(
                        "UPDATE secret SET key_id = ?, sealed = ? WHERE name = ?",
                        (_key_id(key), _seal(key, name, plain), name),
                    )
                _ = change.version
            _write_keys(self._key_file, {_key_id(key): key})
        return len(rows)

    def derived_key(self, label: str) -> bytes:
        """32 bytes that only who has the key file can make, for one use named by `label`; made with the file's newest key.

        Makes the key file when it is missing and nothing is sealed yet. After `rotate` it is another. Raises Refused (the
        key file).
        """
        newest = next(iter(self._keys(make=True).values()))
        return hmac.digest(newest, _LABEL + label.encode(), "sha256")

    def _another(self, name: str) -> Refused:
        return Refused(
            f"{name} is sealed under another key than the one in {self._key_file.name}.",
            mend="Restore the key file from the back-up of the day it was sealed.",
        )

    def _open(self, keys: dict[str, bytes], name: str, key_id: str, sealed: bytes) -> bytes:
        if key_id not in keys:
            raise self._another(name)
        try:
            return AESGCM(keys[key_id]).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], name.encode())
        except (InvalidTag, ValueError):
            raise Corrupt(f"The sealed value of {name} was changed.", mend="Set the secret again.") from None

    def _keys(self, *, make: bool) -> dict[str, bytes]:
        """Keys by id, newest first. Raises Refused with what to do."""
        return read_keys(self._key_file) or self._first_key(make=make)

    def _first_key(self, *, make: bool) -> dict[str, bytes]:
        if self.names():
            raise Refused(
                f"{self._key_file} is missing, and there are secrets sealed under it.",
                mend="Restore it from a back-up; if it is lost, delete the secrets and set them again.",
            )
        if not make:
            raise Refused(f"{self._key_file} is missing.", mend="Set a secret first: that makes it.")
        return make_key_file(self._key_file)


def key_mark(key_file: Path) -> str:
    """What tells key files apart and betrays nothing of the key; "" where there is no file. Raises Refused, as `read_keys`."""
    keys = read_keys(key_file)
    return hmac.new(next(iter(keys.values())), _MARK, "sha256").hexdigest()[:_MARK_CHARS] if keys else ""


def read_keys(key_file: Path) -> dict[str, bytes]:
    """The keys of a key file by id, newest first; {} where there is no file. Raises Refused with what to do."""
    try:
        # the file that is looked at is the file that is read, and never a link
        descriptor = os.open(key_file, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise Refused(
            f"{key_file} cannot be read: {error.strerror}.", mend="Make it a plain file, owned by the service."
        ) from error
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        raw = file.read(MAX_KEY_FILE_BYTES)
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise Refused(f"{key_file} can be read by others.", mend=f"Run `chmod 600 {key_file}`, then rotate the key.")
    if status.st_uid != os.geteuid():
        raise Refused(f"{key_file} belongs to another user.", mend=f"Run `chown {os.geteuid()} {key_file}`.")
    keys: dict[str, bytes] = {}
    for line in raw.decode("ascii", "replace").splitlines():
        key_id, _, text = line.partition(" ")
        try:
            key = base64.b64decode(text, validate=True)
        except ValueError:
            key = b""
        if len(key) != KEY_BYTES or key_id != _key_id(key):
            raise Refused(f"{key_file} is damaged.", mend="Restore it from a back-up.")
        keys[key_id] = key
    if not keys:
        raise Refused(f"{key_file} is empty.", mend="Restore it from a back-up.")
    return keys


def make_key_file(key_file: Path) -> dict[str, bytes]:
    """A new key in a file that is not there yet (its folder 0700, itself 0600); the key by its id."""
    key = secrets.token_bytes(KEY_BYTES)
    key_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write_keys(key_file, {_key_id(key): key})
    return {_key_id(key): key}


def _write_keys(key_file: Path, keys: dict[str, bytes]) -> None:
    new = key_file.with_name(f".{key_file.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, KEY_FILE_MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(b"".join(f"{i} {base64.b64encode(key).decode()}\n".encode() for i, key in keys.items()))
        file.flush()
        os.fsync(file.fileno())
    new.replace(key_file)
    folder = os.open(key_file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name[:120]!r} is no name of a secret.", mend="Write device:what, e.g. camera/7:rtsp.")


def _key_id(key: bytes) -> str:
    return hashlib.sha256(b"lucheng key id" + key).hexdigest()[:16]


def _seal(key: bytes, name: str, plain: bytes) -> bytes:
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, name.encode())
