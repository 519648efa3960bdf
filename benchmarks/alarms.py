"""How long from a device's publish until the line of its alarm is read by a subscriber, while points flow beside it?

`python -m benchmarks.alarms [--part beside|flood] [--scale 1|10|100] [--seconds 100] [--alarms 1000] [--no-stock]`

MQTT at QoS 1 ▸ mosquitto ▸ `lucheng run` (durable log ▸ rules ▸ durable desk) ▸ feed over the Unix socket ▸ parsed by
`RemoteClient.watch`; all processes on this machine, so both ends are one clock. `beside`: 200, 2,000 and 20,000 single JSON
points a second for 3,070, 30,700 and 307,000 taxis, and at random moments alarm messages (one_key of a button) and points
with an alarm bit (sos of a taxi), in turn, each from a device of its own. Baseline in the same run: stock paho on one
shared connection that inserts every message into SQLite with a commit and notifies the subscriber (`benchmarks.stock_alarms`).
`flood`: 10,000 alarms in 60 s from 3,000 devices beside 20,000 points/s, and every second somebody presses a button.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import machine
from benchmarks.spine import CITY_DEVICES, START_TIMEOUT_S, wait_for_api
from benchmarks.stock_alarms import serve
from config.settings import load
from console.client import RemoteClient
from devices.importing import import_csv
from lucheng.broker import EmbeddedBroker
from lucheng.rooms import SOCKET_FILE, open_rooms
from model.errors import TryAgain
from simulator import payloads
from simulator.firehose import Firehose

POINTS_PER_S = {1: 200, 10: 2_000, 100: 20_000}
TARGET_MS = {"p50": 5.0, "p99": 50.0, "p99.9": 250.0}
TARGET_PANIC_MS = 100.0
FLOOD_ALARMS = 10_000
FLOOD_DEVICES = 3_000
FLOOD_S = 60.0
#: Points run for so long before the first alarm: each taxi has reported once by then (every 15 s).
WARM_S = 20.0
#: How long after the last alarm its line is waited for.
PATIENCE_S = 20.0
#: What the devices of the flood say; none of it is severity 1.
FLOOD_KINDS = {
    "ebike": ("vibration", "power_cut", "detached", "low_battery"),
    "button": ("tamper", "low_battery"),
    "taxi": ("device_fault", "camera_fault", "antenna_cut"),
}
NOWHERE = 0


@dataclass(slots=True)
class Sent:
    """One alarm on its way.

    Attributes:
        way: `message`, `bit` or `flood`.
        sent_ns: the wall clock as it was published.
        read_ns: as its line had been read and parsed; 0 while it has not.
        received_ms, desk_ms: our service's receive time, and the beginning of the desk's transaction; 0: not told.
    """

    way: str
    sent_ns: int
    read_ns: int = NOWHERE
    received_ms: int = NOWHERE
    desk_ms: int = NOWHERE

    @property
    def took_ms(self) -> float:
        """From publish to line; infinite when it did not come."""
        return (self.read_ns - self.sent_ns) / 1e6 if self.read_ns else float("inf")


class Ears(threading.Thread):
    """The subscriber: notes when the first line of each device's alarm was read.

    Args:
        lines: what the subscriber reads, parsed.
    """

    def __init__(self, lines: Iterable[dict[str, Any]]) -> None:
        super().__init__(name="subscriber", daemon=True)
        self._lines = lines
        self.sent: dict[str, Sent] = {}
        #: Alarms read: raised, and signalled again.
        self.read = 0
        self.last_read_ns = 0

    def run(self) -> None:
        try:
            for line in self._lines:
                self._note(line, time.time_ns())
        except (TryAgain, OSError):
            return  # the service was stopped, as every run ends

    def _note(self, line: dict[str, Any], now_ns: int) -> None:
        alarm = line.get("alarm", line)
        if (
            not isinstance(alarm, dict)
            or "device" not in alarm
            or line.get("action", "raise") not in ("raise", "signal")
        ):
            return
        self.read += 1
        self.last_read_ns = now_ns
        sent = self.sent.get(alarm["device"])
        if sent is not None and not sent.read_ns:
            if "time" in line:
                sent.received_ms, sent.desk_ms = _ms(alarm["received"]), _ms(line["time"])
            sent.read_ns = now_ns


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


class Mouth:
    """The devices: publishes on one raw connection at QoS 1.

    Args:
        url: of the broker.
        ears: told what was sent and when.
    """

    def __init__(self, url: str, ears: Ears) -> None:
        self._hose = Firehose(url, client_id="bench-devices")
        self._ears = ears
        self._number = 0

    def say(self, device: str, stream: str, payload: bytes, way: str) -> None:
        """Publish one alarm of a device, and remember when it is the device's first."""
        self._number += 1
        topic = payloads.topic(device, stream).encode()
        body = len(topic).to_bytes(2, "big") + topic + (self._number % 65_535 + 1).to_bytes(2, "big") + payload
        packet = np.frombuffer(bytes((0x32, len(body) & 127 | 128, len(body) >> 7)) + body, np.uint8)
        self._ears.sent.setdefault(device, Sent(way, time.time_ns()))
        self._hose.send(packet[None, :])

    def press(self, device: str, kind: str, way: str = "message") -> None:
        """An alarm message."""
        now_ms = time.time_ns() // 1_000_000
        alarm_id = f"{self._number}"
        self.say(device, "alarm", payloads.alarm(alarm_id, now_ms, kind, lat=40.65, lon=109.84), way)

    def point_with_bit(self, device: str) -> None:
        """A single point of a taxi that stands, with its emergency button pressed."""
        now_ms = time.time_ns() // 1_000_000
        point = {"seq": 1, "ts": now_ms, "lat": 40.651234, "lon": 109.841234, "speed_kmh": 0.0, "ignition": True}
        self.say(device, "point", json.dumps({**point, "sat": 11, "alarms": ["sos"]}).encode(), "bit")

    def close(self) -> None:
        """Wait for the last acknowledgement."""
        self._hose.drain()
        self._hose.close()


@contextmanager
def points(url: str, scale: int, seconds: float) -> Iterator[None]:
    """Points of the city beside what happens inside."""
    rate, devices = POINTS_PER_S[scale], CITY_DEVICES[scale]
    hose = [sys.executable, "-m", "simulator.firehose", "--broker", url, "--devices", str(devices)]
    hose += [
        "--messages",
        str(round(rate * seconds)),
        "--rate",
        str(rate),
        "--start-ms",
        str(time.time_ns() // 1_000_000),
    ]
    process = subprocess.Popen(hose, stdout=subprocess.DEVNULL)
    try:
        time.sleep(WARM_S)
        if process.poll() is not None:
            raise SystemExit("the points ended before the alarms began")
        yield
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def ours(
    folder: Path, url: str, scale: int, more: Sequence[str]
) -> Iterator[tuple[Ears, Callable[[], dict[str, Any]]]]:
    """`lucheng run` with the city registered, a subscriber on its feed, and its `status`."""
    data_dir = folder / "data"
    ids = ["id", *(f"taxi/{number:06d}" for number in range(CITY_DEVICES[scale])), *more]
    with open_rooms(data_dir, load(env={}), write=True) as rooms:
        import_csv(rooms.registry, "\n".join(ids).encode())
    command = [sys.executable, "-m", "lucheng", "--data", str(data_dir), "run", "--broker", url]
    with (folder / "service.log").open("wb") as log:
        service = subprocess.Popen(command, stderr=log, stdout=log)
    try:
        client = RemoteClient(data_dir / SOCKET_FILE)
        try:
            wait_for_api(client, service)
        except SystemExit:
            print((folder / "service.log").read_text()[-2_000:])
            raise
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not all(client.call("status")["live"].get(f"mqtt_{name}_connected") for name in ("points", "alarms")):
            if time.monotonic() > deadline_s:
                raise SystemExit("the service did not subscribe")
            time.sleep(0.05)
        ears = Ears(client.watch())
        ears.start()
        yield ears, lambda: client.call("status")
    finally:
        service.terminate()
        service.wait(60)


@contextmanager
def stock(folder: Path, port: int) -> Iterator[Ears]:
    """The baseline's process, and a subscriber."""
    path = folder / "stock.sock"
    command = [sys.executable, "-m", "benchmarks.alarms", "--stock", str(port), "--stock-folder", str(folder)]
    process = subprocess.Popen(command)
    try:
        listening = socket.socket(socket.AF_UNIX)
        for _ in range(500):
            try:
                listening.connect(str(path))
                break
            except OSError:
                time.sleep(0.02)
        reader = listening.makefile("rb")
        reader.readline()  # it has subscribed
        ears = Ears(json.loads(line) for line in reader)
        ears.start()
        yield ears
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(10)


def beside(ears: Ears, url: str, scale: int, seconds: float, alarms: int, seed: int) -> None:
    """Messages and bits in turn at random moments, `alarms` of each."""
    draw = random.Random(seed)
    moments = sorted(draw.uniform(0, seconds) for _ in range(2 * alarms))
    with points(url, scale, WARM_S + seconds + PATIENCE_S):
        mouth = Mouth(url, ears)
        began_s = time.monotonic()
        for number, moment_s in enumerate(moments):
            time.sleep(max(0.0, began_s + moment_s - time.monotonic()))
            if number % 2:
                mouth.point_with_bit(f"taxi/b{number:06d}")
            else:
                mouth.press(f"button/b{number:06d}", "one_key")
        mouth.close()
        wait_for_lines(ears)


def beside_devices(alarms: int) -> list[str]:
    """Who presses in `beside`."""
    return [f"{'taxi' if number % 2 else 'button'}/b{number:06d}" for number in range(2 * alarms)]


def wait_for_lines(ears: Ears) -> None:
    """Wait for the line of every alarm, for a while."""
    until_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < until_s and any(not sent.read_ns for sent in ears.sent.values()):
        time.sleep(0.1)


def quantiles(took_ms: Sequence[float]) -> dict[str, float]:
    """p50, p99, p99.9 and the worst; what did not come counts as infinitely late."""
    ordered = sorted(took_ms)

    def at(share: float) -> float:
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    return {"p50": at(0.5), "p99": at(0.99), "p99.9": at(0.999), "max": ordered[-1]}


def told(found: dict[str, float]) -> str:
    """In words."""
    return ", ".join(
        f"{name} {value:,.1f} ms" if math.isfinite(value) else f"{name} not in time" for name, value in found.items()
    )


def report_beside(name: str, ears: Ears) -> dict[str, dict[str, float]]:
    """Print both ways; return their quantiles."""
    found = {}
    for way in ("message", "bit"):
        sent = [one for one in ears.sent.values() if one.way == way]
        found[way] = quantiles([one.took_ms for one in sent])
        missing = sum(not one.read_ns for one in sent)
        print(f"  {name}, by {way}: {told(found[way])} ({len(sent)} alarms, {missing} not within {PATIENCE_S:.0f} s)")
        staged = [one for one in sent if one.read_ns and one.desk_ms]
        if staged:
            ways = {
                "publish ▸ received": [one.received_ms - one.sent_ns / 1e6 + 0.5 for one in staged],
                "received ▸ log ▸ desk begins": [float(one.desk_ms - one.received_ms) for one in staged],
                "desk ▸ commit ▸ pushed ▸ read": [one.read_ns / 1e6 - one.desk_ms - 0.5 for one in staged],
            }
            for stage, times in ways.items():
                print(f"      {stage:30} {told(quantiles(times))}")
    sys.stdout.flush()
    return found


def run_beside(scale: int, seconds: float, alarms: int, *, with_stock: bool) -> dict[str, Any]:
    """One size of the city, ours and the baseline."""
    result: dict[str, Any] = {"part": "beside", "scale": scale, "alarms": alarms, "seconds": seconds}
    print(f"{scale}×: {POINTS_PER_S[scale]:,} points/s of {CITY_DEVICES[scale]:,} taxis")
    with tempfile.TemporaryDirectory(prefix="lucheng-bench-") as name:
        folder = Path(name)
        with (
            EmbeddedBroker(folder / "broker", program="mosquitto", anonymous=True) as broker,
            ours(folder, broker.url, scale, beside_devices(alarms)) as (ears, status),
        ):
            began_s = time.monotonic()
            beside(ears, broker.url, scale, seconds, alarms, seed=1)
            took_s, now = time.monotonic() - began_s, status()
            result["ours"] = report_beside("lucheng", ears)
            result["points_per_s"] = now["received"] / took_s
            print(
                f"      {result['points_per_s']:,.0f} points/s came, {now['in_flight']:,} in flight; {now['signals']}"
            )
    if with_stock:
        with tempfile.TemporaryDirectory(prefix="lucheng-bench-") as name:
            folder = Path(name)
            with (
                EmbeddedBroker(folder / "broker", program="mosquitto", anonymous=True) as broker,
                stock(folder, broker.port) as ears,
            ):
                beside(ears, broker.url, scale, seconds, alarms, seed=1)
                result["stock"] = report_beside("stock paho", ears)
    return result


def run_flood(scale: int) -> dict[str, Any]:
    """10,000 alarms in a minute, with a panic every second."""
    draw = random.Random(2)
    kinds = list(FLOOD_KINDS)
    devices = [f"{kinds[number % len(kinds)]}/f{number:06d}" for number in range(FLOOD_DEVICES)]
    panics = [f"button/p{number:06d}" for number in range(round(FLOOD_S))]
    plan = [(draw.uniform(0, FLOOD_S), devices[number % FLOOD_DEVICES]) for number in range(FLOOD_ALARMS)]
    plan += [(second + draw.random(), device) for second, device in enumerate(panics)]
    plan.sort()
    with tempfile.TemporaryDirectory(prefix="lucheng-bench-") as name:
        folder = Path(name)
        with (
            EmbeddedBroker(folder / "broker", program="mosquitto", anonymous=True) as broker,
            ours(folder, broker.url, scale, devices + panics) as (ears, status),
            points(broker.url, scale, WARM_S + FLOOD_S + PATIENCE_S),
        ):
            mouth = Mouth(broker.url, ears)
            began_s = time.monotonic()
            for moment_s, device in plan:
                time.sleep(max(0.0, began_s + moment_s - time.monotonic()))
                if device.startswith("button/p"):
                    mouth.press(device, "one_key", "panic")
                else:
                    mouth.press(device, draw.choice(FLOOD_KINDS[device.partition("/")[0]]), "flood")
            sent_s, backlog = time.monotonic() - began_s, len(plan) - ears.read
            ended_ns = time.time_ns()
            mouth.close()
            until_s = time.monotonic() + PATIENCE_S
            while ears.read < len(plan) and time.monotonic() < until_s:
                time.sleep(0.02)
            now = status()
        kept = sum(now["signals"].values()) if isinstance(now["signals"], dict) else now["signals"]
    found = {
        way: quantiles([one.took_ms for one in ears.sent.values() if one.way == way]) for way in ("panic", "flood")
    }
    last_s = (ears.last_read_ns - ended_ns) / 1e9
    print(
        f"flood: {len(plan):,} alarms in {sent_s:.1f} s from {FLOOD_DEVICES:,} devices, {POINTS_PER_S[scale]:,} points/s"
    )
    print(f"  a panic among them, pushed: {told(found['panic'])} (asked: p99 ≤ {TARGET_PANIC_MS:.0f} ms)")
    print(f"  the first alarm of the other devices: {told(found['flood'])}")
    print(
        f"  as the last was sent {backlog} were not read yet; the last line came {last_s:+.3f} s after it; {kept} signals kept"
    )
    return {"part": "flood", "scale": scale, "backlog": backlog, "last_s": last_s, **found}


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=("beside", "flood"), action="append")
    parser.add_argument("--scale", type=int, choices=sorted(CITY_DEVICES), action="append")
    parser.add_argument("--seconds", type=float, default=100.0, help="how long the alarms of `beside` are spread over")
    parser.add_argument("--alarms", type=int, default=1_000, help="alarms of `beside`, by message and by bit each")
    parser.add_argument("--no-stock", action="store_true", help="leave the baseline out")
    parser.add_argument("--json", type=Path, help="append the results to this file, a JSON object a line")
    parser.add_argument("--stock", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--stock-folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.stock:
        serve(given.stock, given.stock_folder / "stock.sock", given.stock_folder / "stock.db")
        return 0
    print(__doc__)
    print(machine())
    print(f"asked of lucheng at 20,000 points/s: {told(TARGET_MS)}")
    results = []
    if "beside" in (given.part or ["beside"]):
        results += [
            run_beside(scale, given.seconds, given.alarms, with_stock=not given.no_stock)
            for scale in given.scale or sorted(CITY_DEVICES)
        ]
    if "flood" in (given.part or ["flood"]):
        results.append(run_flood(max(given.scale or [100])))
    if given.json:
        with given.json.open("a") as out:
            out.writelines(json.dumps(result) + "\n" for result in results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
