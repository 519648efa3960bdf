"""The role `ingest`: what devices send, into the streams; the devices and brokers are answered after the servers have it.

Invariants: points and alarms have a committer and a connection each, so alarms never wait behind points; nothing of a commit is
acknowledged before every partition has its part. It keeps nothing itself: sessions and answers to commands are the cluster's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from devices.secrets import key_mark
from ingest.mqtt.down import DownLink
from lucheng.broker_link import BrokerLink
from lucheng.cluster.file_tallies import FarFile
from lucheng.cluster.gate import LagGate
from lucheng.cluster.listener import ListenerSources
from lucheng.cluster.parting import PartedLog
from lucheng.ingesting import ingest_file
from lucheng.mqtt_sources import MqttSources
from lucheng.nats_choice import open_alarms, open_link, open_partitions
from lucheng.order_hands import OrderHands
from lucheng.rooms import SECRET_KEY_FILE
from lucheng.terminal_link import TerminalLink
from store.log.committer import Committer
from store.nats.claims import Claims
from store.nats.streams import Names

if TYPE_CHECKING:
    from config.sections import Settings
    from lucheng.rooms import Rooms
    from model.clock import Clock
    from model.seams import Log
    from store.nats.link import Link

#: A commit's rows wait so long for the store to keep up before reading stops: until the gate opens.
_DRAIN_S = 8.0


class Ingest:
    """The role.

    Args:
        name: of this process.
        rooms: the open rooms.
        link: the node's own connection: for the gate and for sessions.
        on_registry_change: called after a change of the registry.
        on_fatal: called once when a log or a store failed.
    """

    def __init__(
        self,
        name: str,
        rooms: Rooms,
        link: Link,
        *,
        on_registry_change: Callable[[], None],
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        self._name = name
        self._rooms = rooms
        self._link = link
        self._names = Names(rooms.settings.nats.prefix)
        self._on_registry_change = on_registry_change
        self._on_fatal = on_fatal
        self._stack = ExitStack()
        try:
            self._open()
        except BaseException:
            self._stack.close()
            raise

    def _open(self) -> None:
        rooms, settings = self._rooms, self._rooms.settings
        points_link = open_link(settings, rooms.clock, f"{self._name}-points")
        self._stack.callback(points_link.close)
        parts = open_partitions(settings, points_link)
        self.gate = LagGate(
            self._link,
            self._names,
            parts.count,
            max_lag_records=settings.cluster.max_lag_records,
            max_fill_pct=settings.cluster.max_stream_fill_pct,
        )
        self.points = Committer(
            PartedLog(parts),
            clock=rooms.clock,
            on_fatal=self._on_fatal,
            # While there is more to commit than that, each partition gets as large a record as one log would: a message costs, not its rows.
            max_rows=min(settings.log.max_rows * parts.count, settings.log.max_queued_rows // 2),
            max_delay_ms=settings.log.max_delay_ms,
            max_queued_rows=settings.log.max_queued_rows,
            may_commit=self.gate.open,
            name="points-log",
        )
        self._stack.callback(self.points.close, drain=False, timeout_s=1.0)
        alarms_log = open_alarms(settings, rooms.clock)
        self._stack.callback(alarms_log.close)
        self.alarms = alarms_committer(alarms_log, settings, rooms.clock, on_fatal=self._on_fatal)
        self._stack.callback(self.alarms.close, drain=False, timeout_s=1.0)
        self._listening: Callable[[], bool] = lambda: False
        self.broker = BrokerLink(rooms, settings, listening=self.listening)
        self._stack.callback(self.broker.close)

    def start(self) -> None:
        """Connect and listen. Raises UsageError or TryAgain where a port cannot be had."""
        rooms, mqtt = self._rooms, self._rooms.settings.mqtt
        self.gate.start()
        self._stack.callback(self.gate.stop)
        self.broker.open()
        assert self.broker.points is not None
        assert self.broker.alarms is not None
        assert self.broker.desk is not None
        listener = rooms.settings.nats.mqtt
        # A listener is one for all ingestors, and a client id one connection's across it.
        client_id = f"{mqtt.client_id}-ingest-{self._name}" if listener else f"{mqtt.client_id}-desk"
        self.down = DownLink(self.broker.desk, client_id, ca_file=mqtt.ca_file)
        self.down.start()
        self._stack.callback(self.down.stop)
        self._claims_link = open_link(rooms.settings, rooms.clock, f"{self._name}-sessions")
        self._stack.callback(self._claims_link.close)
        self.claims = Claims(
            self._claims_link,
            self._names,
            name=self._name,
            mark=key_mark(rooms.data_dir / SECRET_KEY_FILE),
            gone_s=rooms.settings.cluster.expire_s,
            mqtt=lambda: self.down.connected and not listener,  # to a listener the desk writes itself
        )
        self._stack.callback(self.claims.close)
        self.terminals = TerminalLink(
            rooms,
            rooms.directory,
            self.points,
            self.alarms,
            self.down,
            on_registry_change=self._on_registry_change,
            on_fatal=self._on_fatal,
            claims=self.claims,
        )
        self.sources = self._sources()
        self._listening = self.sources.listening
        self.hands = OrderHands(
            self._claims_link, self._names, self.claims, gateway=self.terminals.gateway, down=self.down
        )
        self._stack.callback(self.hands.close)
        self.sources.start(self.broker.points, self.broker.alarms)
        self.terminals.start(None)

    def _sources(self) -> MqttSources:
        """What reads over MQTT: from a broker, or from the servers' own listener."""
        rooms, given = self._rooms, (self._rooms.directory, self.points, self.alarms)
        keep = self.terminals.keep_replies
        if not rooms.settings.nats.mqtt:
            return MqttSources(rooms, *given, register=self.register, keep_replies=keep)
        found = ListenerSources(
            rooms, *given, name=self._name, register=self.register, keep_replies=keep, on_fatal=self._on_fatal
        )
        self._stack.callback(found.close)
        return found

    def register(self, devices: Sequence[str]) -> npt.NDArray[np.int32]:
        """Take strangers in, for all processes; their slots."""
        slots = self._rooms.registry.ensure(devices)
        self._rooms.registry.refresh(self._rooms.directory)
        return slots

    def take_file(self, path: str, format_name: str, day: str) -> dict[str, Any]:
        """Take a file in, and wait for what the workers tell of its rows; of those they tell nothing of in time `in_flight` speaks."""
        far = FarFile(self.points, self._link, self._names)
        totals = ingest_file(
            Path(path),
            format_name,
            sink=far,
            runner=far,
            slots_of=self.register,
            settings=self._rooms.settings,
            clock=self._rooms.clock,
            day=date.fromisoformat(day) if day else None,
        )
        self._on_registry_change()
        return totals.as_json()

    def listening(self) -> bool:
        """Whether all its sources stand; not before there are any."""
        return self._listening()

    def wait_ready(self, timeout_s: float) -> bool:
        """Wait until its subscriptions stand."""
        return self.sources.wait_subscribed(timeout_s)

    def live_values(self) -> dict[str, float]:
        """State by name, for `status` and the metrics."""
        return {
            "log_rows_queued": self.points.stats().queued_rows,
            "log_commit_s": round(self.points.stats().commit_s, 6),
            "broker_embedded": int(self.broker.embedded is not None),
            "broker_port": self.broker.points.port if self.broker.points else 0,
            "cluster_lag_records": self.gate.lag_records,
            "cluster_stream_fill_pct": round(self.gate.fill_pct, 1),
            "cluster_gate_open": int(self.gate.open()),
            **self.sources.live_values(),
            **self.terminals.live_values(),
        }

    def registry_changed(self) -> None:
        """The broker's files follow."""
        self.broker.registry_changed()

    def stop_reading(self) -> list[Callable[[], object]]:
        """What ends each source; each takes its own time, so they are called side by side."""
        return [*self.sources.stops(), self.terminals.stop_reading]

    def stop(self, *, drain_s: float = _DRAIN_S) -> None:
        """Make durable what was read, then end; after `stop_reading`."""
        self.terminals.stop(drain_s=drain_s)
        self.points.close(timeout_s=drain_s)
        self.alarms.close(timeout_s=drain_s)
        self._stack.close()

    def abandon(self) -> None:
        """End after a failed start."""
        self._stack.close()


def alarms_committer(
    log: Log, settings: Settings, clock: Clock, *, on_fatal: Callable[[BaseException], None]
) -> Committer:
    """What writes into the alarms' stream: at once, on the thread that hands in."""
    return Committer(
        log,
        clock=clock,
        on_fatal=on_fatal,
        max_rows=settings.log.alarm_max_rows,
        max_delay_ms=settings.log.alarm_max_delay_ms,
        by_caller=True,
        name="alarms-log",
    )
