"""What do analyze processes cost that keep points in InfluxDB and their ledger in PostgreSQL, and how does it go with partitions and work?

`python -m benchmarks.cluster_stores [--work 1 10] [--partitions 1 8] [--points 1500000] [--rounds 1]`

A real `lucheng run --role analyze` on a real nats-server (`sync_interval: always`), PostgreSQL (synced) and influxd. It stands by, then a
backlog is published far faster than it can be stored, so it always has more to do; CPU is user + system time of each process from
the first point published to the last one stored. `work` 1 is 3,070 devices. The points are as many each time.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import psutil

from benchmarks import cluster_feed as feed
from benchmarks.cluster import DEVICES
from benchmarks.machine import machine
from lucheng.cluster.parting import PartedLog
from lucheng.nats_choice import open_link, open_partitions, prepare
from lucheng.rooms import open_rooms
from model.clock import SystemClock
from tests.influx import Influxd
from tests.lucheng.cluster.city import cut_into
from tests.lucheng.cluster.processes import Processes
from tests.nats import NatsServer
from tests.postgres import PostgresServer

WORK = (1, 10)
SPREAD = (1, 8)
POINTS = 1_500_000
ROUNDS = 1
_TIMEOUT_S = 900.0
CLOCK = SystemClock()


def used_s(pid: int) -> float:
    """User and system time of a process, its children, and those that it had."""
    process = psutil.Process(pid)
    own = process.cpu_times()
    total = own.user + own.system + own.children_user + own.children_system
    for child in process.children(recursive=True):
        try:
            times = child.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return float(total)


def stored(
    folder: Path, postgres: PostgresServer, influxd: Influxd, devices: int, partitions: int, points: int
) -> Mapping[str, float]:
    """Microseconds of CPU a point by process; how many points a second by the wall."""
    with ExitStack() as stack:
        server = NatsServer(folder / "nats")
        cut_into(server, partitions)
        server.start()
        stack.callback(server.kill)
        city = Processes(folder, server, "", postgres, influxd, **{"nats.partitions": partitions})
        stack.callback(city.close)
        settings = city.settings()
        with open_rooms(folder / "registry", settings, write=True) as rooms:
            rooms.registry.ensure(feed.ids(devices))
        link = open_link(settings, CLOCK, "feeder")
        stack.callback(link.close)
        prepare(settings, link)
        log = PartedLog(open_partitions(settings, link))
        commits = list(feed.backlog(devices, points, CLOCK.now_ms() - 60_000))
        node = city.node("a1", "analyze")
        city.wait(city.held_by(["a1"]), "every partition to be held")
        assert influxd.process is not None
        assert postgres.process is not None
        pids = {
            "analyze": node.pid,
            "nats-server": server.process.pid if server.process is not None else 0,
            "influxd": influxd.process.pid,
            "PostgreSQL": postgres.process.pid,
        }
        before, began_s, mine_s = (
            {name: used_s(pid) for name, pid in pids.items()},
            time.monotonic(),
            time.process_time(),
        )
        for start in range(0, len(commits), partitions):
            log.append(commits[start : start + partitions])
        published = time.process_time() - mine_s, time.monotonic() - began_s
        _wait(lambda: node.status()["stored"] >= points)
        wall_s = time.monotonic() - began_s
        found = {name: (used_s(pid) - before[name]) * 1e6 / points for name, pid in pids.items()}
        return found | {
            "publishing": published[0] * 1e6 / points,
            "published in s": published[1],
            "points a second": points / wall_s,
        }


def say(what: str, rounds: Sequence[Mapping[str, float]]) -> None:
    """One line: medians."""
    figures = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    text = ", ".join(f"{name} {value:.2f}" for name, value in figures.items())
    print(f"{what}: us a point: {text}; load {os.getloadavg()[0]:.1f}", flush=True)


def _wait(met: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + _TIMEOUT_S
    while not met():
        if time.monotonic() > deadline_s:
            raise TimeoutError("not stored in time")
        time.sleep(0.5)


def main() -> None:
    """Print lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=int, nargs="+", default=list(WORK))
    parser.add_argument("--partitions", type=int, nargs="+", default=list(SPREAD))
    parser.add_argument("--points", type=int, default=POINTS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args()
    print(machine(), flush=True)
    with (
        closing(PostgresServer(lasting=True)) as postgres,
        tempfile.TemporaryDirectory(prefix="lucheng-bench-") as name,
    ):
        postgres.start()
        influxd = Influxd(Path(name) / "influxd").start()
        try:
            found: dict[tuple[int, int], list[Mapping[str, float]]] = {}
            for number in range(given.rounds):
                for work in given.work:
                    for partitions in given.partitions:
                        folder = Path(name) / f"city-{number}-{work}-{partitions}"
                        folder.mkdir()
                        made = stored(folder, postgres, influxd, DEVICES * work, partitions, given.points)
                        found.setdefault((work, partitions), []).append(made)
                        say(f"{work}x, {partitions} partitions, round {number}", [made])
            if given.rounds > 1:
                for (work, partitions), rounds in found.items():
                    say(f"{work}x, {partitions} partitions, median", rounds)
        finally:
            influxd.stop()


if __name__ == "__main__":
    main()
