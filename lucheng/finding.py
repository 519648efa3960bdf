"""`Finding`: one thing that `lucheng doctor` looked at, how it stands, and what mends it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from model.codes import Word

_LANGUAGES = ("LC_ALL", "LC_MESSAGES", "LANG")


class State(StrEnum):
    """How it stands: `missing` keeps the service from running, `warn` does not."""

    OK = "ok"
    WARN = "warn"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at.

    Attributes:
        check: its name.
        state: how it stands.
        found: what was found.
        mend: the command or the setting that mends it; "" when nothing has to be mended.
    """

    check: str
    state: State
    found: Word
    mend: str = ""

    @property
    def failed(self) -> bool:
        """Whether the service cannot run like this."""
        return self.state == State.MISSING

    def as_json(self, env: Mapping[str, str] | None = None) -> dict[str, str]:
        """For the screen or a program, in the language of the locale."""
        env = os.environ if env is None else env
        chosen = next((env[name] for name in _LANGUAGES if env.get(name)), "")
        found = self.found.zh if chosen.lower().startswith("zh") else self.found.en
        return {"check": self.check, "state": self.state.value, "found": found, "mend": self.mend}
