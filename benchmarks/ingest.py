"""Is `lucheng ingest` of a real day, file to stored, not slower than pandas only reading and sorting it?

`python -m benchmarks.ingest --runs 5`

Whole processes, from the start of the interpreter to its exit, in turn: `lucheng ingest` (parse, durable
log, analytics, series store) into a fresh data folder, and a pandas process that reads the same file
and sorts it by taxi and time. The real day is 506,190 rows of 489 San Francisco taxis (100×); 10× and
1× are its first 50,619 and 5,062 rows. The file comes from the data folder beside the project, or
from `LUCHENG_TEST_DATA`.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

from benchmarks.machine import machine

DAY = "taxi/cabspotting-sf-2008-05-30.csv.gz"
ROWS = {1: 5_062, 10: 50_619, 100: 506_190}
PANDAS = (
    "import sys, pandas as pd; d = pd.read_csv(sys.argv[1]); d = d.sort_values(['cab_id', 'ts_utc']); print(len(d))"
)


def timed(command: list[str]) -> tuple[float, float, str]:
    """Wall seconds, CPU seconds and output of a whole process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started_s = time.monotonic()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    wall_s = time.monotonic() - started_s
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def compare(path: Path, rows: int, runs: int) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """(wall, CPU) of each run of ours and of pandas, in turn."""
    ours, theirs = [], []
    for _ in range(runs):
        with tempfile.TemporaryDirectory(prefix="lucheng-bench-") as folder:
            command = [sys.executable, "-m", "lucheng", "--data", f"{folder}/data", "ingest", str(path)]
            wall_s, cpu_s, said = timed([*command, "--format", "cabspotting", "--json"])
        if json.loads(said)["stored"] != rows:
            raise SystemExit(f"{rows} rows went in: {said}")
        ours.append((wall_s, cpu_s))
        wall_s, cpu_s, said = timed([sys.executable, "-c", PANDAS, str(path)])
        if int(said) != rows:
            raise SystemExit(f"pandas read {said} rows")
        theirs.append((wall_s, cpu_s))
    return ours, theirs


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args(arguments)
    print(__doc__)
    print(machine())
    data = Path(os.environ.get("LUCHENG_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
    day = data / DAY
    if not day.exists():
        raise SystemExit(f"There is no {day}: set LUCHENG_TEST_DATA to the folder that holds {DAY}.")
    with tempfile.TemporaryDirectory(prefix="lucheng-bench-") as folder:
        for scale, rows in ROWS.items():
            path = day
            if scale < max(ROWS):
                path = Path(folder) / f"{scale}.csv.gz"
                with gzip.open(day, "rb") as source, gzip.open(path, "wb") as head:
                    head.writelines(islice(source, rows + 1))
            ours, theirs = compare(path, rows, given.runs)
            wall, cpu = (statistics.median(run[i] for run in ours) for i in (0, 1))
            pandas_wall, pandas_cpu = (statistics.median(run[i] for run in theirs) for i in (0, 1))
            print(
                f"{scale}× ({rows:,} rows): lucheng ingest {wall:.2f} s wall, {cpu:.2f} s CPU;"
                f" pandas read + sort {pandas_wall:.2f} s, {pandas_cpu:.2f} s;"
                f" {pandas_wall / wall:.2f} × as fast by wall, {pandas_cpu / cpu:.2f} × by CPU",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
