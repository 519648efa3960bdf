"""Does the registry carry a city of 300,000 devices, and does a change take effect quickly there?

`python -m benchmarks.registry`

CSV import, import of the same file again, directory, one change, credentials and the broker's files, at
3,000, 30,000 and 300,000 devices. Baseline of the same run: Python's csv module reading the same file
and doing nothing with it.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.machine import machine
from devices.broker_files import BrokerFiles
from devices.credentials import Credentials
from devices.importing import import_csv
from devices.registry import Registry
from model.clock import SystemClock

DEVICES = {1: 3_000, 10: 30_000, 100: 300_000}


def city_csv(devices: int) -> bytes:
    """An import file of a city: e-bikes with plate, IMEI, phone and model."""
    lines = ["id,name,plate,imei,phone,model,owner_ref"]
    lines += [
        f"ebike/E{k:06d},车 {k},B{k:06d},{860000000000000 + k},{13900000000 + k},GT06,owner-{k}" for k in range(devices)
    ]
    return "\n".join(lines).encode()


def timed(what: Callable[[], object]) -> float:
    """Wall seconds."""
    started_s = time.perf_counter()
    what()
    return time.perf_counter() - started_s


def measure(devices: int, folder: Path) -> None:
    """Print one line per step."""
    raw = city_csv(devices)
    registry = Registry(folder / "registry.db", clock=SystemClock())
    baseline_s = timed(lambda: sum(1 for _ in csv.reader(io.StringIO(raw.decode()))))
    first_s = timed(lambda: import_csv(registry, raw))
    again_s = timed(lambda: import_csv(registry, raw))
    directory = registry.directory()
    build_s = timed(registry.directory)
    registry.disable("ebike/E000000")
    refresh_s = timed(lambda: registry.refresh(directory))
    ids = [f"ebike/E{k:06d}" for k in range(devices)]
    credentials_s = timed(lambda: list(Credentials(registry.file).issue_many(ids)))
    files = BrokerFiles(registry.file, folder / "broker")
    files_s = timed(files.write)
    print(
        f"{devices:>7,} devices, {len(raw) / 2**20:.1f} MiB: import {first_s:.2f} s ({first_s / baseline_s:.0f} × the csv"
        f" module's {baseline_s:.2f} s), again {again_s:.2f} s, directory {build_s:.2f} s, one change {refresh_s * 1e3:.1f} ms,"
        f" credentials {credentials_s:.2f} s, broker files {files_s:.2f} s",
        flush=True,
    )
    registry.close()


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--scale", type=int, choices=sorted(DEVICES), action="append")
    given = parser.parse_args(arguments)
    print(__doc__)
    print(machine())
    for scale in given.scale or sorted(DEVICES):
        with tempfile.TemporaryDirectory(prefix="lucheng-bench-") as folder:
            measure(DEVICES[scale], Path(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
