"""Accounts of people: names, passwords' form, and how long a door stays shut after wrong ones. Pure.

Invariants: a name is lower-case ASCII, so that no two look alike; one account has one role; a wait doubles with each wrong
password beyond the free ones and has a longest. It knows no hash and no file.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from model.alarm import SYSTEM
from model.errors import Refused, UsageError
from model.role import Role

MAX_USER_CHARS = 64
MAX_NAME_CHARS = 80
MAX_PASSWORD_CHARS = 256
LANGUAGES = ("zh", "en", "")
#: The house's own names in the audit.
RESERVED = frozenset({SYSTEM, "lucheng", "metrics", "service", "root"})
_USER = re.compile(r"[a-z0-9_](?:[a-z0-9_.@\-]{0,62}[a-z0-9_])?", re.ASCII)
#: Of a password at least so many different characters.
_MIN_DIFFERENT = 5
#: Nobody is both.
_APART = frozenset({Role.OFFICER, Role.APPROVER})
#: A wait is no longer than this many doublings of the first.
_MAX_DOUBLINGS = 30


@dataclass(frozen=True, slots=True)
class Account:
    """A person who signs in.

    Attributes:
        user: the name that stands in the audit; permanent.
        name: what people call him, "" unknown. language: of his pages, `zh`, `en` or "" (the browser's).
        enabled: may sign in.
        version: grows with each change.
        made_ms, changed_ms, password_ms: UTC ms; changed_by: who changed it last.
        failures: wrong passwords in a row. locked_until_ms: no password is looked at before, 0 none.
        signed_in_ms: when he last signed in, 0 never.
    """

    user: str
    name: str
    role: Role
    language: str
    enabled: bool
    version: int
    made_ms: int
    changed_ms: int
    changed_by: str
    password_ms: int
    failures: int
    locked_until_ms: int
    signed_in_ms: int


@dataclass(frozen=True, slots=True)
class LockRule:
    """How long no password of an account is looked at after wrong ones.

    Attributes:
        free_failures: wrong ones in a row that cost nothing.
        first_s, longest_s: the first wait, and the longest; each further wrong one doubles it.
        forget_s: after so long without a wrong one all is forgotten.
    """

    free_failures: int = 5
    first_s: float = 2.0
    longest_s: float = 900.0
    forget_s: float = 86_400.0

    def wait_ms(self, failures: int) -> int:
        """How long to wait after so many wrong ones in a row."""
        over = failures - self.free_failures
        if over <= 0:
            return 0
        return round(1_000 * min(self.first_s * 2.0 ** min(over - 1, _MAX_DOUBLINGS), self.longest_s))

    def left_ms(self, locked_until_ms: int, now_ms: int) -> int:
        """What is left of a wait; a clock that was set back makes it no longer than the longest."""
        return min(max(0, locked_until_ms - now_ms), round(1_000 * self.longest_s))


def check_user(user: str) -> str:
    """`user` when it can name an account, else UsageError."""
    if not _USER.fullmatch(user) or user in RESERVED:
        raise UsageError(
            f"{user[:40]!r} cannot name an account.",
            mend=f"Use 1 to {MAX_USER_CHARS} of a-z 0-9 _ and inner . @ -; the desk's own names are taken.",
        )
    return user


def check_name(name: str) -> str:
    """`name` when people can be called so, else UsageError."""
    name = unicodedata.normalize("NFC", name).strip()
    if len(name) > MAX_NAME_CHARS or (name and not name.isprintable()):
        raise UsageError(f"A name has at most {MAX_NAME_CHARS} printable characters.", mend="Shorten it.")
    return name


def check_language(language: str) -> str:
    """`language` when there is one, else UsageError."""
    if language not in LANGUAGES:
        raise UsageError(f"{language[:20]!r} is no language of the pages.", mend="Use zh or en, or nothing.")
    return language


def check_password(password: str, user: str, *, min_chars: int) -> str:
    """`password` as it is hashed (NFC), else UsageError, which never repeats it. Source: NIST SP 800-63B-4, 3.1.1."""
    password = unicodedata.normalize("NFC", password)
    if not min_chars <= len(password) <= MAX_PASSWORD_CHARS:
        raise UsageError(
            f"A password has {min_chars} to {MAX_PASSWORD_CHARS} characters.",
            mend="A few words that nobody would guess.",
        )
    if user in password.lower() or len(set(password)) < _MIN_DIFFERENT:
        raise UsageError(
            "The password holds the user's name, or hardly any different characters.",
            mend="A few words that nobody would guess.",
        )
    return password


def check_apart(role: Role, other: Role | None, user: str) -> None:
    """Refused when a person would be officer and approver, by way of another role that he has elsewhere."""
    if other is not None and {role, other} == _APART:
        raise Refused(
            f"{user} is {other.value} already: nobody is both officer and approver.",
            mend="Give the other role to another person.",
        )
