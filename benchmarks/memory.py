"""Does the service's memory stay flat under a whole city, live?

`python -m benchmarks.memory --minutes 10`

300,000 devices are registered and report through a real mosquitto at 13,700 messages a second,
single JSON points at QoS 1, while the service stores them. RSS of the lucheng process is read every
ten seconds. Flat means: the second half's mean is within 5 % of the first half's, the first two
minutes (buffers fill for the first time) aside. Baseline of the same run: the RSS of the idle service
before the first message, with the same 300,000 devices known.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.machine import machine
from benchmarks.spine import MAX_QUEUED_BYTES, prepare, wait_for_api
from console.client import RemoteClient
from lucheng.broker import EmbeddedBroker
from lucheng.rooms import SOCKET_FILE

DEVICES = 300_000
MESSAGES_PER_S = 13_700
SAMPLE_S = 10.0
DRAIN_TIMEOUT_S = 60.0


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line; exit status 1 when a point was lost."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    given = parser.parse_args(arguments)
    messages = int(MESSAGES_PER_S * given.minutes * 60)
    print(__doc__)
    print(machine())
    with tempfile.TemporaryDirectory(prefix="lucheng-bench-") as name:
        folder = Path(name)
        prepare(folder / "data", DEVICES)
        broker = EmbeddedBroker(
            folder / "broker", program="mosquitto", anonymous=True, max_queued_bytes=MAX_QUEUED_BYTES
        )
        with broker, (folder / "service.log").open("wb") as log:
            command = [sys.executable, "-m", "lucheng", "--data", str(folder / "data"), "run", "--broker", broker.url]
            service = subprocess.Popen(command, stdout=log, stderr=log)
            try:
                return _watch(service, folder / "data", broker.url, messages)
            finally:
                service.terminate()
                service.wait(timeout=60)


def _watch(service: subprocess.Popen[bytes], data_dir: Path, url: str, messages: int) -> int:
    client = RemoteClient(data_dir / SOCKET_FILE)
    wait_for_api(client, service)
    time.sleep(3)
    process = psutil.Process(service.pid)
    idle_mib = process.memory_info().rss / 2**20
    print(f"idle, {DEVICES:,} devices known: {idle_mib:.0f} MiB", flush=True)
    hose = [sys.executable, "-m", "simulator.firehose", "--broker", url, "--mode", "json1", "--devices", str(DEVICES)]
    hose += ["--messages", str(messages), "--rate", str(MESSAGES_PER_S)]
    before = process.cpu_times()
    started_s = time.monotonic()
    samples: list[tuple[float, float]] = []
    publisher = subprocess.Popen(hose, stdout=subprocess.DEVNULL)
    while publisher.poll() is None:
        time.sleep(SAMPLE_S)
        samples.append((time.monotonic() - started_s, process.memory_info().rss / 2**20))
        if len(samples) % 6 == 0:
            print(f"  {samples[-1][0]:5.0f} s  {samples[-1][1]:.0f} MiB", flush=True)
    deadline_s = time.monotonic() + DRAIN_TIMEOUT_S
    status = client.call("status")
    while time.monotonic() < deadline_s and (status["received"] < messages or status["in_flight"]):
        time.sleep(0.5)
        status = client.call("status")
    after = process.cpu_times()
    cpu_s = after.user + after.system - before.user - before.system
    settled = [rss for at_s, rss in samples if at_s > 120] or [rss for _, rss in samples]
    half = len(settled) // 2
    first, second = statistics.mean(settled[: half or 1]), statistics.mean(settled[half:])
    print(
        f"RSS: {first:.0f} MiB in the first half, {second:.0f} MiB in the second ({second / first - 1:+.1%}),"
        f" highest {max(rss for _, rss in samples):.0f} MiB, {second / idle_mib:.2f} × idle;"
        f" {cpu_s / (time.monotonic() - started_s):.0%} of one core"
    )
    print(f"sent {messages:,}, stored {status['stored']:,}, in flight {status['in_flight']}")
    return 0 if status["stored"] == messages else 1


if __name__ == "__main__":
    sys.exit(main())
