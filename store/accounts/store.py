"""`AccountStore`: accounts and their sessions in one database.

Invariants: a change is durable when its call returns, and ends the sessions that it must end in the same transaction; who
wants to know is told after that, with the user's name, in the process that made it; a session is kept as the SHA-256 of its
token, so that the database opens no door; the number of accounts, and of sessions of one, is bounded. It checks no password
and decides no right.
"""

from __future__ import annotations

import builtins
import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog

from model.account import Account, LockRule
from model.clock import Clock
from model.errors import Conflict, NotFound, Refused
from model.role import Role
from model.seams import Problem
from store.database import Connection, Where
from store.kept_file import KeptFile

DEFAULT_MAX_ACCOUNTS = 10_000
DEFAULT_MAX_SESSIONS_PER_USER = 16

MIGRATIONS: tuple[str, ...] = (
    """
CREATE TABLE account (
    "user" TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    language TEXT NOT NULL,
    enabled INTEGER NOT NULL,
    version INTEGER NOT NULL,
    made_ms INTEGER NOT NULL,
    changed_ms INTEGER NOT NULL,
    changed_by TEXT NOT NULL,
    password_ms INTEGER NOT NULL,
    failures INTEGER NOT NULL DEFAULT 0,
    locked_until_ms INTEGER NOT NULL DEFAULT 0,
    signed_in_ms INTEGER NOT NULL DEFAULT 0,
    failed_ms INTEGER NOT NULL DEFAULT 0,
    password TEXT NOT NULL
) STRICT;
CREATE TABLE session (
    digest BLOB PRIMARY KEY,
    "user" TEXT NOT NULL REFERENCES account ("user"),
    begun_ms INTEGER NOT NULL,
    seen_ms INTEGER NOT NULL,
    ends_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX session_user ON session ("user", begun_ms);
""",
)
_COLUMNS = (
    '"user", name, role, language, enabled, version, made_ms, changed_ms, changed_by, password_ms, failures, locked_until_ms,'
    " signed_in_ms"
)
_SELECT = f"SELECT {_COLUMNS} FROM account"  # noqa: S608 (constants)
_FOUND = (
    f"SELECT begun_ms, seen_ms, ends_ms, {', '.join('a.' + name.strip() for name in _COLUMNS.split(','))}"  # noqa: S608 (constants)
    ' FROM session AS s JOIN account AS a ON a."user" = s."user" WHERE s.digest = ?'
)
_INSERT = (
    'INSERT INTO account ("user", name, role, language, enabled, version, made_ms, changed_ms, changed_by, password_ms, password)'
    " VALUES (?, ?, ?, ?, 1, 1, ?, ?, ?, ?, ?)"
)
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Session:
    """A session that stands in the file, and whose it is; whether it still holds is the reader's to say.

    Attributes:
        begun_ms, seen_ms: when it began and was last used, UTC ms. ends_ms: it holds no longer than until then.
    """

    begun_ms: int
    seen_ms: int
    ends_ms: int
    account: Account


def digest_of(token: str) -> bytes:
    """What is kept of a session's token: 256 random bits need no slow hash."""
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


class AccountStore:
    """The accounts of one database. Any thread may call anything.

    Args:
        path: the file, e.g. `accounts.db`, made when missing, unless `read_only`; or the place on a server.
        clock: source of time.
        read_only: read beside a running writer.
        max_accounts: at a time. max_sessions_per_user: the oldest ends for one more.

    Raises StoreError, Corrupt.
    """

    def __init__(
        self,
        path: Where,
        *,
        clock: Clock,
        read_only: bool = False,
        max_accounts: int = DEFAULT_MAX_ACCOUNTS,
        max_sessions_per_user: int = DEFAULT_MAX_SESSIONS_PER_USER,
    ) -> None:
        self._clock = clock
        self._max_accounts = max_accounts
        self._max_sessions_per_user = max_sessions_per_user
        self._file = KeptFile(path, MIGRATIONS, read_only=read_only, older_is_empty=True)
        self._telling = threading.Lock()
        self._listeners: dict[int, Callable[[str], None]] = {}
        self._given = 0

    # -- accounts -----------------------------------------------------------------------------

    def now_ms(self) -> int:
        """Its clock."""
        return self._clock.now_ms()

    def count(self) -> int:
        """How many accounts there are, disabled ones too."""
        found = self._file.rows("SELECT count(*) FROM account")
        return int(found[0][0]) if found else 0

    def list(self, *, after: str = "", limit: int = 100) -> builtins.list[Account]:
        """Accounts in order of their names, one page."""
        return [
            _account(row)
            for row in self._file.rows(f'{_SELECT} WHERE "user" > ? ORDER BY "user" LIMIT ?', (after, limit))
        ]

    def get(self, user: str) -> Account:
        """The account. Raises NotFound."""
        found = self._file.rows(f'{_SELECT} WHERE "user" = ?', (user,))
        if not found:
            raise no_such_account(user)
        return _account(found[0])

    def password_of(self, user: str) -> str:
        """The hash of his password, "" for nobody."""
        found = self._file.rows('SELECT password FROM account WHERE "user" = ?', (user,))
        return str(found[0][0]) if found else ""

    def add(
        self, user: str, role: Role, password: str, *, by: str, name: str = "", language: str = "", first: bool = False
    ) -> Account:
        """Make an account; `password` is a hash. `first`: only where there is none yet.

        Raises Conflict (there is one), Refused (too many).
        """
        now_ms = self._clock.now_ms()
        with self._file.writing() as connection:
            count = connection.execute("SELECT count(*) FROM account").fetchone()[0]
            if first and count:
                raise Conflict("The console has been set up already.", mend="Sign in, or let an administrator help.")
            if connection.execute('SELECT 1 FROM account WHERE "user" = ?', (user,)).fetchone():
                raise Conflict(
                    f"There is an account {user} already.", mend="Choose another name; a name is never given twice."
                )
            if count >= self._max_accounts:
                raise Refused(f"There are {count} accounts.", mend="Raise accounts.max_accounts.")
            connection.execute(_INSERT, (user, name, role.value, language, now_ms, now_ms, by, now_ms, password))
        self._tell(user)
        return self.get(user)

    def set_role(self, user: str, role: Role, *, by: str) -> Account:
        """Another role; his sessions end. The same role is no change. Raises NotFound, Conflict (the last administrator)."""

        def change(connection: Connection, known: Account) -> bool:
            if known.role is role:
                return False
            self._keep_an_admin(connection, known)
            connection.execute('UPDATE account SET role = ? WHERE "user" = ?', (role.value, user))
            return True

        return self._change(user, by, change)

    def set_enabled(self, user: str, *, on: bool, by: str) -> Account:
        """Let him sign in, or not: then his sessions end. Enabling forgets wrong passwords. Raises as `set_role`."""

        def change(connection: Connection, known: Account) -> bool:
            if on:
                connection.execute('UPDATE account SET failures = 0, locked_until_ms = 0 WHERE "user" = ?', (user,))
            else:
                self._keep_an_admin(connection, known)
            connection.execute('UPDATE account SET enabled = ? WHERE "user" = ?', (int(on), user))
            return known.enabled != on

        return self._change(user, by, change)

    def set_password(self, user: str, password: str, *, by: str, keep: bytes = b"") -> Account:
        """Another hash; his sessions end, but for the one of the digest `keep`. Raises NotFound."""

        def change(connection: Connection, _known: Account) -> bool:
            connection.execute(
                'UPDATE account SET password = ?, password_ms = ?, failures = 0, locked_until_ms = 0 WHERE "user" = ?',
                (password, self._clock.now_ms(), user),
            )
            return True

        return self._change(user, by, change, keep=keep)

    def renew_hash(self, user: str, before: str, after: str) -> None:
        """The same password hashed at other costs; nothing when it was changed meanwhile."""
        with self._file.writing() as connection:
            connection.execute(
                'UPDATE account SET password = ? WHERE "user" = ? AND password = ?', (after, user, before)
            )

    def note_failure(self, user: str, rule: LockRule) -> Account:
        """A wrong password; the account with its new wait. Raises NotFound."""
        now_ms = self._clock.now_ms()
        with self._file.writing() as connection:
            row = connection.execute('SELECT failures, failed_ms FROM account WHERE "user" = ?', (user,)).fetchone()
            if row is None:
                raise no_such_account(user)
            quiet = now_ms - row[1] > rule.forget_s * 1_000
            failures = 1 if quiet else row[0] + 1
            connection.execute(
                'UPDATE account SET failures = ?, failed_ms = ?, locked_until_ms = ? WHERE "user" = ?',
                (failures, now_ms, now_ms + rule.wait_ms(failures), user),
            )
        return self.get(user)

    # -- sessions -----------------------------------------------------------------------------

    def begin_session(self, user: str, digest: bytes, ends_ms: int, *, password: str) -> None:
        """A session of one who gave the right password; `password` is the hash it was held against.

        Raises Refused when the account was disabled or its password changed meanwhile.
        """
        now_ms = self._clock.now_ms()
        with self._file.writing() as connection:
            done = connection.execute(
                "UPDATE account SET failures = 0, locked_until_ms = 0, signed_in_ms = ?"
                ' WHERE "user" = ? AND enabled = 1 AND password = ?',
                (now_ms, user, password),
            )
            if done.rowcount != 1:
                raise Refused("The account was changed meanwhile.", mend="Sign in again.")
            connection.execute("DELETE FROM session WHERE ends_ms <= ?", (now_ms,))
            connection.execute(
                'DELETE FROM session WHERE "user" = ? AND digest NOT IN (SELECT digest FROM session WHERE "user" = ?'
                " ORDER BY begun_ms DESC, digest LIMIT ?)",
                (user, user, self._max_sessions_per_user - 1),
            )
            connection.execute("INSERT INTO session VALUES (?, ?, ?, ?, ?)", (digest, user, now_ms, now_ms, ends_ms))
        self._tell(user)

    def session(self, digest: bytes) -> Session | None:
        """The session of that digest, None when there is none (any more)."""
        found = self._file.rows(_FOUND, (digest,))
        if not found:
            return None
        begun_ms, seen_ms, ends_ms, *account = found[0]
        return Session(begun_ms, seen_ms, ends_ms, _account(tuple(account)))

    def touch_session(self, digest: bytes) -> None:
        """It was used now."""
        with self._file.writing() as connection:
            connection.execute("UPDATE session SET seen_ms = ? WHERE digest = ?", (self._clock.now_ms(), digest))

    def end_session(self, digest: bytes) -> str:
        """End it; whose it was, "" for none."""
        with self._file.writing() as connection:
            row = connection.execute('DELETE FROM session WHERE digest = ? RETURNING "user"', (digest,)).fetchone()
        if row is None:
            return ""
        self._tell(row[0])
        return str(row[0])

    def sessions_of(self, user: str) -> int:
        """How many sessions he has that have not ended by their time."""
        found = self._file.rows(
            'SELECT count(*) FROM session WHERE "user" = ? AND ends_ms > ?', (user, self._clock.now_ms())
        )
        return int(found[0][0]) if found else 0

    # -- those who want to know ---------------------------------------------------------------

    def on_change(self, tell: Callable[[str], None]) -> Callable[[], None]:
        """Have `tell` called with the user's name after each change of an account or its sessions; ends with the answer."""
        with self._telling:
            self._given += 1
            number = self._given
            self._listeners[number] = tell

        def end() -> None:
            with self._telling:
                self._listeners.pop(number, None)

        return end

    def check(self) -> builtins.list[Problem]:
        """What SQLite finds wrong in the file."""
        return self._file.check()

    def close(self) -> None:
        """Release the file; twice is once."""
        self._file.close()

    def _tell(self, user: str) -> None:
        with self._telling:
            listeners = [*self._listeners.values()]
        for tell in listeners:
            try:
                tell(user)
            except Exception:
                _log.exception("not told of a change of accounts")

    def _change(
        self, user: str, by: str, change: Callable[[Connection, Account], bool], *, keep: bytes = b""
    ) -> Account:
        now_ms = self._clock.now_ms()
        with self._file.writing() as connection:
            row = connection.execute(f'{_SELECT} WHERE "user" = ?', (user,)).fetchone()
            if row is None:
                raise no_such_account(user)
            if change(connection, _account(row)):
                connection.execute(
                    'UPDATE account SET version = version + 1, changed_ms = ?, changed_by = ? WHERE "user" = ?',
                    (now_ms, by, user),
                )
                connection.execute('DELETE FROM session WHERE "user" = ? AND digest <> ?', (user, keep))
        self._tell(user)
        return self.get(user)

    @staticmethod
    def _keep_an_admin(connection: Connection, known: Account) -> None:
        if known.role is not Role.ADMIN or not known.enabled:
            return
        others = connection.execute(
            "SELECT count(*) FROM account WHERE role = 'admin' AND enabled = 1 AND \"user\" <> ?", (known.user,)
        ).fetchone()[0]
        if not others:
            raise Conflict(
                f"{known.user} is the last administrator.", mend="Make another one first; nobody could help him back."
            )


def no_such_account(user: str) -> NotFound:
    """For a name that nobody has."""
    return NotFound(f"There is no account {user[:64]!r}.", mend="`lucheng account list` shows which there are.")


def _account(row: tuple[Any, ...]) -> Account:
    user, name, role, language, enabled, *numbers = row
    return Account(user, name, Role(role), language, bool(enabled), *numbers)
