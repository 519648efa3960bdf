"""Processes that analyse, for the benchmarks of the cluster: each has a data folder of its own and does what its parent says.

Invariants: nobody else's work is in a process, so its CPU is that of what it does; its way is the one of `lucheng run --role analyze`,
but that series lie in embedded files, one a partition, and that one of several processes has the partitions it was given, for
its files could not pass on with them.
"""

from __future__ import annotations

import multiprocessing
import shutil
import time
from collections.abc import Sequence
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import psutil

from benchmarks import cluster_feed as feed
from config.sections import Settings
from lucheng.app import pipeline
from lucheng.cluster.nodes import Registration, Roll
from lucheng.cluster.seconds import Seconds, said_by
from lucheng.cluster.worker import Held, PartitionWorker
from lucheng.limits import clean_limits, rule_limits
from lucheng.nats_choice import open_link, open_partitions
from lucheng.rooms import Rooms, open_rooms
from lucheng.runner import Runner, RunnerLimits
from lucheng.steps import Steps
from model.clock import SystemClock
from model.seams import Log, NewRecord, RecordKind
from model.status_batch import Tick
from store.log.jetstream import JetStreamLog
from tests.lucheng.cluster.city import City, Member
from tests.nats import NatsServer

CLOCK = SystemClock()
#: Longer than a machine that is busy with other things keeps a thread waiting: a taking in between would be measured too.
TAKE_OVER_S = 10.0
LIMITS = RunnerLimits(retention_days=0, seal_delay_s=7 * 86_400)
_LOOK_S = 0.1
_CONTEXT = multiprocessing.get_context("spawn")


class Shared(Member):
    """An analyze process whose partitions share one connection, as in `RoomMeans`."""

    def log(self, partition: int) -> Log:
        return JetStreamLog(
            self.link,
            self.city.names,
            self.city.names.points(partition),
            self.city.names.partition_subject(partition),
            exclusive=False,
            close_link=False,
        )

    def held(self) -> dict[int, Held]:
        """What it holds."""
        return dict(self.analyze.held())


class Given(Shared):
    """One that has just these partitions, whatever others have."""

    def __init__(self, city: City, name: str, mine: Sequence[int]) -> None:
        self.city = city
        self.name = name
        self.stack = ExitStack()
        self.since_ms = CLOCK.now_ms()
        self.link = open_link(city.settings, CLOCK, name)
        self.stack.callback(self.link.close)
        self.registration = Registration(Roll(self.link, city.names), self.describe, city.settings.cluster, CLOCK)
        gather_s = city.settings.cluster.gather_ms / 1000
        self.workers = [
            PartitionWorker(one, self, CLOCK, on_fatal=city.failures.append, limits=LIMITS, gather_s=gather_s)
            for one in mine
        ]
        self.seconds = Seconds(
            open_partitions(city.settings, self.link),
            CLOCK,
            held=self.held,
            free=list,
            nodes=self.registration.nodes,
            says=lambda: said_by(city.rooms, city.rooms.directory.slot),
            look=lambda: None,
            on_fatal=city.failures.append,
        )
        self.stack.callback(self.registration.stop)
        self.registration.start()
        for worker in self.workers:
            worker.stand_by(on=True)
            worker.start()
        self.seconds.start()

    def held(self) -> dict[int, Held]:
        return {one.number: held for one in self.workers if (held := one.held) is not None}

    def close(self, *, drain_s: float = 10.0) -> None:
        self.seconds.stop()
        for worker in self.workers:
            worker.stop(drain_s=drain_s)
        self.stack.close()


def registered(folder: Path, devices: int) -> Path:
    """A data folder in which a city is registered, to be copied."""
    with open_rooms(folder / "data", Settings(), write=True) as rooms:
        rooms.registry.ensure(feed.ids(devices))
    return folder


class Process:
    """One of them, started and waiting.

    Args:
        folder: its own; what `source` holds is copied into it.
        source: see `registered`.
        work: what it does, see `analyse` and `alone`.
        given: what that wants to know.
    """

    def __init__(self, folder: Path, source: Path, work: Any, *given: Any) -> None:
        shutil.copytree(source, folder)
        self._pipe, theirs = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=work, args=(theirs, folder, *given), daemon=True)
        self._process.start()
        theirs.close()
        self.held = self.stored = 0
        self.hear()

    def go(self) -> None:
        """Let it begin."""
        self._pipe.send("go")

    def hear(self) -> None:
        """Wait for its next word. Raises EOFError when it has ended."""
        self.held, self.stored = self._pipe.recv()

    def cpu_s(self) -> float:
        """User and system time so far."""
        times = psutil.Process(self._process.pid).cpu_times()
        return float(times.user + times.system)

    def close(self) -> None:
        """End it."""
        self._pipe.close()
        self._process.join(60)
        if self._process.is_alive():
            self._process.kill()


def _tell(pipe: Connection, held: int, stored: int) -> bool:
    """Say how far one is; whether anybody still listens."""
    try:
        pipe.send((held, stored))
    except OSError:
        return False
    return True


def analyse(pipe: Connection, folder: Path, url: str, partitions: int, mine: Sequence[int], gather_ms: int) -> None:
    """Hold partitions until the parent hangs up, and tell what is stored."""
    server = cast("NatsServer", SimpleNamespace(url=url))
    city = City(folder, server, [], partitions=partitions, take_over_s=TAKE_OVER_S, gather_ms=gather_ms)
    _tell(pipe, 0, 0)
    pipe.recv()
    name = f"a{mine[0]}"
    member = Shared(city, name) if len(mine) == partitions else Given(city, name, mine)
    city.members.append(member)
    while not city.failures:
        held = member.held().values()
        if not _tell(pipe, len(held), sum(one.series.totals().stored for one in held)):
            break
        time.sleep(_LOOK_S)
    city.close()


def alone(pipe: Connection, folder: Path, rows: int) -> None:
    """The one-machine kind: a local log that is full, one runner, one store."""
    with open_rooms(folder / "data", Settings(), write=True) as rooms:
        rooms.registry.refresh(rooms.directory)
        for commit in feed.backlog(len(rooms.directory.ids), rows, CLOCK.now_ms() - 60_000):
            rooms.points_log.append([commit])
        runner = _runner(rooms)
        runner.recover()
        _tell(pipe, 0, 0)
        pipe.recv()
        while runner.run_once():
            runner.keep_house()
            _tell(pipe, 1, rooms.series.totals().stored)


def alone_paced(pipe: Connection, folder: Path, seconds: Sequence[Sequence[tuple[int, bytes]]]) -> None:
    """The same by the clock: a commit every slice of a second, a tick every second."""
    with open_rooms(folder / "data", Settings(), write=True) as rooms:
        rooms.registry.refresh(rooms.directory)
        runner = _runner(rooms)
        runner.recover()
        _tell(pipe, 0, 0)
        pipe.recv()
        began_s = time.monotonic()
        for number, slices in enumerate(seconds):
            for part, (rows, payload) in enumerate(slices):
                time.sleep(max(0.0, began_s + number + part / len(slices) - time.monotonic()))
                rooms.points_log.append([NewRecord(RecordKind.POINTS, rows, payload)])
                while runner.run_once():
                    runner.keep_house()
            rooms.points_log.append([NewRecord(RecordKind.TICK, 0, Tick(CLOCK.now_ms(), listening=True).to_bytes())])
            _tell(pipe, 1, rooms.series.totals().stored)


def _runner(rooms: Rooms) -> Runner:
    steps = Steps(
        clean_limits(rooms.settings),
        rooms.series,
        rooms.desk,
        lambda: rooms.directory.ids,
        CLOCK,
        rules=rule_limits(rooms.settings),
        load_fences=rooms.fences.load,
        kinds=lambda: rooms.directory.kind_of_slot,
        slots_of=rooms.nearby.slots_of,
    )
    return Runner(pipeline(steps), steps, rooms.points_log, rooms.series, CLOCK, limits=LIMITS)
