"""What does it cost to share cameras between machines: a pinned consumer a share, or a lease a machine and one table of shares?

`python -m benchmarks.camera_shares [--shares 64] [--machines 3]`

Three real nats-servers on this machine, `sync_interval: always`, three copies of everything. Each machine is a connection. CPU is user + system time of the
servers and of this process (all machines together), a second of wall time, while nothing happens; then one machine's connection
is closed, and it is measured how long it takes until the others have all of its shares. RTSP is left out: both open cameras alike.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

from benchmarks.jetstream import cpu_s
from benchmarks.machine import machine
from lucheng.video.sharing.others import Others
from lucheng.video.sharing.plan import Picture, Seat, to_take
from model.errors import StoreError, TryAgain
from store.nats.asking import listen
from store.nats.cameras import VideoNames, set_up_video
from store.nats.leases import Lease
from store.nats.link import Link
from store.nats.ownership import Partition
from store.nats.shares import SharesView, write_table
from store.nats.streams import Names, key_value_stream, log_stream, made
from store.nats.terms import Message
from tests.nats import NatsCluster, link_to

LEASE_S = 12.0
LOOK_S = 0.25
IDLE_S = 20.0
CAMERAS_A_SHARE = 10


class Leased:
    """A machine as `lucheng.video.sharing.sharer` is, without cameras."""

    def __init__(self, cluster: NatsCluster, names: VideoNames, shares: int, machines: int) -> None:
        self.link = link_to(cluster.urls)
        self._names = names
        self._shares, self._part = shares, shares * CAMERAS_A_SHARE
        self.view = SharesView(self.link, names, shares)
        self.lease = Lease(self.link, names, {"name": "m", "capacity": self._part}, lease_s=LEASE_S)
        self.link.start(listen(self.link, names.machine_subject(self.lease.run), lambda _subject, _said: b"here"))
        self.lease.begin()
        self._others = Others(self.link, names, self.view, lease_s=LEASE_S, settle_s=0)
        self._machines = machines
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self._thread.start()

    def held(self) -> int:
        """Shares that it has."""
        return sum(run == self.lease.run for run in self.view.table.holders)

    def _loop(self) -> None:
        while not self._stop.wait(LOOK_S):
            with suppress(TryAgain, StoreError):
                self._look()

    def _look(self) -> None:
        table, me = self.view.table, self.lease.run
        seats = {**self._others.seats(table, me), me: Seat(self._part, settled=True)}
        if len(seats) < self._machines and not table.revision:
            return  # all begin together
        picture = Picture(table.holders, [CAMERAS_A_SHARE] * self._shares, seats, me)
        taking = to_take(picture)
        if taking:
            holders = [run if run in seats else "" for run in table.holders]
            for share in taking:
                holders[share] = me
            written = self.link.call(write_table(self.link, self._names, holders, table.revision))
            if written is not None:
                self.view.took(written)

    def die(self) -> None:
        """Its connection ends; it renews nothing any more."""
        self._stop.set()
        self._thread.join()
        self.link.close()


class Pinned:
    """A machine that stands by for every share as workers do for partitions."""

    def __init__(self, cluster: NatsCluster, names: Names, shares: int, number: int) -> None:
        self.link = link_to(cluster.urls)
        self.parts = [
            Partition(self.link, names, _share(names, share), worker=f"m{number}", ttl_s=LEASE_S, max_silence_s=1e9)
            for share in range(shares)
        ]

    def held(self) -> int:
        """Shares that it has."""
        return sum(part.wait(0) is not None for part in self.parts)

    def die(self) -> None:
        """Its connection ends."""
        self.link.close()


def _share(names: Names, share: int) -> str:
    return f"{names.prefix}_share_{share}"


def _tick(link: Link, names: Names, shares: int, stop: threading.Event) -> None:
    """Records, without which nobody is pinned: one a share and two seconds."""
    while not stop.wait(2.0):
        for share in range(shares):
            with suppress(TryAgain, StoreError):
                link.call(link.publish([Message(f"{names.prefix}.share.{share}", b"", {})]))


def _report(what: str, cluster: NatsCluster, machines: list[Leased] | list[Pinned], shares: int) -> None:
    deadline_s = time.monotonic() + 120
    while sum(one.held() for one in machines) < shares and time.monotonic() < deadline_s:
        time.sleep(0.1)
    print(f"  {what}: held by each at first {[one.held() for one in machines]}")
    before_s, own_s, at_s = cpu_s(cluster.servers), time.process_time(), time.monotonic()
    time.sleep(IDLE_S)
    past_s = time.monotonic() - at_s
    servers_ms = (cpu_s(cluster.servers) - before_s) / past_s * 1000
    print(
        f"    servers {servers_ms:.0f} ms, machines {(time.process_time() - own_s) / past_s * 1000:.0f} ms of CPU a second"
    )
    dead, left = machines[0], machines[1:]
    at_s = time.monotonic()
    dead.die()
    while sum(one.held() for one in left) < shares and time.monotonic() < at_s + 120:
        time.sleep(0.02)
    print(f"    all shares with the others after {time.monotonic() - at_s:.1f} s")
    for one in left:
        one.die()


def main() -> None:
    """Both, one after the other."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--shares", type=int, default=64)
    parser.add_argument("--machines", type=int, default=3)
    given = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        cluster = NatsCluster(Path(folder)).start()
        link = link_to(cluster.urls)
        stop = threading.Event()
        try:
            video = VideoNames("bench")
            link.call(set_up_video(link, video, replicas=3, max_file_bytes=64 << 20))
            print(f"{given.shares} shares, {given.machines} machines, {LEASE_S:g} s")
            leased = [Leased(cluster, video, given.shares, given.machines) for _ in range(given.machines)]
            _report("a lease a machine, one table", cluster, leased, given.shares)
            names = Names("bench")
            link.call(made(link, key_value_stream(names.owners, 3)))
            for share in range(given.shares):
                link.call(made(link, log_stream(_share(names, share), f"bench.share.{share}", 3, 1 << 20)))
            pinned = [Pinned(cluster, names, given.shares, number) for number in range(given.machines)]
            thread = threading.Thread(target=_tick, args=(link, names, given.shares, stop), daemon=True)
            thread.start()
            _report("a pinned consumer a share", cluster, pinned, given.shares)
            stop.set()
            thread.join()
        finally:
            stop.set()
            link.close()
            cluster.stop()


if __name__ == "__main__":
    main()
