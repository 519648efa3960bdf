"""Addresses of cameras under the rules of the settings: checked, and tried. What `console.camera_seams.CameraNetwork` asks.

Invariants: nothing is opened that `ingest.video.address` did not allow and pin (S11). It keeps nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from config.sections import Settings
    from model.clock import Clock


class SettingsNetwork:
    """Implements `console.camera_seams.CameraNetwork`.

    Args:
        settings: networks and folder that are allowed.
        clock: source of time.
    """

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock

    def check(self, url: str) -> None:
        """See the Protocol; a name is looked up, which takes as long as the resolver takes."""
        from ingest.video.address import check_address  # noqa: PLC0415 most commands have no camera

        camera = self._settings.camera
        check_address(url, allow_networks=camera.allow_networks, files_dir=camera.files_dir)

    def probe(self, url: str, transport: str, timeout_s: float) -> dict[str, Any]:
        """See the Protocol and `ingest.video.probing.probe`, whose keys it gives but for the address."""
        from ingest.video.address import check_address  # noqa: PLC0415 as above
        from ingest.video.probing import probe  # noqa: PLC0415 PyAV costs 0.2 s

        camera = self._settings.camera
        address = check_address(url, allow_networks=camera.allow_networks, files_dir=camera.files_dir)
        found = probe(address, timeout_s, clock=self._clock, transport=transport)
        found.pop("address", None)  # with its query
        return found
