"""Operations on accounts. Part of `console.operations`.

Invariants: every change is audited before it is made, and so is its refusal; no password is in an audit row, an error or an
answer; a change of role, password or of who may sign in ends the sessions it concerns; nobody is officer and
approver, by his account and the settings together either; nobody changes his own role, and there is always an
administrator. Who may ask is decided before: the table of permissions for who comes by web, the socket's mode for the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from console.alarm_rows import moment
from console.device_operations import DEFAULT_LIST_ROWS, Caller, DeviceOperations
from console.kept_rows import check_limit
from console.roles import WEB
from model.account import Account, check_apart, check_language, check_name, check_password, check_user
from model.errors import Conflict, NotFound, Refused, TryAgain, UsageError
from model.role import Role

if TYPE_CHECKING:
    from store.accounts.passwords import Passwords
    from store.accounts.store import AccountStore

_WHY_CHARS = 200


def account_row(account: Account, *, sessions: int, locked_ms: int = 0) -> dict[str, Any]:
    """An account as JSON-ready values; nothing of its password but when it was set."""
    return {
        "user": account.user,
        "name": account.name,
        "role": account.role.value,
        "language": account.language,
        "enabled": account.enabled,
        "version": account.version,
        "made": moment(account.made_ms),
        "changed": moment(account.changed_ms),
        "changed_by": account.changed_by,
        "password_changed": moment(account.password_ms),
        "signed_in": moment(account.signed_in_ms),
        "failures": account.failures,
        "locked_s": -(-locked_ms // 1_000),
        "sessions": sessions,
    }


def role_named(text: str) -> Role:
    """The role of that name, else UsageError."""
    if text not in set(Role):
        raise UsageError(f"{text[:40]!r} is no role.", mend="Use one of " + ", ".join(Role) + ".")
    return Role(text)


class AccountOperations(DeviceOperations):
    """What can be asked of accounts; see `console.operations.Operations` for the arguments."""

    _accounts: AccountStore | None
    _passwords: Callable[[], Passwords] | None

    def account_list(self, caller: Caller, after: str = "", limit: int = DEFAULT_LIST_ROWS) -> list[dict[str, Any]]:
        """Accounts in order of their names, one page; the next page is `after` the last one's user."""
        del caller  # names and roles alone: not audited
        check_limit(limit)
        store = self._account_store()
        return [self._account_row(one) for one in store.list(after=after, limit=limit)]

    def account_add(
        self, caller: Caller, user: str, role: str, password: str, name: str = "", language: str = ""
    ) -> dict[str, Any]:
        """Make an account. Raises UsageError, Conflict (the name is taken), Refused (officer and approver)."""
        given = check_user(user)
        wanted = role_named(role)
        self._note(caller, "account.add", given, role=wanted.value)
        with self._account_refusals(caller, given, "add"):
            self._check_role(given, wanted)
            checked = check_password(password, given, min_chars=self._settings.accounts.min_password_chars)
            name, language = check_name(name), check_language(language)
            made = self._account_store().add(
                given, wanted, self._hashed(checked), by=caller.who, name=name, language=language
            )
        return self._account_row(made)

    def account_role(self, caller: Caller, user: str, role: str) -> dict[str, Any]:
        """Give an account another role; its sessions end. Raises NotFound, Conflict (the last administrator), Refused."""
        wanted = role_named(role)
        self._note(caller, "account.role", check_user(user), role=wanted.value)
        with self._account_refusals(caller, user, "role"):
            if caller.via == WEB and caller.who == user:
                raise Refused("Nobody changes his own role.", mend="Let another administrator do it.")
            self._check_role(user, wanted)
            changed = self._account_store().set_role(user, wanted, by=caller.who)
        return self._account_row(changed)

    def account_password(self, caller: Caller, user: str, password: str) -> dict[str, Any]:
        """Set the password of somebody who lost it; his sessions end. Raises NotFound, UsageError."""
        self._note(caller, "account.password", check_user(user))
        with self._account_refusals(caller, user, "password"):
            store = self._account_store()
            store.get(user)
            checked = check_password(password, user, min_chars=self._settings.accounts.min_password_chars)
            changed = store.set_password(user, self._hashed(checked), by=caller.who)
        return self._account_row(changed)

    def account_disable(self, caller: Caller, user: str) -> dict[str, Any]:
        """Let somebody sign in no more; his sessions end. Raises NotFound, Conflict (the last administrator)."""
        return self._switch_account(caller, user, on=False)

    def account_enable(self, caller: Caller, user: str) -> dict[str, Any]:
        """Let him sign in again, and forget his wrong passwords. Raises NotFound."""
        return self._switch_account(caller, user, on=True)

    def _switch_account(self, caller: Caller, user: str, *, on: bool) -> dict[str, Any]:
        action = "enable" if on else "disable"
        self._note(caller, f"account.{action}", check_user(user))
        with self._account_refusals(caller, user, action):
            return self._account_row(self._account_store().set_enabled(user, on=on, by=caller.who))

    def _check_role(self, user: str, role: Role) -> None:
        known = self._settings.operators.users.get(user)
        check_apart(role, None if known is None else Role(known), user)

    def _account_row(self, account: Account) -> dict[str, Any]:
        store = self._account_store()
        locked_ms = max(0, account.locked_until_ms - store.now_ms())
        return account_row(account, sessions=store.sessions_of(account.user), locked_ms=locked_ms)

    def _account_store(self) -> AccountStore:
        if self._accounts is None:
            raise TryAgain("There are no accounts here.", mend="Start the service once: `lucheng run`.")
        return self._accounts

    def _hashed(self, password: str) -> str:
        if self._passwords is None:
            raise TryAgain("Nothing here makes hashes of passwords.", mend="Start the service: `lucheng run`.")
        return self._passwords().hash(password)

    @contextmanager
    def _account_refusals(self, caller: Caller, user: str, tried: str) -> Iterator[None]:
        """Audit what is refused inside, and let it go on."""
        try:
            yield
        except (Refused, NotFound, Conflict) as error:
            self._note(caller, "account.refused", user, tried=tried, why=error.message[:_WHY_CHARS])
            raise
