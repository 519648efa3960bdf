"""A process that appends through the committer and prints what was acknowledged, until it is killed.

Usage: appender.py FILE FIRST_NUMBER SEED
Prints `number position` for each acknowledged record; numbers count up from FIRST_NUMBER.
"""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

from model.clock import SystemClock
from model.errors import StoreError
from model.seams import NewRecord, RecordKind
from store.log.committer import Committer
from store.log.local import LocalLog


def payload_of(number: int) -> bytes:
    """The payload of a record, made from its number alone: 8 bytes of it, then up to 60 kB."""
    return number.to_bytes(8, "big") + random.Random(number).randbytes(1 << number % 17)


def rows_of(number: int) -> int:
    return number % 5


def fail(error: StoreError) -> None:
    print(f"fatal {error}", file=sys.stderr, flush=True)
    os._exit(3)


def main(file: str, first_number: str, seed: str) -> None:
    chance = random.Random(int(seed))
    clock = SystemClock()
    log = LocalLog(Path(file), clock=clock, checkpoint_bytes=256 * 1024, consumer_save_s=0.0)
    committer = Committer(log, clock=clock, on_fatal=fail, max_delay_ms=1.0, max_queued_rows=100)
    number = int(first_number)
    while True:
        group = range(number, number + chance.randint(1, 4))
        records = [NewRecord(RecordKind.POINTS, rows_of(n), payload_of(n)) for n in group]

        def acknowledge(position: int, group: range = group) -> None:
            first = position - len(group) + 1
            lines = "".join(f"{n} {first + at}\n" for at, n in enumerate(group))
            os.write(1, lines.encode())

        committer.submit(records, acknowledge, urgent=chance.random() < 0.3)
        number = group.stop
        if chance.random() < 0.02:
            log.set_consumed("reader", max(0, log.last_position() - 50))
            log.trim()


if __name__ == "__main__":
    main(*sys.argv[1:])
