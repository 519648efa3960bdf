"""A data folder with its pipeline, run by hand on a clock that a test moves; and batches to put into its log.

Everything is real but the clock: logs, stores, analytics. `crash` drops everything as a `kill -9` would, up to what is
in the files.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Self

from config.sections import Settings
from lucheng.app import pipeline
from lucheng.limits import clean_limits
from lucheng.rooms import POINTS_LOG_FILE, Rooms, open_rooms
from lucheng.runner import Runner, RunnerLimits
from lucheng.steps import Stage, Steps
from model.batch import PointBatch
from model.batch_codec import encode
from model.clock import FakeClock
from model.codes import ALARM_BY_NAME
from model.grant import Grant, Purpose
from model.seams import NewRecord, RecordKind
from model.signal import Signal

END_MS = 1 << 52
START_MS = 1_785_000_000_000
GRANT = Grant("tester", "test", Purpose("test"), None, 0, END_MS)
SOS = 1 << ALARM_BY_NAME["sos"].bit
DEVICES = tuple(f"taxi/{number}" for number in range(8))


def points(clock: FakeClock, slots: Sequence[int], ages_s: Sequence[float], **columns: Any) -> PointBatch:
    """A batch received now: points of `slots`, so many seconds old."""
    rows = len(slots)
    now_ms = clock.now_ms()
    given: dict[str, Any] = {
        "slot": slots,
        "time_ms": [now_ms - round(age_s * 1000) for age_s in ages_s],
        "received_ms": now_ms,
        "lat": [40.6 + slot / 1e3 + age_s / 1e6 for slot, age_s in zip(slots, ages_s, strict=True)],
        "lon": 109.8,
        "speed_kmh": 30.0,
    }
    return PointBatch.of(rows, given | columns)


def record(batch: PointBatch) -> NewRecord:
    """A batch as a record of the points' log."""
    return NewRecord(RecordKind.POINTS, len(batch), encode(batch))


class House:
    """An open data folder; `crash` and `open` it again.

    Args:
        folder: the data folder.
        limits: of the runner.
        settings: of the rooms.
    """

    def __init__(self, folder: Path, *, limits: RunnerLimits | None = None, settings: Settings | None = None) -> None:
        self.folder = folder
        self.settings = settings or Settings()
        self.clock = FakeClock(START_MS)
        self.limits = limits or RunnerLimits(retention_days=0)
        self.rooms: Rooms
        self.steps: Steps
        self.runner: Runner
        self.open()
        self.rooms.registry.ensure(list(DEVICES))

    def open(self) -> Self:
        """Open and recover."""
        self.rooms = open_rooms(self.folder, self.settings, write=True, clock=self.clock)
        directory = self.rooms.registry.directory()

        def device_ids() -> list[str]:
            self.rooms.registry.refresh(directory)
            return directory.ids

        try:
            self.steps = Steps(
                clean_limits(self.rooms.settings), self.rooms.series, self.rooms.signals, device_ids, self.clock
            )
            self.runner = self.made_runner(pipeline(self.steps))
            self.runner.recover()
        except BaseException:
            self.rooms.close()
            raise
        return self

    def made_runner(self, stages: list[Stage], **options: Any) -> Runner:
        """A runner over these stages."""
        log, series = self.rooms.points_log, self.rooms.series
        return Runner(stages, self.steps, log, series, self.clock, limits=self.limits, **options)

    def crash(self) -> None:
        """Let go of everything without a snapshot."""
        self.rooms.close()

    def put(self, *records: NewRecord) -> int:
        """Append to the points' log."""
        return self.rooms.points_log.append(list(records))

    def run(self) -> None:
        """Work off the log."""
        while self.runner.run_once():
            pass

    @property
    def counters(self) -> tuple[int, int, dict[str, int]]:
        """Stored, duplicate, quarantined by reason."""
        totals = self.rooms.series.totals()
        return totals.stored, totals.duplicate, {reason.name: rows for reason, rows in totals.quarantined.items()}

    @property
    def balanced(self) -> bool:
        """Whether received = stored + duplicate + quarantined."""
        stored, duplicate, quarantined = self.counters
        return self.rooms.points_log.received_rows() == stored + duplicate + sum(quarantined.values())

    def keys(self) -> list[tuple[int, int, int]]:
        """(slot, time, seq) of every stored point."""
        return [
            key
            for batch in self.rooms.series.fleet(GRANT, 0, END_MS)
            for key in zip(batch.slot.tolist(), batch.time_ms.tolist(), batch.seq.tolist(), strict=True)
        ]

    def signals(self) -> list[Signal]:
        """Every signal kept."""
        return [kept.signal for kept in self.rooms.signals.list(GRANT, limit=10_000)]

    def positions(self) -> list[int]:
        """Positions that the points' log still holds."""
        with closing(sqlite3.connect(self.folder / POINTS_LOG_FILE)) as connection:
            return [row[0] for row in connection.execute("SELECT position FROM records ORDER BY position")]


def damage(path: Path, table: str, where: str, column: str = "payload") -> None:
    """Flip a byte in the middle of a blob."""
    with closing(sqlite3.connect(path)) as connection:
        (blob,) = connection.execute(f"SELECT {column} FROM {table} WHERE {where}").fetchone()
        flipped = bytearray(blob)
        flipped[len(flipped) // 2] ^= 0x10
        connection.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (bytes(flipped),))
        connection.commit()
