"""A process of the cluster: its rooms, its connection, the roles it was told to do, and that it says so.

Invariants: it is ready when its sources stand and its API listens; it stops reading before it drains, lets go of what it holds in
good order before it closes, and is gone from the table of nodes then; a store or log that fails ends the process at once, and
the others go on with what it held. It holds no logic of its own: the stages are in `lucheng.app`, the roles beside it.
"""

from __future__ import annotations

import os
import socket
import threading
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.api import make_app
from console.metrics import exposition
from console.metrics_server import MetricsServer
from console.server import ApiServer
from lucheng.clock_state import synchronised
from lucheng.cluster.analyze import Analyze
from lucheng.cluster.desk import DeskRole
from lucheng.cluster.file_tallies import JobTeller
from lucheng.cluster.ingest import Ingest, alarms_committer
from lucheng.cluster.keys import KeyMark, agree_on_key
from lucheng.cluster.left_over import refuse_left_over
from lucheng.cluster.live import LivePlaces
from lucheng.cluster.means import RoomMeans
from lucheng.cluster.nodes import Node, Registration, Roll, node_name
from lucheng.cluster.roles import Role, check_roles
from lucheng.cluster.seconds import said_by
from lucheng.cluster.series import partition_series
from lucheng.disk_watch import DiskWatch
from lucheng.limits import runner_limits
from lucheng.live_side import LiveSide, open_live_side
from lucheng.live_values import series_values
from lucheng.logs import logger
from lucheng.nats_choice import open_alarms, open_link, open_partitions, prepare
from lucheng.operating import operations_of
from lucheng.rooms import SECRET_KEY_FILE, open_rooms, operating_system_user
from lucheng.series_choice import may_wait
from lucheng.web_side import WebSide, open_web_side
from model.clock import Clock, SystemClock
from model.errors import LuchengError
from store.nats.streams import Names

if TYPE_CHECKING:
    from config.sections import Settings
    from lucheng.video.sharing.role import VideoRole
    from model.batch import PointBatch

DRAIN_S = 8.0
REGISTRY_POLL_S = 1.0

_log = logger(__name__)


class ClusterNode:
    """Everything that runs while `lucheng run --role …` runs past one machine.

    Args:
        data_dir: this process's own data folder.
        settings: all of them.
        roles: what it does.
        clock: source of time.
    """

    def __init__(
        self, data_dir: Path, settings: Settings, roles: frozenset[Role], *, clock: Clock | None = None
    ) -> None:
        check_roles(settings, roles)
        self.settings = settings
        self.roles = roles
        self.name = node_name(settings.cluster)
        self.clock: Clock = clock or SystemClock()
        self.stopping = threading.Event()
        self.failure: BaseException | None = None
        self.ingest: Ingest | None = None
        self.analyze: Analyze | None = None
        self.desk: DeskRole | None = None
        self.video: VideoRole | None = None
        self.web: WebSide | None = None
        self.live_side: LiveSide | None = None
        self.metrics: MetricsServer | None = None
        self._data_dir = data_dir
        self._key_mark = KeyMark(data_dir / SECRET_KEY_FILE)
        self._stack = ExitStack()
        self._started_s = self.clock.monotonic_s()
        self._since_ms = self.clock.now_ms()

    # -- start --------------------------------------------------------------------------------

    def open(self) -> None:
        """Connect, stand by and listen; raises what stands in the way, with everything closed again."""
        try:
            self._open()
        except BaseException:
            self._stack.close()
            raise

    def _open(self) -> None:
        settings = self.settings
        self.rooms = self._stack.enter_context(open_rooms(self._data_dir, settings, write=True, clock=self.clock))
        refuse_left_over(self.rooms)
        self._note("service.start", f"{os.getpid()} {self.name} {','.join(sorted(self.roles))}")
        self.disk = DiskWatch(self._data_dir, self.clock)
        self.names = Names(settings.nats.prefix)
        self.link = open_link(settings, self.clock, self.name)
        self._stack.callback(self.link.close)
        prepare(settings, self.link)
        roll = Roll(self.link, self.names)
        roll.prepare(settings.nats.alarm_replicas, settings.cluster.expire_s)
        agree_on_key(self.rooms, self.roles, roll.read_patiently)
        self.registration = Registration(roll, self._describe, settings.cluster, self.clock)
        _ = self.rooms.nearby  # made now, so that no alarm waits for it
        self._open_roles()
        self.operations = operations_of(
            self.rooms,
            on_registry_change=self._registry_changed,
            ingest=self.ingest.take_file if self.ingest is not None else None,
            live=self.live_values,
            directory=self.rooms.directory,
            sessions=lambda: self.desk.connected() if self.desk is not None else (),
            camera_control=self.desk.cameras if self.desk is not None else None,
            sitters=lambda: self.live_side.hub.sitters() if self.live_side is not None else (),
        )
        self._start_roles()
        self._open_api()
        self._open_web()
        self.registration.start()
        follower = threading.Thread(target=self._follow_registry, name="registry", daemon=True)
        follower.start()
        self._stack.callback(follower.join, 5)
        self._stack.callback(self.stopping.set)

    def _open_roles(self) -> None:
        if Role.INGEST in self.roles:
            self.ingest = Ingest(
                self.name, self.rooms, self.link, on_registry_change=self._registry_changed, on_fatal=self.fail
            )
            self._stack.callback(self.ingest.abandon)
        if Role.DESK in self.roles:
            self.desk = DeskRole(self.name, self.rooms, self.link, self.registration, on_fatal=self.fail)
            self._stack.callback(partial(self.desk.stop, drain_s=0.0))
        if Role.ANALYZE in self.roles:
            self.analyze = self._made_analyze()
        if Role.VIDEO in self.roles:
            self.video = self._made_video()

    def _made_analyze(self) -> Analyze:
        settings, rooms = self.settings, self.rooms
        link = open_link(settings, self.clock, f"{self.name}-workers")
        self._stack.callback(link.close)
        seconds_link = open_link(settings, self.clock, f"{self.name}-seconds")
        self._stack.callback(seconds_link.close)
        self.places = LivePlaces(
            link, self.names, self.clock, live_ms=settings.cluster.live_ms, max_rows=settings.cluster.live_max_rows
        )
        means = RoomMeans(
            rooms,
            link,
            self.name,
            open_series=partial(partition_series, rooms, link, self.name),
            on_fatal=self.fail,
            on_stored=self._stored,
        )
        return Analyze(
            self.name,
            settings,
            self.names,
            means,
            open_partitions(settings, seconds_link),
            self.clock,
            registration=self.registration,
            says=lambda: said_by(rooms, rooms.directory.slot),
            on_fatal=self.fail,
            on_retained=lambda rows: self._note("store.retain", f"{rows} points"),
            on_job=JobTeller(link, self.names),
            limits=runner_limits(settings),
            may_wait=may_wait(settings),
        )

    def _made_video(self) -> VideoRole:
        """Cameras; what they notice goes into the alarms' stream by the ingestor's committer, or one of its own."""
        from lucheng.video.sharing.role import open_video_role  # noqa: PLC0415 loads what decodes pictures

        if self.ingest is not None:
            alarms = self.ingest.alarms
        else:
            log = open_alarms(self.settings, self.clock)
            self._stack.callback(log.close)
            alarms = alarms_committer(log, self.settings, self.clock, on_fatal=self.fail)
            self._stack.callback(alarms.close, timeout_s=1.0)
        return open_video_role(self.rooms, alarms, machine=self.name, on_fatal=self.fail)

    def _stored(self, partition: int, points: PointBatch) -> None:
        self.places.take(partition, points)

    def _start_roles(self) -> None:
        if self.ingest is not None:
            self.ingest.start()
        if self.desk is not None:
            self.desk.start(self.operations)
            self.live_side = open_live_side(
                self.rooms, self.operations, self.desk.places.table, states=self.desk.cameras.states
            )
            self.desk.cameras.open_live(self.operations)
            self._stack.callback(self.live_side.close)
        if self.analyze is not None:
            self.places.start()
            self._stack.callback(self.places.stop)
            self.analyze.start()
            self._stack.callback(partial(self.analyze.stop, drain_s=0.0))
        if self.video is not None:
            self.video.start()
            self._stack.callback(self._stop_video)

    def _stop_video(self) -> None:
        video, self.video = self.video, None
        if video is not None:
            video.stop()

    def _open_api(self) -> None:
        api = self.settings.api
        app = make_app(
            self.operations,
            max_body_bytes=api.max_body_bytes,
            request_timeout_s=api.request_timeout_s,
            max_watchers=api.max_watchers,
            stall_s=api.watch_stall_s,
            heartbeat_s=api.watch_heartbeat_s,
        )
        server = ApiServer(app, self.rooms.socket_path, max_connections=api.max_connections)
        server.start()
        self._stack.callback(server.stop)
        given = self.settings.metrics
        if given.port:
            self.metrics = MetricsServer(self._exposed, given.port, listen=given.listen)
            self.metrics.start()
            self._stack.callback(self.metrics.stop)

    def _exposed(self) -> bytes:
        values: dict[str, Any] = dict(self.operations.metric_values())
        if self.desk is not None:
            values |= self.desk.metric_values()
        return exposition(values)

    def _open_web(self) -> None:
        if self.desk is None or self.live_side is None:
            return
        self.web = open_web_side(self.rooms, self.operations, self.live_side, self.desk.cameras.hub)
        if self.web is not None:
            self._stack.callback(self.web.stop)
            self.web.start()

    def _note(self, action: str, target: str) -> None:
        self.rooms.audit.append(operating_system_user(), "service", action, target, "", {})

    # -- while it runs ------------------------------------------------------------------------

    @property
    def where(self) -> str:
        """What it serves, in words, for the line that says it is ready."""
        broker = self.ingest.broker.points if self.ingest is not None else None
        roles = ",".join(sorted(self.roles))
        return f"{roles} as {self.name}" + (f" at {broker.shown}" if broker else "")

    def wait_ready(self, timeout_s: float) -> bool:
        """Wait until the subscriptions of its sources stand."""
        return self.ingest is None or self.ingest.wait_ready(timeout_s)

    def fail(self, error: BaseException) -> None:
        """End the process because a store or log failed: called from whichever thread found out."""
        if self.failure is None:
            self.failure = error
        self.stopping.set()

    def _describe(self) -> Node:
        holds: dict[str, int] = {}
        for role in (self.analyze, self.desk):
            holds |= role.holds() if role is not None else {}
        values = {"uptime_s": round(self.clock.monotonic_s() - self._started_s, 1)}
        if self.analyze is not None:
            values["lag_ms"] = self.analyze.live_values()["lag_ms"]
        return Node(
            self.name,
            socket.gethostname(),
            os.getpid(),
            tuple(sorted(self.roles)),
            self._since_ms,
            self.clock.now_ms(),
            holds,
            self._listening(),
            values,
            key=self._key_mark(),
        )

    def _listening(self) -> bool | None:
        if self.ingest is None:
            return None
        return hasattr(self.ingest, "sources") and self.ingest.listening()

    def _registry_changed(self) -> None:
        self.rooms.registry.refresh(self.rooms.directory)
        if self.ingest is not None:
            self.ingest.registry_changed()
        if self.video is not None:
            self.video.changed()

    def _follow_registry(self) -> None:
        """Notice what others changed."""
        while not self.stopping.wait(REGISTRY_POLL_S):
            try:
                if self.rooms.registry.refresh(self.rooms.directory) and self.ingest is not None:
                    self.ingest.registry_changed()
                if self.ingest is not None:
                    self.ingest.terminals.check()
                self.disk.look()
            except (LuchengError, OSError) as error:
                _log.error("registry not read", error=str(error))

    def live_values(self) -> dict[str, float]:
        """State of this process by name, for `status` and the metrics."""
        nodes = self.registration.nodes() or ()
        mine = next((node for node in nodes if node.name == self.name), None)
        values: dict[str, float] = {
            "uptime_s": round(self.clock.monotonic_s() - self._started_s, 3),
            "cluster_nodes": len(nodes),
            "cluster_clock_ahead_ms": mine.skew_ms if mine is not None else 0,
            "clock_synchronised": synchronised(),
            "metrics_port": self.metrics.port if self.metrics else 0,
            **self.disk.values(),
        }
        for role in (self.video, self.ingest, self.analyze, self.desk):
            values |= role.live_values() if role is not None else {}
        if self.analyze is not None:
            values["cluster_live_messages"] = self.places.messages
        if self.live_side is not None:
            values |= self.live_side.live_values()
            values["web_port"] = self.web.port if self.web is not None else 0
            values["web_tls"] = int(self.web is not None and self.web.server.tls)
        return values | series_values(self.rooms.series.state())

    # -- end ----------------------------------------------------------------------------------

    def close(self) -> None:
        """Stop reading, drain what was read, let go of what is held, release everything."""
        self.stopping.set()
        with self._stack:
            if self.failure is None:
                self._drain()
                self._note("service.stop", f"{os.getpid()} {self.name}")

    def _drain(self) -> None:
        if self.live_side is not None:
            self.live_side.hub.close()
        stops = self.ingest.stop_reading() if self.ingest is not None else []
        if self.web is not None:
            stops.append(self.web.stop)
        letting_go = [threading.Thread(target=stop, daemon=True) for stop in stops]
        for thread in letting_go:
            thread.start()
        for thread in letting_go:
            thread.join(2 * DRAIN_S)
        self._stop_video()  # before the committer that it may share
        if self.ingest is not None:
            self.ingest.stop(drain_s=DRAIN_S)
        if self.analyze is not None:
            self.analyze.stop(drain_s=DRAIN_S)
        if self.desk is not None:
            self.desk.stop(drain_s=DRAIN_S)
        self.registration.stop()
