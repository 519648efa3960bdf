"""MQTT credentials: one per device, user name = device id, password made here, shown once, kept hashed.

Invariants: a password is 128 random bits (url-safe base64, 22 characters) and is never stored, logged or in a
`repr`; what is stored is mosquitto's own form `$7$iterations$salt$hash` (PBKDF2-SHA512, 12-byte salt, 64-byte
hash, base64), so a row goes into the password file as it is. Passwords of people's choosing are not taken.

Iterations: stretching makes guessable passwords dearer to guess. Nobody guesses 128 random bits, at any
price per guess, so few iterations are sound here; they are what makes 300,000 credentials a matter of
seconds and lets a broker check thousands of reconnecting devices, on its one thread, at every reload.
It writes no broker file: that is `devices.broker_files`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from devices.rows import get_device, slots_of
from devices.schema import Change, RegistryFile, in_lists
from model.device import check_device_id
from model.errors import Conflict, NotFound, UsageError
from store.database import Connection

#: PBKDF2 rounds per password; see the module's text for why so few are enough.
DEFAULT_ITERATIONS = 10
MAX_ITERATIONS = 1_000_000
PASSWORD_BYTES = 16
SALT_BYTES = 12
HASH_BYTES = 64
#: Credentials written in one transaction.
DEFAULT_CHUNK_ROWS = 10_000
#: Longest password that is checked, characters.
MAX_PASSWORD_CHARS = 128

_ACCOUNT = re.compile(r"[a-z][a-z0-9\-]{0,31}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Credential:
    """A user name and its password, the only time it is known."""

    user: str
    password: str = field(repr=False)


def hash_password(password: str, iterations: int = DEFAULT_ITERATIONS) -> str:
    """`$7$iterations$salt$hash` of a password, as mosquitto 2 reads it from its password file."""
    if not 1 <= iterations <= MAX_ITERATIONS:
        raise UsageError(f"{iterations} iterations.", mend=f"Set 1 to {MAX_ITERATIONS}.")
    salt = secrets.token_bytes(SALT_BYTES)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, iterations, HASH_BYTES)
    return f"$7${iterations}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def password_matches(password: str, stored: str) -> bool:
    """Whether `password` has the hash `stored`; False also for a `stored` that is no `$7$` line."""
    try:
        empty, kind, iterations, salt_text, digest_text = stored.split("$")
        rounds = int(iterations)
        salt, digest = base64.b64decode(salt_text, validate=True), base64.b64decode(digest_text, validate=True)
        given = password.encode()
    except (ValueError, binascii.Error):
        return False
    if empty or kind != "7" or not 1 <= rounds <= MAX_ITERATIONS or not digest or len(password) > MAX_PASSWORD_CHARS:
        return False
    return hmac.compare_digest(hashlib.pbkdf2_hmac("sha512", given, salt, rounds, len(digest)), digest)


class Credentials:
    """Credentials of devices and of the service's own accounts, in the registry's file.

    Args:
        file: the registry's file (`Registry.file`).
        iterations: PBKDF2 rounds of passwords made from now on.
        chunk_rows: credentials written in one transaction by `issue_many`.
    """

    def __init__(
        self, file: RegistryFile, *, iterations: int = DEFAULT_ITERATIONS, chunk_rows: int = DEFAULT_CHUNK_ROWS
    ) -> None:
        hash_password("", iterations)
        self._file = file
        self._iterations = iterations
        self._chunk_rows = chunk_rows

    def issue(self, device_id: str) -> Credential:
        """The first credential of a device. Raises NotFound, or Conflict when it has one (see `rotate`)."""
        check_device_id(device_id)
        with self._file.changing() as change:
            get_device(change.connection, device_id)
            made, _ = self._insert(change, [device_id])
        if not made:
            raise Conflict(f"{device_id} has a credential.", mend="Rotate it: the old one ends with that.")
        return made[0]

    def issue_many(self, ids: Sequence[str]) -> Iterator[Credential]:
        """First credentials of many devices, in order; those that have one are passed over.

        Each chunk is committed before its passwords are given out. Raises NotFound at an id that is not registered.
        """
        for start in range(0, len(ids), self._chunk_rows):
            with self._file.changing() as change:
                chunk = list(dict.fromkeys(check_device_id(device) for device in ids[start : start + self._chunk_rows]))
                made, unknown = self._insert(change, chunk)
                if unknown:
                    raise NotFound(f"There is no device {unknown[0][:80]!r}.", mend="Add it with `lucheng device add`.")
            yield from made

    def rotate(self, device_id: str) -> Credential:
        """A new password; the old one ends at the broker's next reload. Also gives a first one."""
        check_device_id(device_id)
        with self._file.changing() as change:
            slot = get_device(change.connection, device_id).slot
            change.connection.execute("DELETE FROM credential WHERE slot = ?", (slot,))
            made, _ = self._insert(change, [device_id])
        return made[0]

    def revoke(self, device_id: str) -> None:
        """End the device's credential; a live connection ends at the broker's next reload. Raises NotFound."""
        check_device_id(device_id)
        with self._file.changing() as change:
            slot = get_device(change.connection, device_id).slot
            if not change.connection.execute("DELETE FROM credential WHERE slot = ?", (slot,)).rowcount:
                raise NotFound(f"{device_id} has no credential.", mend="Nothing to revoke.")
            change.mark_broker()

    def has(self, device_id: str) -> bool:
        """Whether the device has a credential."""
        with self._file.reading() as connection:
            return _stored(connection, device_id) is not None

    def verify(self, user: str, password: str) -> bool:
        """Whether the broker should let them in: right password, of an enabled device or a service account."""
        with self._file.reading() as connection:
            stored = _stored(connection, user, enabled_only=True)
        return stored is not None and password_matches(password, stored)

    def renew_account(self, name: str, *, same_as: Credential | None = None) -> Credential:
        """A new password for one of the service's own accounts (see `broker_files.SERVICE_ACCOUNTS`).

        With `same_as` it is that credential's: for the accounts of one service on a broker that is given one password.
        """
        if not _ACCOUNT.fullmatch(name):
            raise UsageError(f"{name[:80]!r} is not an account's name.", mend="Write 1 to 32 of a-z 0-9 and -.")
        password = secrets.token_urlsafe(PASSWORD_BYTES) if same_as is None else same_as.password
        with self._file.changing() as change:
            change.connection.execute("DELETE FROM account WHERE name = ?", (name,))
            change.connection.execute(
                "INSERT INTO account VALUES (?, ?, ?)",
                (name, hash_password(password, self._iterations), self._file.clock.now_ms()),
            )
            change.mark_broker()
        return Credential(name, password)

    def _insert(self, change: Change, ids: Sequence[str]) -> tuple[list[Credential], list[str]]:
        """New credentials for those of `ids` without one; and which of `ids` are not registered."""
        slots = slots_of(change.connection, ids)
        unknown = [device for device in ids if device not in slots]
        has: set[int] = set()
        for marks, values in in_lists(ids):
            sql = f"SELECT slot FROM credential JOIN device USING (slot) WHERE deleted = 0 AND id IN {marks}"  # noqa: S608  # only ?
            has.update(slot for (slot,) in change.connection.execute(sql, values))
        made = [
            Credential(device, secrets.token_urlsafe(PASSWORD_BYTES))
            for device in ids
            if device in slots and slots[device] not in has
        ]
        if made and not unknown:
            now_ms = self._file.clock.now_ms()
            change.connection.executemany(
                "INSERT INTO credential VALUES (?, ?, ?)",
                ((slots[c.user], hash_password(c.password, self._iterations), now_ms) for c in made),
            )
            change.mark_broker()
        return made, unknown


def _stored(connection: Connection, user: str, *, enabled_only: bool = False) -> str | None:
    try:
        user.encode()
    except UnicodeEncodeError:
        return None
    if "/" in user:
        sql = "SELECT c.hash FROM credential c JOIN device d USING (slot) WHERE d.deleted = 0 AND d.enabled >= ? AND d.id = ?"
        row = connection.execute(sql, (int(enabled_only), user)).fetchone()
    else:
        row = connection.execute("SELECT hash FROM account WHERE name = ?", (user,)).fetchone()
    return None if row is None else str(row[0])
