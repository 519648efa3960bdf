"""The role `desk`: alarms and the desk's duty, where devices are, and what each desk process serves: API and console.

Invariants: the duty is one desk's at a time (`duty`), the rest every desk process has; devices are reached by the ingestors that
hold them. It decides no rule.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from ingest.mqtt.down import DownLink
from lucheng.broker_link import BrokerLink
from lucheng.cluster.duty import GROUP, Duty
from lucheng.cluster.ingest import alarms_committer
from lucheng.cluster.live import LiveReader
from lucheng.cluster.roles import Role
from lucheng.cluster.status import ClusterStatus, cluster_status
from lucheng.commanding import CommandDuty
from lucheng.desk_duty import DeskDuty
from lucheng.device_protocols import DeviceProtocols
from lucheng.health_duty import HealthDuty
from lucheng.limits import clean_limits
from lucheng.live_side import Places
from lucheng.logs import logger
from lucheng.nats_choice import open_alarms, open_link
from lucheng.order_reach import DownReach, Reach
from lucheng.video.sharing.desk import open_shared_cameras
from model.errors import LuchengError
from store.nats.ownership import Partition
from store.nats.sessions import SessionView
from store.nats.streams import Names

if TYPE_CHECKING:
    from lucheng.cluster.nodes import Node, Registration
    from lucheng.cluster.worker import Chore
    from lucheng.commanding import Rules
    from lucheng.rooms import Rooms
    from lucheng.video.sharing.desk import SharedCameras
    from store.nats.link import Link

#: How often the whole cluster is looked at for the metrics.
WATCH_EVERY_S = 5.0
#: How long a start waits for who is connected where.
_SESSIONS_WAIT_S = 5.0

_log = logger(__name__)


class DeskRole:
    """The role.

    Args:
        name: of this process.
        rooms: the open rooms.
        link: the node's own connection.
        registration: who is there.
        on_fatal: called once when a store failed.
    """

    def __init__(
        self,
        name: str,
        rooms: Rooms,
        link: Link,
        registration: Registration,
        *,
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        self._name = name
        self._rooms = rooms
        self._link = link
        self._registration = registration
        self._on_fatal = on_fatal
        self._names = Names(rooms.settings.nats.prefix)
        self._stack = ExitStack()
        self._rules: Rules | None = None
        self._watched: ClusterStatus | None = None
        self._stop = threading.Event()
        try:
            self._open()
        except BaseException:
            self._stack.close()
            raise

    def _open(self) -> None:
        rooms, settings = self._rooms, self._rooms.settings
        self.places = Places(rooms, rooms.directory)
        self.reader = LiveReader(self._link, self._names, self.places.take)
        self._desk_link = open_link(settings, rooms.clock, f"{self._name}-desk")
        self._stack.callback(self._desk_link.close)
        self.sessions = SessionView(self._desk_link, self._names, gone_s=settings.cluster.expire_s)
        self._stack.callback(self.sessions.close)
        self.protocols = DeviceProtocols(rooms, rooms.directory)
        self.down = self._opened_down()
        self.reach = Reach(
            self._desk_link,
            self._names,
            self.sessions,
            self.protocols,
            self.down,
            clock=rooms.clock,
            timeout_s=settings.commands.hand_timeout_s,
        )
        log = open_alarms(settings, rooms.clock)
        self._stack.callback(log.close)
        self.alarms = alarms_committer(log, settings, rooms.clock, on_fatal=self._on_fatal)
        self._stack.callback(self.alarms.close, timeout_s=1.0)
        self.cameras = open_shared_cameras(rooms, self.alarms)
        self._stack.callback(self.cameras.stop)
        partition = Partition(
            log.link,
            self._names,
            self._names.alarms,
            worker=self._name,
            group=GROUP,
            ttl_s=settings.nats.take_over_s,
            max_silence_s=settings.nats.hung_after_s,
        )
        self.duty = Duty(
            partition,
            log,
            rooms.desk,
            rooms.clock,
            chores=self._chores,
            on_fatal=self._on_fatal,
            on_change=self._registration.now,
            late_ms=clean_limits(settings).late_alarm_ms,
            take_over_s=settings.nats.take_over_s,
            nobody=self._nobody,
            reachable=lambda: log.link.connected,
        )

    def _opened_down(self) -> DownReach | DownLink:
        """The way to devices by MQTT: the brokers of all ingestors, or the servers' own listener, which is one for all."""
        settings = self._rooms.settings
        if not settings.nats.mqtt:
            return DownReach(self._desk_link, self._names, self.sessions)
        listener = BrokerLink(self._rooms, settings)
        listener.open()
        self._stack.callback(listener.close)
        assert listener.desk is not None
        down = DownLink(listener.desk, f"{settings.mqtt.client_id}-desk-{self._name}", ca_file=settings.mqtt.ca_file)
        down.start()
        self._stack.callback(down.stop)
        return down

    def start(self, rules: Rules) -> None:
        """Stand by for the duty, hear of places; commands are given by `rules`."""
        self._rules = rules
        self.cameras.start()
        self.reader.start()
        self._stack.callback(self.reader.stop)
        if not self.sessions.wait_whole(_SESSIONS_WAIT_S):
            _log.warning("who is connected where is not known yet")
        self.duty.start()
        watcher = threading.Thread(target=self._watch, name="cluster", daemon=True)
        watcher.start()
        self._stack.callback(watcher.join, WATCH_EVERY_S)
        self._stack.callback(self._stop.set)

    def stop(self, *, drain_s: float) -> None:
        """Let the duty go in good order, then end."""
        self.duty.stop(drain_s=drain_s)
        self._stack.close()

    def connected(self) -> list[dict[str, str]]:
        """The terminals that are connected somewhere: `device`, `protocol`, `number`, `address`."""
        return [
            {"device": one.device, "protocol": one.protocol, "number": one.number, "address": one.address}
            for one in self.sessions.sessions()
        ]

    def holds(self) -> dict[str, int]:
        """The alarms' stream, while on duty, and since when."""
        return {self.duty.stream: self.duty.since_ms} if self.duty.since_ms else {}

    def live_values(self) -> dict[str, float]:
        """State by name, for `status` and the metrics."""
        position = {"alarms_position": float(self.duty.position)} if self.duty.since_ms else {}
        return position | {
            "cluster_on_duty": int(bool(self.duty.since_ms)),
            "cluster_duties_taken": self.duty.taken,
            "cluster_live_received": self.reader.messages,
            "cluster_live_lost": self.reader.lost,
            **self.cameras.live_values(),
        }

    def metric_values(self) -> dict[str, object]:
        """The whole cluster as it was lately; {} until it was looked at."""
        return dict(self._watched.metric_values()) if self._watched is not None else {}

    def _chores(self) -> list[Chore]:
        rooms = self._rooms
        chores: list[Chore] = [
            _Bound(self.cameras),
            HealthDuty(rooms.series, rooms.desk, deque(maxlen=1), lambda: rooms.directory.ids, on_fatal=self._on_fatal),
            DeskDuty(
                rooms.desk,
                rooms.audit,
                self.down,
                rooms.clock,
                on_fatal=self._on_fatal,
                answers_to=lambda device: bool(self.protocols.by_mqtt(device)),
            ),
        ]
        if self._rules is not None:
            chores.append(
                CommandDuty(
                    rooms.commands,
                    rooms.desk,
                    self._rules,
                    self.reach,
                    slot_of=rooms.directory.slot,
                    protocol_of=self.protocols.of,
                    settings=rooms.settings.commands,
                    clock=rooms.clock,
                    on_fatal=self._on_fatal,
                )
            )
        return chores

    def _nobody(self) -> bool:
        """Whether nobody who is there is on duty; unknown is no."""
        nodes: Sequence[Node] | None = self._registration.nodes()
        if nodes is None:
            return False
        return not any(self._names.alarms in node.holds for node in nodes if Role.DESK in node.roles)

    def _watch(self) -> None:
        while not self._stop.is_set():
            try:
                self._watched = cluster_status(self._rooms.settings, self._link)
            except LuchengError as error:
                _log.warning("the cluster is not looked at", reason=error.message)
            self._stop.wait(WATCH_EVERY_S)


class _Bound:
    """Alarms are bound to cameras by the desk on duty."""

    def __init__(self, cameras: SharedCameras) -> None:
        self._cameras = cameras

    def start(self) -> None:
        """Begin."""
        self._cameras.begin_duty()

    def stop(self, *, drain_s: float) -> None:
        """End."""
        del drain_s
        self._cameras.end_duty()
