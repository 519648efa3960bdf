"""The error tree. Every error says what went wrong and what to do next.

    LuchengError                 anything lucheng raises on purpose
    ├── UsageError        (2)    the call or its arguments are wrong
    │   └── SettingsError (2)    a setting is unknown, mistyped or missing
    ├── BadInput          (1)    a file, row or payload is not what it says
    ├── NotFound          (1)    no such device, quarantine entry, …
    ├── Conflict          (1)    it exists already, or somebody else was first
    ├── Refused           (1)    the grant does not cover it, or policy forbids it
    │   └── ApprovalNeeded (1)   it waits for a second person
    ├── TryAgain          (75)   busy or not there now; the same call may succeed later
    │   └── WriterLocked  (75)   another process holds the data folder
    └── StoreError        (1)    the store cannot go on
        ├── Corrupt       (1)    a checksum does not hold
        ├── Fenced        (1)    somebody newer holds it
        ├── SchemaTooNew  (1)    the data was written by a newer lucheng
        └── AuditUnwritable (1)  no audit row, so no data

The number is the command's exit status.
"""

from __future__ import annotations

from typing import ClassVar


class LuchengError(Exception):
    """Base of every error raised on purpose.

    Args:
        message: what is wrong, in one sentence.
        mend: what to do next, in one sentence; shown after the message.
    """

    code: ClassVar[str] = "error"
    exit_status: ClassVar[int] = 1
    http_status: ClassVar[int] = 500

    def __init__(self, message: str, *, mend: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.mend = mend

    def __str__(self) -> str:
        return f"{self.message} {self.mend}".strip()


class UsageError(LuchengError):
    """The call or its arguments are wrong."""

    code = "usage"
    exit_status = 2
    http_status = 422


class SettingsError(UsageError):
    """A setting is unknown, of the wrong type, out of range or missing."""

    code = "settings"


class BadInput(LuchengError):
    """A file, a row or a payload is not what it says it is."""

    code = "bad_input"
    http_status = 400


class NotFound(LuchengError):
    """There is no such thing."""

    code = "not_found"
    http_status = 404


class Conflict(LuchengError):
    """It exists already, or somebody else was first.

    `who` was first, "" where that is not known; `current` is the thing as it is now, as JSON values, None where nothing is.
    """

    code = "conflict"
    http_status = 409

    def __init__(self, message: str, *, mend: str = "", who: str = "", current: object = None) -> None:
        super().__init__(message, mend=mend)
        self.who = who
        self.current = current


class Refused(LuchengError):
    """The grant does not cover it, or policy forbids it."""

    code = "refused"
    http_status = 403


class ApprovalNeeded(Refused):
    """It needs a second person's approval, which is not there yet.

    `approval` is the id of the request that waits, "" where nobody has asked yet; over the socket it stands in the words alone.
    """

    code = "approval_needed"

    def __init__(self, message: str, *, mend: str = "", approval: str = "") -> None:
        super().__init__(message, mend=mend)
        self.approval = approval


class TryAgain(LuchengError):
    """Busy, or not there now; the same call may succeed later."""

    code = "try_again"
    exit_status = 75
    http_status = 503


class WriterLocked(TryAgain):
    """Another process holds the writer lock of the data folder."""

    code = "writer_locked"


class StoreError(LuchengError):
    """The store cannot go on."""

    code = "store"


class Corrupt(StoreError):
    """A checksum does not hold.

    `position` is the place in the log, 0 where there is none.
    """

    code = "corrupt"

    def __init__(self, message: str, *, mend: str = "", position: int = 0) -> None:
        super().__init__(message, mend=mend)
        self.position = position


class Fenced(StoreError):
    """A newer holder has taken what this one wrote to; nothing was written, and this one must let go and forget its state."""

    code = "fenced"


class SchemaTooNew(StoreError):
    """The data was written by a newer lucheng than this one."""

    code = "schema_too_new"


class AuditUnwritable(StoreError):
    """An audit row could not be written, so nothing was read or changed."""

    code = "audit_unwritable"
