"""Puts snapshots without end, in a process of its own, for tests that kill it in the middle; says `put N` after each.

Arguments: servers, folder of the log, epoch, first number. Snapshot N is at position N and is N's low byte, again and again.
"""

from __future__ import annotations

import sys
from itertools import count
from pathlib import Path

from store.nats.snapshots import ObjectSnapshots
from tests.nats import link_to, names_of

SIZE_BYTES = 700_000


def state_of(number: int) -> bytes:
    return bytes((number % 256,)) * SIZE_BYTES


def main(urls: str, folder: str, epoch: str, first: str) -> None:
    names = names_of(Path(folder))
    kept = ObjectSnapshots(
        link_to(urls.split(",")), names, names.points(0), epoch=lambda: int(epoch), chunk_bytes=64_000
    )
    for number in count(int(first)):
        kept.put_snapshot("analysis", number, state_of(number))
        print(f"put {number}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
