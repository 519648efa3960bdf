"""`Registry`: who may speak. Devices and their slots, in `registry.db` or in a schema of PostgreSQL.

Invariants: slots are dense and permanent: a slot names one device for ever, also after it was disabled or
deleted; `number` is slot + 1; no two enabled devices have the same plate, IMEI or phone number; every change
is one transaction and counts `version` on. Sites, areas, credentials and secrets keep their tables in the
same file (`Registry.file`) and have their own modules.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from devices.details import (
    DEFAULT_TEXT_LIMITS_CHARS,
    UNIQUE_FIELDS,
    DeviceDetails,
    checked_details,
    details_of,
    unique_key,
)
from devices.directory import Directory
from devices.rows import (
    COLUMNS,
    FROM,
    INSERT_DEVICE,
    UPDATE_DEVICE,
    device_of,
    filters,
    gateway_slot_of,
    get_device,
    holders,
    slots_of,
    stored_values,
)
from devices.schema import Change, RegistryFile
from model.clock import Clock
from model.device import Device, Kind, check_device_id
from model.errors import Conflict, NotFound, Refused, StoreError, UsageError
from store.database import Connection, Where

#: Devices a registry takes; bounds what a rule that registers strangers can make the arrays grow to.
DEFAULT_MAX_DEVICES = 2_000_000
#: Devices on one page of a list.
MAX_PAGE_ROWS = 10_000
DEFAULT_PAGE_ROWS = 100
#: Rows read at once when a directory is built.
_BUILD_ROWS = 50_000


class Registry:
    """Devices in `registry.db`; safe to use from several threads.

    Args:
        path: the file, or the place on a server; made when missing, unless `read_only`.
        clock: gives `created_ms`.
        read_only: look only, beside a running service.
        max_devices: devices it takes, disabled and deleted ones counted.
        text_limits_chars: longest text by field.
    """

    def __init__(
        self,
        path: Where,
        *,
        clock: Clock,
        read_only: bool = False,
        max_devices: int = DEFAULT_MAX_DEVICES,
        text_limits_chars: Mapping[str, int] = DEFAULT_TEXT_LIMITS_CHARS,
    ) -> None:
        self.file = RegistryFile(path, clock=clock, read_only=read_only)
        self.max_devices = max_devices
        self.text_limits_chars = text_limits_chars
        self._refreshing = threading.Lock()

    def close(self) -> None:
        """Release the file; any later call raises StoreError."""
        self.file.close()

    def version(self) -> int:
        """Grows with every change, also another process's."""
        return self.file.version()

    def add(self, device_id: str, details: DeviceDetails | None = None) -> Device:
        """Register a device. Raises UsageError (id, texts, place), Conflict (id, plate, IMEI or phone taken), NotFound."""
        check_device_id(device_id)
        details = checked_details(details or DeviceDetails(), self.text_limits_chars)
        with self.file.changing() as change:
            if slots_of(change.connection, [device_id]):
                raise Conflict(f"{device_id} is registered already.", mend="Change it with an update instead.")
            self._refuse_duplicates(change.connection, device_id, details)
            self._check_site(change.connection, details.site)
            gateway_slot = gateway_slot_of(change.connection, device_id, details.gateway)
            slot = self.take_slots(change, 1)
            now_ms = self.file.clock.now_ms()
            change.connection.execute(
                INSERT_DEVICE,
                (
                    slot,
                    device_id,
                    device_id.partition("/")[0],
                    *stored_values(details, gateway_slot),
                    now_ms,
                    change.version,
                ),
            )
            return get_device(change.connection, device_id)

    def get(self, device_id: str) -> Device:
        """The device of that id, enabled or not. Raises NotFound."""
        check_device_id(device_id)
        with self.file.reading() as connection:
            return get_device(connection, device_id)

    def has(self, device_id: str) -> bool:
        """Whether a device of that id is registered, enabled or not."""
        with self.file.reading() as connection:
            return bool(slots_of(connection, [check_device_id(device_id)]))

    def list(
        self,
        *,
        kind: Kind | None = None,
        enabled: bool | None = None,
        text: str = "",
        after: int = -1,
        limit: int = DEFAULT_PAGE_ROWS,
        owners: bool = True,
    ) -> list[Device]:
        """Devices in order of slot, one page.

        Args:
            kind: only this kind.
            enabled: only enabled, or only disabled ones.
            text: only those with this anywhere in id, name, plate, IMEI, phone, model, owner or site.
            after: slot of the last device of the page before.
            limit: rows, at most `MAX_PAGE_ROWS`.
            owners: whether the text is looked for in owners, too.
        """
        if not 1 <= limit <= MAX_PAGE_ROWS:
            raise UsageError(f"A page of {limit} rows.", mend=f"Ask for 1 to {MAX_PAGE_ROWS}.")
        where, values = filters(kind, text, enabled=enabled, owners=owners)
        # every filter value is bound; `where` holds names of columns from this module alone
        sql = f"SELECT {COLUMNS} {FROM}{where} AND d.slot > ? ORDER BY d.slot LIMIT ?"
        with self.file.reading() as connection:
            rows = connection.execute(sql, (*values, after, limit)).fetchall()
        return [device_of(row) for row in rows]

    def count(self, *, kind: Kind | None = None, enabled: bool | None = None, text: str = "") -> int:
        """How many devices `list` would go through with the same filters."""
        where, values = filters(kind, text, enabled=enabled)
        with self.file.reading() as connection:
            number: int = connection.execute(f"SELECT count(*) {FROM}{where}", values).fetchone()[0]
        return number

    def update(self, device_id: str, details: DeviceDetails, *, version: int | None = None) -> Device:
        """Put `details` in the place of the device's (see `details_of`).

        Raises as `add` does, and Conflict where the device is not of `version` any more.
        """
        details = checked_details(details, self.text_limits_chars)
        with self.file.changing() as change:
            device = get_device(change.connection, check_device_id(device_id))
            check_version(device, version)
            if details_of(device) == details:
                return device
            if device.enabled:
                self._refuse_duplicates(change.connection, device_id, details)
            self._check_site(change.connection, details.site)
            gateway_slot = gateway_slot_of(change.connection, device_id, details.gateway)
            change.connection.execute(
                UPDATE_DEVICE, (*stored_values(details, gateway_slot), change.version, device.slot)
            )
            return get_device(change.connection, device_id)

    def bind_gateway(self, device_id: str, gateway_id: str) -> Device:
        """Let that gateway's records carry the device; "" takes the binding off."""
        with self.file.changing() as change:
            device = get_device(change.connection, check_device_id(device_id))
            gateway_slot = gateway_slot_of(change.connection, device_id, gateway_id)
            if device.gateway != gateway_id:
                change.connection.execute(
                    "UPDATE device SET gateway_slot = ?, changed = ? WHERE slot = ?",
                    (gateway_slot, change.version, device.slot),
                )
            return get_device(change.connection, device_id)

    def touch(self, device_id: str) -> Device:
        """Count a change of what hangs on the device but is not among its details, e.g. its cameras."""
        with self.file.changing() as change:
            device = get_device(change.connection, check_device_id(device_id))
            change.connection.execute("UPDATE device SET changed = ? WHERE slot = ?", (change.version, device.slot))
            return get_device(change.connection, device_id)

    def disable(self, device_id: str, *, version: int | None = None) -> Device:
        """Its data is quarantined and its connection ended from now on; slot, texts and stored points stay.

        Raises Conflict where the device is not of `version` any more.
        """
        return self._switch(device_id, version, on=False)

    def enable(self, device_id: str, *, version: int | None = None) -> Device:
        """Take a disabled device back. Raises Conflict when its plate, IMEI or phone is another's by now, or as `disable`."""
        return self._switch(device_id, version, on=True)

    def delete(self, device_id: str) -> None:
        """Forget the device: its texts are wiped and its id is free; its slot stays taken for ever."""
        with self.file.changing() as change:
            device = get_device(change.connection, check_device_id(device_id))
            connection = change.connection
            connection.execute(UPDATE_DEVICE, (*stored_values(DeviceDetails(), -1), change.version, device.slot))
            connection.execute("UPDATE device SET enabled = 0, deleted = 1 WHERE slot = ?", (device.slot,))
            connection.execute(
                "UPDATE device SET gateway_slot = -1, changed = ? WHERE gateway_slot = ?", (change.version, device.slot)
            )
            connection.execute("DELETE FROM site_camera WHERE camera_slot = ?", (device.slot,))
            connection.execute("DELETE FROM device_camera WHERE ? IN (slot, camera_slot)", (device.slot,))
            connection.execute("DELETE FROM retirement WHERE slot = ?", (device.slot,))
            connection.execute("DELETE FROM terminal WHERE slot = ?", (device.slot,))
            connection.execute(
                "UPDATE camera SET present = 0, settings = '{}', shown = '', shown_sub = '', parked = '', changed = ?"
                " WHERE slot = ?",
                (change.version, device.slot),
            )
            # its secrets, which a new device of its id must not come into; `;` follows `:`
            connection.execute("DELETE FROM secret WHERE name >= ? AND name < ?", (f"{device_id}:", f"{device_id};"))
            if connection.execute("DELETE FROM credential WHERE slot = ?", (device.slot,)).rowcount:
                change.mark_broker()

    def ensure(self, ids: Sequence[str]) -> npt.NDArray[np.int32]:
        """Slots of `ids` (repeats allowed), shape (n,); those not known are registered, all in one transaction.

        A disabled device keeps its state. Raises UsageError at the first id that is none, and then registers nothing.
        """
        distinct = list(dict.fromkeys(ids))
        for device in distinct:
            check_device_id(device)
        with self.file.reading() as connection:
            slots = slots_of(connection, distinct)
        missing = [device for device in distinct if device not in slots]
        if missing:
            with self.file.changing() as change:
                slots |= slots_of(change.connection, missing)  # another thread may have been first
                new = [device for device in missing if device not in slots]
                first = self.take_slots(change, len(new)) if new else 0
                blank = stored_values(DeviceDetails(), -1)
                now_ms = self.file.clock.now_ms()
                change.connection.executemany(
                    INSERT_DEVICE,
                    (
                        (slot, device, device.partition("/")[0], *blank, now_ms, change.version)
                        for slot, device in enumerate(new, start=first)
                    ),
                )
                slots |= {device: slot for slot, device in enumerate(new, start=first)}
        return np.array([slots[device] for device in ids], np.int32)

    def register_unknown(self, device_id: str) -> int:
        """The slot of a device that the rule `devices.unknown = "register"` lets in."""
        return int(self.ensure([device_id])[0])

    def directory(self) -> Directory:
        """A new directory of everything; keep it and `refresh` it."""
        directory = Directory()
        self.refresh(directory)
        return directory

    def refresh(self, directory: Directory) -> bool:
        """Bring `directory` up to date in place with what changed since; True when anything had.

        Costs one small read when nothing changed, else time in proportion to the changed devices. Any
        thread may call it; they take turns.
        """
        with self._refreshing, self.file.reading() as connection:
            version: int = connection.execute("SELECT version FROM state").fetchone()[0]
            if version == directory.version:
                return False
            if version < directory.version:
                raise StoreError(f"{self.file.path} was replaced by an older one.", mend="Start the service again.")
            # the plus keeps the planner from walking every slot to spare itself the sorting of a few rows
            which = "ORDER BY slot" if directory.version < 0 else "WHERE changed > ? ORDER BY +slot"
            cursor = connection.execute(
                f"SELECT slot, id, kind, enabled, deleted, gateway_slot FROM device {which}",  # noqa: S608  # two constants
                () if directory.version < 0 else (directory.version,),
            )
            while rows := cursor.fetchmany(_BUILD_ROWS):
                directory.apply(rows, directory.version)
            directory.apply([], version)
        return True

    def take_slots(self, change: Change, count: int) -> int:
        """The first of `count` new slots in a row, inside the caller's transaction; for `devices` alone."""
        connection = change.connection
        first: int = connection.execute("SELECT next_slot FROM state").fetchone()[0]
        if first + count > self.max_devices:
            raise Refused(
                f"The registry is full: it takes {self.max_devices} devices.",
                mend="Raise the setting devices.max_devices.",
            )
        connection.execute("UPDATE state SET next_slot = ?", (first + count,))
        return first

    def _switch(self, device_id: str, version: int | None, *, on: bool) -> Device:
        with self.file.changing() as change:
            device = get_device(change.connection, check_device_id(device_id))
            check_version(device, version)
            if device.enabled != on:
                if on:
                    self._refuse_duplicates(change.connection, device_id, details_of(device))
                change.connection.execute(
                    "UPDATE device SET enabled = ?, changed = ? WHERE slot = ?", (int(on), change.version, device.slot)
                )
                if on:
                    change.connection.execute("DELETE FROM retirement WHERE slot = ?", (device.slot,))
                if change.connection.execute("SELECT 1 FROM credential WHERE slot = ?", (device.slot,)).fetchone():
                    change.mark_broker()
            return get_device(change.connection, device_id)

    def _refuse_duplicates(self, connection: Connection, device_id: str, details: DeviceDetails) -> None:
        for field in UNIQUE_FIELDS:
            key = unique_key(field, getattr(details, field))
            for holder in holders(connection, field, [key] if key else []).get(key, ()):
                if holder != device_id:
                    raise Conflict(
                        f"The {field} {getattr(details, field)!r} belongs to {holder}.",
                        mend=f"Correct it, or disable {holder} first.",
                    )

    def _check_site(self, connection: Connection, site: str) -> None:
        if site and not connection.execute("SELECT 1 FROM site WHERE id = ?", (site,)).fetchone():
            raise NotFound(f"There is no site {site!r}.", mend="Add the site first.")


def check_version(device: Device, version: int | None) -> None:
    """Conflict unless the device is of the version that a change was decided on; None: whatever it is."""
    if version is not None and version != device.version:
        raise Conflict(
            f"{device.id} was changed by somebody else: it is version {device.version}, not {version}.",
            mend="Look at the device as it is now and decide again.",
        )
