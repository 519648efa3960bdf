"""`Grant`: who may read what, and why. The store's read functions take one and audit it first."""

from __future__ import annotations

from dataclasses import dataclass

from model.errors import Refused, UsageError

#: Why protected data may be opened (trust.md 1); `code` of a Purpose is one of these.
PURPOSE_CODES = ("alarm", "case", "patrol", "maintenance", "supervision", "test", "subject_request")

PURPOSE_NOTE_CHARS = 500


@dataclass(frozen=True, slots=True)
class Purpose:
    """Why data is opened: a code of `PURPOSE_CODES`, a case or alarm id, and a note."""

    code: str
    ref: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        if self.code not in PURPOSE_CODES:
            raise UsageError(f"{self.code[:40]!r} is no purpose.", mend="Use one of " + ", ".join(PURPOSE_CODES) + ".")
        if len(self.ref) + len(self.note) > PURPOSE_NOTE_CHARS:
            raise UsageError(f"The purpose is longer than {PURPOSE_NOTE_CHARS} characters.", mend="Shorten the note.")

    @classmethod
    def parse(cls, text: str) -> Purpose:
        """Read `code[:ref[:note]]`, as the command line and the settings write it."""
        code, _, rest = text.partition(":")
        ref, _, note = rest.partition(":")
        return cls(code.strip(), ref.strip(), note.strip())


@dataclass(frozen=True, slots=True)
class Grant:
    """Permission to read, checked and audited by the store before anything is returned.

    Attributes:
        who: user name (on the command line the operating system's user).
        role: role under which it is asked; `cli` on the command line.
        purpose: why.
        devices: device ids covered; None covers every device.
        from_ms, to_ms: window of fix time covered, half open.
    """

    who: str
    role: str
    purpose: Purpose
    devices: frozenset[str] | None
    from_ms: int
    to_ms: int

    def cover(self, devices: list[str] | None, from_ms: int, to_ms: int) -> None:
        """Raise Refused unless the grant covers these devices (None: all) in this window."""
        if from_ms < self.from_ms or to_ms > self.to_ms:
            raise Refused("The grant does not cover that time.", mend="Ask with the window you need.")
        if self.devices is None:
            return
        outside = ["every device"] if devices is None else sorted(set(devices) - self.devices)
        if outside:
            raise Refused(f"The grant does not cover {outside[0]}.", mend="Ask for the devices you need.")
