"""What do roles cost, and how does the cost go with the number of partitions and the amount of work?

`python -m benchmarks.cluster [drain] [paced] [idle] [--work 1 10 100] [--partitions 1 2 4 8] [--points 24000000] [--rounds 3]`

drain: the log is full before anybody analyses, so a step is never smaller than it may be; CPU from the first point to the last one
       stored, embedded series. The baseline of the same run is one process with the local log and one runner. Partitions are threads of one
       process, and beside it, in the first round, one process each. What publishing cost is told for itself.
paced: the model city by the clock: 7,000 taxis at 10 s, 300,000 e-bikes at 10 s (riding, one in twenty) and 30 s; CPU a second.
idle:  nothing comes: pins, ticks, who is there.

CPU is user + system time, of who analyses and of the nats-server apart; ways are taken by turns, medians. `work` 1 is 3,070 devices, 10 and
100 as many times that; the points are as many each time. A real server, `sync_interval: always`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, suppress
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple, Self, cast

import numpy as np

from benchmarks import cluster_feed as feed
from benchmarks.cluster_hands import CLOCK, Process, alone, alone_paced, analyse, registered
from benchmarks.jetstream import cpu_s
from benchmarks.machine import machine
from lucheng.nats_choice import open_points
from model.batch_codec import encode
from model.seams import NewRecord, RecordKind
from store.nats.terms import Refusal
from tests.lucheng.cluster.city import City, cut_into
from tests.nats import NatsServer

PARTS = ("idle", "drain", "paced")
DEVICES = 3_070
WORK = (1, 10, 100)
SPREAD = (1, 2, 4, 8)
POINTS = 24_000_000
ROUNDS = 3
IDLE_S = 10.0
WARM_S, PACED_S = 5, 30
#: Commits of a second at the pace of the city, as `log.max_delay_ms` (50 ms) makes them.
SLICES = 20
GATHER_MS = 200
_TIMEOUT_S = 900.0


class Cost(NamedTuple):
    """Microseconds of CPU a point, or milliseconds a second: who analyses, the nats-server; seconds by the wall."""

    ours: float
    theirs: float
    wall_s: float


class Streams:
    """A nats-server with so many partitions, and what is put into them.

    Args:
        folder: for everything.
        partitions: how many.
    """

    def __init__(self, folder: Path, partitions: int) -> None:
        self.partitions = partitions
        self._stack = ExitStack()
        self.server = NatsServer(folder / "nats")
        cut_into(self.server, partitions)
        self.server.start()
        self._stack.callback(self.server.kill)
        self.city = City(
            folder / "feeder", cast("NatsServer", SimpleNamespace(url=self.server.url)), [], partitions=partitions
        )
        self._stack.callback(self.city.close)

    def fill(self, devices: int, points: int) -> Cost:
        """Publish a backlog; what that cost a point."""
        for partition in range(self.partitions):
            with closing(open_points(self.city.settings, CLOCK, partition)) as log:
                log.set_consumed("bench", 0)  # so that nothing is trimmed: it is read again
        ours, began_s, served_s = 0.0, time.monotonic(), cpu_s([self.server])
        commits = feed.backlog(devices, points, CLOCK.now_ms() - 60_000)
        # While there is more to commit, an ingestor commits as much for each partition.
        while commit := list(islice(commits, self.partitions)):
            before_s = time.process_time()
            self.city.log.append(commit)
            ours += time.process_time() - before_s
        return Cost(ours * 1e6 / points, (cpu_s([self.server]) - served_s) * 1e6 / points, time.monotonic() - began_s)

    def drain(self, source: Path, folder: Path, processes: int, points: int) -> Cost:
        """Let so many processes have all of it, from the beginning; what that cost a point."""
        self.forget()
        with Hands(self, source, folder, processes) as hands:
            ours, served_s, began_s = hands.cpu_s(), cpu_s([self.server]), time.monotonic()
            hands.go()
            hands.wait(lambda: hands.stored >= points)
            used_s, wall_s = hands.cpu_s() - ours, time.monotonic() - began_s
            return Cost(used_s * 1e6 / points, (cpu_s([self.server]) - served_s) * 1e6 / points, wall_s)

    def forget(self) -> None:
        """Who works on what begins anew: the servers tell of every record again."""
        for partition in range(self.partitions):
            with suppress(Refusal):
                stream = self.city.names.points(partition)
                self.city.link.call(self.city.link.api(f"CONSUMER.DELETE.{stream}.workers"))

    def paced(self, source: Path, folder: Path, processes: int, gather_ms: int) -> tuple[Cost, float]:
        """The city by the clock: milliseconds of CPU a second of who analyses and of the server; of who publishes."""
        with Hands(self, source, folder, processes, gather_ms) as hands:
            hands.go()
            hands.wait(lambda: hands.held == self.partitions)
            seconds = paced_seconds()
            publishing, began_s = 0.0, time.monotonic()
            before = (0.0, 0.0, 0.0)
            for number, slices in enumerate(seconds):
                if number == WARM_S:
                    before = hands.cpu_s(), cpu_s([self.server]), publishing
                for part, (rows, payload) in enumerate(slices):
                    time.sleep(max(0.0, began_s + number + part / len(slices) - time.monotonic()))
                    at_s = time.process_time()
                    self.city.log.append([NewRecord(RecordKind.POINTS, rows, payload)])
                    publishing += time.process_time() - at_s
            took = hands.cpu_s() - before[0], cpu_s([self.server]) - before[1], publishing - before[2]
            sent = sum(rows for slices in seconds for rows, _ in slices)
            hands.wait(lambda: hands.stored >= sent)
            ours, theirs, fed = (used_s * 1e3 / PACED_S for used_s in took)
            return Cost(ours, theirs, time.monotonic() - began_s), fed

    def idle(self, source: Path, folder: Path, processes: int) -> Cost:
        """Milliseconds of CPU a second while nothing comes."""
        with Hands(self, source, folder, processes) as hands:
            hands.go()
            hands.wait(lambda: hands.held == self.partitions)
            ours, served_s = hands.cpu_s(), cpu_s([self.server])
            time.sleep(IDLE_S)
            return Cost((hands.cpu_s() - ours) * 1e3 / IDLE_S, (cpu_s([self.server]) - served_s) * 1e3 / IDLE_S, IDLE_S)

    def close(self) -> None:
        """End the server."""
        self._stack.close()


class Hands:
    """Processes that share the partitions of a server, each with as many."""

    def __init__(
        self, streams: Streams, source: Path, folder: Path, processes: int, gather_ms: int = GATHER_MS
    ) -> None:
        count = streams.partitions
        self._processes = [
            Process(
                folder / f"hand{number}",
                source,
                analyse,
                *(streams.server.url, count, list(range(number, count, processes)), gather_ms),
            )
            for number in range(processes)
        ]

    @property
    def stored(self) -> int:
        """Points, of all of them."""
        return sum(one.stored for one in self._processes)

    @property
    def held(self) -> int:
        """Partitions."""
        return sum(one.held for one in self._processes)

    def cpu_s(self) -> float:
        """User and system time of all of them."""
        return sum(one.cpu_s() for one in self._processes)

    def go(self) -> None:
        """Let them begin."""
        for one in self._processes:
            one.go()

    def wait(self, met: Callable[[], bool]) -> None:
        """Hear what they say until it is so."""
        deadline_s = time.monotonic() + _TIMEOUT_S
        while not met():
            if time.monotonic() > deadline_s:
                raise TimeoutError("not in time")
            for one in self._processes:
                one.hear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._processes:
            one.close()


def paced_seconds() -> list[list[tuple[int, bytes]]]:
    """Commits of each second, as rows and bytes."""
    start_ms = CLOCK.now_ms()
    found = []
    for number in range(WARM_S + PACED_S):
        batch = feed.second(number, start_ms + number * 1_000)
        rows = np.array_split(np.random.default_rng(number).permutation(len(batch)), SLICES)
        found.append([(len(part), encode(batch.take(part))) for part in rows])
    return found


def drained_alone(source: Path, folder: Path, points: int) -> Cost:
    """The baseline of `drain`."""
    with closing(Process(folder, source, alone, points)) as one:
        before_s, began_s = one.cpu_s(), time.monotonic()
        one.go()
        while one.stored < points:
            one.hear()
        return Cost((one.cpu_s() - before_s) * 1e6 / points, 0.0, time.monotonic() - began_s)


def paced_alone(source: Path, folder: Path) -> Cost:
    """The baseline of `paced`."""
    seconds = paced_seconds()
    with closing(Process(folder, source, alone_paced, seconds)) as one:
        before_s, began_s = 0.0, time.monotonic()
        one.go()
        for number in range(WARM_S + PACED_S):
            one.hear()
            if number + 1 == WARM_S:
                before_s = one.cpu_s()
        return Cost((one.cpu_s() - before_s) * 1e3 / PACED_S, 0.0, time.monotonic() - began_s)


def say(what: str, found: Sequence[Cost], unit: str) -> None:
    """One line: medians, and where they lie."""
    ours = sorted(one.ours for one in found)
    theirs, wall_s = (statistics.median(column) for column in list(zip(*found, strict=True))[1:])
    print(
        f"{what:44} {statistics.median(ours):8.3f} ({ours[0]:.3f} to {ours[-1]:.3f}), nats-server {theirs:7.3f} {unit};"
        f" {wall_s:.0f} s, load {os.getloadavg()[0]:.1f}",
        flush=True,
    )


def draining(folder: Path, work: Sequence[int], spread: Sequence[int], points: int, rounds: int) -> None:
    """All of `drain`."""
    for scale in work:
        devices = DEVICES * scale
        source = registered(folder / f"city{scale}", devices)
        found: dict[str, list[Cost]] = {}
        with ExitStack() as stack:
            ways: list[tuple[Streams, int]] = []
            for partitions in spread:
                streams = Streams(folder / f"streams{scale}-{partitions}", partitions)
                stack.callback(streams.close)
                say(f"{scale}x, {partitions} partitions: publishing", [streams.fill(devices, points)], "us a point")
                ways += [(streams, 1), *([(streams, partitions)] if partitions > 1 else [])]
            for number in range(rounds):
                with tempfile.TemporaryDirectory(dir=folder) as own:
                    found.setdefault("alone", []).append(drained_alone(source, Path(own) / "alone", points))
                for streams, processes in ways:
                    if processes > 1 and number:
                        continue  # beside the others, once
                    with tempfile.TemporaryDirectory(dir=folder) as own:
                        name = f"{streams.partitions} partitions, {processes} processes"
                        found.setdefault(name, []).append(streams.drain(source, Path(own), processes, points))
                        print(f"  round {number}: {name} {found[name][-1]}", flush=True)
        for name, costs in found.items():
            say(f"{scale}x, {name}", costs, "us a point")


def pacing(folder: Path, spread: Sequence[int], rounds: int, gather_ms: int) -> None:
    """All of `paced`."""
    source = registered(folder / "city", feed.TAXIS + feed.EBIKES)
    found: dict[str, list[Cost]] = {}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(dir=folder) as own:
            found.setdefault("paced, alone", []).append(paced_alone(source, Path(own) / "alone"))
        for partitions in spread:
            with tempfile.TemporaryDirectory(dir=folder) as own, closing(Streams(Path(own), partitions)) as streams:
                cost, fed = streams.paced(source, Path(own), 1, gather_ms)
                found.setdefault(f"paced, {partitions} partitions", []).append(cost)
                found.setdefault(f"paced, {partitions} partitions: publishing", []).append(cost._replace(ours=fed))
    for name, costs in found.items():
        say(name, costs, "ms a second")


def idling(folder: Path, spread: Sequence[int]) -> None:
    """All of `idle`."""
    source = registered(folder / "few", DEVICES)
    for partitions in spread:
        with tempfile.TemporaryDirectory(dir=folder) as own, closing(Streams(Path(own), partitions)) as streams:
            say(f"idle, {partitions} partitions", [streams.idle(source, Path(own), 1)], "ms a second")


def main() -> None:
    """Print lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--work", type=int, nargs="+", default=list(WORK))
    parser.add_argument("--partitions", type=int, nargs="+", default=list(SPREAD))
    parser.add_argument("--points", type=int, default=POINTS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--gather-ms", type=int, default=GATHER_MS, help="of paced, as cluster.gather_ms")
    given = parser.parse_args()
    parts = given.parts or list(PARTS)
    if unknown := set(parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory(prefix="lucheng-bench-") as name:
        folder = Path(name)
        if "idle" in parts:
            idling(folder, given.partitions)
        if "drain" in parts:
            draining(folder, given.work, given.partitions, given.points, given.rounds)
        if "paced" in parts:
            pacing(folder, given.partitions, given.rounds, given.gather_ms)


if __name__ == "__main__":
    main()
