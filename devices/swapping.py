"""Swapping and retiring devices in the registry: what the old one was bound to, the new one is bound to.

Invariants: one transaction, all or nothing; nothing stored is touched: the old device keeps its slot, points and history, and
the two name each other. The old one's plate is free in the same moment in which the new one takes it. An old password and a
bound terminal are the old hardware's: they end with it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from devices.bindings import Bindings, cameras_of
from devices.details import DeviceDetails, details_of
from devices.history import History, differences
from devices.registry import Registry, check_version
from devices.rows import get_device
from devices.schema import Change
from model.device import Device, Kind, check_device_id
from model.errors import Conflict, UsageError

#: What belongs to the hardware and not to where it is fitted.
HARDWARE_FIELDS = ("imei", "phone", "model", "protocol")


@dataclass(frozen=True, slots=True)
class Retirement:
    """Why a device was retired: who, when, and what came in its place ("" nothing)."""

    device: str
    time_ms: int
    who: str
    reason: str
    successor: str


class Swapping:
    """Swaps and retirements over one registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._history = History(registry.file)
        self._bindings = Bindings(registry.file)

    def retire(
        self, change: Change, device: str, who: str, reason: str, *, version: int | None = None, successor: str = ""
    ) -> Device:
        """Take a device out of use: its data is quarantined, its password and terminal end. Raises NotFound, Conflict."""
        connection = change.connection
        before = get_device(connection, check_device_id(device))
        if not before.enabled and _is_retired(change, before.slot):
            raise Conflict(f"{device} is retired already.", mend="Look at its history.")
        after = self._registry.disable(device, version=version)
        connection.execute(
            "INSERT INTO retirement (slot, time_ms, who, reason, successor) VALUES (?, ?, ?, ?, ?) ON CONFLICT (slot) DO UPDATE"
            " SET time_ms = excluded.time_ms, who = excluded.who, reason = excluded.reason, successor = excluded.successor",
            (before.slot, self._registry.file.clock.now_ms(), who, reason, successor),
        )
        self._end_hardware(change, before.slot)
        self._history.note(change, before.slot, who, "retire", reason=reason, successor=successor)
        return after

    def swap(
        self,
        change: Change,
        old: str,
        new: str,
        who: str,
        reason: str,
        hardware: DeviceDetails,
        *,
        version: int | None = None,
    ) -> Device:
        """Put new hardware in the place of `old`; `hardware` holds its IMEI, number, model and protocol.

        Under an id of its own (`new`) the old device is retired and the new one has its name, plate, owner, site, gateway,
        place and cameras; under the same id only the hardware changes, and the track goes on.
        Raises NotFound, UsageError, Conflict (the version; an id, IMEI or number that another one has).
        """
        connection = change.connection
        before = get_device(connection, check_device_id(old))
        check_version(before, version)
        details = replace(details_of(before), **{field: getattr(hardware, field) for field in HARDWARE_FIELDS})
        if new == old:
            after = self._registry.update(old, details)
            self._end_hardware(change, before.slot)
            changed = differences(details_of(before), details)
            self._history.note(change, before.slot, who, "swap", reason=reason, changed=changed)
            return after
        if check_device_id(new).partition("/")[0] != before.kind:
            raise UsageError(f"{new} is no {before.kind}.", mend=f"Swap {old} for a device of the same kind.")
        cameras = cameras_of(connection, before.slot)
        if before.enabled or not _is_retired(change, before.slot):
            self.retire(change, old, who, reason, successor=new)
        else:
            connection.execute("UPDATE retirement SET successor = ? WHERE slot = ?", (new, before.slot))
        after = self._registry.add(new, details)
        self._bindings.bind(change, old, ())
        self._bindings.bind(change, new, cameras)
        self._rebind_camera(change, before, after)
        self._history.note(change, after.slot, who, "swap", reason=reason, old=old, cameras=list(cameras))
        return get_device(connection, new)

    def retirement(self, device: str) -> Retirement | None:
        """Why the device was retired, None where it was not."""
        with self._registry.file.reading() as connection:
            row = connection.execute(
                "SELECT d.id, r.time_ms, r.who, r.reason, r.successor FROM retirement r JOIN device d ON d.slot = r.slot"
                " WHERE d.id = ? AND d.deleted = 0",
                (check_device_id(device),),
            ).fetchone()
        return Retirement(*row) if row else None

    def _end_hardware(self, change: Change, slot: int) -> None:
        """The old hardware's password and terminal: a binding stays, released, so that its generation never comes again."""
        connection = change.connection
        connection.execute(
            "UPDATE terminal SET bound = 0, terminal_id = '', maker = '', model = '', generation = generation + 1,"
            " changed = ? WHERE slot = ? AND bound = 1",
            (change.version, slot),
        )
        if connection.execute("DELETE FROM credential WHERE slot = ?", (slot,)).rowcount:
            change.mark_broker()

    @staticmethod
    def _rebind_camera(change: Change, old: Device, new: Device) -> None:
        """Wherever the old camera was bound, the new one is, in the same place."""
        if old.kind is not Kind.CAMERA:
            return
        for table in ("site_camera", "device_camera"):
            sql = f"UPDATE {table} SET camera_slot = ? WHERE camera_slot = ?"  # noqa: S608  # two constants
            change.connection.execute(sql, (new.slot, old.slot))
        change.mark_places()


def _is_retired(change: Change, slot: int) -> bool:
    return change.connection.execute("SELECT 1 FROM retirement WHERE slot = ?", (slot,)).fetchone() is not None
