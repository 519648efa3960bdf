"""Photos of installations. Part of `console.operations`.

Invariants: a photo is kept without anything but the picture and is audited before it leaves; keepers of devices see it alone, and a
technician those of the device that he is installing. One may come later than the installation, from a phone that had no network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from console.blob import MEDIA_TYPES, Blob
from console.device_operations import Caller
from console.live_test_operations import LiveTestOperations
from console.registration_rows import photo_row
from console.roles import role_of
from model.device import check_device_id
from model.errors import BadInput, Refused, StoreError
from model.installation import RENEW_WITHIN_MS
from model.role import ROLE_WORDS, Role

if TYPE_CHECKING:
    from devices.photos import Photos

#: Who sees photos of installations.
PHOTO_ROLES = frozenset({Role.SUPERVISOR, Role.TECHNICIAN, Role.ADMIN})


class PhotoOperations(LiveTestOperations):
    """See `console.operations.Operations` for the arguments."""

    _photos: Photos | None

    def device_photo(self, caller: Caller, device: str, data: bytes) -> dict[str, Any]:
        """Keep a photo of an installation, without anything but the picture. Raises BadInput, Refused (too many)."""
        photos = self._open_photos()
        check_device_id(device)
        self._photo_role(caller, device, "add photos")
        if role_of(self._settings, caller) is Role.TECHNICIAN:
            self._check_mine(caller, device)
        if not data:
            raise BadInput("The photo is empty.", mend="Take it again.")
        self._note(caller, "device.photo", device, bytes=len(data))
        with self._registry.file.changing() as change:
            kept, new = photos.put(change, device, caller.who, data)
            if new:
                slot = self._registry.get(device).slot
                self._history.note(change, slot, caller.who, "photo", photo=kept.id, sha256=kept.sha256)
        return photo_row(kept)

    def device_photos(self, caller: Caller, device: str) -> list[dict[str, Any]]:
        """Which photos there are of a device, the oldest first, without the bytes. Raises NotFound, Refused."""
        photos = self._open_photos()
        self._known(device)
        self._photo_role(caller, device, "see photos of installations")
        if role_of(self._settings, caller) is Role.TECHNICIAN:
            self._installing(caller, device, "photos")
        self._note(caller, "read.photos", device)
        return [photo_row(photo) for photo in photos.list(device)]

    def device_photo_read(self, caller: Caller, photo: str) -> Blob:
        """The bytes of a photo, checked against their SHA-256. Raises NotFound, Refused, Corrupt."""
        photos = self._open_photos()
        self._photo_role(caller, photo[:40], "see photos of installations")
        found = photos.get(photo)
        if role_of(self._settings, caller) is Role.TECHNICIAN:
            self._installing(caller, found.device, "photo_read")
        self._note(caller, "read.photo", found.device, photo=found.id, sha256=found.sha256)
        return Blob(MEDIA_TYPES[found.format], photos.read(found), f"{found.id}.{found.format}")

    def _check_mine(self, caller: Caller, device: str) -> None:
        """A photo may come later than the 30 minutes, from a phone that had no network, but only of one's own installation."""
        last = self._installations.last(device)
        if last is None or last.by != caller.who or self._clock.now_ms() - last.began_ms >= RENEW_WITHIN_MS:
            self._note(caller, "read.refused", device, tried="device_photo", why="not installing it")
            raise Refused(f"You are not installing {device}.", mend="Ask a supervisor to open it for you.")

    def _photo_role(self, caller: Caller, target: str, what: str) -> None:
        role = role_of(self._settings, caller)
        if role not in PHOTO_ROLES:
            self._note(caller, "read.refused", target, role=role.value, what=what)
            may = ", ".join(sorted(ROLE_WORDS[one].en for one in PHOTO_ROLES))
            raise Refused(f"A {ROLE_WORDS[role].en} may not {what}.", mend=f"It is for: {may}.")

    def _open_photos(self) -> Photos:
        if self._photos is None:
            raise StoreError("No photos are kept here.", mend="Ask the running service.")
        return self._photos
