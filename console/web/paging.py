"""How each list goes on: the cursor of its next page.

Invariants: a cursor is a text that the reader gives back as it is; one of another list is refused; a page that is full has a next
one, which may be empty. What a cursor holds is a value of the last row, so rows that come or go between two pages move nothing.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from model.errors import UsageError

MAX_CURSOR_CHARS = 400


@dataclass(frozen=True, slots=True)
class Paged:
    """One list.

    Attributes:
        parameter: the operation's, that names where it goes on.
        kind: of its value.
        value: of a row, for that parameter.
        whole: arguments with which the list is given at once, because its rows stand for several.
    """

    parameter: str
    kind: type[int | str]
    value: Callable[[dict[str, Any]], int | str]
    whole: Callable[[dict[str, Any]], bool] = lambda _arguments: False


def _of(key: str) -> Callable[[dict[str, Any]], Any]:
    return lambda row: row[key]


def _alarm_place(row: dict[str, Any]) -> str:
    """Where an alarm stands in its list; see `AlarmOperations.alarm_list`."""
    received_ms = round(datetime.fromisoformat(row["received"]).timestamp() * 1_000)
    return f"{row['severity']}:{received_ms}:{row['alarm']}"


def _folded(arguments: dict[str, Any]) -> bool:
    return bool(arguments.get("folded", True)) and not arguments.get("all", False)


PAGED: dict[str, Paged] = {
    "alarm_list": Paged("after", str, _alarm_place, _folded),
    "device_list": Paged("after", int, _of("slot")),
    "camera_list": Paged("after", int, _of("slot")),
    "terminal_list": Paged("after", int, _of("slot")),
    "site_list": Paged("after", str, _of("site")),
    "fence_list": Paged("after", str, _of("fence")),
    "account_list": Paged("after", str, _of("user")),
    "quarantine_list": Paged("before", int, _of("number")),
    "signal_list": Paged("before", int, _of("number")),
    "terminal_reports": Paged("before", int, _of("number")),
    "audit_list": Paged("before", int, _of("number")),
    "command_list": Paged("before", str, _of("command")),
    "approval_list": Paged("before", str, _of("approval")),
    "installation_list": Paged("before", str, _of("installation")),
    "device_history": Paged("before", int, _of("number")),
    "evidence_list": Paged("before", str, _of("evidence")),
}


def read_cursor(route: str, cursor: str) -> int | str:
    """The value in a cursor of that list. Raises UsageError."""
    try:
        name, value = msgspec.json.decode(base64.urlsafe_b64decode(cursor.encode("ascii") + b"=="))
    except (ValueError, TypeError, binascii.Error, msgspec.DecodeError) as error:
        raise _no_cursor() from error
    if name != route or type(value) is not PAGED[route].kind or (isinstance(value, int) and abs(value) >= 1 << 63):
        raise _no_cursor()
    given: int | str = value
    return given


def page(route: str, rows: list[dict[str, Any]], arguments: dict[str, Any]) -> dict[str, Any]:
    """The answer of a list that was asked with `arguments`."""
    paged = PAGED.get(route)
    following = None
    if paged is not None and rows and len(rows) >= arguments.get("limit", len(rows) + 1) and not paged.whole(arguments):
        told = msgspec.json.encode([route, paged.value(rows[-1])])
        following = base64.urlsafe_b64encode(told).rstrip(b"=").decode("ascii")
    return {"items": rows, "next": following}


def _no_cursor() -> UsageError:
    return UsageError("That is no cursor of this list.", mend="Give `next` of the page before, as it was.")
