"""A data folder with real stores, filled by hand, and its operations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from config.sections import Settings
from console.operations import Caller, Operations
from lucheng.operating import operations_of
from lucheng.rooms import Rooms, open_rooms
from model.batch import PointBatch
from model.batch_codec import encode
from model.clock import FakeClock
from model.codes import Reason
from model.quarantine import Quarantined
from model.seams import NewRecord, Outcome, RecordKind
from model.signal import Signal

START_MS = 1_795_334_400_000  # 2026-11-22T08:00:00Z


class House:
    """An open data folder."""

    def __init__(self, data_dir: Path, settings: Settings) -> None:
        self.clock = FakeClock(START_MS)
        self.rooms: Rooms = open_rooms(data_dir, settings, write=True, clock=self.clock)
        self.told = 0
        self.facts: list[dict[str, Any]] = []
        self.operations: Operations = operations_of(
            self.rooms, on_registry_change=self._tell, live=lambda: {"up": 1.0}, on_fact=self.facts.append
        )
        self.caller = Caller("tester", "cli", "process")

    def _tell(self) -> None:
        self.told += 1

    def ask(self, operation: str, /, **arguments: Any) -> Any:
        """Run an operation as the tester."""
        return getattr(self.operations, operation)(self.caller, **arguments)

    def put(self, device: str, times_ms: Sequence[int], **columns: Any) -> None:
        """Store points of a device as the pipeline does: in the log, then in the series."""
        (slot,) = self.rooms.registry.ensure([device]).tolist()
        batch = PointBatch.of(
            len(times_ms),
            {
                "slot": slot,
                "time_ms": np.array(times_ms),
                "received_ms": START_MS,
                "lat": 40.65,
                "lon": 109.84,
                **columns,
            },
        )
        position = self.rooms.points_log.append([NewRecord(RecordKind.POINTS, len(batch), encode(batch))])
        self.rooms.series.commit(Outcome(position, batch), stored_ms=START_MS)

    def quarantine(self, device: str, reason: Reason, raw: bytes, *, rows: int = 1) -> None:
        """Quarantine something as the pipeline does."""
        position = self.rooms.points_log.append([NewRecord(RecordKind.QUARANTINE, rows, b"")])
        item = Quarantined(reason, rows, START_MS, "lucheng/v1/x/up/point", device, "detail", raw)
        self.rooms.series.commit(Outcome(position, PointBatch.empty(), quarantined=[item]), stored_ms=START_MS)

    def signal(self, number: int, device: str, kind: str = "sos", lat: float | None = 40.65) -> None:
        """Keep a signal."""
        made = Signal(
            f"s{number}", device, kind, "bit", START_MS + number, START_MS, lat, 109.84, 1, False, "note", number
        )
        self.rooms.signals.add([made])

    def alarm(self, device: str, kind: str = "one_key", number: int = 1) -> str:
        """Take a signal in as the pipeline does; the id of its alarm."""
        return self.rooms.desk.take([self.made(device, kind, number)])[-1].alarm.alarm.id

    def made(self, device: str, kind: str, number: int) -> Signal:
        """A signal of now."""
        now_ms = self.clock.now_ms()
        name = f"{device}-{kind}-{number}"
        return Signal(name, device, kind, "bit", now_ms - 500, now_ms, 40.65, 109.84, 3, False, "note", number)

    def actions(self) -> list[tuple[str, str, str]]:
        """(action, target, purpose) of every audit row, oldest first."""
        return [(row.action, row.target, row.purpose) for row in self.rooms.audit.rows(limit=1000)]


@pytest.fixture
def settings() -> Settings:
    """Settings of the house; a test may override this."""
    return Settings()


@pytest.fixture
def house(tmp_path: Path, settings: Settings) -> Iterator[House]:
    """An open data folder that is closed at the end."""
    made = House(tmp_path / "data", settings)
    yield made
    made.rooms.close()
