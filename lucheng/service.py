"""`lucheng run`: the service, wired and supervised.

Invariants: it is ready only after recovery, with the broker subscribed and the API listening; it
stops reading before it drains, and drains before it closes; a store that fails ends the process at
once (the next start replays), it never goes on behind a failed commit. It holds no logic of its
own: stages are in `app.py`, stores in `rooms.py`.
"""

from __future__ import annotations

import os
import signal as os_signal
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import structlog
from sdnotify import SystemdNotifier

from console.api import make_app
from console.metrics import exposition
from console.metrics_server import MetricsServer
from console.server import ApiServer
from console.system_operations import SOURCES
from ingest.mqtt.down import DownLink
from lucheng.ahead import Ahead
from lucheng.alarm_path import AlarmPath
from lucheng.app import ahead, pipeline
from lucheng.broker_link import BrokerLink
from lucheng.clock_state import synchronised
from lucheng.clock_watch import ClockWatch
from lucheng.desk_duty import DeskDuty
from lucheng.disk_watch import DiskWatch
from lucheng.health_duty import HealthDuty
from lucheng.ingesting import ServiceSink, ingest_file
from lucheng.limits import clean_limits, rule_limits, runner_limits
from lucheng.live_side import Places, open_live_side
from lucheng.live_values import series_values
from lucheng.logs import configure
from lucheng.mqtt_sources import MqttSources
from lucheng.operating import operations_of
from lucheng.process import allow_files, calm_collector
from lucheng.pulse import Pulse
from lucheng.rooms import open_rooms, operating_system_user
from lucheng.runner import Runner
from lucheng.series_choice import may_wait
from lucheng.source_watch import SourceWatch
from lucheng.steps import Steps
from lucheng.terminal_link import TerminalLink
from lucheng.turns import Turns
from lucheng.video.camera_link import CameraLink
from lucheng.web_side import WebSide, console_lines, open_web_side
from model.clock import Clock, SystemClock
from model.errors import LuchengError
from store.log.committer import Committer

if TYPE_CHECKING:
    from config.sections import Settings

DRAIN_S = 8.0
REGISTRY_POLL_S = 1.0

_log = structlog.get_logger(__name__)


class Service:
    """Everything that runs while `lucheng run` runs.

    Args:
        data_dir: the data folder.
        settings: all of them.
        clock: source of time.
    """

    def __init__(self, data_dir: Path, settings: Settings, *, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock: Clock = clock or SystemClock()
        self.stopping = threading.Event()
        self.failure: BaseException | None = None
        self._data_dir = data_dir
        self._stack = ExitStack()
        self._started_s = self.clock.monotonic_s()
        self.web: WebSide | None = None

    # -- start --------------------------------------------------------------------------------

    def open(self) -> None:
        """Recover, connect and listen; raises what stands in the way, with everything closed again."""
        try:
            self._open()
        except BaseException:
            self._stack.close()
            raise

    def _open(self) -> None:
        settings = self.settings
        self.rooms = self._stack.enter_context(open_rooms(self._data_dir, settings, write=True, clock=self.clock))
        self._note("service.start", str(os.getpid()))
        self.directory = self.rooms.directory
        self.disk = DiskWatch(self._data_dir, self.clock)
        self.flow = SourceWatch(self.clock)
        self.metrics: MetricsServer | None = None
        _ = self.rooms.nearby  # made now, so that no alarm waits for it
        self._open_logs()
        self._open_pipeline()
        self.cameras = CameraLink(self.rooms, self.alarms, on_fatal=self.fail)
        self.link = BrokerLink(self.rooms, settings, listening=self.sources.listening)
        self._stack.callback(self.link.close)
        self.link.open()
        self._open_commands()
        self._open_sources()
        self._open_live_side()
        self._open_api()
        self.cameras.start()
        self.cameras.open_live(self.operations)
        self._open_web()
        self._look_at_itself()
        follower = threading.Thread(target=self._follow_registry, name="registry", daemon=True)
        follower.start()
        self._stack.callback(follower.join, 5)
        self._stack.callback(self.stopping.set)

    def _note(self, action: str, target: str) -> None:
        self.rooms.audit.append(operating_system_user(), "service", action, target, "", {})

    def _open_logs(self) -> None:
        log = self.settings.log
        for name, kept in (("points", self.rooms.points_log), ("alarms", self.rooms.alarms_log)):
            for problem in kept.problems_at_open:
                _log.error("log damaged", log=name, place=problem.place, what=problem.what, mend=problem.mend)
        self.points = Committer(
            self.rooms.points_log,
            clock=self.clock,
            on_fatal=self.fail,
            max_rows=log.max_rows,
            max_delay_ms=log.max_delay_ms,
            max_queued_rows=log.max_queued_rows,
            may_commit=self._store_keeps_up,
            name="points-log",
        )
        self.alarms = Committer(
            self.rooms.alarms_log,
            clock=self.clock,
            on_fatal=self.fail,
            max_rows=log.alarm_max_rows,
            max_delay_ms=log.alarm_max_delay_ms,
            by_caller=True,
            after_commit=self._alarms_now,
            name="alarms-log",
        )

    def _open_pipeline(self) -> None:
        settings, rooms = self.settings, self.rooms
        limits = clean_limits(settings)
        self.places = Places(rooms, self.directory)
        self.steps = steps = Steps(
            limits,
            rooms.series,
            rooms.desk,
            lambda: self.directory.ids,
            self.clock,
            rules=rule_limits(settings),
            load_fences=rooms.fences.load,
            kinds=lambda: self.directory.kind_of_slot,
            disabled=lambda: np.flatnonzero(~self.directory.enabled),
            slots_of=rooms.nearby.slots_of,
            on_stored=self.places.take,
        )
        if may_wait(settings):
            steps.ahead = Ahead(
                steps, ahead, rooms.points_log, self.clock, max_step_rows=runner_limits(settings).max_step_rows
            )
            self._stack.callback(steps.ahead.close)
        self.clocks = ClockWatch(steps.analysis, lambda: self.directory.ids)
        self.runner = Runner(
            pipeline(steps),
            steps,
            rooms.points_log,
            rooms.series,
            self.clock,
            wait_beyond=self.points.wait_beyond,
            on_fatal=self.fail,
            on_retained=lambda rows: self._note("store.retain", f"{rows} points"),
            limits=runner_limits(settings),
        )
        self.runner.recover()
        self.alarm_path = AlarmPath(
            rooms.alarms_log,
            self.alarms,
            rooms.desk,
            on_fatal=self.fail,
            late_ms=limits.late_alarm_ms,
        )
        self.sources = MqttSources(
            rooms,
            self.directory,
            self.points,
            self.alarms,
            register=self._register,
            keep_replies=lambda replies: self.terminals.keep_replies(replies),  # noqa: PLW0108 made later
        )
        self.pulse = Pulse(self.points, self.clock, self.sources.listening)
        self.pulse.catch_up(rooms, steps.facts, self.directory.slot)
        self.runner.start()
        self.alarm_path.start()

    def _open_commands(self) -> None:
        """Terminals, and what gives devices their commands."""
        rooms, mqtt = self.rooms, self.settings.mqtt
        assert self.link.desk is not None
        self.down = DownLink(self.link.desk, f"{mqtt.client_id}-desk", ca_file=mqtt.ca_file)
        self.down.start()
        self._stack.callback(self.down.stop)
        self.terminals = TerminalLink(
            rooms,
            self.directory,
            self.points,
            self.alarms,
            self.down,
            on_registry_change=self._registry_changed,
            on_fatal=self.fail,
        )
        self.operations = operations_of(
            rooms,
            on_registry_change=self._registry_changed,
            ingest=self._ingest,
            live=self.live_values,
            directory=self.directory,
            on_fact=self.pulse.fact,
            on_fence_change=self.pulse.fences,
            sessions=self.terminals.sessions,
            camera_control=self.cameras,
            sitters=lambda: self.live_side.hub.sitters(),  # noqa: PLW0108 made later
        )
        self.duty = DeskDuty(
            rooms.desk,
            rooms.audit,
            self.down,
            self.clock,
            on_fatal=self.fail,
            answers_to=self.terminals.speaks_mqtt,
        )
        self.duty.start()
        self.health = HealthDuty(
            rooms.series,
            rooms.desk,
            self.steps.statuses,
            lambda: self.directory.ids,
            on_fatal=self.fail,
        )
        self.health.start()
        self.terminals.start(self.operations)

    def _open_sources(self) -> None:
        assert self.link.points is not None
        assert self.link.alarms is not None
        self.sources.start(self.link.points, self.link.alarms)
        self.pulse.start()
        self._stack.callback(self.pulse.stop)

    def _open_live_side(self) -> None:
        """What the console shows as it happens; its server mounts the routes."""
        self.live_side = open_live_side(self.rooms, self.operations, self.places.table, states=self.cameras.states)
        self._stack.callback(self.live_side.close)

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
            self.metrics = MetricsServer(
                lambda: exposition(self.operations.metric_values()), given.port, listen=given.listen
            )
            self.metrics.start()
            self._stack.callback(self.metrics.stop)

    def _open_web(self) -> None:
        """The console in the browser."""
        self.web = open_web_side(self.rooms, self.operations, self.live_side, self.cameras.hub)
        if self.web is not None:
            self._stack.callback(self.web.stop)
            self.web.start()

    def _alarms_now(self) -> None:
        """What was committed just now goes on to the desk on the thread that committed it."""
        path: AlarmPath | None = getattr(self, "alarm_path", None)
        if path is not None:
            path.now()

    def _store_keeps_up(self) -> bool:
        """Whether the log may grow: when the store is too far behind, nothing more is acknowledged, so reading stops."""
        runner: Runner | None = getattr(self, "runner", None)
        return runner is None or runner.backlog_rows() < self.settings.log.max_backlog_rows

    # -- while it runs ------------------------------------------------------------------------

    def wait_ready(self, timeout_s: float) -> bool:
        """Wait until both subscriptions stand."""
        return self.sources.wait_subscribed(timeout_s)

    def fail(self, error: BaseException) -> None:
        """End the process because a store failed: called from whichever thread found out."""
        if self.failure is None:
            self.failure = error
        self.stopping.set()

    def _registry_changed(self) -> None:
        self.rooms.registry.refresh(self.directory)
        self.link.registry_changed()
        self.cameras.changed()

    def _register(self, devices: Sequence[str]) -> npt.NDArray[np.int32]:
        """Take in the devices of a file, or those that the rule `devices.unknown = "register"` lets in; their slots.

        The pipeline names devices by the directory: it knows them before a point of theirs is in the log.
        """
        slots = self.rooms.registry.ensure(devices)
        self.rooms.registry.refresh(self.directory)
        return slots

    def _follow_registry(self) -> None:
        """Notice changes that came by another way than the API (another process on the same file)."""
        while not self.stopping.wait(REGISTRY_POLL_S):
            try:
                if self.rooms.registry.refresh(self.directory):
                    self.link.registry_changed()
                self.clocks.look()
                self.terminals.check()
                self.cameras.changed()
            except LuchengError as error:
                _log.error("registry not read", error=str(error))
            self._look_at_itself()

    def _look_at_itself(self) -> None:
        """Once a second: what comes from each source, and how full the disk is."""
        try:
            values = self._counted()
            counters = {name: values[counter] for name, counter, _, _ in SOURCES if counter in values}
            self.flow.look({"points": self.rooms.points_log.received_rows(), **counters})
            self.disk.look()
        except (LuchengError, OSError) as error:
            _log.warning("not looked at", error=str(error))

    def _ingest(self, path: str, format_name: str, day: str) -> dict[str, Any]:
        totals = ingest_file(
            Path(path),
            format_name,
            sink=ServiceSink(self.points, self.runner),
            runner=self.runner,
            slots_of=self._register,
            settings=self.settings,
            clock=self.clock,
            day=date.fromisoformat(day) if day else None,
        )
        self._registry_changed()
        return totals.as_json()

    def live_values(self) -> dict[str, float]:
        """State of the running service by name, for `status` and the metrics."""
        values: dict[str, float] = {
            "uptime_s": round(self.clock.monotonic_s() - self._started_s, 3),
            "log_rows_queued": self.points.stats().queued_rows,
            "log_commit_s": round(self.points.stats().commit_s, 6),
            "pipeline_position": self.runner.position,
            "alarms_position": self.alarm_path.position,
            "lag_ms": self.runner.lag_ms,
            "devices_online": self.steps.heard_since(self.clock.now_ms() - self.settings.trust.live_window_s * 1000),
            "devices_clock_off": self.clocks.devices_off,
            "broker_embedded": int(self.link.embedded is not None),
            "broker_port": self.link.points.port if self.link.points else 0,
        }
        values |= self.live_side.live_values()
        values["web_port"] = self.web.port if self.web is not None else 0
        values["web_tls"] = int(self.web is not None and self.web.server.tls)
        values |= series_values(self.rooms.series.state())
        values |= {f"source_{name}": value for name, value in self.flow.values().items()}
        values |= self.disk.values()
        values |= {
            "clock_synchronised": synchronised(),
            "metrics_port": self.metrics.port if self.metrics else 0,
        }
        return values | self._counted()

    def _counted(self) -> dict[str, float]:
        """Counters and states of the sources."""
        return self.sources.live_values() | self.terminals.live_values() | self.cameras.live_values()

    # -- end ----------------------------------------------------------------------------------

    def close(self) -> None:
        """Stop reading, drain what was read, keep the state, release everything."""
        self.stopping.set()
        with self._stack:
            if self.failure is None:
                self._drain()
                self._note("service.stop", str(os.getpid()))

    def _drain(self) -> None:
        stops = [*self.sources.stops(), self.terminals.stop_reading]
        self.live_side.hub.close()  # pages are told that the service ends, so that the console lets go at once
        if self.web is not None:
            stops.append(self.web.stop)
        letting_go = [threading.Thread(target=stop, daemon=True) for stop in stops]
        for thread in letting_go:  # all at once: each takes its own time to let go
            thread.start()
        for thread in letting_go:
            thread.join(2 * DRAIN_S)
        self.terminals.stop(drain_s=DRAIN_S)
        self.cameras.stop()
        self.pulse.stop()
        self.points.close(timeout_s=DRAIN_S)
        self.alarms.close(timeout_s=DRAIN_S)
        self.alarm_path.stop(drain_s=DRAIN_S)
        self.duty.stop(drain_s=DRAIN_S)
        self.health.stop()
        if not self.runner.stop(drain_s=DRAIN_S):
            _log.warning("stopped before everything was stored; the next start goes on from there")


def run(data_dir: Path, settings: Settings) -> int:
    """Run the service until SIGTERM or SIGINT; return the exit status."""
    configure()
    allow_files(settings)
    turns = Turns()
    service = Service(data_dir, settings)
    for number in (os_signal.SIGTERM, os_signal.SIGINT):
        os_signal.signal(number, lambda _number, _frame: service.stopping.set())
    service.open()
    calm_collector()
    notifier = SystemdNotifier()
    ready = False
    while not service.stopping.is_set():
        if not ready and service.wait_ready(0.2):
            ready = True
            notifier.notify("READY=1")
            where = service.link.points
            print(f"ready: {where.shown if where else ''} data {data_dir}", file=sys.stderr, flush=True)  # noqa: T201
            for line in console_lines(service.web):
                print(line, file=sys.stderr, flush=True)  # noqa: T201
        service.stopping.wait(0.5 if ready else 0.05)
        turns.look()
    notifier.notify("STOPPING=1")
    if service.failure is not None:
        error = service.failure
        print(f"lucheng: {error}", file=sys.stderr, flush=True)  # noqa: T201
        # A store failed: nothing more may be written behind it. The next start replays what is durable.
        os._exit(error.exit_status if isinstance(error, LuchengError) else 1)
    service.close()
    return 0
