"""The cameras of the registry in memory, as they were a second ago at most.

Invariant: `now()` is the same object until something changes; a registry that cannot be read changes nothing. It opens no camera.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lucheng.logs import logger
from model.errors import LuchengError

if TYPE_CHECKING:
    from devices.cameras import Cameras
    from model.camera import CameraSettings, CameraSetup

REFRESH_EVERY_S = 1.0

_log = logger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """Cameras of the registry: enabled ones by id, and why some are set aside. Another object whenever something has changed."""

    setups: Mapping[str, CameraSetup]
    parked: Mapping[str, str]


class KnownCameras:
    """Reads the registry once a second, on a thread of its own.

    Args:
        cameras: of the registry.
    """

    def __init__(self, cameras: Cameras) -> None:
        self._cameras = cameras
        self._version = -1
        self._setups: dict[str, CameraSetup] = {}
        self._known = Known({}, {})
        self._reading = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="video-registry", daemon=True)

    def start(self) -> None:
        """Read it now, and follow it. Raises StoreError."""
        self.refresh()
        self._thread.start()

    def stop(self) -> None:
        """Follow it no more."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def now(self) -> Known:
        """What is known."""
        return self._known

    def settings_of(self, device: str) -> CameraSettings | None:
        """Settings of a camera that is enabled and not set aside; None for any other device."""
        known = self._known
        found = known.setups.get(device)
        return found.settings if found is not None and device not in known.parked else None

    def refresh(self) -> None:
        """Take over what has changed; cheap when nothing has. Raises StoreError, TryAgain."""
        with self._reading:
            found = self._cameras.changed_since(self._version)
            if found.version == self._version:
                return
            self._version = found.version
            if not found:
                return
            for device in found.gone.values():
                self._setups.pop(device, None)
            self._setups |= {setup.device: setup for setup in found.setups}
            self._known = Known(dict(self._setups), self._cameras.parked())

    def _loop(self) -> None:
        while not self._stop.wait(REFRESH_EVERY_S):
            try:
                self.refresh()
            except LuchengError as error:
                _log.error("cameras of the registry not read", error=error.message)
