"""What was done to a device: registered, changed, swapped, retired, installed; by whom and when.

Invariants: an entry is written in the transaction of what it tells, and never changed; it holds what is registered of a device
(numbers, plate, site, cameras) but never who owns it, so whoever installs devices may read it. It is not the audit, which
also knows who looked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from devices.details import TEXT_FIELDS, DeviceDetails
from devices.rows import get_device
from devices.schema import Change, RegistryFile
from model.device import check_device_id
from model.errors import UsageError
from store.database import Connection

#: Entries of one page.
MAX_PAGE_ROWS = 1_000
DEFAULT_PAGE_ROWS = 100
#: Of owners and of places, which may be an owner's home, an entry tells that they were changed.
_HIDDEN = frozenset({"owner_ref", "lat", "lon"})


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that was done.

    Attributes:
        number: grows with every entry. device: its id. time_ms: our clock, UTC ms. who: user name.
        action: `add`, `change`, `enable`, `disable`, `import`, `swap`, `retire`, `install`, `installed`, `photo`.
        detail: what changed, as JSON values.
    """

    number: int
    device: str
    time_ms: int
    who: str
    action: str
    detail: Mapping[str, Any]


class History:
    """The histories in the registry's file; any thread may call anything."""

    def __init__(self, file: RegistryFile) -> None:
        self._file = file

    def note(self, change: Change, slot: int, who: str, action: str, **detail: Any) -> None:
        """Write an entry in the transaction of what it tells."""
        change.connection.execute(
            "INSERT INTO history (slot, time_ms, who, action, detail) VALUES (?, ?, ?, ?, ?)",
            (slot, self._file.clock.now_ms(), who, action, json.dumps(detail, ensure_ascii=False, sort_keys=True)),
        )

    def list(self, device: str, *, before: int = 0, limit: int = DEFAULT_PAGE_ROWS) -> list[Entry]:
        """What was done to the device, the newest first; `before` continues a page. Raises NotFound."""
        if not 1 <= limit <= MAX_PAGE_ROWS:
            raise UsageError(f"A page of {limit} rows.", mend=f"Ask for 1 to {MAX_PAGE_ROWS}.")
        with self._file.reading() as connection:
            slot = get_device(connection, check_device_id(device)).slot
            rows = connection.execute(
                "SELECT number, time_ms, who, action, detail FROM history WHERE slot = ? AND (? = 0 OR number < ?)"
                " ORDER BY number DESC LIMIT ?",
                (slot, before, before, limit),
            ).fetchall()
        return [
            Entry(number, device, time_ms, who, action, json.loads(detail))
            for number, time_ms, who, action, detail in rows
        ]

    def last_who(self, device: str) -> str:
        """Who changed the device last, "" where nobody is written down."""
        with self._file.reading() as connection:
            return last_who(connection, device)


def last_who(connection: Connection, device: str) -> str:
    """As `History.last_who`."""
    row = connection.execute(
        "SELECT h.who FROM history h JOIN device d ON d.slot = h.slot"
        " WHERE d.id = ? AND d.deleted = 0 AND h.action <> 'photo' ORDER BY h.number DESC LIMIT 1",
        (device,),
    ).fetchone()
    return str(row[0]) if row else ""


def differences(before: DeviceDetails, after: DeviceDetails) -> dict[str, Any]:
    """What changed, as `{field: [before, after]}`; of owners and places only that they did."""
    found: dict[str, Any] = {}
    for field in (*TEXT_FIELDS, "lat", "lon"):
        old, new = getattr(before, field), getattr(after, field)
        if old != new:
            found[field] = True if field in _HIDDEN else [old, new]
    return found
