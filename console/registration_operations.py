"""Registering devices where they are fitted: register, change, swap, retire, history. Part of `console.operations`.

Invariants: a change is audited before it is made and is one transaction with its entry in the device's history; it may say on
which version it was decided, and whoever comes second is told who was first and how the device is now. A technician is told of
the owner what he types himself.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from console.device_operations import DEFAULT_LIST_ROWS, Caller
from console.given_texts import one_of, short
from console.kept_rows import check_limit
from console.photo_operations import PhotoOperations
from console.registration_rows import entry_row, installation_row, retirement_row
from console.roles import role_of
from console.track_rows import FIRST_MS, LAST_MS
from devices.bindings import Bindings
from devices.camera_addresses import checked_address
from devices.details import DeviceDetails, checked_place, details_of
from devices.history import differences
from devices.sites import Sites
from devices.swapping import Swapping
from model.camera import CameraSettings
from model.device import Device, Kind, check_device_id
from model.errors import Conflict, NotFound, Refused, UsageError
from model.grant import Grant, Purpose
from model.imei import check_imei, plain_digits
from model.installation import MAX_RENEWALS, RENEW_WITHIN_MS, Installation, Step
from model.role import Role

if TYPE_CHECKING:
    from devices.schema import Change

#: Devices whose place is where they are fitted.
FIXED = frozenset({Kind.BUTTON, Kind.CAMERA, Kind.READER})
MAX_REASON_CHARS = 200
MAX_ACCURACY_M = 100_000.0
_NUMBER = re.compile(r"\+?[0-9]{5,20}")
#: Fields that `device_update` takes.
_TEXTS = ("name", "plate", "imei", "phone", "model", "owner_ref", "site", "gateway", "protocol")


class RegistrationOperations(PhotoOperations):
    """See `console.operations.Operations` for the arguments."""

    # -- registering --------------------------------------------------------------------------

    def device_register(
        self,
        caller: Caller,
        kind: str,
        device: str = "",
        imei: str = "",
        number: str = "",
        name: str = "",
        plate: str = "",
        owner_ref: str = "",
        model: str = "",
        protocol: str = "",
        site: str = "",
        gateway: str = "",
        cameras: list[str] | None = None,
        lat: float | None = None,
        lon: float | None = None,
        accuracy_m: float | None = None,
        rtsp: str = "",
        imei_as_labelled: bool = False,  # noqa: FBT001, FBT002 called by name alone
    ) -> dict[str, Any]:
        """Register a device where it is fitted, and open its installation for 30 minutes.

        Args:
            caller: who installs it.
            kind: one of `Kind`.
            device: its id; "" makes one of its IMEI or number.
            imei: checked by its check digit unless `imei_as_labelled` says that the label really reads so.
            number: of its SIM card, or what it calls itself.
            name: as the registry has it, and so are the next five.
            plate: of the vehicle.
            owner_ref: whose it is.
            model: of the device.
            protocol: one of `PROTOCOLS`, or "".
            site: where it stands.
            gateway: whose records carry it.
            cameras: bound to it.
            lat: where the installer's phone is, which is the place of what is fixed; WGS-84 degrees.
            lon: the same.
            accuracy_m: how far off that may be.
            rtsp: a camera's stream address, kept sealed.
            imei_as_labelled: see `imei`.

        Raises UsageError saying which digit or text, Conflict (taken), NotFound (site, camera, gateway), Refused (address).
        """
        of_kind = Kind(one_of(kind, "kind of device", list(Kind)))
        imei = imei if imei_as_labelled or not imei else check_imei(imei)
        number = _checked_number(number)
        device = check_device_id(device or _made_id(of_kind, imei, number))
        if device.partition("/")[0] != of_kind:
            raise UsageError(f"{device} is no {of_kind}.", mend="Give the kind that its id says.")
        where = _checked_phone(lat, lon, accuracy_m)
        if rtsp and of_kind is not Kind.CAMERA:
            raise UsageError(f"{device} is no camera.", mend="Only a camera has a stream address.")
        rtsp = checked_address(rtsp) if rtsp else ""
        if rtsp:
            self._camera_gate.check_role("set", role_of(self._settings, caller))
            self._check_addresses(rtsp, None)
        place = where[:2] if of_kind in FIXED else (None, None)
        details = DeviceDetails(name, plate, imei, number, model, owner_ref, site, gateway, *place, protocol)
        self._note(caller, "device.register", device, site=site, cameras=list(cameras or ()), rtsp=bool(rtsp))
        with self._registry.file.changing() as change:
            added = self._registry.add(device, details)
            bound = Bindings(self._registry.file).bind(change, device, cameras or ())
            changed = differences(DeviceDetails(), details_of(added)) | ({"cameras": [[], cameras]} if bound else {})
            self._history.note(change, added.slot, caller.who, "add", changed=changed)
            if of_kind is Kind.CAMERA:
                self._set_device(device, {"site": site or None})
                if rtsp:
                    self._cameras.put(device, CameraSettings(), url=rtsp)
            found = self._begin(change, device, caller.who, "register", where)
        self._changed_devices(device)
        return self._registered(caller, device, found)

    def device_install(self, caller: Caller, device: str, technician: str = "") -> dict[str, Any]:
        """Open the installation of a device that is registered, for 30 minutes.

        A technician opens his own again while it is not done, for a day and three times, and begins one of a device that has
        never reported; everything else a supervisor or administrator opens, for himself or for the `technician` named.
        """
        check_device_id(device)
        known = self._known(device)
        if not known.enabled:
            raise Refused(f"{device} is disabled.", mend="Enable it first.")
        last, role = self._installations.last(device), role_of(self._settings, caller)
        technician = short(technician, "name", 64)
        self._note(caller, "device.install", device, technician=technician)
        renews = last is not None and not last.ended_ms and last.by == caller.who and not technician
        if role is Role.TECHNICIAN and not (renews and self._may_renew(last)):
            if technician not in ("", caller.who):
                raise Refused("A technician opens installations of his own.", mend="Ask a supervisor.")
            self._check_never_heard(caller, known, last)
            renews = False
        with self._registry.file.changing() as change:
            if renews and last is not None:
                found = self._installations.renew(change, last)
            else:
                found = self._begin(change, device, technician or caller.who, "again", (None, None, None))
        return self._registered(caller, device, found)

    def device_finish(
        self, caller: Caller, device: str, skip: list[str] | None = None, note: str = ""
    ) -> dict[str, Any]:
        """End the installation: what is missing is named in `skip`, with a note why. Raises Refused (something is missing)."""
        found = self._installing(caller, device, "finish", writes=True)
        note = short(note, "note", MAX_REASON_CHARS).strip()
        skipped = tuple(Step(one_of(step, "step", list(Step))) for step in dict.fromkeys(skip or ()))
        known = self._known(device)
        missing = replace(found, skipped=skipped).missing(self._wanted(known))
        if missing:
            raise Refused(
                f"The live test of {device} still misses: {', '.join(missing)}.",
                mend="Finish them, or name what the device has not and say why.",
            )
        if skipped and not note:
            raise UsageError("It is not said why steps are left out.", mend="Say why.")
        self._note(caller, "device.finish", device, installation=found.id, skipped=list(skipped), note=note)
        with self._registry.file.changing() as change:
            found = self._installations.end(change, found, skipped=skipped, note=note)
            seen = [step.value for step in sorted(found.seen_ms)]
            self._history.note(
                change, known.slot, caller.who, "installed", seen=seen, skipped=[*map(str, skipped)], note=note
            )
        return self._told(caller, found)

    def installation_list(
        self, caller: Caller, who: str = "", before: str = "", limit: int = DEFAULT_LIST_ROWS
    ) -> list[dict[str, Any]]:
        """Installations, the newest first; a technician is told his own of the last day. `before` continues a list."""
        check_limit(limit)
        now_ms, since_ms = self._clock.now_ms(), 0
        if role_of(self._settings, caller) is Role.TECHNICIAN:
            who, since_ms = caller.who, now_ms - RENEW_WITHIN_MS
        found = self._installations.list(who=short(who, "name", 64), since_ms=since_ms, before=before, limit=limit)
        return [installation_row(one, now_ms) for one in found]

    # -- changing -----------------------------------------------------------------------------

    def device_update(
        self,
        caller: Caller,
        device: str,
        name: str | None = None,
        plate: str | None = None,
        imei: str | None = None,
        phone: str | None = None,
        model: str | None = None,
        owner_ref: str | None = None,
        site: str | None = None,
        gateway: str | None = None,
        protocol: str | None = None,
        lat: float | None = None,
        lon: float | None = None,
        cameras: list[str] | None = None,
        version: int | None = None,
    ) -> dict[str, Any]:
        """Change what is registered of a device, and bind it: what is not given stays as it is. Raises as `device_add`, Conflict."""
        given = dict(zip(_TEXTS, (name, plate, imei, phone, model, owner_ref, site, gateway, protocol), strict=True))
        texts: dict[str, Any] = {field: text for field, text in given.items() if text is not None}
        at = checked_place(lat, lon)
        place: dict[str, Any] = {} if at[0] is None else {"lat": at[0], "lon": at[1]}
        check_device_id(device)
        keys = [*texts, *place, *(["cameras"] if cameras is not None else [])]
        if not keys:
            raise UsageError("Nothing is to be changed.", mend="Give what is to be other than it is.")
        self._note(caller, "device.change", device, keys=keys, version=version)
        with self._on_version(caller, device, version), self._registry.file.changing() as change:
            before = self._registry.get(device)
            bindings = Bindings(self._registry.file)
            old_cameras = bindings.cameras(device)
            after = self._registry.update(device, replace(details_of(before), **texts, **place), version=version)
            changed = differences(details_of(before), details_of(after))
            if cameras is not None and bindings.bind(change, device, cameras):
                after = self._registry.touch(device)
                changed["cameras"] = [list(old_cameras), cameras]
            if before.kind is Kind.CAMERA and "site" in changed:
                self._rebind_site(before, after)
            if changed:
                self._history.note(change, after.slot, caller.who, "change", changed=changed)
        self._changed_devices(device)
        return self._full_row(caller, after)

    def device_swap(
        self,
        caller: Caller,
        device: str,
        reason: str,
        new: str = "",
        imei: str = "",
        number: str = "",
        model: str = "",
        protocol: str = "",
        lat: float | None = None,
        lon: float | None = None,
        accuracy_m: float | None = None,
        imei_as_labelled: bool = False,  # noqa: FBT001, FBT002 called by name alone
        version: int | None = None,
    ) -> dict[str, Any]:
        """Put another device in the place of this one, and open its installation.

        Under an id of its own (`new`) it takes over name, plate, owner, site, gateway, place and cameras, and the old one is
        retired; without one the id stays and the hardware changes. Raises as `device_register`, Conflict (the version).
        """
        check_device_id(device)
        why = _said(reason)
        imei = imei if imei_as_labelled or not imei else check_imei(imei)
        number = _checked_number(number)
        where = _checked_phone(lat, lon, accuracy_m)
        if not (imei or number or new):
            raise UsageError("It is not said what comes in its place.", mend="Give its IMEI, its number or its id.")
        successor = check_device_id(new or device)
        self._note(caller, "device.swap", device, new=successor, version=version)
        hardware = DeviceDetails(imei=imei, phone=number, model=model, protocol=protocol)
        with self._on_version(caller, device, version), self._registry.file.changing() as change:
            old = self._registry.get(device)
            if not protocol:
                hardware = replace(hardware, protocol=old.protocol)
            Swapping(self._registry).swap(change, device, successor, caller.who, why, hardware, version=version)
            if successor != device:
                self._end_installation(change, device)
            if old.kind is Kind.CAMERA and successor != device:
                self._move_address(device, successor)
            found = self._begin(change, successor, caller.who, "swap", where)
        self._changed_devices(device)
        return self._registered(caller, successor, found)

    def device_retire(self, caller: Caller, device: str, reason: str, version: int | None = None) -> dict[str, Any]:
        """Take a device out of use, with a reason; its points and history stay. Raises NotFound, Conflict."""
        check_device_id(device)
        why = _said(reason)
        self._note(caller, "device.retire", device, reason=why, version=version)
        with self._on_version(caller, device, version), self._registry.file.changing() as change:
            after = Swapping(self._registry).retire(change, device, caller.who, why, version=version)
            self._end_installation(change, device)
        self._changed_devices(device)
        return self._full_row(caller, after)

    def device_history(
        self, caller: Caller, device: str, before: int = 0, limit: int = DEFAULT_LIST_ROWS
    ) -> list[dict[str, Any]]:
        """What was done to a device, the newest first; no place and no owner. `before` continues a list. Raises NotFound."""
        check_limit(limit)
        self._known(device)
        self._note(caller, "read.device_history", device)
        return [entry_row(entry) for entry in self._history.list(device, before=before, limit=limit)]

    def device_bound(self, caller: Caller, device: str) -> dict[str, Any]:
        """A device with its cameras, its last installation and why it was retired. Raises NotFound."""
        return self._full_row(caller, self._known(device))

    # -- what they share ----------------------------------------------------------------------

    def _begin(
        self,
        change: Change,
        device: str,
        who: str,
        how: str,
        where: tuple[float | None, float | None, float | None],
    ) -> Installation:
        made = self._installations.begin(change, device, who, how, place=where)
        self._history.note(change, self._registry.get(device).slot, who, "install", installation=made.id, how=how)
        return made

    def _end_installation(self, change: Change, device: str) -> None:
        last = self._installations.last(device)
        if last is not None and not last.ended_ms:
            self._installations.end(change, last, skipped=last.skipped, note=last.note)

    def _may_renew(self, last: Installation | None) -> bool:
        return (
            last is not None
            and last.renewals < MAX_RENEWALS
            and 0 <= self._clock.now_ms() - last.began_ms < RENEW_WITHIN_MS
        )

    def _check_never_heard(self, caller: Caller, known: Device, last: Installation | None) -> None:
        """Refused (audited) where a device has an installation of somebody, or has ever reported."""
        why = ""
        if last is not None and last.by != caller.who:
            why = f"{known.id} was installed by {last.by}."
        elif last is not None:
            why = f"The installation of {known.id} is done, or was opened too often."
        elif self._heard_ever(caller, known):
            why = f"{known.id} has reported before."
        if why:
            self._note(caller, "read.refused", known.id, tried="device_install", why=why)
            raise Refused(why, mend="Ask a supervisor to open it for you.")

    def _heard_ever(self, caller: Caller, known: Device) -> bool:
        why = Purpose("maintenance", "", "installing")
        grant = Grant(caller.who, caller.role, why, frozenset([known.id]), FIRST_MS, LAST_MS)
        return len(self._series.latest(grant, np.array([known.slot], np.int32), devices=[known.id])) > 0

    def _registered(self, caller: Caller, device: str, found: Installation) -> dict[str, Any]:
        row = self._full_row(caller, self._registry.get(device))
        return {**row, "installation": installation_row(found, self._clock.now_ms())}

    def _full_row(self, caller: Caller, device: Device) -> dict[str, Any]:
        last = self._installations.last(device.id)
        if last is not None and role_of(self._settings, caller) is Role.TECHNICIAN and last.by != caller.who:
            last = None
        return {
            **self._shown_row(caller, device),
            "cameras": list(Bindings(self._registry.file).cameras(device.id)),
            "credential": self._credentials.has(device.id),
            "retired": retirement_row(Swapping(self._registry).retirement(device.id)),
            "installation": None if last is None else installation_row(last, self._clock.now_ms()),
        }

    def _changed_devices(self, device: str) -> None:
        if device.startswith(f"{Kind.CAMERA}/"):
            self._cameras_changed()
        else:
            self._on_registry_change()

    def _rebind_site(self, before: Device, after: Device) -> None:
        """A camera that has moved to another site hangs there and no longer at the old one."""
        sites = Sites(self._registry.file)
        if before.site and before.id in (old := sites.get(before.site).cameras):
            sites.bind(before.site, [one for one in old if one != before.id])
        if after.site and after.id not in (new := sites.get(after.site).cameras):
            sites.bind(after.site, [*new, after.id])

    def _move_address(self, old: str, new: str) -> None:
        """A camera that takes another one's place is watched as that was: settings, masks and addresses."""
        try:
            setup = self._cameras.setup(old)
        except (NotFound, Conflict):
            return  # the old one was not set up, and so is not the new one
        self._cameras.put(new, setup.settings, url=setup.url, sub_url=setup.sub_url or None)
        self._cameras.remove(old)


def _checked_number(text: str) -> str:
    """A number as a SIM card's or a terminal's: digits; "" where none is given."""
    digits = plain_digits(text)
    if not digits or _NUMBER.fullmatch(digits):
        return digits
    raise UsageError(f"{text[:40]!r} is no number.", mend="Write 5 to 20 digits, a + may stand first.")


def _made_id(kind: Kind, imei: str, number: str) -> str:
    name = imei or number.removeprefix("+")
    if not name:
        raise UsageError("It is not said which device it is.", mend="Give its IMEI, its number or an id.")
    return f"{kind}/{name}"


def _checked_phone(
    lat: float | None, lon: float | None, accuracy_m: float | None
) -> tuple[float | None, float | None, float | None]:
    at = checked_place(lat, lon)
    if accuracy_m is not None and not 0 <= accuracy_m <= MAX_ACCURACY_M:
        raise UsageError(f"An accuracy of {accuracy_m:g} m.", mend=f"Give 0 to {MAX_ACCURACY_M:g}.")
    return (*at, None if at[0] is None else accuracy_m)


def _said(reason: str) -> str:
    text = short(reason, "reason", MAX_REASON_CHARS).strip()
    if not text:
        raise UsageError("It is not said why.", mend="Say why.")
    return text
