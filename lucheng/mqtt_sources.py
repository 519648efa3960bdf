"""The two connections that read from the broker: points, and alarms on a connection of their own.

Invariants: each has a decoder of its own and one way into the logs; what is read is acknowledged after the commit. They
differ in topics and patience alone: the alarms' connection never naps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ingest.decode.decoder import Decoder
from ingest.decode.topics import ALARM_TOPICS, POINT_TOPICS
from ingest.mqtt.connection import MqttSource
from lucheng.app import inbound
from lucheng.inbound import Inbound
from lucheng.limits import decoder_limits, mqtt_limits

if TYPE_CHECKING:
    from devices.directory import Directory
    from ingest.mqtt.broker_url import BrokerUrl
    from lucheng.rooms import Rooms
    from model.command import Reply
    from store.log.committer import Committer

#: Counters of a connection that `status` shows.
COUNTERS = ("received", "acknowledged", "unacked_messages", "connects", "failures", "sessions_lost", "malformed")


class MqttSources:
    """Both connections.

    Args:
        rooms: the open data folder.
        directory: who is registered.
        points, alarms: committers of the logs.
        register: takes strangers in where `devices.unknown` is `register`.
        keep_replies: keeps what devices answered to commands.
    """

    def __init__(
        self,
        rooms: Rooms,
        directory: Directory,
        points: Committer,
        alarms: Committer,
        *,
        register: Callable[[Sequence[str]], object],
        keep_replies: Callable[[Sequence[Reply]], None],
    ) -> None:
        self._rooms = rooms
        self._directory = directory
        self._points, self._alarms = points, alarms
        self._register = register
        self._keep_replies = keep_replies
        self._places: dict[int, tuple[float, float] | None] = {}
        self._places_version = -1
        self._sources: dict[str, MqttSource] = {}
        self._ways: dict[str, Inbound] = {}

    def start(self, points: BrokerUrl, alarms: BrokerUrl) -> None:
        """Connect in the background, as these accounts."""
        mqtt, limits = self._rooms.settings.mqtt, mqtt_limits(self._rooms.settings)
        for name, url, client_id, topics, mine in (
            # With our own ACL files the broker takes the user name as client id instead; both are fixed.
            ("points", points, mqtt.client_id, POINT_TOPICS, limits),
            ("alarms", alarms, f"{mqtt.client_id}-alarms", ALARM_TOPICS, replace(limits, nap_ms=0.0)),
        ):
            way = self._ways[name] = self._way()
            self._sources[name] = MqttSource(
                url,
                client_id,
                topics,
                way.on_batch,
                limits=mine,
                clock=self._rooms.clock,
                name=name,
                ca_file=str(mqtt.ca_file) if mqtt.ca_file else None,
            )
        for source in self._sources.values():
            source.start()

    def _way(self) -> Inbound:
        """From the messages of one connection into the logs."""
        settings = self._rooms.settings
        decoder = Decoder(
            self._directory,
            unknown=settings.devices.unknown,
            register=self._register if settings.devices.unknown == "register" else None,
            limits=decoder_limits(settings),
            place_of=self._place_of,
        )
        way = Inbound(decoder, self._points, self._alarms, self._rooms.clock, self._keep_replies)
        way.use(inbound(way))
        return way

    def _place_of(self, slot: int) -> tuple[float, float] | None:
        """The fixed place of a tag reader; asked once per version of the registry."""
        if self._places_version != self._directory.version:
            self._places_version = self._directory.version
            self._places = {}
        if slot not in self._places:
            device = self._rooms.registry.get(self._directory.ids[slot])
            placed = device.lat is not None and device.lon is not None
            self._places[slot] = (float(device.lat or 0.0), float(device.lon or 0.0)) if placed else None
        return self._places[slot]

    def listening(self) -> bool:
        """Whether both subscriptions stand."""
        return bool(self._sources) and all(source.state.subscribed for source in self._sources.values())

    def wait_subscribed(self, timeout_s: float) -> bool:
        """Wait until both subscriptions stand, at most so long."""
        clock = self._rooms.clock
        deadline_s = clock.monotonic_s() + timeout_s
        return all(
            source.wait_subscribed(max(0.0, deadline_s - clock.monotonic_s())) for source in self._sources.values()
        )

    def stops(self) -> list[Callable[[], object]]:
        """What ends each connection; each takes its own time to let go, so they are called side by side."""
        return [source.stop for source in self._sources.values()]

    def live_values(self) -> dict[str, float]:
        """State by name, for `status` and the metrics."""
        values: dict[str, float] = {}
        for name, source in self._sources.items():
            state = source.state
            values[f"mqtt_{name}_connected"] = int(state.subscribed)
            for key in COUNTERS:
                values[f"mqtt_{name}_{key}"] = getattr(state, key)
            values[f"mqtt_{name}_passed_over"] = self._ways[name].passed_over
        return values
