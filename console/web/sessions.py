"""Signing in, and who somebody is afterwards.

Invariants: a session is a random token that the browser keeps in a cookie and the file knows by its hash; it ends by its time,
for want of use, with a change of role or password, and when its account is closed, at once and for streams too
(`Visit.may` is asked anew each time, `on_change` tells). A password is looked at under the account's back-off alone: while
that runs, the right one fits no more than a wrong one. Every sign-in and every refusal of a known account is audited; a
name that nobody has is never written down, for people type passwords there.
"""

from __future__ import annotations

import math
import secrets
import threading
import unicodedata
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from console.alarm_rows import moment
from console.device_operations import Caller
from console.roles import WEB
from console.web.permissions import may
from console.web.problems import WebProblem
from model.account import (
    MAX_PASSWORD_CHARS,
    MAX_USER_CHARS,
    Account,
    LockRule,
    check_apart,
    check_password,
    check_user,
)
from model.clock import Clock
from model.errors import LuchengError, Refused, UsageError
from model.role import Role
from model.seams import Audit
from store.accounts.passwords import Passwords
from store.accounts.store import AccountStore, Session, digest_of

TOKEN_BYTES = 32
MAX_TOKEN_CHARS = 128
#: A session's last use is written no more often than this.
SEEN_EVERY_MS = 60_000
#: Addresses whose wrong names and tokens are remembered.
MAX_SOURCES = 10_000
#: Wrong names or set-up tokens of one address; a desk's proxy is one address for all its people.
SOURCE_RULE = LockRule(free_failures=50, first_s=1.0, longest_s=60.0, forget_s=600.0)


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """How long sessions hold, and doors stay shut.

    Attributes:
        session_s: from its beginning; idle_s: from its last use.
        lock: for wrong passwords of one account.
        min_password_chars: of a new password.
    """

    session_s: int = 12 * 3_600
    idle_s: int = 3_600
    lock: LockRule = field(default_factory=LockRule)
    min_password_chars: int = 12


class Visit:
    """Who asks, with a session; implements `console.web.watching.Visitor`. Any thread."""

    def __init__(self, sessions: Sessions, digest: bytes, account: Account) -> None:
        self.digest = digest
        self.user = account.user
        self.role = account.role
        self.language = account.language
        self.caller = Caller(account.user, account.role.value, WEB)
        self._sessions = sessions

    def may(self, route: str) -> bool:
        """Whether he still may, asked anew: the session stands, and the role he has now has the route."""
        found = self._sessions.standing(self.digest)
        return found is not None and found.account.role is self.role and may(self.role, route)

    def caller_now(self) -> Caller:
        """His name and role as they are now. Raises WebProblem (401): the session is over."""
        found = self._sessions.standing(self.digest)
        if found is None or found.account.role is not self.role:
            raise WebProblem("not_signed_in")
        return self.caller


class Sessions:
    """The sessions over a file of accounts. Any thread.

    Args:
        store, passwords: of accounts.
        audit: where signing in is written down.
        clock: source of time.
        limits: see there.
        other_role: the role that the settings give an operating-system user of a name, None for nobody in particular.
    """

    def __init__(
        self,
        store: AccountStore,
        passwords: Callable[[], Passwords],
        *,
        audit: Audit,
        clock: Clock,
        limits: SessionLimits | None = None,
        other_role: Callable[[str], Role | None] = lambda _user: None,
    ) -> None:
        self._store = store
        self._passwords = passwords
        self._audit = audit
        self._clock = clock
        self.limits = limits or SessionLimits()
        self._other_role = other_role
        self._lock = threading.Lock()
        #: Wrong names and tokens by address: (how many, when the last, until when nothing is looked at), UTC ms.
        self._sources: OrderedDict[str, tuple[int, int, int]] = OrderedDict()
        #: One setting-up at a time.
        self._setting_up = threading.Lock()

    # -- who somebody is ----------------------------------------------------------------------

    def standing(self, digest: bytes) -> Session | None:
        """The session of that digest if it holds now; its use is noted."""
        found = self._store.session(digest)
        now_ms = self._clock.now_ms()
        if found is None or not found.account.enabled or now_ms >= found.ends_ms:
            return None
        if now_ms - found.seen_ms >= self.limits.idle_s * 1_000:
            return None
        if now_ms - found.seen_ms >= SEEN_EVERY_MS:
            self._store.touch_session(digest)
        return found

    def visit(self, token: str) -> Visit | None:
        """Who holds the token, None for nobody."""
        if not 0 < len(token) <= MAX_TOKEN_CHARS:
            return None
        digest = digest_of(token)
        found = self.standing(digest)
        return None if found is None else Visit(self, digest, found.account)

    def told(self, visit: Visit) -> dict[str, Any]:
        """What a page is told of its session."""
        found = self.standing(visit.digest)
        if found is None:
            raise WebProblem("not_signed_in")
        account = found.account
        return {
            "user": account.user,
            "role": account.role.value,
            "language": account.language,
            "name": account.name,
            "until": moment(found.ends_ms),
        }

    # -- coming and going ---------------------------------------------------------------------

    def sign_in(self, user: str, password: str, source: str) -> str:
        """The token of a new session. Raises WebProblem (401, 429), TryAgain, AuditUnwritable.

        `source` is the address he comes from.
        """
        self._check_source(source)
        account = self._known(user)
        if account is None:
            self._fits("", password)
            self._note_source(source)
            raise WebProblem("wrong_password")
        left_ms = self.limits.lock.left_ms(account.locked_until_ms, self._clock.now_ms())
        if left_ms:
            raise _locked(left_ms)
        kept = self._store.password_of(account.user)
        fits = self._fits(kept, password)
        if not fits or not account.enabled:
            self._failed(account, source, counted=not fits)
            raise WebProblem("wrong_password")
        other = self._other_role(account.user)
        try:
            check_apart(account.role, other, account.user)
        except Refused as error:
            self._note(account, "session.refused", source, why=error.message)
            raise
        if self._passwords().outdated(kept):
            renewed = self._passwords().hash(password)
            self._store.renew_hash(account.user, kept, renewed)
            kept = renewed
        self._note(account, "session.begin", source)
        token = secrets.token_urlsafe(TOKEN_BYTES)
        ends_ms = self._clock.now_ms() + self.limits.session_s * 1_000
        self._store.begin_session(account.user, digest_of(token), ends_ms, password=kept)
        return token

    def sign_out(self, token: str) -> None:
        """End the session of a token, if there is one."""
        visit = self.visit(token)
        if visit is not None:
            self._audit.append(visit.user, visit.role.value, "session.end", visit.user, "", {"via": WEB})
            self._store.end_session(visit.digest)

    def change_password(self, visit: Visit, old: str, new: str) -> None:
        """His own password; his other sessions end. Raises WebProblem (the old one is wrong), UsageError (the new one)."""
        account = self._store.get(visit.user)
        left_ms = self.limits.lock.left_ms(account.locked_until_ms, self._clock.now_ms())
        if left_ms:
            raise _locked(left_ms)
        checked = check_password(new, visit.user, min_chars=self.limits.min_password_chars)
        if not self._fits(self._store.password_of(visit.user), old):
            self._failed(account, "", counted=True)
            raise WebProblem("wrong_password")
        self._note(account, "account.password", "")
        self._store.set_password(visit.user, self._passwords().hash(checked), by=visit.user, keep=visit.digest)

    # -- the first one ------------------------------------------------------------------------

    def setup_needed(self) -> bool:
        """Whether there is no account yet."""
        return self._store.count() == 0

    def set_up(self, user: str, password: str, *, token: str, right_token: str, source: str) -> Account:
        """Make the first administrator. Raises WebProblem (the token is wrong, it is done), UsageError."""
        with self._setting_up:
            if not self.setup_needed():
                raise WebProblem("setup_done")
            self._check_source(source)
            given, right = digest_of(token), digest_of(right_token)
            if not right_token or not secrets.compare_digest(given, right):
                self._note_source(source)
                raise WebProblem("wrong_token")
            check_user(user)
            check_apart(Role.ADMIN, self._other_role(user), user)
            checked = check_password(password, user, min_chars=self.limits.min_password_chars)
            hashed = self._passwords().hash(checked)
            self._audit.append(user, Role.ADMIN.value, "account.setup", user, "", {"via": WEB, "from": source})
            return self._store.add(user, Role.ADMIN, hashed, by=user, first=True)

    # -- what they share ----------------------------------------------------------------------

    def on_change(self, tell: Callable[[str], None]) -> Callable[[], None]:
        """See `AccountStore.on_change`: told the user's name as soon as anything of his may have changed."""
        return self._store.on_change(tell)

    def _known(self, user: str) -> Account | None:
        name = user.strip().lower()
        if len(name) > MAX_USER_CHARS:
            return None
        try:
            return self._store.get(check_user(name))
        except UsageError:
            return None
        except LuchengError as error:
            if error.code == "not_found":
                return None
            raise

    def _fits(self, kept: str, password: str) -> bool:
        if len(password) > MAX_PASSWORD_CHARS:
            password = ""
        return self._passwords().fits(kept, unicodedata.normalize("NFC", password))

    def _failed(self, account: Account, source: str, *, counted: bool) -> None:
        self._note(account, "session.refused", source, enabled=account.enabled)
        if not counted:
            return
        after = self._store.note_failure(account.user, self.limits.lock)
        left_ms = self.limits.lock.left_ms(after.locked_until_ms, self._clock.now_ms())
        if left_ms:
            self._note(after, "account.locked", source, failures=after.failures, wait_s=-(-left_ms // 1_000))

    def _note(self, account: Account, action: str, source: str, **detail: Any) -> None:
        self._audit.append(
            account.user, account.role.value, action, account.user, "", {"via": WEB, "from": source, **detail}
        )

    def _check_source(self, source: str) -> None:
        with self._lock:
            _, _, until_ms = self._sources.get(source, (0, 0, 0))
        left_ms = SOURCE_RULE.left_ms(until_ms, self._clock.now_ms())
        if left_ms:
            raise _locked(left_ms)

    def _note_source(self, source: str) -> None:
        """A wrong name or token from there; while many come, nothing of that address is looked at for a while."""
        now_ms = self._clock.now_ms()
        with self._lock:
            failures, last_ms, _ = self._sources.pop(source, (0, 0, 0))
            failures = 1 if now_ms - last_ms > SOURCE_RULE.forget_s * 1_000 else failures + 1
            self._sources[source] = failures, now_ms, now_ms + SOURCE_RULE.wait_ms(failures)
            while len(self._sources) > MAX_SOURCES:
                self._sources.popitem(last=False)


def _locked(left_ms: int) -> WebProblem:
    wait_s = math.ceil(left_ms / 1_000)
    return WebProblem("locked", f"Wait {wait_s} s.", headers={"retry-after": str(wait_s)})
