"""What the service says of its own sources and its disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lucheng.clock_state import synchronised
from lucheng.disk_watch import DiskWatch
from lucheng.source_watch import SourceWatch
from model.clock import FakeClock

DAY_S = 86_400


def test_a_rate_is_that_of_the_last_minute_and_silence_counts_from_the_last_growth() -> None:
    clock = FakeClock(0)
    watch = SourceWatch(clock)
    assert watch.values() == {}
    for second in range(200):
        watch.look({"points": 5 * min(second, 100), "alarms": 0})
        clock.advance(1)
    told = watch.values()
    assert told == {"points_per_s": 0.0, "points_silent_s": 100.0, "alarms_per_s": 0.0, "alarms_silent_s": 200.0}
    watch.look({"points": 530, "alarms": 1})
    told = watch.values()
    assert (told["points_per_s"], told["points_silent_s"], told["alarms_silent_s"]) == (0.5, 0.0, 0.0)


def test_a_counter_that_began_anew_is_no_negative_rate() -> None:
    clock = FakeClock(0)
    watch = SourceWatch(clock)
    watch.look({"points": 100})
    clock.advance(10)
    watch.look({"points": 3})
    assert watch.values()["points_per_s"] == 0.0


def test_a_disk_fills_by_what_its_free_space_lost_in_the_last_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock(0)
    watch = DiskWatch(tmp_path, clock)
    real = os.statvfs(tmp_path)
    watch.look()
    assert watch.values()["disk_total_bytes"] == real.f_blocks * real.f_frsize
    assert watch.values()["disk_fills_bytes_per_day"] == 0
    free = {"blocks": 1_000_000}

    class Disk:
        f_blocks, f_frsize = 2_000_000, 4096

        @property
        def f_bavail(self) -> int:
            return free["blocks"]

    monkeypatch.setattr("lucheng.disk_watch.os.statvfs", lambda _folder: Disk())
    watch = DiskWatch(tmp_path, clock)
    for _ in range(3 * 24):
        watch.look()
        clock.advance(30)
        watch.look()  # too soon: not looked at
        clock.advance(3570)
        free["blocks"] -= 1_000
    told = watch.values()
    assert told["disk_fills_bytes_per_day"] == 24 * 1_000 * 4096
    assert told["disk_seen_s"] == DAY_S
    free["blocks"] += 500_000  # somebody made room
    clock.advance(60)
    watch.look()
    assert watch.values()["disk_fills_bytes_per_day"] == 0


def test_the_kernel_says_whether_the_clock_is_steered_or_that_it_does_not_tell() -> None:
    assert synchronised() in (-1, 0, 1)
