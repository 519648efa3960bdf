"""What devices say over the MQTT listener of the nats-servers, as a source of the role `ingest` in the place of a broker.

Invariants: one ingestor reads points and one reads alarms at a time, the others stand by for each; a device is let in only when what it says is
kept. Commands go down by `mqtt.url`, which is that listener too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from devices.credentials import Credentials
from devices.password_check import PasswordCheck
from devices.secrets import SealedSecrets
from lucheng.mqtt_sources import MqttSources
from lucheng.nats_choice import open_link
from lucheng.nats_mqtt import ALARMS, KEY_LABEL, POINTS, MqttDoor, NatsMqttSource
from lucheng.rooms import SECRET_KEY_FILE

if TYPE_CHECKING:
    from devices.directory import Directory
    from ingest.mqtt.broker_url import BrokerUrl
    from lucheng.rooms import Rooms
    from model.command import Reply
    from store.log.committer import Committer

#: How often it is looked whether the servers have made what is read.
_POLL_S = 0.05


class ListenerSources(MqttSources):
    """Both readers and the door.

    Args:
        rooms, directory, points, alarms, register, keep_replies: see `MqttSources`.
        name: of this process.
        on_fatal: called once when a reader cannot go on.
    """

    def __init__(
        self,
        rooms: Rooms,
        directory: Directory,
        points: Committer,
        alarms: Committer,
        *,
        name: str,
        register: Callable[[Sequence[str]], object],
        keep_replies: Callable[[Sequence[Reply]], None],
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        super().__init__(rooms, directory, points, alarms, register=register, keep_replies=keep_replies)
        self._name = name
        self._on_fatal = on_fatal
        self._readers: dict[str, NatsMqttSource] = {}
        self._links = ExitStack()
        self._door: MqttDoor | None = None

    def start(self, points: BrokerUrl, alarms: BrokerUrl) -> None:
        """Stand by for both, and answer who may come in; the broker's accounts are of no use here."""
        del points, alarms
        settings, clock = self._rooms.settings, self._rooms.clock
        for name, consumer in (("points", POINTS), ("alarms", ALARMS)):
            link = open_link(settings, clock, f"{self._name}-mqtt-{name}")
            self._links.callback(link.close)
            way = self._ways[name] = self._way()
            self._readers[name] = NatsMqttSource(
                link, consumer, way, ttl_s=settings.nats.take_over_s, on_fatal=self._on_fatal
            )
        file = self._rooms.registry.file
        link = open_link(settings, clock, f"{self._name}-mqtt-door")
        self._links.callback(link.close)
        self._door = MqttDoor(
            link,
            SealedSecrets(file, self._rooms.data_dir / SECRET_KEY_FILE).derived_key(KEY_LABEL),
            check=PasswordCheck(Credentials(file), file).check,
            ready=self.listening,
            clock=clock,
        )
        for reader in self._readers.values():
            reader.start()

    def listening(self) -> bool:
        """Whether everything that devices publish is kept from now on."""
        return bool(self._readers) and all(reader.inbox.ready for reader in self._readers.values())

    def wait_subscribed(self, timeout_s: float) -> bool:
        """Wait until it is, at most so long."""
        clock = self._rooms.clock
        deadline_s = clock.monotonic_s() + timeout_s
        while not self.listening():
            if clock.monotonic_s() >= deadline_s:
                return False
            clock.sleep(_POLL_S)
        return True

    def stops(self) -> list[Callable[[], object]]:
        """What ends the readers; they are not waited for by the door."""
        if self._door is not None:
            self._door.close()
        return [reader.stop for reader in self._readers.values()]

    def close(self) -> None:
        """End the connections, after the readers."""
        self._links.close()

    def live_values(self) -> dict[str, float]:
        """State by name, for `status` and the metrics."""
        values: dict[str, float] = {}
        for name, reader in self._readers.items():
            values[f"mqtt_{name}_connected"] = int(reader.inbox.ready)
            values[f"mqtt_{name}_received"] = reader.received
            values[f"mqtt_{name}_passed_over"] = self._ways[name].passed_over
        if self._door is not None:
            values["mqtt_door_let_in"] = self._door.let_in
            values["mqtt_door_turned_away"] = self._door.turned_away
        return values
