"""The operations on the registry: devices, credentials, imports. Part of `console.operations`.

Invariants: a change is audited before it is made, so that none goes unseen (a change that then fails
leaves a row that says what was tried); the service is told after it, so that it takes effect at once.
Passwords and stream addresses are in no audit row, log line or error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.roles import role_of
from devices.broker_files import ACL_NAME, PASSWORDS_NAME, BrokerFiles
from devices.camera_addresses import checked_address
from devices.cameras import Cameras
from devices.credentials import Credentials
from devices.details import DeviceDetails, check_site_id, details_of
from devices.history import History, differences
from devices.installations import Installations
from devices.sites import Sites
from model.camera import CameraSettings
from model.device import Device, Kind, Site, check_device_id
from model.errors import Conflict, NotFound, UsageError
from model.grant import Purpose
from model.role import Role

if TYPE_CHECKING:
    from config.sections import Settings
    from devices.registry import Registry
    from model.seams import Audit

DEFAULT_LIST_ROWS = 100
#: Name of a camera's sealed stream address.
_RTSP = "rtsp"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: user name, role, and whether through the `socket` or in this `process`."""

    who: str
    role: str
    via: str


def device_row(device: Device) -> dict[str, Any]:
    """A device as JSON-ready values, its id under `device`."""
    row = asdict(device)
    row["kind"] = device.kind.value
    return {"device": row.pop("id"), **row}


def site_row(site: Site) -> dict[str, Any]:
    """A site as JSON-ready values, its id under `site`."""
    row = asdict(site)
    return {"site": row.pop("id"), **row}


class DeviceOperations:
    """Operations on one registry; see `console.operations.Operations` for the arguments."""

    def __init__(
        self,
        *,
        registry: Registry,
        audit: Audit,
        settings: Settings,
        key_file: Path,
        on_registry_change: Callable[[], None],
    ) -> None:
        self._registry = registry
        self._audit = audit
        self._settings = settings
        self._key_file = key_file
        self._on_registry_change = on_registry_change
        self._cameras = Cameras(registry.file, key_file)
        self._credentials = Credentials(registry.file, iterations=settings.devices.password_iterations)
        self._history = History(registry.file)
        self._installations = Installations(registry.file)

    def _note(self, caller: Caller, action: str, target: str = "", purpose: str = "", **detail: Any) -> None:
        self._audit.append(caller.who, caller.role, action, target, purpose, {"via": caller.via, **detail})

    def _purpose(self, given: str | None) -> Purpose:
        return Purpose.parse(given or self._settings.trust.cli_purpose)

    def _known(self, device: str) -> Device:
        """The device; NotFound says how to see which there are, for somebody who asks wants to read, not to add."""
        try:
            return self._registry.get(device)
        except NotFound as error:
            raise NotFound(error.message, mend="`lucheng device list` shows which there are.") from error

    def device_add(
        self,
        caller: Caller,
        device: str,
        name: str = "",
        plate: str = "",
        imei: str = "",
        phone: str = "",
        model: str = "",
        owner_ref: str = "",
        site: str = "",
        gateway: str = "",
        lat: float | None = None,
        lon: float | None = None,
        rtsp: str = "",
        protocol: str = "",
    ) -> dict[str, Any]:
        """Register a device; `rtsp` is a camera's stream address, kept sealed. Raises as `Registry.add` does."""
        check_device_id(device)
        if rtsp and not device.startswith(f"{Kind.CAMERA}/"):
            raise UsageError(f"{device} is no camera.", mend="Only a camera has a stream address.")
        rtsp = checked_address(rtsp) if rtsp else ""
        details = DeviceDetails(name, plate, imei, phone, model, owner_ref, site, gateway, lat, lon, protocol)
        self._note(caller, "device.add", device)
        with self._registry.file.changing() as change:
            added = self._registry.add(device, details)
            changed = differences(DeviceDetails(), details_of(added))
            self._history.note(change, added.slot, caller.who, "add", changed=changed)
        if rtsp:
            self._note(caller, "device.secret", device, secret=_RTSP)
            self._cameras.put(device, CameraSettings(), url=rtsp)
        self._on_registry_change()
        return device_row(added)

    def device_list(
        self,
        caller: Caller,
        kind: str = "",
        text: str = "",
        enabled: bool | None = None,  # noqa: FBT001 called by name alone
        after: int = -1,
        limit: int = DEFAULT_LIST_ROWS,
    ) -> list[dict[str, Any]]:
        """Devices in order of slot, one page; the next page is `after` the last one's slot.

        Who is registered is no personal history: not audited. A technician is not told the owners, nor finds by them.
        """
        if kind and kind not in set(Kind):
            raise UsageError(f"{kind[:40]!r} is no kind of device.", mend="Use one of " + ", ".join(Kind) + ".")
        found = self._registry.list(
            kind=Kind(kind) if kind else None,
            enabled=enabled,
            text=text,
            after=after,
            limit=limit,
            owners=self._sees_owners(caller),
        )
        return [self._shown_row(caller, device) for device in found]

    def device_show(self, caller: Caller, device: str) -> dict[str, Any]:
        """One device, and whether it has a password. Raises NotFound."""
        row = self._shown_row(caller, self._known(device))
        return {**row, "credential": self._credentials.has(device)}

    def device_enable(self, caller: Caller, device: str, version: int | None = None) -> dict[str, Any]:
        """Take a disabled device back. Raises Conflict (the version; its plate, IMEI or phone is another's by now)."""
        return self._switch(caller, device, "enable", version)

    def device_disable(self, caller: Caller, device: str, version: int | None = None) -> dict[str, Any]:
        """Quarantine its data and end its connection from now on. Raises Conflict (the version)."""
        return self._switch(caller, device, "disable", version)

    def _switch(self, caller: Caller, device: str, action: str, version: int | None) -> dict[str, Any]:
        check_device_id(device)
        self._note(caller, f"device.{action}", device)
        switch = self._registry.enable if action == "enable" else self._registry.disable
        with self._on_version(caller, device, version), self._registry.file.changing() as change:
            before = self._registry.get(device)
            changed = switch(device, version=version)
            if changed.version != before.version:
                self._history.note(change, changed.slot, caller.who, action)
        self._on_registry_change()
        return self._shown_row(caller, changed)

    @contextmanager
    def _on_version(self, caller: Caller, device: str, version: int | None) -> Iterator[None]:
        """A conflict inside says who was first and how the device is now, where it was decided on an older version."""
        try:
            yield
        except Conflict as error:
            now = self._registry.get(device) if version is not None and self._registry.has(device) else None
            if now is None or now.version == version:
                raise
            who, current = self._history.last_who(device), self._shown_row(caller, now)
            raise Conflict(error.message, mend=error.mend, who=who, current=current) from error

    def _sees_owners(self, caller: Caller) -> bool:
        return role_of(self._settings, caller) is not Role.TECHNICIAN

    def _shown_row(self, caller: Caller, device: Device) -> dict[str, Any]:
        """A device as the caller may see it: a technician is told the owner of what he is installing alone."""
        row = device_row(device)
        if device.owner_ref and not self._sees_owners(caller) and not self._installs(caller, device.id):
            row["owner_ref"] = ""
        return row

    def _installs(self, caller: Caller, device: str) -> bool:
        """Whether the caller is installing the device now."""
        last = self._installations.last(device)
        return last is not None and last.by == caller.who and last.is_open(self._registry.file.clock.now_ms())

    def device_credentials(self, caller: Caller, device: str, action: str = "new") -> dict[str, Any]:
        """`new`: a password, given here once and never again, in place of any old one; `revoke`: none any more."""
        check_device_id(device)
        if action not in ("new", "revoke"):
            raise UsageError(f"{action[:40]!r} is no action.", mend="Use new or revoke.")
        self._note(caller, f"credential.{action}", device)
        if action == "revoke":
            self._credentials.revoke(device)
            self._on_registry_change()
            return {"device": device, "credential": False}
        made = self._credentials.rotate(device)
        self._on_registry_change()
        return {"device": device, "credential": True, "username": made.user, "password": made.password}

    def device_import(self, caller: Caller, data: bytes, dry_run: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002 called by name alone
        """Register and update the devices of a CSV file; a result for every row. Raises BadInput for the file."""
        from devices.importing import import_csv  # noqa: PLC0415 used by this alone

        limits = self._settings.devices
        self._note(caller, "device.import", "dry_run" if dry_run else "", bytes=len(data))
        report = import_csv(
            self._registry,
            data,
            dry_run=dry_run,
            max_rows=limits.max_import_rows,
            max_bytes=limits.max_import_bytes,
            who=caller.who,
        )
        if not dry_run:
            self._on_registry_change()
        return {
            "dry_run": dry_run,
            "counts": report.counts(),
            "rows": [
                {
                    "line": row.line,
                    "device": row.device,
                    "result": row.outcome.value,
                    "reason": row.reason,
                    "note": row.note,
                }
                for row in report.rows
            ],
        }

    def jurisdiction_import(self, caller: Caller, data: bytes) -> dict[str, Any]:
        """Take over the area tree of a GeoJSON file, all or nothing. Raises BadInput naming the feature."""
        from devices.areas import Areas  # noqa: PLC0415 shapely costs 0.2 s

        self._note(caller, "area.import", "", bytes=len(data))
        areas = Areas(self._registry.file).import_geojson(data)
        self._on_registry_change()
        return {"areas": areas}

    def site_add(
        self,
        caller: Caller,
        site: str,
        lat: float,
        lon: float,
        name: str = "",
        contact: str = "",
        phone: str = "",
        cameras: list[str] | None = None,
    ) -> dict[str, Any]:
        """Register a site with its cameras. Raises as `Sites.add` does."""
        self._note(caller, "site.add", check_site_id(site))
        added = Sites(self._registry.file).add(Site(site, name, contact, phone, lat, lon, tuple(cameras or ())))
        self._on_registry_change()
        return site_row(added)

    def site_list(self, caller: Caller, after: str = "", limit: int = DEFAULT_LIST_ROWS) -> list[dict[str, Any]]:
        """Sites in order of id, one page; a technician is not told whom to call there."""
        hidden = {} if self._sees_owners(caller) else {"contact": "", "phone": ""}
        return [site_row(site) | hidden for site in Sites(self._registry.file).list(after=after, limit=limit)]

    def broker_files(self, caller: Caller, out: Path) -> dict[str, Any]:
        """Write an MQTT broker's password and ACL files to the folder `out`; only in the asker's own process."""
        self._note(caller, "broker.files", "")
        users = BrokerFiles(self._registry.file, out).write()
        return {"files": [str(out / PASSWORDS_NAME), str(out / ACL_NAME)], "users": users}
