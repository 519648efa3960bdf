"""How many positions does one CPU-second carry from terminals' sockets into the store, each answered after the commit?

`python -m benchmarks.gateway [--mode single808|batch808|single905] [--scale 1|10|100] [--seconds 30] [--runs 3] [--part load|memory]`

`simulator.terminal.fleet` in a process of its own is 10, 100 and 1,000 terminals of a city of 70, 700 and 7,000 registered
taxis, on TCP connections of their own, each with 10 frames outstanding: it sends the next as one is answered. Batches are
0704 with 20 positions. Positions have the additional items that terminals send (mileage, signal strength, satellites);
`--bare` leaves them out. `lucheng run` with all that it does: TCP in ▸ decode ▸ durable log ▸ answered ▸ analytics and rules
▸ store. CPU is user + system time of every process of it, its idle broker too, from the first position to the last one
stored; what was answered must be what is stored, to the row. Baseline in the same run: a server of asyncio and struct that
commits to SQLite and answers (`benchmarks.stock_gateway`). `memory`: RSS of the service before and after 10,000 connections.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.machine import machine
from benchmarks.spine import wait_for_api
from benchmarks.stock_gateway import run as run_stock
from config.settings import load
from console.client import RemoteClient
from devices.importing import import_csv
from lucheng.rooms import SOCKET_FILE, open_rooms
from simulator.terminal.fleet import DEFAULT_OUTSTANDING, Fleet
from simulator.terminal.wire import Protocol

#: Connections and registered taxis.
SCALES = {1: (10, 70), 10: (100, 700), 100: (1_000, 7_000)}
#: Protocol, positions of a message (0: one, as 0200).
MODES = {"single808": (Protocol.JT808, 0), "batch808": (Protocol.JT808, 20), "single905": (Protocol.JT905, 0)}
TARGET_PER_CPU_S = {"single808": 40_000, "batch808": 100_000, "single905": 40_000}
#: Traccar at its best, tuned and warm, per CPU-second on two such cores: figures of issue 5, not measured here.
TRACCAR_PER_CPU_S = {"single808": 3_500, "batch808": 7_600}
#: So many positions a second no run reaches: device times begin so far in the past that none runs into the future.
_MOST_PER_S = {0: 150_000, 20: 500_000}
_COMMIT_S = 0.03
MEMORY_CONNECTIONS = 10_000
TARGET_MEMORY_MIB = 1_024
_SETTLE_S = 3.0
_DRAIN_S = 60.0
_END_S = 120.0


@dataclass(frozen=True, slots=True)
class Measured:
    """One run."""

    positions: int
    cpu_s: float
    wall_s: float
    rss_mib: float
    commits_s: float = 0.0
    load_1min: float = 0.0

    @property
    def per_cpu_s(self) -> float:
        """The figure."""
        return self.positions / self.cpu_s


def numbers_of(protocol: Protocol, count: int) -> list[str]:
    """Terminal numbers, those of JT/T 905 with their twelve digits."""
    return [f"10{at:010d}" if protocol is Protocol.JT905 else f"138{at:08d}" for at in range(count)]


def cpu_s(pid: int) -> float:
    """User and system time of a process and of those that it started, seconds."""
    top = psutil.Process(pid)
    times = [one.cpu_times() for one in (top, *top.children(recursive=True))]
    return sum(one.user + one.system for one in times)


# -- the terminals, in a process of their own -------------------------------------------------


def be_fleet(given: Mapping[str, Any]) -> None:
    """Connect, say so, send when told to, wait for the last answer, say what was answered; hold until told to end."""
    protocol, batch, count = Protocol(given["protocol"]), given["batch"], given["connections"]
    with Fleet(
        "127.0.0.1",
        given["port"],
        numbers_of(protocol, count),
        protocol=protocol,
        batch=batch,
        start_ms=given["start_ms"],
        items=given["items"],
    ) as fleet:
        came = fleet.connect(_END_S)
        print(json.dumps(asdict(came)), flush=True)
        for line in sys.stdin:
            seconds = float(line)
            load = fleet.run(seconds)
            drained = fleet.drain(_DRAIN_S)
            answered = sum(times.size for _, times in fleet.ledger())
            said = {**asdict(load), "answered": answered, "drained": drained}
            print(json.dumps(said), flush=True)


@contextmanager
def fleet(port: int, mode: str, connections: int, seconds: float, *, items: bool) -> Iterator[subprocess.Popen[str]]:
    """The terminals, connected; `told` what they say next after a line with how long to send."""
    protocol, batch = MODES[mode]
    most_each = min(_MOST_PER_S[batch] / connections, DEFAULT_OUTSTANDING * max(batch, 1) / _COMMIT_S)
    start_ms = int((time.time() - 60 - seconds * most_each) * 1000)
    asked = {"port": port, "protocol": protocol, "batch": batch, "connections": connections, "start_ms": start_ms}
    command = [sys.executable, "-m", "benchmarks.gateway", "--fleet", json.dumps({**asked, "items": items})]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        hear(process)
        yield process
    finally:
        process.kill()
        process.wait()


def hear(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The next line of the fleet."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise SystemExit("the fleet ended")
    said: dict[str, Any] = json.loads(line)
    return said


def tell(process: subprocess.Popen[str], seconds: float) -> dict[str, Any]:
    """Have it send for so long; what was answered."""
    assert process.stdin is not None
    process.stdin.write(f"{seconds}\n")
    process.stdin.flush()
    said = hear(process)
    if not said["drained"]:
        raise SystemExit(f"not everything was answered: {said}")
    return said


# -- who is measured --------------------------------------------------------------------------


def prepare(data_dir: Path, protocol: Protocol, taxis: int) -> None:
    """Register the city's taxis."""
    name = "jt905" if protocol is Protocol.JT905 else "jt808"
    rows = ["id,phone,protocol"]
    rows += [f"taxi/{at:06d},{number},{name}" for at, number in enumerate(numbers_of(protocol, taxis))]
    with open_rooms(data_dir, load(env={}), write=True) as rooms:
        import_csv(rooms.registry, "\n".join(rows).encode())


def free_port() -> int:
    """A port that nobody has."""
    import socket  # noqa: PLC0415 here alone

    with closing(socket.socket()) as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@contextmanager
def ours(folder: Path, protocol: Protocol, taxis: int) -> Iterator[tuple[int, int, RemoteClient]]:
    """`lucheng run` with the city's taxis: its process, the port of terminals and a client."""
    data_dir = folder / "data"
    prepare(data_dir, protocol, taxis)
    port = free_port()
    env = {**os.environ, "LUCHENG_GATEWAY__JT_PORT": str(port), "LUCHENG_GATEWAY__LISTEN": "127.0.0.1"}
    with (folder / "service.log").open("wb") as log:
        command = [sys.executable, "-m", "lucheng", "--data", str(data_dir), "run"]
        service = subprocess.Popen(command, stdout=log, stderr=log, env=env)
    try:
        client = RemoteClient(data_dir / SOCKET_FILE)
        wait_for_api(client, service)
        yield service.pid, port, client
    finally:
        service.terminate()
        service.wait(60)


def run_ours(mode: str, scale: int, seconds: float, folder: Path, *, items: bool) -> Measured:
    """One run of the service."""
    protocol, _ = MODES[mode]
    connections, taxis = SCALES[scale]
    with (
        ours(folder, protocol, taxis) as (pid, port, client),
        fleet(port, mode, connections, seconds, items=items) as terminals,
    ):
        time.sleep(_SETTLE_S)
        before_s, began_s = cpu_s(pid), time.monotonic()
        said = tell(terminals, seconds)
        deadline_s = time.monotonic() + _END_S
        while (status := client.call("status"))["in_flight"] and time.monotonic() < deadline_s:
            time.sleep(0.05)
        spent_s, wall_s = cpu_s(pid) - before_s, time.monotonic() - began_s
        if status["stored"] != said["answered"] or status["duplicate"] or any(status["quarantined"].values()):
            raise SystemExit(f"{said['answered']} positions were answered: {status}")
        rss_mib = psutil.Process(pid).memory_info().rss / 2**20
        load = os.getloadavg()[0]
        return Measured(said["answered"], spent_s, wall_s, rss_mib, status["live"]["log_commit_s"], load)


def run_baseline(mode: str, scale: int, seconds: float, folder: Path, *, items: bool) -> Measured:
    """One run of the server of asyncio and struct."""
    connections, _ = SCALES[scale]
    port, file = free_port(), folder / "stock.db"
    command = [sys.executable, "-m", "benchmarks.gateway", "--stock", str(port), str(file), MODES[mode][0]]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        server.stdout.readline()
        with fleet(port, mode, connections, seconds, items=items) as terminals:
            before_s, began_s = cpu_s(server.pid), time.monotonic()
            said = tell(terminals, seconds)
            spent_s, wall_s = cpu_s(server.pid) - before_s, time.monotonic() - began_s
            rss_mib = psutil.Process(server.pid).memory_info().rss / 2**20
    finally:
        server.send_signal(signal.SIGKILL)
        server.wait()
    with closing(sqlite3.connect(file)) as database:
        (stored,) = database.execute("SELECT count(*) FROM points").fetchone()
    if stored != said["answered"]:
        raise SystemExit(f"{said['answered']} positions were answered, {stored} stored")
    return Measured(stored, spent_s, wall_s, rss_mib, load_1min=os.getloadavg()[0])


# -- reports ----------------------------------------------------------------------------------


def report_load(mode: str, scale: int, seconds: float, runs: int, *, items: bool) -> dict[str, Any]:
    """Runs of the service and of the baseline, and what they say."""
    found: dict[str, list[Measured]] = {"lucheng": [], "baseline": []}
    for _ in range(runs):
        for who, run in (("lucheng", run_ours), ("baseline", run_baseline)):
            with tempfile.TemporaryDirectory(prefix="lucheng-bench-") as folder:
                found[who].append(run(mode, scale, seconds, Path(folder), items=items))
            last = found[who][-1]
            print(f"  {mode} {scale}x {who}: {last.per_cpu_s:,.0f} positions/CPU-s, {asdict(last)}", flush=True)
    ours_, stock = (statistics.median(one.per_cpu_s for one in found[who]) for who in ("lucheng", "baseline"))
    connections, taxis = SCALES[scale]
    traccar = TRACCAR_PER_CPU_S.get(mode)
    beside = f", {ours_ / traccar:.1f} × Traccar's best of {traccar:,} (as issue 5 tells it)" if traccar else ""
    print(
        f"{mode} {scale}× ({connections:,} connections, {taxis:,} taxis): {ours_:,.0f} positions per CPU-second,"
        f" {ours_ / stock:.1f} × asyncio and struct ({stock:,.0f}){beside}; target {TARGET_PER_CPU_S[mode]:,} at 100×",
        flush=True,
    )
    runs_told = {who: [asdict(one) for one in some] for who, some in found.items()}
    return {"mode": mode, "scale": scale, "items": items, "rate": ours_, "baseline": stock, "runs": runs_told}


def report_memory(connections: int) -> dict[str, Any]:
    """RSS of the service before and after so many terminals came online, and after each has sent for a while."""
    with (
        tempfile.TemporaryDirectory(prefix="lucheng-bench-") as folder,
        ours(Path(folder), Protocol.JT808, connections) as (pid, port, client),
    ):
        process = psutil.Process(pid)
        time.sleep(_SETTLE_S)
        idle_mib = process.memory_info().rss / 2**20
        with fleet(port, "single808", connections, 10.0, items=True) as terminals:
            time.sleep(_SETTLE_S)
            online_mib = process.memory_info().rss / 2**20
            sessions = client.call("status")["live"]["gateway_sessions"]
            said = tell(terminals, 10.0)
            busy_mib = process.memory_info().rss / 2**20
    if sessions != connections:
        raise SystemExit(f"{sessions} of {connections} are online")
    each_kib = (online_mib - idle_mib) * 1024 / connections
    print(
        f"memory: {idle_mib:.0f} MiB idle with {connections:,} terminals registered, {online_mib:.0f} MiB with all online"
        f" ({each_kib:.2f} KiB a connection), {busy_mib:.0f} MiB after {said['answered']:,} positions in 10 s;"
        f" target {TARGET_MEMORY_MIB:,} MiB",
        flush=True,
    )
    return {"part": "memory", "connections": connections, "idle": idle_mib, "online": online_mib, "busy": busy_mib}


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=("load", "memory"), action="append")
    parser.add_argument("--mode", choices=sorted(MODES), action="append")
    parser.add_argument("--scale", type=int, choices=sorted(SCALES), action="append")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long a run sends; 30 for figures to be kept")
    parser.add_argument("--runs", type=int, default=1, help="of which the median counts; 3 for figures to be kept")
    parser.add_argument("--bare", action="store_true", help="positions without additional items")
    parser.add_argument("--json", type=Path, help="append the results to this file, a JSON object a line")
    parser.add_argument("--fleet", type=json.loads, help=argparse.SUPPRESS)
    parser.add_argument("--stock", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.fleet:
        be_fleet(given.fleet)
        return 0
    if given.stock:
        run_stock(int(given.stock[0]), Path(given.stock[1]), taxi=given.stock[2] == Protocol.JT905)
        return 0
    print(__doc__)
    print(machine())
    results = []
    if "load" in (given.part or ["load"]):
        for mode in given.mode or MODES:
            for scale in given.scale or SCALES:
                found = report_load(mode, scale, given.seconds, given.runs, items=not given.bare)
                results.append(found)
    if "memory" in (given.part or ["memory"]):
        results.append(report_memory(MEMORY_CONNECTIONS))
    if given.json:
        with given.json.open("a") as out:
            out.writelines(json.dumps(result) + "\n" for result in results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
