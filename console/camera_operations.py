"""Operations on cameras: set up, looked after, and seen. Part of `console.operations`.

Invariants: every attempt is audited under the caller's name and role before it is made, and every refusal is audited too;
what may be seen is decided by `console.camera_gate` alone; a picture is audited before it leaves, and without an audit
none does; no address is in an answer, an audit row or an error, but in its shown form. What cameras are doing is asked of
`CameraControl`, which is there while the service runs.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from console.blob import Blob
from console.camera_gate import CameraGate
from console.camera_rows import camera_details, camera_row, state_of
from console.camera_seams import CameraControl, CameraNetwork, CameraRow
from console.command_operations import CommandOperations
from console.device_operations import DEFAULT_LIST_ROWS, Caller
from console.given_texts import one_of
from console.kept_rows import check_limit
from console.roles import role_of
from devices.camera_addresses import checked_address, shown_address
from devices.camera_checks import CameraLimits, read_settings, settings_to_json, unmasked_fraction
from devices.details import DeviceDetails, check_site_id, details_of
from devices.sites import Sites
from model.camera import TRANSPORTS, CameraSettings, CameraState
from model.device import Kind, check_device_id
from model.errors import Conflict, NotFound, Refused, TryAgain, UsageError
from model.grant import Grant, Purpose
from model.role import Role
from store.audit import purpose_text

if TYPE_CHECKING:
    from devices.cameras import CameraRecord

#: How long a picture, and an answer of a camera that is tried, may take, seconds.
SNAPSHOT_TIMEOUT_S = 20.0
DEFAULT_PROBE_TIMEOUT_S = 15.0
MAX_PROBE_TIMEOUT_S = 60.0
#: Of a picture that is not masked any more, so much is rounding.
MIN_UNMASKED = 1e-6
#: Who looks at the same list again and again, as `lucheng camera watch` does, is noted once in so long.
LIST_NOTE_MS = 60_000
MAX_LIST_NOTES = 1_000
_SCAN_ROWS = 2_000
_WHY_CHARS = 200


class CameraOperations(CommandOperations):
    """What can be asked of cameras; see `console.operations.Operations` for the arguments."""

    _camera_gate: CameraGate
    _camera_control: CameraControl | None
    _camera_network: CameraNetwork | None

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._noted_lists: dict[tuple[object, ...], int] = {}
        self._noting_lists = threading.Lock()

    # -- setting up ---------------------------------------------------------------------------

    def camera_set(
        self,
        caller: Caller,
        camera: str,
        add: bool = False,  # noqa: FBT001, FBT002 called by name alone
        settings: dict[str, Any] | None = None,
        url: str | None = None,
        sub_url: str | None = None,
        name: str | None = None,
        site: str | None = None,
        lat: float | None = None,
        lon: float | None = None,
    ) -> dict[str, Any]:
        """Set a camera up (`add`), or otherwise than before: what is not given stays as it is.

        With `add` the device is registered when it is not yet. `settings` are by key of `model.camera.CameraSettings`, see
        `devices.camera_checks`; `url` and `sub_url` are kept sealed, and a `sub_url` of "" takes that stream away; a `site`
        has the camera among its own from then on.

        Raises UsageError naming the wrong value, NotFound, Conflict (`add` twice), Refused (the role, the address).
        """
        device = camera_id(camera)
        given = {"name": name, "site": site, "lat": lat, "lon": lon}
        who = self._as_role(caller)
        known_keys = [key for key in settings_to_json(read_settings({})) if key in (settings or {})]
        changed = known_keys + [key for key, value in given.items() if value is not None]
        addresses = [key for key, value in (("url", url), ("sub_url", sub_url)) if value is not None]
        self._note(who, "camera.set", device, add=add, keys=changed + addresses)
        with self._camera_refusals(who, device, "set"):
            self._camera_gate.check_role("set", Role(who.role))
            before = self._camera_or_none(device)
            if add and before is not None:
                raise Conflict(f"{device} is set up already.", mend="Change it: `lucheng camera set`.")
            if not add and before is None:
                raise NotFound(f"{device} is not set up as a camera.", mend="Add it: `lucheng camera add`.")
            if before is None and url is None:
                raise UsageError(f"{device} has no address yet.", mend="Give the address of its stream: --url.")
            base = before.settings if before is not None else None
            wanted = read_settings(settings or {}, self._camera_limits(), base=base)
            note = self._check_addresses(url, sub_url)
            if base is not None:
                self._check_masks(who, device, base, wanted)
            self._set_device(device, given)
            kept = self._cameras.put(device, wanted, url=url, sub_url=sub_url)
        self._cameras_changed()
        return {**camera_details(kept, None), "note": note}

    def camera_remove(self, caller: Caller, camera: str) -> dict[str, Any]:
        """Forget what is set for it and its addresses; the device stays registered, its recordings stay. Raises NotFound."""
        device = camera_id(camera)
        who = self._as_role(caller)
        self._note(who, "camera.remove", device)
        with self._camera_refusals(who, device, "remove"):
            self._camera_gate.check_role("remove", Role(who.role))
            # a camera that is set up anew has no mask any more
            self._check_masks(who, device, self._cameras.get(device), CameraSettings())
            self._cameras.remove(device)
        self._cameras_changed()
        return {"camera": device, "removed": True}

    def camera_unpark(self, caller: Caller, camera: str) -> dict[str, Any]:
        """Let a camera that was set aside back in. Raises NotFound, Conflict (it was not)."""
        device = camera_id(camera)
        who = self._as_role(caller)
        self._note(who, "camera.unpark", device)
        with self._camera_refusals(who, device, "unpark"):
            self._camera_gate.check_role("unpark", Role(who.role))
            kept = self._cameras.unpark(device)
        self._cameras_changed()
        return camera_row(kept, None)

    def camera_probe(
        self,
        caller: Caller,
        url: str = "",
        camera: str = "",
        transport: str = "tcp",
        timeout_s: float = DEFAULT_PROBE_TIMEOUT_S,
    ) -> dict[str, Any]:
        """Try an address, or those of a camera that is set up, and say what stream is there; no picture is given out.

        Raises Refused (the role; the address is not allowed), TryAgain saying what is wrong with the stream.
        """
        if bool(url) == bool(camera):
            raise UsageError("Neither or both of an address and a camera are given.", mend="Give one of them.")
        one_of(transport, "transport", TRANSPORTS)
        if not 0.5 <= timeout_s <= MAX_PROBE_TIMEOUT_S:
            raise UsageError(f"A time of {timeout_s:g} s.", mend=f"Give 0.5 to {MAX_PROBE_TIMEOUT_S:g}.")
        who = self._as_role(caller)
        with self._camera_refusals(who, camera, "probe"):
            target = camera_id(camera) if camera else shown_address(checked_address(url))
        self._note(who, "camera.probe", target, transport=transport)
        with self._camera_refusals(who, target, "probe"):
            self._camera_gate.check_role("probe", Role(who.role))
            if not camera:
                return self._probed(checked_address(url), transport, timeout_s)
            setup = self._cameras.setup(target)
            found = self._probed(setup.url, setup.settings.transport, timeout_s)
            if setup.sub_url:
                found["sub"] = self._probed(setup.sub_url, setup.settings.transport, timeout_s)
            return {"camera": target, **found}

    # -- how they are -------------------------------------------------------------------------

    def camera_list(
        self,
        caller: Caller,
        state: str = "",
        site: str = "",
        after: int = -1,
        limit: int = DEFAULT_LIST_ROWS,
        purpose: str | None = None,
    ) -> list[dict[str, Any]]:
        """Cameras and how they are, in order of slot, one page; the next page is `after` the last one's slot.

        Asked again and again, it is noted in the audit once a minute.
        """
        check_limit(limit)
        if state:
            one_of(state, "state of a camera", [one.value for one in CameraState])
        if site:
            check_site_id(site)
        who = self._as_role(caller)
        why = self._purpose(purpose)
        with self._camera_refusals(who, "*", "list", why):
            self._camera_gate.check_role("list", Role(who.role))
        self._note_list(who, why, state, site)
        now = self._camera_states()
        rows: list[dict[str, Any]] = []
        while len(rows) < limit:
            page = self._cameras.list(site=site, after=after, limit=_SCAN_ROWS if state else limit)
            rows += [
                camera_row(record, now.get(record.device))
                for record in page
                if not state or state_of(record, now.get(record.device)) == state
            ]
            if not state or len(page) < _SCAN_ROWS:
                break
            after = page[-1].slot
        return rows[:limit]

    def camera_show(self, caller: Caller, camera: str, purpose: str | None = None) -> dict[str, Any]:
        """One camera, how it is and what is set for it. Raises NotFound."""
        device = camera_id(camera)
        who = self._as_role(caller)
        why = self._purpose(purpose)
        with self._camera_refusals(who, device, "show", why):
            self._camera_gate.check_role("show", Role(who.role))
            record = self._cameras.record(device)
        self._note(who, "read.cameras", device, purpose_text(why))
        return camera_details(record, self._camera_states().get(device))

    # -- pictures -----------------------------------------------------------------------------

    def camera_snapshot(self, caller: Caller, camera: str, purpose: str | None = None) -> Blob:
        """The newest picture as a JPEG, masks burned in. Raises Refused, TryAgain (no service, no picture)."""
        device, who, grant = self._see_camera(caller, "snapshot", camera, purpose)
        with self._camera_refusals(who, device, "snapshot", grant.purpose):
            control = self._running()
            self._note(who, "read.camera_picture", device, purpose_text(grant.purpose))
            data, time_ms = control.snapshot(device, SNAPSHOT_TIMEOUT_S)
        return Blob("image/jpeg", data, f"{device.replace('/', '-')}-{time_ms}.jpg")

    def camera_live(self, caller: Caller, camera: str, purpose: str | None = None) -> dict[str, Any]:
        """Where its live view is; the address holds a token. Raises Refused, TryAgain (no service)."""
        device, who, grant = self._see_camera(caller, "live", camera, purpose)
        with self._camera_refusals(who, device, "live", grant.purpose):
            control = self._running()
            self._note(who, "read.camera_live", device, purpose_text(grant.purpose))
            return {"camera": device, "url": control.live_url(device)}

    def camera_watch(self, caller: Caller, camera: str, purpose: Purpose) -> None:
        """Note that the caller begins to look at live pictures. Raises Refused (audited), NotFound, AuditUnwritable."""
        device, who, grant = self._see_camera(caller, "live", camera, purpose)
        self._note(who, "watch.live", device, purpose_text(grant.purpose))

    def camera_may_watch(self, caller: Caller, camera: str, purpose: Purpose) -> bool:
        """Whether a look that began with `camera_watch` may go on; asked of every stream again and again, so not noted."""
        return self._camera_gate.may_go_on("live", role_of(self._settings, caller), purpose) and (
            self._camera_or_none(camera_id(camera)) is not None
        )

    # -- what they share ----------------------------------------------------------------------

    def _see_camera(
        self,
        caller: Caller,
        operation: str,
        camera: str,
        purpose: str | Purpose | None,
        window: tuple[int, int] | None = None,
    ) -> tuple[str, Caller, Grant]:
        """The camera, the caller under his role, and the grant; a refusal is audited."""
        device = camera_id(camera)
        who = self._as_role(caller)
        why = purpose if isinstance(purpose, Purpose) else self._purpose(purpose)
        with self._camera_refusals(who, device, operation, why):
            return device, who, self._admit_camera(who, operation, device, why, window)

    def _admit_camera(
        self, who: Caller, operation: str, device: str, why: Purpose, window: tuple[int, int] | None
    ) -> Grant:
        role = Role(who.role)
        self._camera_gate.check_role(operation, role)  # first, so that nobody else learns which cameras there are
        if why.code == "alarm" and why.ref:
            why = replace(why, ref=self._alarm_id(why.ref))
        record = self._camera_or_none(device)
        if record is None:
            self._known(device)  # one that was removed still has recordings
        set_ms = record.set_ms if record is not None else 0
        return self._camera_gate.admit(operation, device, who=who.who, role=role, why=why, set_ms=set_ms, window=window)

    @contextmanager
    def _camera_refusals(self, who: Caller, device: str, tried: str, why: Purpose | None = None) -> Iterator[None]:
        """Audit what is refused inside, and let it go on."""
        try:
            yield
        except (Refused, NotFound, Conflict, UsageError) as error:
            action = "read.refused" if why is not None else "camera.refused"
            text = purpose_text(why) if why is not None else ""
            self._note(who, action, device, text, tried=f"camera_{tried}", why=error.message[:_WHY_CHARS])
            raise

    def _note_list(self, who: Caller, why: Purpose, state: str, site: str) -> None:
        """Audit a list, or nothing where the same was audited within `LIST_NOTE_MS`."""
        key = (who, why, state, site)
        now_ms = self._clock.now_ms()
        with self._noting_lists:
            if 0 <= now_ms - self._noted_lists.get(key, now_ms - LIST_NOTE_MS) < LIST_NOTE_MS:
                return
            self._note(who, "read.cameras", "*", purpose_text(why), state=state, site=site)
            if len(self._noted_lists) >= MAX_LIST_NOTES:
                self._noted_lists.clear()
            self._noted_lists[key] = now_ms

    def _camera_limits(self) -> CameraLimits:
        settings = self._settings
        return CameraLimits(max_pre_roll_s=settings.camera.ring_s, max_clip_s=settings.clips.max_length_s)

    def _camera_or_none(self, device: str) -> CameraRecord | None:
        try:
            return self._cameras.record(device)
        except NotFound:
            return None

    def _camera_states(self) -> Mapping[str, CameraRow]:
        return self._camera_control.states() if self._camera_control is not None else {}

    def _cameras_changed(self) -> None:
        self._on_registry_change()
        if self._camera_control is not None:
            self._camera_control.changed()

    def _running(self) -> CameraControl:
        if self._camera_control is None:
            raise TryAgain("No service runs here that watches cameras.", mend="Start it with `lucheng run`.")
        return self._camera_control

    def _check_masks(self, who: Caller, device: str, before: CameraSettings, after: CameraSettings) -> None:
        """Refused where pixels that were masked would not be any more, unless the role may; audited then."""
        share = unmasked_fraction(before, after)
        if share > MIN_UNMASKED:
            self._camera_gate.check_role("unmask", Role(who.role))
            before_masks, after_masks = len(before.masks), len(after.masks)
            self._note(
                who, "camera.unmask", device, share=round(share, 6), masks_before=before_masks, masks_after=after_masks
            )

    def _check_addresses(self, url: str | None, sub_url: str | None) -> str:
        """Refused or UsageError for an address that may not be; a note for one that cannot be looked up now."""
        notes = []
        for given in (url, sub_url):
            if not given:
                continue
            address = checked_address(given)
            if self._camera_network is not None:
                try:
                    self._camera_network.check(address)
                except TryAgain as error:
                    notes.append(error.message)
        return " ".join(notes)

    def _probed(self, url: str, transport: str, timeout_s: float) -> dict[str, Any]:
        ask = self._camera_control or self._camera_network
        if ask is None:
            raise TryAgain("Nothing here can open a stream.", mend="Start the service with `lucheng run`.")
        return {**ask.probe(url, transport, timeout_s), "address": shown_address(url)}

    def _set_device(self, device: str, given: Mapping[str, Any]) -> None:
        """Register the camera, or change what is given of it; a site has it among its cameras."""
        changes = {key: value for key, value in given.items() if value is not None}
        try:
            known = self._registry.get(device)
        except NotFound:
            known = self._registry.add(device, DeviceDetails(**changes))
            changes = {key: value for key, value in changes.items() if key == "site"}
        else:
            if changes:
                self._registry.update(device, replace(details_of(known), **changes))
        site = changes.get("site")
        if site is None:
            return
        sites = Sites(self._registry.file)
        if known.site and known.site != site:
            old = sites.get(known.site)
            if device in old.cameras:
                sites.bind(old.id, [one for one in old.cameras if one != device])
        if site and device not in (bound := sites.get(site).cameras):
            sites.bind(site, [*bound, device])


def camera_id(given: str) -> str:
    """`given` when it is the id of a device of kind camera, else UsageError."""
    device = check_device_id(given)
    if not device.startswith(f"{Kind.CAMERA}/"):
        raise UsageError(f"{device} is no camera.", mend="Name a device of kind camera, e.g. camera/7.")
    return device
