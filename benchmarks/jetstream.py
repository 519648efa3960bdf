"""What does the log cost past one machine, how soon is an alarm durable there, and how soon does another worker go on?

`python -m benchmarks.jetstream [points] [alarms] [takeover] [commits]`

points:   the same batches of points into the local log and into JetStream and out again, CPU a point of this process and of the
          servers; then spread over 1, 2, 4 and 8 partitions.
alarms:   appends of one alarm each, one after the other, with one and with three replicas, every write synced.
takeover: a worker's connection dies; how long until another holds its partition: the servers' pin, and beside it a lease in a key-value
          bucket that workers renew. Then what standing by costs, and for how long nobody holds a partition whose leader is killed.
commits:  several records in one commit: an atomic batch, one and three replicas.

Real servers on this machine, `sync_interval: always`. CPU is user + system time; local and remote are taken by turns in one run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import psutil

from benchmarks.influx import fixes
from benchmarks.machine import machine
from model.batch import PointBatch
from model.batch_codec import encode
from model.clock import SystemClock
from model.errors import StoreError
from model.seams import Log, NewRecord, RecordKind
from store.log.jetstream import JetStreamLog
from store.log.local import LocalLog
from store.nats.link import Link
from store.nats.ownership import Partition
from store.nats.partitions import Partitions, partitions_of
from store.nats.reading import Reader
from store.nats.streams import Names, Plan, set_up
from store.nats.terms import Away, Message, Refusal
from tests.nats import NatsCluster, NatsServer, link_to, names_of, open_jetstream_log

#: Points of one commit, as `log.max_rows` has it.
COMMIT_ROWS = 10_000
COMMITS = 60
ROUNDS = 3
ALARMS = 400
ALARM_BYTES = 400
SPREAD = (1, 2, 4, 8)
TTL_S = 3.0
PARTS = ("points", "alarms", "commits", "takeover")
DEATHS = 6
IDLE_S = 10.0


def cpu_s(servers: Sequence[NatsServer]) -> float:
    """User and system time of the servers so far."""
    used = 0.0
    for server in servers:
        if server.process is not None:
            times = psutil.Process(server.process.pid).cpu_times()
            used += times.user + times.system
    return used


def batches() -> list[PointBatch]:
    """One commit's points each."""
    return [fixes(COMMIT_ROWS // 2, 2, start_ms=1_760_000_000_000 + n * 20_000, seed=n) for n in range(8)]


def through(log: Log, records: Sequence[NewRecord], servers: Sequence[NatsServer]) -> tuple[float, float, float]:
    """Nanoseconds a point: this process appending, this process reading, the servers for both."""
    after, before_s = log.last_position(), cpu_s(servers)
    start_s = time.process_time()
    for number in range(COMMITS):
        log.append([records[number % len(records)]])
    appended_s = time.process_time()
    while found := log.read(after, max_records=256, max_bytes=8 << 20):
        after = found[-1].position
    read_s = time.process_time()
    per_point = 1e9 / (COMMITS * COMMIT_ROWS)
    return (
        (appended_s - start_s) * per_point,
        (read_s - appended_s) * per_point,
        (cpu_s(servers) - before_s) * per_point,
    )


def points_report(folder: Path, one: NatsServer, cluster: NatsCluster) -> None:
    records = [NewRecord(RecordKind.POINTS, len(batch), encode(batch)) for batch in batches()]
    print(
        f"\n{COMMITS} commits of {COMMIT_ROWS} points, {len(records[0].payload) // 1000} kB each; ns a point, median of {ROUNDS}"
    )
    with (
        closing(LocalLog(folder / "points.log.db", clock=SystemClock())) as local,
        closing(open_jetstream_log([one.url], folder)) as single,
        closing(open_jetstream_log(cluster.urls, folder, replicas=3)) as triple,
    ):
        ways: list[tuple[str, Log, list[NatsServer]]] = [
            ("local log", local, []),
            ("JetStream, 1 replica", single, [one]),
            ("JetStream, 3 replicas", triple, cluster.servers),
        ]
        taken: dict[str, list[tuple[float, float, float]]] = {name: [] for name, _, _ in ways}
        for _ in range(ROUNDS):
            for name, log, servers in ways:
                taken[name].append(through(log, records, servers))
    print(f"{'':24}{'append':>10}{'read':>10}{'both':>10}{'servers':>10}")
    for name, found in taken.items():
        append, read, there = (statistics.median(column) for column in zip(*found, strict=True))
        print(f"{name:24}{append:10.0f}{read:10.0f}{append + read:10.0f}{there:10.0f}")


def partitions_report(one: NatsServer) -> None:
    """As many points a partition over more and more partitions: split by device, encoded, appended to all at once."""
    print(
        f"\n{COMMIT_ROWS} points a partition and commit, split by device and encoded too, one replica; ns a point, median of {ROUNDS}"
    )
    with closing(link_to([one.url])) as link:
        ways = {}
        for count in SPREAD:
            plan = Plan(Names(f"bench{count}"), count, 1, 1, 16 << 30, 1 << 28)
            link.call(set_up(link, plan))
            ways[count] = Partitions(link, plan)
        taken: dict[int, list[tuple[float, float]]] = {count: [] for count in SPREAD}
        for _ in range(ROUNDS):
            for count, partitions in ways.items():
                taken[count].append(_spread(partitions, count, one))
    for count, found in taken.items():
        ours, theirs = (statistics.median(column) for column in zip(*found, strict=True))
        print(f"{count} partitions{ours:10.0f}, server {theirs:6.0f}")


def _spread(partitions: Partitions, count: int, server: NatsServer) -> tuple[float, float]:
    """Nanoseconds a point: this process, the server."""
    whole = PointBatch.concat(batches()[:count])
    before_s, start_s = cpu_s([server]), time.process_time()
    for _ in range(COMMITS // count):
        where = partitions_of(whole.slot, count)
        parts = [whole.take(np.flatnonzero(where == p)) for p in range(count)]
        partitions.append({p: [NewRecord(RecordKind.POINTS, len(part), encode(part))] for p, part in enumerate(parts)})
    per_point = 1e9 / (COMMITS // count * len(whole))
    return (time.process_time() - start_s) * per_point, (cpu_s([server]) - before_s) * per_point


def _map(server: NatsServer) -> None:
    """Let the server map points for each number of partitions."""
    conf = server.folder / "lucheng.conf"
    lines = [f'  "bench{n}.points.*": "bench{n}.partition.{{{{partition({n},1)}}}}"' for n in SPREAD]
    conf.write_text(conf.read_text().replace("mappings {", "\n".join(["mappings {", *lines])))


def alarms_report(folder: Path, one: NatsServer, cluster: NatsCluster) -> None:
    print(f"\nan alarm of {ALARM_BYTES} B appended, {ALARMS} times, one after the other; ms")
    for name, urls, replicas in (("1 replica", [one.url], 1), ("3 replicas", cluster.urls, 3)):
        with closing(open_jetstream_log(urls, folder / "alarms", replicas=replicas)) as log:
            took = _timed(lambda log=log: log.append([_alarm()]), ALARMS)  # type: ignore[misc] # a default binds it
        print(f"{name:12} p50 {np.percentile(took, 50):6.2f}  p99 {np.percentile(took, 99):6.2f}  max {max(took):6.2f}")


def commits_report(folder: Path, one: NatsServer, cluster: NatsCluster) -> None:
    print("\nseveral alarms in one commit; ms, median of 60")
    for name, urls, replicas in (("1 replica", [one.url], 1), ("3 replicas", cluster.urls, 3)):
        with closing(open_jetstream_log(urls, folder / "commits", replicas=replicas)) as log:
            line = f"{name:12}"
            for count in (1, 2, 8, 50):
                took = _timed(lambda log=log, count=count: log.append([_alarm()] * count), 60)  # type: ignore[misc] # defaults bind
                line += f"  {count} records {statistics.median(took):6.2f}"
        print(line)


def _alarm() -> NewRecord:
    return NewRecord(RecordKind.ALARM, 1, bytes(ALARM_BYTES))


def _timed(work: Callable[[], object], times: int) -> list[float]:
    took = []
    for _ in range(times):
        start_s = time.perf_counter()
        work()
        took.append((time.perf_counter() - start_s) * 1000)
    return took


class Lease:
    """The alternative: a key that its holder writes again within the time, and that others take once it stands still for that long."""

    def __init__(self, link: Link, names: Names, key: str, worker: str, ttl_s: float = TTL_S) -> None:
        self._link, self._worker, self._ttl_s = link, worker, ttl_s
        self._subject = names.owners_subject(key, "lease")
        self._reader = Reader(link, names.owners)
        self._renewed_s = 0.0
        self._sequence = 0
        link.start(self._run())

    def held(self) -> bool:
        """Whether it is certainly ours."""
        return self._renewed_s > 0 and time.monotonic() - self._renewed_s < self._ttl_s

    async def _run(self) -> None:
        seen, since_s = -1, time.monotonic()
        while True:
            sent_s = time.monotonic()
            try:
                if self._sequence:
                    await self._write(self._sequence)
                    self._renewed_s = sent_s
                else:
                    newest = await self._reader.newest_of(self._subject)
                    at = newest.position if newest is not None else 0
                    if at != seen:
                        seen, since_s = at, sent_s
                    if at == 0 or sent_s - since_s > self._ttl_s:
                        await self._write(at)
                        self._renewed_s = sent_s
                        continue
            except Refusal:
                self._sequence, self._renewed_s = 0, 0.0
            except Away:
                await asyncio.sleep(0.02)
                continue
            await asyncio.sleep(self._ttl_s / 3)

    async def _write(self, expected: int) -> None:
        headers = {"Nats-Expected-Last-Subject-Sequence": str(expected)}
        body = json.dumps({"worker": self._worker}).encode()
        self._sequence = int((await self._link.publish([Message(self._subject, body, headers)]))["seq"])


class Standing:
    """Workers of one partition by one of the two ways, each on a connection of its own."""

    def __init__(self, urls: Sequence[str], folder: Path, key: str, *, pinned: bool) -> None:
        self._urls, self._names, self._key, self._pinned = urls, names_of(folder), key, pinned
        self._number = 0
        self.workers: list[tuple[Link, Callable[[], bool]]] = []

    def add(self) -> None:
        """One more."""
        self._number += 1
        link = link_to(self._urls, name=f"w{self._number}")
        if self._pinned:
            partition = Partition(link, self._names, self._key, worker=f"w{self._number}", ttl_s=TTL_S)
            self.workers.append((link, lambda: (turn := partition.wait(0)) is not None and turn.held()))
        else:
            self.workers.append((link, Lease(link, self._names, self._key, f"w{self._number}").held))

    def holder(self) -> int | None:
        """Which of them holds it now."""
        return next((n for n, (_, held) in enumerate(self.workers) if held()), None)

    def until_held(self) -> float:
        """Seconds until somebody holds it."""
        start_s = time.perf_counter()
        while self.holder() is None:
            time.sleep(0.005)
        return time.perf_counter() - start_s

    def close(self) -> None:
        """End all."""
        for link, _ in self.workers:
            link.close()


def takeover_report(folder: Path, cluster: NatsCluster) -> None:
    print(f"\na partition passed on, three servers, {TTL_S:g} s without a word; s")
    with closing(open_jetstream_log(cluster.urls, folder / "take", replicas=3)) as log:
        stop = threading.Event()
        feeder = threading.Thread(target=_tick, args=(log, stop))
        feeder.start()
        try:
            for name, pinned in (("pinned client", True), ("key-value lease", False)):
                _takeover(name, Standing(cluster.urls, folder / "take", log.stream, pinned=pinned), cluster, log.stream)
        finally:
            stop.set()
            feeder.join()


def _tick(log: JetStreamLog, stop: threading.Event) -> None:
    with suppress(StoreError):
        while not stop.wait(0.1):
            log.append([_alarm()])


def _takeover(name: str, standing: Standing, cluster: NatsCluster, stream: str) -> None:
    standing.add()
    standing.add()
    standing.until_held()
    took = []
    for _ in range(DEATHS):
        time.sleep(TTL_S)
        dies = standing.holder()
        assert dies is not None
        link, _ = standing.workers.pop(dies)
        start_s = time.perf_counter()
        link.close()
        standing.until_held()
        took.append(time.perf_counter() - start_s)
        standing.add()
    before = cpu_s(cluster.servers)
    time.sleep(IDLE_S)
    idle = (cpu_s(cluster.servers) - before) / IDLE_S
    before_holder = standing.holder()
    leader = cluster.leader_of(f"KV_{names_prefix(stream)}_owners" if "lease" in name else stream)
    assert leader is not None
    leader.kill()
    nobody_s, moved = _gap(standing, before_holder)
    cluster.start()
    standing.close()
    print(
        f"{name:18} worker dies: median {statistics.median(took):.2f}, max {max(took):.2f};  its leader killed: nobody for {nobody_s:.1f},"
        f" {'moved' if moved else 'stayed'};  servers {idle * 1000:.0f} ms CPU a second with ten records a second"
    )


def names_prefix(stream: str) -> str:
    """The prefix in a stream's name."""
    return stream.rpartition("_")[0]


def _gap(standing: Standing, before: int | None) -> tuple[float, bool]:
    """For how long nobody holds it within the 20 s after a server died, and whether another does then."""
    end_s = time.perf_counter() + 20
    nobody_s = 0.0
    last_s = time.perf_counter()
    while last_s < end_s:
        time.sleep(0.01)
        now_s = time.perf_counter()
        if standing.holder() is None:
            nobody_s += now_s - last_s
        last_s = now_s
    return nobody_s, standing.holder() != before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parts = parser.parse_args().parts or list(PARTS)
    if unknown := set(parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        one = NatsServer(folder / "one")
        cluster = NatsCluster(folder / "three")
        try:
            _map(one)
            one.start()
            cluster.start()
            if "points" in parts:
                points_report(folder, one, cluster)
                partitions_report(one)
            if "alarms" in parts:
                alarms_report(folder, one, cluster)
            if "commits" in parts:
                commits_report(folder, one, cluster)
            if "takeover" in parts:
                takeover_report(folder, cluster)
        finally:
            one.kill()
            cluster.stop()


if __name__ == "__main__":
    main()
