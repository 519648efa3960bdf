"""mosquitto's password and ACL files, read by amqtt: so that one registry serves both brokers.

Understands `$7$` hashes (PBKDF2-SHA512), and of the ACL file `user`, `topic` and `pattern` lines
with `read`, `write`, `readwrite` and `deny`, `%u` and `%c`. A wildcard subscription is let in only
when one rule covers all of it. SIGHUP reads both files again; a file that cannot be read then
leaves the old rules. It is a plug-in of amqtt and knows nothing else of lucheng.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import logging
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amqtt.contexts import Action
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin

_LOG = logging.getLogger("lucheng.amqtt")
#: Rounds beyond this would let one line of the file stop the broker.
MAX_ITERATIONS = 1_000_000


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the ACL file: who ("" for everybody, by pattern), what and where."""

    user: str | None
    access: str
    topic: str


def password_fits(password: str, stored: str) -> bool:
    """Whether `password` has the hash `$7$iterations$salt$hash` (base64); False for any other form."""
    parts = stored.split("$")
    if len(parts) != 5 or parts[:2] != ["", "7"] or not parts[2].isdecimal():
        return False
    rounds = int(parts[2])
    if not 1 <= rounds <= MAX_ITERATIONS:
        return False
    try:
        salt, want = base64.b64decode(parts[3], validate=True), base64.b64decode(parts[4], validate=True)
    except ValueError:
        return False
    # compare_digest is False for a hash cut short: only whole ones count.
    return hmac.compare_digest(hashlib.pbkdf2_hmac("sha512", password.encode(), salt, rounds), want)


def read_passwords(lines: Iterable[str]) -> dict[str, str]:
    """User name to hash."""
    pairs = (line.strip().rpartition(":") for line in lines)
    return {user: stored for user, colon, stored in pairs if colon}


def read_rules(lines: Iterable[str]) -> list[Rule]:
    """The rules of an ACL file, in order; a line of unknown form is left out, which denies."""
    rules: list[Rule] = []
    user: str | None = ""
    for line in lines:
        word, _, rest = line.strip().partition(" ")
        rest = rest.strip()
        if word == "user":
            user = rest
        elif word in {"topic", "pattern"} and rest:
            access, _, topic = rest.partition(" ")
            if access not in {"read", "write", "readwrite", "deny"}:
                access, topic = "readwrite", rest
            rules.append(Rule(None if word == "pattern" else user, access, topic.strip()))
    return rules


def covers(rule: str, topic: str) -> bool:
    """Whether the filter `rule` covers everything `topic`, a name or a filter, can match."""
    if topic.startswith("$") != rule.startswith("$"):
        return False
    wanted, allowed = topic.split("/"), rule.split("/")
    for place, level in enumerate(allowed):
        if level == "#":
            return True
        if place >= len(wanted) or wanted[place] == "#":
            return False
        if level != "+" and level != wanted[place]:
            return False
    return len(allowed) == len(wanted)


def allowed(rules: Iterable[Rule], user: str, client: str, topic: str, *, write: bool) -> bool:
    """What mosquitto would say: a fitting deny wins, else one fitting rule is enough."""
    if any(letter in user + client for letter in "+#"):
        return False
    fits = False
    for rule in rules:
        if rule.user is not None and rule.user != user:
            continue
        where = rule.topic
        if rule.user is None:
            where = where.replace("%c", client).replace("%u", user)
        if not covers(where, topic):
            continue
        if rule.access == "deny":
            return False
        fits = fits or rule.access in {"readwrite", "write" if write else "read"}
    return fits


class FileRules(BaseAuthPlugin, BaseTopicPlugin):  # type: ignore[misc]  # amqtt has no types
    """Lets clients in by the password file and lets them speak by the ACL file."""

    @dataclass
    class Config:
        """Paths of both files; "" for none. Without a password file everybody is let in when `anonymous`."""

        password_file: str = ""
        acl_file: str = ""
        anonymous: bool = False

    def __init__(self, context: Any) -> None:
        super().__init__(context)
        self._passwords: dict[str, str] = {}
        self._rules: list[Rule] = []
        self._read()
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._read_again)

    def _read(self) -> None:
        if self.config.password_file:
            text = Path(self.config.password_file).read_text(encoding="utf-8")
            self._passwords = read_passwords(text.splitlines())
        if self.config.acl_file:
            self._rules = read_rules(Path(self.config.acl_file).read_text(encoding="utf-8").splitlines())

    def _read_again(self) -> None:
        try:
            self._read()
        except (OSError, UnicodeDecodeError):
            _LOG.exception("the password or ACL file cannot be read; the old rules stay")

    async def authenticate(self, *, session: Any) -> bool:
        user, password = session.username, session.password
        if not user:
            return bool(self.config.anonymous)
        stored = self._passwords.get(user)
        if stored is None:
            return bool(self.config.anonymous and not self.config.password_file)
        return password_fits(password or "", stored)

    async def topic_filtering(self, *, session: Any = None, topic: str | None = None, action: Any = None) -> bool:
        if not self.config.acl_file:
            return True
        if session is None or topic is None:
            return False
        write = action == Action.PUBLISH
        return allowed(self._rules, session.username or "", session.client_id or "", topic, write=write)
