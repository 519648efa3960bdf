"""How much do the engines themselves take on this machine, whatever lucheng costs? For docs/design/scale.md.

`python -m benchmarks.engine_limits [nats] [postgres] [mosquitto]`

nats:      synced commits of 25 kB a second into 1, 2 and 8 streams, one writer each that waits for each acknowledgement; one server
           and three, `sync_interval: always`; and with eight commits under way in each stream.
postgres:  synced commits of one row a second by 1, 2 and 8 connections: of a store each, and of one store, whose writers take turns.
mosquitto: connections that only ping: memory and CPU of each.

A few seconds each. What a disk of servers does is another figure: run it there.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import psutil

from benchmarks.jetstream import cpu_s
from benchmarks.machine import machine
from lucheng.broker import EmbeddedBroker
from model.seams import NewRecord, RecordKind
from store.database import Place, connect, migrate, transaction
from store.nats.link import Link
from store.nats.reading import Reader
from store.nats.streams import log_stream, made
from store.nats.writing import Writer
from tests.nats import NatsCluster, NatsServer, link_to
from tests.postgres import PostgresServer

PARTS = ("nats", "postgres", "mosquitto")
SPREAD = (1, 2, 8)
FLIGHT = 8
COMMIT_BYTES = 25_000
RUN_S = 4.0
KEPT = "CREATE TABLE kept (number INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;"
CONNECTIONS = (1_000, 4_000, 8_000)
_KEEP_ALIVE_S = 60
_PINGREQ = b"\xc0\x00"


async def _write(writer: Writer, until_s: float) -> int:
    done = 0
    payload = os.urandom(COMMIT_BYTES)
    while time.monotonic() < until_s:
        await writer.commit([NewRecord(RecordKind.POINTS, 1, payload)])
        done += 1
    return done


async def _writers(link: Link, streams: list[str], flight: int) -> int:
    until_s = time.monotonic() + RUN_S
    ways = [
        Writer(link, Reader(link, stream), f"{stream}.in", last=0, exclusive=False)
        for stream in streams
        for _ in range(flight)
    ]
    return sum(await asyncio.gather(*(_write(way, until_s) for way in ways)))


def nats_report(folder: Path) -> None:
    one, cluster = NatsServer(folder / "one"), NatsCluster(folder / "three")
    one.start()
    cluster.start()
    try:
        for name, servers, replicas in (("one server", [one], 1), ("three servers", cluster.servers, 3)):
            with closing(link_to([server.url for server in servers])) as link:
                for count in SPREAD:
                    streams = [f"limit{replicas}{count}{number}" for number in range(count)]
                    for stream in streams:
                        link.call(made(link, log_stream(stream, f"{stream}.in", replicas, 4 << 30)))
                    for flight in (1, FLIGHT):
                        before_s = cpu_s(servers)
                        done = link.call(_writers(link, streams, flight))
                        used_s = cpu_s(servers) - before_s
                        print(
                            f"{name}, {count} streams, {flight} under way in each: {done / RUN_S:.0f} commits a second,"
                            f" {used_s / RUN_S * 1e3:.0f} ms CPU a second",
                            flush=True,
                        )
    finally:
        one.kill()
        cluster.stop()


def postgres_report() -> None:
    with closing(PostgresServer(lasting=True)) as server:
        server.start()
        handle = server.server("limits")
        places = [handle.place(f"limits{number}") for number in range(max(SPREAD))]
        for place in places:
            with closing(connect(place)) as connection:
                migrate(connection, [KEPT], place)
        for shared in (False, True):
            for count in SPREAD:
                done: list[int] = []
                until_s = time.monotonic() + RUN_S
                _together([partial(_insert, places[0 if shared else number], until_s, done) for number in range(count)])
                kind = "of one store" if shared else "of a store each"
                print(f"PostgreSQL, {count} connections {kind}: {sum(done) / RUN_S:.0f} commits a second", flush=True)
        handle.close()


def _insert(place: Place, until_s: float, done: list[int]) -> None:
    with closing(connect(place)) as connection:
        count = 0
        while time.monotonic() < until_s:
            with transaction(connection):
                connection.execute("INSERT INTO kept (text) VALUES (?)", ("x" * 400,))
            count += 1
        done.append(count)


def _together(works: Sequence[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def mosquitto_report(folder: Path) -> None:
    with EmbeddedBroker(folder / "broker", program="mosquitto", anonymous=True) as broker:
        process = psutil.Process(int(broker.pid_file.read_text()))
        held: list[socket.socket] = []
        empty_bytes = process.memory_info().rss
        try:
            for upto in CONNECTIONS:
                before_s, began_s, had = _used_s(process), time.monotonic(), len(held)
                while len(held) < upto:
                    held.append(_connected(broker.port, len(held)))
                connect_s, took_s = _used_s(process) - before_s, time.monotonic() - began_s
                before_s = _used_s(process)
                for one in held:
                    one.sendall(_PINGREQ)
                for one in held:
                    one.recv(2)
                ping_s = _used_s(process) - before_s
                rss_bytes = process.memory_info().rss - empty_bytes
                print(
                    f"mosquitto, {upto} connections: {rss_bytes / upto / 1024:.1f} KiB each beside the kernel's,"
                    f" {connect_s / (upto - had) * 1e6:.0f} us CPU a connect ({(upto - had) / took_s:.0f} a second),"
                    f" {ping_s / upto * 1e6:.0f} us a ping: {ping_s / _KEEP_ALIVE_S * 1e3:.1f} ms a second at {_KEEP_ALIVE_S} s",
                    flush=True,
                )
        finally:
            for one in held:
                with suppress(OSError):
                    one.close()


def _connected(port: int, number: int) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", port))
    name = f"limit-{number}".encode()
    body = b"\x00\x04MQTT\x04\x02" + _KEEP_ALIVE_S.to_bytes(2, "big") + len(name).to_bytes(2, "big") + name
    made.sendall(b"\x10" + bytes((len(body),)) + body)
    if made.recv(4) != b"\x20\x02\x00\x00":
        raise SystemExit("mosquitto did not let a connection in")
    return made


def _used_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def main() -> None:
    """Print lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parts = parser.parse_args().parts or list(PARTS)
    if unknown := set(parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory(prefix="lucheng-bench-") as name:
        if "nats" in parts:
            nats_report(Path(name))
        if "postgres" in parts:
            postgres_report()
        if "mosquitto" in parts:
            mosquitto_report(Path(name))
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
