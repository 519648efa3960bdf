"""From messages to the logs, with real logs: what is acknowledged is durable, what is wrong is quarantined and counted."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from config.sections import Settings
from ingest.decode.decoder import Decoder
from ingest.mqtt.messages import Messages
from lucheng.app import inbound
from lucheng.inbound import Inbound
from lucheng.limits import decoder_limits
from lucheng.rooms import Rooms, open_rooms
from model.batch_codec import decode
from model.clock import FakeClock
from model.codes import Reason
from model.errors import StoreError
from model.quarantine import Quarantined
from model.seams import Log, LogRecord, RecordKind
from model.signal import Signal, message_signal_id
from simulator import payloads
from store.log.committer import Committer
from store.log.local import LocalLog
from tests.conftest import wait_until
from tests.lucheng.house import START_MS

HANG_S = 30.0
POINT = payloads.topic("taxi/1", "point")
ALARM = payloads.topic("button/1", "alarm")


def point(seq: int, *, lat: float = 40.65) -> bytes:
    return f'{{"seq":{seq},"ts":{START_MS},"lat":{lat},"lon":109.84}}'.encode()


@dataclass
class Way:
    """Both logs with their committers, and the stages in front of them."""

    rooms: Rooms
    points: Committer
    alarms: Committer
    inbound: Inbound
    fatal: list[StoreError] = field(default_factory=list)

    def handle(self, *items: tuple[str, bytes]) -> threading.Event:
        """Hand messages over as the connection does; the event is set when they are acknowledged."""
        done = threading.Event()
        self.inbound.on_batch(Messages.of(items), done.set)
        return done

    def acknowledged(self, *items: tuple[str, bytes]) -> None:
        """Hand over and wait for the acknowledgement."""
        assert self.handle(*items).wait(HANG_S)


def read(log: Log) -> list[LogRecord]:
    return log.read(0, max_records=1_000, max_bytes=1 << 30)


def quarantined(log: Log) -> list[Quarantined]:
    return [
        entry
        for record in read(log)
        if record.kind is RecordKind.QUARANTINE
        for entry in msgspec.msgpack.decode(record.payload, type=list[Quarantined])
    ]


@pytest.fixture
def way(tmp_path: Path) -> Iterator[Way]:
    clock = FakeClock(START_MS)
    settings = Settings()
    rooms = open_rooms(tmp_path / "data", settings, write=True, clock=clock)
    rooms.registry.ensure(["taxi/1", "taxi/2", "button/1"])
    fatal: list[StoreError] = []
    points = Committer(rooms.points_log, clock=clock, on_fatal=fatal.append, max_delay_ms=0)
    alarms = Committer(rooms.alarms_log, clock=clock, on_fatal=fatal.append, max_delay_ms=0)
    made = Inbound(Decoder(rooms.registry.directory(), limits=decoder_limits(settings)), points, alarms, clock)
    made.use(inbound(made))
    yield Way(rooms, points, alarms, made, fatal)
    points.close(timeout_s=HANG_S)
    alarms.close(timeout_s=HANG_S)
    rooms.close()


def test_points_are_in_their_log_when_they_are_acknowledged(way: Way) -> None:
    way.acknowledged((POINT, point(1)), (payloads.topic("taxi/2", "point"), b"[" + point(2) + b"," + point(3) + b"]"))
    (record,) = read(way.rooms.points_log)
    assert (record.kind, record.rows) == (RecordKind.POINTS, 3)
    batch = decode(record.payload)
    assert batch.seq.tolist() == [1, 2, 3]
    assert batch.slot.tolist() == [0, 1, 1]
    assert batch.received_ms.tolist() == [START_MS] * 3
    assert read(way.rooms.alarms_log) == []


def test_an_alarm_goes_its_own_way(way: Way) -> None:
    way.acknowledged((ALARM, payloads.alarm("7", START_MS, "one_key")))
    (record,) = read(way.rooms.alarms_log)
    assert (record.kind, record.rows) == (RecordKind.ALARM, 1)
    (signal,) = msgspec.msgpack.decode(record.payload, type=list[Signal])
    assert signal.id == message_signal_id("button/1", "7")
    assert read(way.rooms.points_log) == []
    assert way.rooms.points_log.received_rows() == 0


def test_what_is_wrong_is_quarantined_and_its_neighbours_are_kept(way: Way) -> None:
    way.acknowledged(
        (POINT, point(1)),
        (POINT, b"{"),
        (payloads.topic("taxi/9", "point"), point(2)),
        (POINT, b'[{"lat":1},' + point(3) + b"]"),
        (ALARM, b"{}"),
    )
    points, wrong = read(way.rooms.points_log)
    assert decode(points.payload).seq.tolist() == [1, 3]
    assert (wrong.kind, wrong.rows) == (RecordKind.QUARANTINE, 4)
    assert sorted((entry.reason, entry.rows) for entry in quarantined(way.rooms.points_log)) == sorted(
        [(Reason.NOT_JSON, 1), (Reason.UNKNOWN_DEVICE, 1), (Reason.MISSING_FIELD, 1), (Reason.MISSING_FIELD, 1)]
    )
    assert way.rooms.points_log.received_rows() == 6


def test_messages_that_hold_nothing_are_acknowledged_at_once(way: Way) -> None:
    assert way.handle((POINT, b"[]")).is_set()
    assert way.handle().is_set()
    assert read(way.rooms.points_log) == []


class _Held(LocalLog):
    """A log whose appends wait until they are let go."""

    gate: threading.Event

    def append(self, records: object) -> int:
        assert self.gate.wait(HANG_S)
        return super().append(records)  # type: ignore[arg-type] # handed through


def _held(way: Way, folder: Path) -> tuple[Committer, threading.Event]:
    log = _Held(folder / "held.log.db", clock=way.rooms.clock)
    log.gate = threading.Event()
    return Committer(log, clock=way.rooms.clock, on_fatal=way.fatal.append, max_delay_ms=0), log.gate


@pytest.mark.parametrize("slow", ["points", "alarms"])
def test_messages_for_both_logs_are_acknowledged_after_the_slower_one(way: Way, tmp_path: Path, slow: str) -> None:
    held, gate = _held(way, tmp_path)
    made = Inbound(
        Decoder(way.rooms.registry.directory()),
        held if slow == "points" else way.points,
        held if slow == "alarms" else way.alarms,
        way.rooms.clock,
    )
    made.use(inbound(made))
    quick_log = way.rooms.alarms_log if slow == "points" else way.rooms.points_log
    done = threading.Event()
    made.on_batch(Messages.of([(POINT, point(1)), (ALARM, payloads.alarm("7", START_MS, "one_key"))]), done.set)
    wait_until(quick_log.last_position, HANG_S, "the quick log")
    assert not done.is_set()
    gate.set()
    assert done.wait(HANG_S)
    assert held.close(timeout_s=HANG_S)


def test_a_point_in_distress_does_not_wait_for_others(tmp_path: Path, way: Way) -> None:
    """Its commit starts at once, although the clock never comes to the end of the delay."""
    with_delay = Committer(way.rooms.points_log, clock=way.rooms.clock, on_fatal=way.fatal.append, max_delay_ms=60_000)
    made = Inbound(Decoder(way.rooms.registry.directory()), with_delay, way.alarms, way.rooms.clock)
    made.use(inbound(made))
    calm, distress = threading.Event(), threading.Event()
    made.on_batch(Messages.of([(POINT, point(1))]), calm.set)
    assert with_delay.stats().queued_rows == 1
    made.on_batch(Messages.of([(POINT, point(2)[:-1] + b',"alarms":["sos"]}')]), distress.set)
    assert distress.wait(HANG_S)
    assert calm.wait(HANG_S)
    assert with_delay.close(timeout_s=HANG_S)


def test_a_log_that_fails_acknowledges_nothing_more(way: Way) -> None:
    way.acknowledged((POINT, point(1)))
    way.rooms.points_log.close()
    refused = way.handle((POINT, point(2)))
    wait_until(lambda: way.fatal, HANG_S, "the failure")
    assert not refused.is_set()
    with pytest.raises(StoreError):
        way.handle((POINT, point(3)))
    assert len(way.fatal) == 1


def test_what_holds_nothing_to_keep_is_acknowledged_and_counted(way: Way) -> None:
    way.acknowledged(("owntracks/taxi/1/status", b'{"_type":"status"}'), ("owntracks/taxi/1", b'{"_type":"steps"}'))
    assert way.inbound.passed_over == 2
    assert read(way.rooms.points_log) == []
