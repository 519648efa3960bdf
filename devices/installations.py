"""Installations in the registry's file, and which devices' presses are tests right now.

Invariants: an installation is kept for ever with its device's slot; at most one of a device is not ended; what marks presses
is in memory, made from the file at the start and changed with it, so that the feed asks it for every event and never waits
for the file; it marks nothing that the file does not. It decides nothing about who may.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from devices.rows import get_device
from devices.schema import Change, RegistryFile
from model.device import check_device_id
from model.errors import NotFound, UsageError
from model.installation import ARMED_MS, CONFIRM_MS, Installation, Step, TestPress
from store.database import Connection

MAX_PAGE_ROWS = 1_000
DEFAULT_PAGE_ROWS = 100
#: Windows of tests that are remembered; beyond them the oldest ones go, and their presses are alarms like any other.
MAX_PRESSES = 10_000
#: A window is kept so long after its end, for rows of alarms that are shown again.
_KEPT_MS = 24 * 3_600_000

_COLUMNS = (
    "i.number, d.id, i.who, i.how, i.began_ms, i.opened_ms, i.renewals, i.ended_ms, i.note, i.lat, i.lon, i.acc_m, i.seen,"
    " i.skipped, i.armed_ms, i.alarm"
)
_FROM = "FROM installation i JOIN device d ON d.slot = i.slot"
_PREFIX = "I"


class Installations:
    """See the module; any thread may call anything."""

    def __init__(self, file: RegistryFile) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._presses: dict[str, TestPress] = {}
        now_ms = file.clock.now_ms()
        with file.reading() as connection:
            rows = connection.execute(
                f"SELECT d.id, i.who, i.armed_from_ms, i.armed_ms {_FROM} WHERE i.armed_ms > 0 AND i.armed_ms > ?"
                " ORDER BY i.number",
                (now_ms - _KEPT_MS,),
            ).fetchall()
        for device, who, from_ms, until_ms in rows:
            self._presses[device] = TestPress(device, who, from_ms, until_ms)

    # -- changes ------------------------------------------------------------------------------

    def begin(
        self,
        change: Change,
        device: str,
        who: str,
        how: str,
        *,
        place: tuple[float | None, float | None, float | None] = (None, None, None),
    ) -> Installation:
        """Begin one; whatever of the device was open is ended. `place`: (lat, lon, acc_m) of the installer's phone."""
        connection = change.connection
        slot, now_ms = get_device(connection, check_device_id(device)).slot, self._file.clock.now_ms()
        connection.execute(
            "UPDATE installation SET ended_ms = ?, armed_ms = CASE WHEN armed_ms < ? THEN armed_ms ELSE ? END"
            " WHERE slot = ? AND ended_ms = 0",
            (now_ms, now_ms, now_ms, slot),
        )
        self._forget(device)
        (number,) = connection.execute(
            "INSERT INTO installation (slot, who, how, began_ms, opened_ms, renewals, ended_ms, note, lat, lon, acc_m, seen,"
            " skipped, armed_from_ms, armed_ms, alarm) VALUES (?, ?, ?, ?, ?, 0, 0, '', ?, ?, ?, '{}', '[]', 0, 0, '') RETURNING number",
            (slot, who, how, now_ms, now_ms, *place),
        ).fetchone()
        return _get(connection, f"{_PREFIX}{number}")

    def renew(self, change: Change, installation: Installation) -> Installation:
        """Open its window again."""
        return self._set(change, installation, opened_ms=self._file.clock.now_ms(), renewals=installation.renewals + 1)

    def see(self, change: Change, installation: Installation, seen: dict[Step, int]) -> Installation:
        """Note steps that were seen; one that was seen before keeps its time."""
        merged = {step.value: at for step, at in (seen | dict(installation.seen_ms)).items()}
        return self._set(change, installation, seen=json.dumps(merged))

    def end(
        self, change: Change, installation: Installation, *, skipped: Sequence[Step] = (), note: str = ""
    ) -> Installation:
        """It is done; its presses are tests no longer."""
        now_ms = self._file.clock.now_ms()
        self._forget(installation.device)
        skipped_text = json.dumps([step.value for step in skipped])
        armed_ms = min(installation.armed_ms, now_ms)
        return self._set(change, installation, ended_ms=now_ms, note=note, skipped=skipped_text, armed_ms=armed_ms)

    def arm(self, change: Change, installation: Installation) -> Installation:
        """From now on, for `ARMED_MS`, presses of the device are tests."""
        now_ms = self._file.clock.now_ms()
        armed = self._set(change, installation, armed_from_ms=now_ms, armed_ms=now_ms + ARMED_MS)
        with self._lock:
            self._presses.pop(armed.device, None)
            while len(self._presses) >= MAX_PRESSES:
                del self._presses[next(iter(self._presses))]
            self._presses[armed.device] = TestPress(armed.device, armed.by, now_ms, now_ms + ARMED_MS)
        return armed

    def confirm(self, change: Change, installation: Installation, alarm: str) -> Installation:
        """The press was the installer's: its alarm is written down, and no later press is a test."""
        self._forget(installation.device)
        return self._set(
            change, installation, alarm=alarm, armed_ms=min(installation.armed_ms, self._file.clock.now_ms())
        )

    # -- looking ------------------------------------------------------------------------------

    def get(self, installation_id: str) -> Installation:
        """The installation of that id. Raises NotFound."""
        with self._file.reading() as connection:
            return _get(connection, installation_id)

    def last(self, device: str) -> Installation | None:
        """The device's newest installation; None where there was none."""
        with self._file.reading() as connection:
            slot = get_device(connection, check_device_id(device)).slot
            row = connection.execute(
                f"SELECT {_COLUMNS} {_FROM} WHERE i.slot = ? ORDER BY i.number DESC LIMIT 1", (slot,)
            ).fetchone()
        return _installation_of(row) if row else None

    def list(
        self, *, who: str = "", since_ms: int = 0, before: str = "", limit: int = DEFAULT_PAGE_ROWS
    ) -> list[Installation]:
        """Installations, the newest first: of one person or of all, begun since then; `before` continues a page."""
        if not 1 <= limit <= MAX_PAGE_ROWS:
            raise UsageError(f"A page of {limit} rows.", mend=f"Ask for 1 to {MAX_PAGE_ROWS}.")
        below = _number(before) if before else 1 << 62
        with self._file.reading() as connection:
            rows = connection.execute(
                f"SELECT {_COLUMNS} {_FROM} WHERE (? = '' OR i.who = ?) AND i.began_ms >= ? AND i.number < ?"
                " ORDER BY i.number DESC LIMIT ?",
                (who, who, since_ms, below, limit),
            ).fetchall()
        return [_installation_of(row) for row in rows]

    def press(self, device: str, kind: str, received_ms: int) -> TestPress | None:
        """The test that a press which came in then belongs to, None where it is none. From memory."""
        found = self._presses.get(device)
        return found if found is not None and found.marks(kind, received_ms) else None

    def quiet_until_ms(self, device: str, kind: str, received_ms: int) -> int:
        """Until when an alarm of that press is quiet for being a test, 0 where it is none. From memory."""
        return received_ms + CONFIRM_MS if self.press(device, kind, received_ms) is not None else 0

    def _forget(self, device: str) -> None:
        """Later presses are none; those so far keep their mark."""
        with self._lock:
            known = self._presses.get(device)
            if known is not None:
                until_ms = min(known.until_ms, self._file.clock.now_ms())
                self._presses[device] = replace(known, until_ms=until_ms)

    def _set(self, change: Change, installation: Installation, **values: Any) -> Installation:
        # names of columns from this module alone
        columns = ", ".join(f"{name} = ?" for name in values)
        change.connection.execute(
            f"UPDATE installation SET {columns} WHERE number = ?",  # noqa: S608  # names of this module
            (*values.values(), _number(installation.id)),
        )
        return _get(change.connection, installation.id)


def _number(installation_id: str) -> int:
    digits = installation_id.removeprefix(_PREFIX)
    if not (installation_id.startswith(_PREFIX) and digits.isascii() and digits.isdigit() and len(digits) < 18):
        raise NotFound(f"There is no installation {installation_id[:40]!r}.", mend="Look at the list.")
    return int(digits)


def _get(connection: Connection, installation_id: str) -> Installation:
    row = connection.execute(f"SELECT {_COLUMNS} {_FROM} WHERE i.number = ?", (_number(installation_id),)).fetchone()
    if row is None:
        raise NotFound(f"There is no installation {installation_id}.", mend="Look at the list.")
    return _installation_of(row)


def _installation_of(row: Sequence[Any]) -> Installation:
    number, device, who, how, began, opened, renewals, ended, note, lat, lon, acc, seen, skipped, armed, alarm = row
    return Installation(
        id=f"{_PREFIX}{number}",
        device=device,
        by=who,
        how=how,
        began_ms=began,
        opened_ms=opened,
        renewals=renewals,
        ended_ms=ended,
        note=note,
        lat=lat,
        lon=lon,
        acc_m=acc,
        seen_ms={Step(step): int(at) for step, at in json.loads(seen).items()},
        skipped=tuple(Step(step) for step in json.loads(skipped)),
        armed_ms=armed,
        alarm=alarm,
    )
