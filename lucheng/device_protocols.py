"""Which protocol a device is commanded by, as far as the registry says.

Invariants: what was looked up is remembered until the registry changes. It knows no session.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ingest.mqtt.commands import PROTOCOLS as MQTT_PROTOCOLS
from model.errors import LuchengError

if TYPE_CHECKING:
    from devices.directory import Directory
    from lucheng.rooms import Rooms

#: A device that a terminal's protocol is registered for, or that a terminal has registered as, is never commanded by MQTT.
MQTT = "mqtt"
#: Devices whose protocol is remembered between two versions of the registry.
MAX_REMEMBERED = 100_000


class DeviceProtocols:
    """Protocols by device; any thread.

    Args:
        rooms: the open data folder.
        directory: who is registered.
    """

    def __init__(self, rooms: Rooms, directory: Directory) -> None:
        self._rooms = rooms
        self._directory = directory
        self._protocols: dict[str, str] = {}
        self._version = -1
        self._lock = threading.Lock()

    def of(self, device: str) -> str:
        """The protocol a device is registered with, "" when it is not said."""
        with self._lock:
            if self._version != self._directory.version or len(self._protocols) >= MAX_REMEMBERED:
                self._version = self._directory.version
                self._protocols = {}
            if device not in self._protocols:
                try:
                    self._protocols[device] = self._rooms.registry.get(device).protocol
                except LuchengError:
                    return ""
            return self._protocols[device]

    def by_mqtt(self, device: str) -> str:
        """The protocol by which a device is told things over MQTT, "" for a terminal, as far as the registry says."""
        spoken = self.of(device)
        if spoken:
            return spoken if spoken in MQTT_PROTOCOLS else ""
        slot = self._directory.slot(device)
        return MQTT if slot is None or not self._rooms.terminals.bound(slot) else ""
