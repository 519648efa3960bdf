"""A city in one process on a real nats-server: rooms of one data folder, ingest and analyze processes as objects.

Each member has connections of its own; partitions' series lie in files of their own. Everything is real but that there is one
interpreter; tests that kill use processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from config.cluster import Cluster
from config.nats import Nats
from config.sections import Settings
from lucheng.cluster.analyze import Analyze
from lucheng.cluster.held import Sure
from lucheng.cluster.nodes import Node, Registration, Roll
from lucheng.cluster.parting import PartedLog
from lucheng.cluster.roles import Role
from lucheng.cluster.seconds import said_by
from lucheng.cluster.worker import Chore
from lucheng.limits import clean_limits, rule_limits
from lucheng.nats_choice import open_link, open_partitions, open_points, prepare, stand_by
from lucheng.rooms import Rooms, open_rooms
from lucheng.runner import RunnerLimits
from lucheng.steps import Steps
from model.batch import PointBatch
from model.batch_codec import encode
from model.clock import SystemClock
from model.codes import ALARM_BY_NAME
from model.grant import Grant, Purpose
from model.seams import Log, NewRecord, RecordKind
from store.nats.ownership import Partition, Turn
from store.nats.streams import Names
from store.series.embedded import EmbeddedSeries
from tests.conftest import wait_until
from tests.nats import NatsServer

CLOCK = SystemClock()
END_MS = 1 << 52
GRANT = Grant("tester", "test", Purpose("test"), None, 0, END_MS)
SOS = 1 << ALARM_BY_NAME["sos"].bit
MIB = 1 << 20


def cut_into(server: NatsServer, partitions: int) -> None:
    """Let a server that is not started yet map points to so many partitions."""
    conf = server.folder / "lucheng.conf"
    conf.write_text(conf.read_text().replace("partition(8,1)", f"partition({partitions},1)"))


def settings_of(
    urls: Sequence[str],
    *,
    replicas: int = 1,
    partitions: int = 8,
    gather_ms: int = 200,
    take_over_s: float = 1.0,
    hung_after_s: float = 60.0,
    **options: Any,
) -> Settings:
    """Settings of a city whose log is on these servers."""
    nats = {
        "mode": "log",
        "urls": ",".join(urls),
        "require_sync": False,
        "partitions": partitions,
        "alarm_replicas": replicas,
        "point_replicas": replicas,
        "max_alarm_bytes": 64 * MIB,
        "max_point_bytes": 1024 * MIB,
        "max_snapshot_bytes": 256 * MIB,
        "take_over_s": take_over_s,
        "hung_after_s": hung_after_s,
        "give_up_s": 20.0,
    }
    cluster = {"beat_s": 0.3, "expire_s": 1.5, "settle_s": 0.5, "gather_ms": gather_ms}
    return Settings(nats=Nats(**nats), cluster=Cluster(**cluster), **options)  # type: ignore[arg-type] # a test's options


class City:
    """The data folder and what everybody shares.

    Args:
        folder: for its files.
        server: a nats-server of its own, since the mapping is of the prefix `lucheng`.
        devices: ids of what is registered.
        options: of `settings_of`, e.g. `partitions` as the server maps them, see `cut_into`.
    """

    def __init__(self, folder: Path, server: NatsServer, devices: Sequence[str], **options: Any) -> None:
        self.folder = folder
        self.settings = settings_of([server.url], **options)
        self.names = Names(self.settings.nats.prefix)
        self.stack = ExitStack()
        self.failures: list[BaseException] = []
        self.rooms: Rooms = self.stack.enter_context(open_rooms(folder / "data", self.settings, write=True))
        self.rooms.registry.ensure(list(devices))
        self.rooms.registry.refresh(self.rooms.directory)
        self.link = open_link(self.settings, CLOCK, "city")
        self.stack.callback(self.link.close)
        prepare(self.settings, self.link)
        self.parts = open_partitions(self.settings, self.link)
        self.log = PartedLog(self.parts)
        self.roll = Roll(self.link, self.names)
        self.roll.prepare(1, self.settings.cluster.expire_s)
        self.members: list[Member] = []

    def member(self, name: str) -> Member:
        """An analyze process, started."""
        self.members.append(Member(self, name))
        return self.members[-1]

    def send(self, slots: Sequence[int], time_ms: int, **columns: Any) -> None:
        """Make one point of each slot durable."""
        rows = len(slots)
        given: dict[str, Any] = {
            "slot": list(slots),
            "time_ms": time_ms,
            "received_ms": CLOCK.now_ms(),
            "lat": 40.6 + np.asarray(slots) / 1e3,
            "lon": 109.8,
            "speed_kmh": 30.0,
        }
        batch = PointBatch.of(rows, given | columns)
        self.log.append([NewRecord(RecordKind.POINTS, rows, encode(batch))])

    def holders(self) -> dict[int, str]:
        """Who works on which partition, recovered."""
        return {partition: member.name for member in self.members for partition in member.analyze.held()}

    def wait_held(self) -> None:
        """Wait until every partition is held by somebody."""
        wait_until(lambda: len(self.holders()) == self.parts.count, timeout_s=30)

    def stored(self) -> dict[int, list[int]]:
        """Times of stored points by slot, in the order of the store; after everybody has let go."""
        found: dict[int, list[int]] = {}
        for partition in range(self.parts.count):
            series = self.series(partition)
            for batch in series.fleet(GRANT, 0, END_MS):
                for slot, time_ms in zip(batch.slot.tolist(), batch.time_ms.tolist(), strict=True):
                    found.setdefault(slot, []).append(time_ms)
            series.close()
        return found

    def series(self, partition: int) -> EmbeddedSeries:
        """The file of a partition."""
        return EmbeddedSeries(self.folder / f"series-{partition}.db", audit=self.rooms.audit, clock=CLOCK)

    def close(self) -> None:
        """Let go of everything."""
        for member in self.members:
            member.close()
        self.stack.close()


class Member:
    """An analyze process of the city, as objects of this one; `Means` of its workers."""

    def __init__(self, city: City, name: str) -> None:
        self.city = city
        self.name = name
        self.stack = ExitStack()
        self.since_ms = CLOCK.now_ms()
        self.link = open_link(city.settings, CLOCK, name)
        self.stack.callback(self.link.close)
        self.registration = Registration(Roll(self.link, city.names), self.describe, city.settings.cluster, CLOCK)
        self.analyze: Analyze = Analyze(
            name,
            city.settings,
            city.names,
            self,
            open_partitions(city.settings, self.link),
            CLOCK,
            registration=self.registration,
            says=lambda: said_by(city.rooms, city.rooms.directory.slot),
            on_fatal=city.failures.append,
            limits=RunnerLimits(retention_days=0, seal_delay_s=7 * 86_400),
        )
        self.stack.callback(self.registration.stop)
        self.registration.start()
        self.analyze.start()

    def describe(self) -> Node:
        analyze = getattr(self, "analyze", None)
        holds = analyze.holds() if analyze is not None else {}
        return Node(self.name, "here", 1, (Role.ANALYZE, Role.INGEST), self.since_ms, CLOCK.now_ms(), holds, True)

    def stand_by(self, partition: int) -> Partition:
        return stand_by(self.city.settings, self.link, partition, self.name)

    def log(self, partition: int) -> Log:
        return open_points(self.city.settings, CLOCK, partition)

    def series(self, partition: int, turn: Turn) -> EmbeddedSeries:
        del turn
        return self.city.series(partition)

    def steps(self, partition: int, series: Any, sure: Sure) -> Steps:
        rooms = self.city.rooms
        return Steps(
            clean_limits(self.city.settings),
            series,
            rooms.desk,
            lambda: rooms.directory.ids,
            CLOCK,
            rules=rule_limits(self.city.settings),
            load_fences=rooms.fences.load,
            kinds=lambda: rooms.directory.kind_of_slot,
            slots_of=rooms.nearby.slots_of,
            log_name=self.city.names.points(partition),
            may_write=sure,
        )

    def chores(self, partition: int, held: object) -> list[Chore]:
        del partition, held
        return []

    def close(self, *, drain_s: float = 10.0) -> None:
        """Let go in good order; again does nothing."""
        self.analyze.stop(drain_s=drain_s)
        self.stack.close()
