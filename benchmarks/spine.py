"""How many points does one CPU-second of lucheng carry from a real broker into the store?

`python -m benchmarks.spine --mode json1|json50|records --scale 1|10|100 --seconds 30 --runs 3`

Points wait in mosquitto's queue for our session (the backlog is never empty), then `lucheng run`
takes them: MQTT at QoS 1 ▸ decode ▸ durable log ▸ analytics ▸ series store. CPU is user + system
time of the lucheng process from the first message to the last one stored; broker and publisher are
other processes and not counted. Baseline: stock paho's bare receive of single points from the same
kind of broker in the same run (`benchmarks.receive`), which stores nothing at all.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from paho.mqtt.client import Client, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.machine import machine
from benchmarks.receive import measure as measure_receive
from config.settings import load
from console.client import RemoteClient
from devices.importing import import_csv
from ingest.decode.topics import POINT_TOPICS
from lucheng.broker import EmbeddedBroker
from lucheng.rooms import SOCKET_FILE, open_rooms
from model.errors import LuchengError
from simulator.firehose import POINTS_PER_MESSAGE

CITY_DEVICES = {1: 3_070, 10: 30_700, 100: 307_000}
#: Points a second of wall time that a run is sized for, so that it lasts at least `--seconds`.
SIZED_FOR_PER_S = {"json1": 200_000, "json50": 480_000, "records": 1_300_000}
TARGET_PER_CPU_S = {"json1": 60_000, "json50": 400_000, "records": 1_000_000}
START_TIMEOUT_S = 120.0
RUN_TIMEOUT_S = 600.0
MAX_QUEUED_BYTES = 12 << 30


@dataclass(frozen=True, slots=True)
class Measured:
    """One run."""

    points: int
    cpu_s: float
    wall_s: float
    rss_mib: float
    signals: int = 0

    @property
    def points_per_cpu_s(self) -> float:
        """The figure."""
        return self.points / self.cpu_s


def stock_rate(messages: int = 150_000) -> float:
    """Messages per CPU-second of stock paho's bare receive, single points at QoS 1."""
    result = measure_receive("stock", messages)
    return float(result["messages"] / result["cpu_s"])


def prepare(data_dir: Path, devices: int) -> int:
    """Register the devices and their gateway; return the registry number of the first."""
    rows = ["id,gateway", "gateway/000000,"] + [f"taxi/{number:06d},gateway/000000" for number in range(devices)]
    with open_rooms(data_dir, load(env={}), write=True) as rooms:
        import_csv(rooms.registry, "\n".join(rows).encode())
        return rooms.registry.get("taxi/000000").number


def reserve_session(port: int, client_id: str) -> None:
    """Make the persistent session of the service, so that the broker queues for it."""
    client = Client(CallbackAPIVersion.VERSION2, client_id, clean_session=False, protocol=MQTTv311)
    done: list[bool] = []
    client.on_subscribe = lambda *_: done.append(True)
    client.connect("127.0.0.1", port)
    client.subscribe([(topic, 1) for topic in POINT_TOPICS])
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while not done and time.monotonic() < deadline_s:
        client.loop(0.1)
    client.disconnect()
    client.loop(0.1)


def run_once(
    mode: str,
    devices: int,
    messages: int,
    folder: Path,
    *,
    furnish: Callable[[Path], object] = lambda _data_dir: None,
    env: Mapping[str, str] | None = None,
) -> Measured:
    """Fill the queue, start the service on it, measure until the last point is stored.

    `furnish` adds to the data folder before the service starts; `env` goes to the service.
    """
    data_dir = folder / "data"
    first_number = prepare(data_dir, devices)
    furnish(data_dir)
    broker = EmbeddedBroker(folder / "broker", program="mosquitto", anonymous=True, max_queued_bytes=MAX_QUEUED_BYTES)
    with broker:
        reserve_session(broker.port, load(env={}).mqtt.client_id)
        hose = [sys.executable, "-m", "simulator.firehose", "--broker", broker.url, "--mode", mode]
        hose += ["--messages", str(messages), "--devices", str(devices), "--first-number", str(first_number)]
        subprocess.run(hose, check=True, stdout=subprocess.DEVNULL)
        broker_pid = int(broker.pid_file.read_text())
        os.kill(broker_pid, signal.SIGSTOP)  # the service starts beside a silent broker; its start is not measured
        command = [sys.executable, "-m", "lucheng", "--data", str(data_dir), "run", "--broker", broker.url]
        log = (folder / "service.log").open("wb")
        service = subprocess.Popen(command, stderr=log, stdout=log, env={**os.environ, **(env or {})})
        try:
            return _measure(service, data_dir, messages * POINTS_PER_MESSAGE[mode], broker_pid)
        finally:
            os.kill(broker_pid, signal.SIGCONT)
            service.terminate()
            service.wait(timeout=60)


def _measure(service: subprocess.Popen[bytes], data_dir: Path, points: int, broker_pid: int) -> Measured:
    client = RemoteClient(data_dir / SOCKET_FILE)
    wait_for_api(client, service)
    process = psutil.Process(service.pid)
    before = process.cpu_times()
    os.kill(broker_pid, signal.SIGCONT)
    first_s = 0.0
    deadline_s = time.monotonic() + RUN_TIMEOUT_S
    while time.monotonic() < deadline_s:
        status = client.call("status")
        if not first_s and status["received"]:
            first_s = time.monotonic()
        if status["received"] >= points and status["in_flight"] == 0:
            after = process.cpu_times()
            if status["stored"] != points:
                raise SystemExit(f"{points} points were sent, {status['stored']} stored: {status}")
            cpu_s = after.user + after.system - before.user - before.system
            wall_s, rss_mib = time.monotonic() - first_s, process.memory_info().rss / 2**20
            return Measured(points, cpu_s, wall_s, rss_mib, sum(status["signals"].values()))
        time.sleep(0.1 if not first_s else 0.5)
    raise SystemExit("the run did not end in time")


def wait_for_api(client: RemoteClient, service: subprocess.Popen[bytes]) -> None:
    """Wait until the service answers."""
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline_s and service.poll() is None:
        try:
            client.call("status")
            return
        except LuchengError:
            time.sleep(0.1)
    raise SystemExit("the service did not start")


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mode", choices=sorted(POINTS_PER_MESSAGE), action="append")
    parser.add_argument("--scale", type=int, choices=sorted(CITY_DEVICES), action="append")
    parser.add_argument("--seconds", type=float, default=30.0, help="least wall time of a run")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=Path, help="append the results to this file, a JSON object a line")
    given = parser.parse_args(arguments)
    print(__doc__)
    print(machine())
    stock = stock_rate()
    print(f"baseline, stock paho's bare receive of single points: {stock:,.0f} messages per CPU-second")
    for mode in given.mode or sorted(POINTS_PER_MESSAGE):
        for scale in given.scale or sorted(CITY_DEVICES):
            messages = max(1, round(SIZED_FOR_PER_S[mode] * given.seconds / POINTS_PER_MESSAGE[mode]))
            runs = []
            for _ in range(given.runs):
                with tempfile.TemporaryDirectory(prefix="lucheng-bench-") as folder:
                    runs.append(run_once(mode, CITY_DEVICES[scale], messages, Path(folder)))
                print(
                    f"  {mode} {scale}x: {runs[-1].points_per_cpu_s:,.0f} points/CPU-s, {asdict(runs[-1])}", flush=True
                )
            rate = statistics.median(run.points_per_cpu_s for run in runs)
            print(
                f"{mode} {scale}× ({CITY_DEVICES[scale]:,} devices): {rate:,.0f} points per CPU-second,"
                f" {rate / stock:.1f} × stock paho, target {TARGET_PER_CPU_S[mode]:,}",
                flush=True,
            )
            if given.json:
                with given.json.open("a") as out:
                    row = {
                        "mode": mode,
                        "scale": scale,
                        "rate": rate,
                        "stock": stock,
                        "runs": [asdict(run) for run in runs],
                    }
                    out.write(json.dumps(row) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
