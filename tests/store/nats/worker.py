"""A worker in a process of its own, for tests that kill or stop it: says what it holds, line by line.

Arguments: servers, folder of the log, its name, ttl in seconds. Lines: `took EPOCH`, `held EPOCH`, `unsure`, `lost`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from store.nats.ownership import Partition
from tests.nats import link_to, names_of


def main(urls: str, folder: str, name: str, ttl_s: str) -> None:
    names = names_of(Path(folder))
    partition = Partition(link_to(urls.split(",")), names, names.alarms, worker=name, ttl_s=float(ttl_s))
    while True:
        turn = partition.wait(1)
        if turn is None:
            continue
        print(f"took {turn.epoch}", flush=True)
        was_held = True
        while not turn.lost:
            if turn.held() != was_held:
                was_held = not was_held
                print(f"held {turn.epoch}" if was_held else "unsure", flush=True)
            turn.done(turn.wait_beyond(partition.newest, 0.02))
        print("lost", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
