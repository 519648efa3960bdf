"""The judge: compares what was sent with what is stored after a fault has healed.

Its verdict, always: every acknowledged item is stored once; every stored item was sent; payloads are equal (time, seq,
latitude, longitude, speed); a device's points come back in the order of (fix time, seq); every alarm that was sent is
exactly one signal, whatever the rules raise besides; every signal that is not a file's is on exactly one alarm of its
device, kind and fence, and no two open alarms have one key; received = stored + duplicate + quarantined + in flight, by the counters and by reading every stored point
back; `lucheng store check` finds nothing; and enough was acknowledged for all that to mean something. That
something fresh still flows is for the test to show, by `fresh`, before it stops the service.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from config.sections import Settings
from console.client import LocalClient
from console.operations import Caller
from lucheng.operating import operations_of
from lucheng.rooms import open_rooms
from model.batch import PointBatch
from model.codes import ALARM_BY_NAME
from model.grant import Grant, Purpose
from model.signal import Signal
from store.desk.desk import DeskFile
from tests.lucheng.faults.ledger import Point, Sent
from tests.lucheng.service_process import ServiceProcess

SEED_ENV = "LUCHENG_TEST_SEED"
END_MS = 1 << 52
GRANT = Grant("judge", "test", Purpose("test"), None, 0, END_MS)
_SOS = np.uint64(1 << ALARM_BY_NAME["sos"].bit)
MAX_SHOWN = 5


def seeded(name: str) -> random.Random:
    """Random moments; the seed is printed, and can be given back by `LUCHENG_TEST_SEED`."""
    seed = int(os.environ.get(SEED_ENV) or random.SystemRandom().randrange(1 << 32))
    print(f"{name}: {SEED_ENV}={seed}")
    return random.Random(seed)


class KeptAlarm(NamedTuple):
    """An alarm as the desk's file has it."""

    device: str
    kind: str
    fence: str
    work: str
    signals: int


@dataclass(slots=True)
class Stored:
    """Everything a data folder holds.

    Attributes:
        points: as stored, with how often each key is there.
        times: how often each key is there.
        batches: the same as columns, in the order of the fleet's read.
        marks: marks of each key's point.
        signals: every signal.
        alarms: every alarm of the desk, by its number.
        alarm_of: number of its alarm, by signal id.
        linked: how many links there are from signals to alarms.
    """

    points: dict[tuple[str, int], Point] = field(default_factory=dict)
    times: dict[tuple[str, int], int] = field(default_factory=dict)
    marks: dict[tuple[str, int], int] = field(default_factory=dict)
    rows: int = 0
    signals: list[Signal] = field(default_factory=list)
    alarms: dict[int, KeptAlarm] = field(default_factory=dict)
    alarm_of: dict[str, int] = field(default_factory=dict)
    linked: int = 0
    out_of_order: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, data: Path, settings: Settings | None = None) -> Stored:
        """Read every point and signal back through the store's own reads."""
        found = cls()
        with open_rooms(data, settings or Settings(), write=False) as rooms:
            ids = rooms.registry.directory().ids
            for batch in rooms.series.fleet(GRANT, 0, END_MS):
                found.rows += len(batch)
                found._take(ids, batch)
            for slot, device in enumerate(ids):
                track = rooms.series.track(GRANT, device, slot, 0, END_MS)
                keys = list(zip(track.time_ms.tolist(), track.seq.tolist(), strict=True))
                if keys != sorted(keys):
                    found.out_of_order.append(device)
            found.signals = [kept.signal for kept in _all_signals(rooms.signals)]
            found._take_desk(rooms.desk)
        return found

    def _take_desk(self, desk: DeskFile) -> None:
        rows = desk._book.rows
        for number, *alarm in rows("SELECT number, device, kind, fence, work, signals FROM alarms"):
            self.alarms[number] = KeptAlarm(*alarm)
        links = "SELECT s.id, l.alarm FROM alarm_signals AS l JOIN signals AS s ON s.number = l.signal"
        for signal_id, alarm_number in rows(links):
            self.alarm_of[signal_id] = alarm_number
            self.linked += 1

    def _take(self, ids: list[str], batch: PointBatch) -> None:
        speeds = np.round(batch.speed_kmh.astype(np.float64), 1)
        columns = (batch.slot, batch.seq, batch.time_ms, batch.lat.round(6), batch.lon.round(6), speeds)
        sos = (batch.alarm_bits & _SOS) != 0
        for slot, seq, time_ms, lat, lon, speed, is_sos, mark in zip(
            *(column.tolist() for column in columns), sos.tolist(), batch.marks.tolist(), strict=True
        ):
            point = Point(ids[slot], seq, time_ms, lat, lon, speed, is_sos)
            self.points[point.key] = point
            self.times[point.key] = self.times.get(point.key, 0) + 1
            self.marks[point.key] = mark


def _all_signals(signals: Any) -> Iterator[Any]:
    after = 0
    while page := signals.list(GRANT, after=after, limit=10_000):
        yield from page
        after = page[-1].number


def missing_by_seq(stored: Stored) -> int:
    """Points lost on the way, counted from what is stored: the holes between each device's first and last seq."""
    seqs: dict[str, list[int]] = {}
    for device, seq in stored.points:
        seqs.setdefault(device, []).append(seq)
    return sum(max(held) - min(held) + 1 - len(held) for held in seqs.values())


@dataclass(frozen=True, slots=True)
class Verdict:
    """Figures of a run, for the report."""

    acknowledged: int
    stored: int
    duplicate: int
    lost_upstream: int
    signals: int


def fresh(service: ServiceProcess, before: dict[str, Any]) -> None:
    """Something new still flows: more is stored than at `before`."""
    service.wait_status(lambda now: now["stored"] > before["stored"], "something fresh to be stored")


def enough(service: ServiceProcess, rows: int) -> None:
    """Enough was stored for the run to mean something, however slow the machine is today."""
    service.wait_status(lambda now: now["stored"] > rows, f"more than {rows} rows to be stored")


def judge(
    data: Path,
    sent: Sent,
    *,
    at_least: int,
    may_lose: bool = False,
    extra_devices: tuple[str, ...] = (),
    settings: Settings | None = None,
) -> Verdict:
    """The verdict over a stopped service's folder; asserts all that the module says.

    Args:
        data: the data folder.
        sent: what was sent and acknowledged.
        at_least: how many acknowledged points make the run mean something.
        may_lose: the broker was killed or wiped, so it may have lost what it acknowledged; then `points_missing`
            must be exactly what the stored seqs show to be missing.
        extra_devices: devices whose points are not in `sent` and are left out of the comparison.
        settings: where the series are, when they are not in the folder.
    """
    with open_rooms(data, settings or Settings(), write=False) as rooms:
        client = LocalClient(operations_of(rooms), Caller("judge", "test", "process"))
        status, check = client.call("status"), client.call("store_check")
    stored = Stored.read(data, settings)
    print(f"judge: {status}")
    quarantined = sum(status["quarantined"].values())
    assert status["in_flight"] == 0
    assert status["received"] == status["stored"] + status["duplicate"] + quarantined
    assert status["stored"] == stored.rows

    twice = [key for key, times in stored.times.items() if times > 1]
    assert not twice[:MAX_SHOWN], f"{len(twice)} stored twice"
    mine = {key: point for key, point in stored.points.items() if key[0] not in extra_devices}
    never_sent = [key for key in mine if key not in sent.points]
    assert not never_sent[:MAX_SHOWN], f"{len(never_sent)} never sent"
    changed = [(point, sent.points[key]) for key, point in mine.items() if point != sent.points[key]]
    assert not changed[:MAX_SHOWN], f"{len(changed)} changed on the way"
    assert not stored.out_of_order

    lost = [key for key in sent.acknowledged if key not in stored.points]
    if may_lose:
        assert status["counters"].get("points_missing", 0) == missing_by_seq(stored)
    else:
        assert not lost[:MAX_SHOWN], f"{len(lost)} acknowledged and lost"
        assert status["counters"].get("points_missing", 0) == 0
    _judge_signals(stored, sent, may_lose=may_lose)
    assert len(sent.acknowledged) >= at_least

    assert check["ok"], check["problems"]
    return Verdict(len(sent.acknowledged), stored.rows, status["duplicate"], len(lost), len(stored.signals))


def _judge_signals(stored: Stored, sent: Sent, *, may_lose: bool) -> None:
    messages = [signal.id for signal in stored.signals if signal.source == "message"]
    assert len(messages) == len(set(messages))
    assert set(messages) <= set(sent.presses), "a signal of a message that was never sent"
    if not may_lose:
        assert sent.acknowledged_presses <= set(messages), "an acknowledged alarm message is no signal"
    bits = [signal.device for signal in stored.signals if signal.source == "bit"]
    raised = {point.device for point in stored.points.values() if point.sos}
    assert sorted(bits) == sorted(raised), "not exactly one signal for each taxi in distress"
    judge_desk(stored)


def judge_desk(stored: Stored) -> None:
    """Every signal is on exactly one alarm of its key, and of each key at most one alarm is open."""
    by_id = {signal.id: signal for signal in stored.signals}
    assert len(by_id) == len(stored.signals), "a signal twice"
    assert stored.linked == len(stored.alarm_of), "a signal on two alarms"
    assert set(stored.alarm_of) == {signal.id for signal in stored.signals if signal.source not in {"file", "note"}}
    for signal_id, number in stored.alarm_of.items():
        signal, alarm = by_id[signal_id], stored.alarms[number]
        assert (signal.device, signal.kind, signal.fence) == alarm[:3], "a signal on another's alarm"
    on = Counter(stored.alarm_of.values())
    assert {number: alarm.signals for number, alarm in stored.alarms.items()} == dict(on), "an alarm counts wrongly"
    keys = Counter(alarm[:3] for alarm in stored.alarms.values() if alarm.work != "closed")
    assert not [key for key, times in keys.items() if times > 1], "two open alarms of one key"
