"""Which cameras are bound to a device itself: a button's, the one in a taxi. They come first when its alarm comes.

Invariants: a bound camera is a registered device of kind camera; the order is kept; a camera has none itself. A site's cameras
are the site's (`devices.sites`).
"""

from __future__ import annotations

from collections.abc import Sequence

from devices.rows import by_id, get_device
from devices.schema import Change, RegistryFile
from model.device import Kind, check_device_id
from model.errors import NotFound, UsageError
from store.database import Connection

#: Cameras bound to one device.
DEFAULT_MAX_CAMERAS = 8


class Bindings:
    """The bindings in the registry's file."""

    def __init__(self, file: RegistryFile, *, max_cameras: int = DEFAULT_MAX_CAMERAS) -> None:
        self._file = file
        self._max_cameras = max_cameras

    def cameras(self, device: str) -> tuple[str, ...]:
        """Cameras bound to the device, in order. Raises NotFound."""
        with self._file.reading() as connection:
            return cameras_of(connection, get_device(connection, check_device_id(device)).slot)

    def bind(self, change: Change, device: str, cameras: Sequence[str]) -> bool:
        """Bind exactly these, in this order; True when they were others before. Raises UsageError, NotFound."""
        connection = change.connection
        found = get_device(connection, check_device_id(device))
        if cameras and found.kind is Kind.CAMERA:
            raise UsageError(f"{device} is a camera itself.", mend="Bind cameras to buttons, vehicles and readers.")
        if len(cameras) > self._max_cameras or len(set(cameras)) != len(cameras):
            raise UsageError(
                f"{len(cameras)} cameras are named.", mend=f"Name {self._max_cameras} at most, each of them once."
            )
        known = by_id(connection, [check_device_id(camera) for camera in cameras])
        for camera in cameras:
            if camera not in known:
                raise NotFound(f"There is no camera {camera}.", mend="Register the camera first.")
            if known[camera].kind is not Kind.CAMERA:
                raise UsageError(f"{camera} is no camera.", mend="Bind devices of kind camera.")
        if cameras_of(connection, found.slot) == tuple(cameras):
            return False
        connection.execute("DELETE FROM device_camera WHERE slot = ?", (found.slot,))
        connection.executemany(
            "INSERT INTO device_camera VALUES (?, ?, ?)",
            ((found.slot, place, known[camera].slot) for place, camera in enumerate(cameras)),
        )
        change.mark_places()
        return True


def cameras_of(connection: Connection, slot: int) -> tuple[str, ...]:
    """Cameras bound to the device of that slot, in order."""
    rows = connection.execute(
        "SELECT d.id FROM device_camera c JOIN device d ON d.slot = c.camera_slot WHERE c.slot = ? ORDER BY c.place",
        (slot,),
    )
    return tuple(camera for (camera,) in rows)
