"""How many 125-byte JSON points at QoS 1 does one CPU-second of a receiver take from a real mosquitto?

Run: `python -m benchmarks.receive [--seconds N]`. Each receiver runs in a process of its own and drains a
persistent session that was filled before, so its backlog is never empty; CPU is that process's user and
system time between the first and the last message. Baseline in the same run: stock paho `on_message` with
its automatic acknowledgement. Nothing is decoded or stored.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.machine import machine
from ingest.mqtt.broker_url import BrokerUrl
from ingest.mqtt.connection import DEFAULT_LIMITS, MqttSource
from ingest.mqtt.messages import Messages

FILTER = "lucheng/v1/+/+/up/point"
PAYLOAD_BYTES = 125
DEVICES = 7_000
#: Messages preloaded per receiver and second asked for: what the slower one and the faster one take in it.
STOCK_PER_SECOND = 12_000
BATCH_PER_SECOND = 60_000


def payload(number: int) -> bytes:
    """A point of exactly `PAYLOAD_BYTES` bytes."""
    text = (
        f'{{"seq":{number % 10**6},"ts":{1_760_000_000_000 + number},"lat":40.651234,"lon":109.841234,'
        f'"speed_kmh":31.5,"heading_deg":182,"sat":11'
    )
    return (text + ',"valid":true}').ljust(PAYLOAD_BYTES).encode()[:PAYLOAD_BYTES]


@contextmanager
def broker() -> Iterator[int]:
    """A mosquitto on a free loopback port that limits neither queue nor flight; gives its port."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        raise SystemExit("mosquitto is not installed; on Debian: apt-get install mosquitto")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "mosquitto.conf"
        config.write_text(
            f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_inflight_messages 0\nmax_queued_messages 0\n"
            "max_queued_bytes 0\nset_tcp_nodelay true\npersistence false\nlog_type error\n"
        )
        process = subprocess.Popen([program, "-c", str(config)])
        try:
            wait_for(port)
            yield port
        finally:
            process.terminate()
            process.wait(10)


def wait_for(port: int) -> None:
    """Wait until something listens on `port`."""
    for _ in range(500):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise SystemExit("mosquitto did not start")


def fill(port: int, client_id: str, count: int) -> None:
    """Make the persistent session `client_id` and queue `count` messages in it."""
    session = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=False)
    subscribed: list[int] = []
    session.on_subscribe = lambda *_: subscribed.append(1)
    session.connect("127.0.0.1", port)
    session.subscribe(FILTER, 1)
    while not subscribed:
        session.loop(0.1)
    session.disconnect()
    session.loop(0.1)
    publisher = socket.create_connection(("127.0.0.1", port))
    publisher.sendall(b"\x10\x13\x00\x04MQTT\x04\x02\x00\x00\x00\x07publish")
    publisher.recv(4)
    unacked, acked = 0, 0
    for start in range(0, count, 500):
        packets = []
        for number in range(start, min(start + 500, count)):
            topic = b"lucheng/v1/taxi/%d/up/point" % (number % DEVICES)
            body = len(topic).to_bytes(2, "big") + topic + (number % 65535 + 1).to_bytes(2, "big") + payload(number)
            packets.append(bytes((0x32, len(body) & 127 | 128, len(body) >> 7)) + body)
        publisher.sendall(b"".join(packets))
        unacked += len(packets)
        while acked < unacked * 4:
            acked += len(publisher.recv(65536))
    publisher.close()


def cpu_s() -> float:
    """User and system time of this process, seconds."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


class Meter:
    """Counts messages from the first to the last of `count`, with wall and CPU time."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.seen = 0
        self.reads = 0
        self._start = (0.0, 0.0)
        self.result: dict[str, float] = {}

    def add(self, messages: int) -> None:
        """Note a delivery."""
        if not self.seen:
            self._start = (time.monotonic(), cpu_s())
        self.seen += messages
        self.reads += 1
        if self.seen >= self.count and not self.result:
            self.result = {
                "messages": self.seen,
                "deliveries": self.reads,
                "wall_s": time.monotonic() - self._start[0],
                "cpu_s": cpu_s() - self._start[1],
            }


def receive_stock(port: int, client_id: str, count: int) -> Meter:
    """Stock paho: `on_message`, acknowledged by paho."""
    meter = Meter(count)
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=False)
    client.on_message = lambda *_: meter.add(1)
    client.connect("127.0.0.1", port)
    while not meter.result:
        client.loop(1.0)
    client.disconnect()
    return meter


def receive_batch(port: int, client_id: str, count: int, nap_ms: float) -> Meter:
    """The batch client, acknowledged as soon as delivered."""
    meter = Meter(count)

    def handler(messages: Messages, done: Callable[[], None]) -> None:
        meter.add(len(messages))
        done()

    limits = replace(DEFAULT_LIMITS, nap_ms=nap_ms)
    source = MqttSource(BrokerUrl("127.0.0.1", port, tls=False), client_id, [FILTER], handler, limits=limits)
    source.start()
    while not meter.result:
        time.sleep(0.05)
    source.stop()
    return meter


def receiver(arguments: argparse.Namespace) -> None:
    """The receiving process: print what it measured."""
    if arguments.receive == "stock":
        meter = receive_stock(arguments.port, arguments.receive, arguments.count)
    else:
        meter = receive_batch(
            arguments.port, arguments.receive, arguments.count, float(arguments.receive.partition("-")[2])
        )
    print(json.dumps(meter.result))


def measure(kind: str, count: int) -> dict[str, Any]:
    """Fill a session, drain it in another process, return what that one measured."""
    with broker() as port:
        fill(port, kind, count)
        command = [
            sys.executable,
            "-m",
            "benchmarks.receive",
            "--receive",
            kind,
            "--port",
            str(port),
            "--count",
            str(count),
        ]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result | {"per_cpu_s": result["messages"] / result["cpu_s"], "per_s": result["messages"] / result["wall_s"]}


def main() -> None:
    """Measure both and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="about how long each receiver is kept busy")
    parser.add_argument("--receive", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--nap-ms", default=str(DEFAULT_LIMITS.nap_ms))
    arguments = parser.parse_args()
    if arguments.receive:
        receiver(arguments)
        return
    print("Question: 125-byte JSON points at QoS 1, bare receive, messages per CPU-second of the receiver?")
    print(machine())
    baseline = measure("stock", int(STOCK_PER_SECOND * arguments.seconds))
    report("stock paho on_message", baseline, baseline)
    for scale in (0.01, 0.1, 1.0):
        count = int(BATCH_PER_SECOND * arguments.seconds * scale)
        report(f"batch client, {count:,} messages", measure(f"batch-{arguments.nap_ms}", count), baseline)


def report(name: str, result: dict[str, Any], baseline: dict[str, Any]) -> None:
    """One line."""
    print(
        f"{name:40} {result['per_cpu_s']:>10,.0f} /CPU-s {result['per_s']:>10,.0f} /s "
        f"{result['messages'] / result['deliveries']:>8.1f} a delivery   x {result['per_cpu_s'] / baseline['per_cpu_s']:.1f}"
    )


if __name__ == "__main__":
    main()
