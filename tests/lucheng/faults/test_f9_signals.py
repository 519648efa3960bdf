"""F9 for signals: a stream that comes three times over, out of order and late, through kills, raises nothing twice; and
the log replayed gives the same signals, once.

A fleet whose devices speed, enter a forbidden area, are moved, call for help and run low sends its morning; one half of it in
order, the other half three times, moved by up to ten minutes, and some of it 48 hours late. The service is killed in between, and
then hears everything again. Its log is then replayed into empty stores, once through and once with kills: the signals, with
their ids, are those that the first run had.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pytest

from lucheng.rooms import ALARMS_LOG_FILE, AUDIT_FILE, DESK_FILE, POINTS_LOG_FILE, REGISTRY_FILE
from model.clock import SystemClock
from model.signal import Signal
from simulator import payloads
from simulator.publisher import Publisher
from tests.conftest import Mosquitto
from tests.lucheng.faults.conftest import REGISTER
from tests.lucheng.faults.judge import Stored, judge_desk, seeded
from tests.lucheng.service_process import ServiceProcess

STEP_MS = 10_000
POINTS = 120
LATE_MS = 48 * 3_600_000
COPIES = 3
OUT_OF_ORDER_MS = 10 * 60_000
MESSAGE_POINTS = 5
PRESSES = 20
#: The log stays whole, so that it can be replayed from its beginning.
KEEP_THE_LOG = {"LUCHENG_SERIES__SNAPSHOT_EVERY_S": "3600", "LUCHENG_RULES__FENCE_CONFIRM_S": "0"}
FORBIDDEN = {
    "type": "Feature",
    "properties": {"id": "palace", "name": "palace", "rule": "forbidden"},
    "geometry": {
        "type": "Polygon",
        "coordinates": [[[109.90, 40.60], [109.92, 40.60], [109.92, 40.62], [109.90, 40.62], [109.90, 40.60]]],
    },
}
Row = dict[str, Any]
Scene = Callable[[int], Row]


def _speeding(at: int) -> Row:
    fast = 20 <= at < 40 or 80 <= at < 100
    return {"lat": 40.5 + at * 0.0025, "lon": 109.8, "speed_kmh": 105.0 if fast else 40.0}


def _trespassing(at: int) -> Row:
    inside = 30 <= at < 50 or 90 <= at < 100
    return {"lat": 40.61, "lon": 109.91 if inside else 109.94, "speed_kmh": 5.0}


def _calling(at: int) -> Row:
    row: Row = {"lat": 40.6 + at * 1e-5, "lon": 109.7, "speed_kmh": 3.0}
    return {**row, "alarms": ["sos"]} if 12 <= at < 16 or 70 <= at < 73 else row


def _towed(at: int) -> Row:
    return {"lat": 40.7 + max(0, at - 60) * 0.001, "lon": 109.6, "speed_kmh": 0.0, "ignition": False}


def _stolen(at: int) -> Row:
    return {"lat": 40.65 + max(0, at - 60) * 0.0005, "lon": 109.5, "speed_kmh": 0.0, "armed": True, "acc_m": 5.0}


def _flat(at: int) -> Row:
    return {"lat": 40.66, "lon": 109.5, "speed_kmh": 0.0, "battery_pct": max(5, 40 - at)}


SCENES: dict[str, tuple[Scene, str]] = {
    "taxi/speeds": (_speeding, "overspeed"),
    "taxi/trespasses": (_trespassing, "forbidden_area"),
    "taxi/calls": (_calling, "sos"),
    "taxi/towed": (_towed, "illegal_move"),
    "ebike/stolen": (_stolen, "moved_while_armed"),
    "ebike/flat": (_flat, "low_battery"),
}
TIMES = {"overspeed": 2, "forbidden_area": 2, "sos": 2, "illegal_move": 1, "moved_while_armed": 1, "low_battery": 1}

Message = tuple[str, str, bytes]


def _morning(device: str, scene: Scene, start_ms: int) -> list[Row]:
    return [{"ts": start_ms + at * STEP_MS, "seq": at + 1, "buffered": True, **scene(at)} for at in range(POINTS)]


def _message(device: str, points: list[Row]) -> Message:
    return device, payloads.topic(device, "point"), json.dumps(points).encode()


def _in_order(device: str, scene: Scene, start_ms: int) -> list[Message]:
    rows = _morning(device, scene, start_ms)
    return [_message(device, rows[at : at + MESSAGE_POINTS]) for at in range(0, POINTS, MESSAGE_POINTS)]


def _disordered(device: str, scene: Scene, start_ms: int, random: Random) -> list[Message]:
    """Every point `COPIES` times, each copy moved by up to ±10 minutes."""
    moved = [
        (row["ts"] + random.uniform(-1, 1) * OUT_OF_ORDER_MS, index, row)
        for index, row in enumerate(_morning(device, scene, start_ms) * COPIES)
    ]
    rows = [row for _, _, row in sorted(moved, key=lambda one: one[:2])]
    return [_message(device, rows[at : at + MESSAGE_POINTS]) for at in range(0, len(rows), MESSAGE_POINTS)]


def _stream(random: Random, now_ms: int) -> list[Message]:
    """All devices' messages, shuffled into each other; each device's own stay in their order."""
    start_ms = now_ms - POINTS * STEP_MS
    streams: list[list[Message]] = []
    for device, (scene, _) in SCENES.items():
        streams.append(_in_order(f"{device}-in-order", scene, start_ms))
        streams.append(_disordered(f"{device}-disordered", scene, start_ms, random))
        streams.append(
            _disordered(f"{device}-late", scene, start_ms, random)
            + _disordered(f"{device}-late", scene, start_ms - LATE_MS, random)
        )
    presses = [payloads.alarm(f"press-{number}", now_ms, "one_key") for number in range(PRESSES)] * COPIES
    random.shuffle(presses)
    streams.append([("button/1", payloads.topic("button/1", "alarm"), press) for press in presses])
    order = [index for index, stream in enumerate(streams) for _ in stream]
    random.shuffle(order)
    places = [iter(stream) for stream in streams]
    return [next(places[index]) for index in order]


def _send(broker: str, messages: list[Message]) -> None:
    with Publisher(broker, clock=SystemClock()) as publisher:
        for device, topic, payload in messages:
            publisher.publish(device, topic, payload)
        assert publisher.drain(60), "the broker acknowledges nothing"


@pytest.fixture
def service(tmp_path: Path, mosquitto: Mosquitto) -> Iterator[ServiceProcess]:
    """A service with a forbidden area that keeps its log whole."""
    with ServiceProcess(tmp_path / "data", mosquitto.url, env=REGISTER | KEEP_THE_LOG).start() as made:
        made.client().call("fence_add", feature=FORBIDDEN)
        yield made


def _points_sent(messages: list[Message]) -> int:
    return sum(payload.count(b'"ts"') for _, topic, payload in messages if topic.endswith("point"))


def _live(service: ServiceProcess, broker: str, messages: list[Message], random: Random, kills: int) -> list[Signal]:
    """The fleet sends, with kills between; then sends all of it again. The signals."""
    cuts = sorted(random.sample(range(1, len(messages)), kills))
    for start, end in zip([0, *cuts], [*cuts, len(messages)], strict=True):
        _send(broker, messages[start:end])
        if end < len(messages):
            time.sleep(random.uniform(0, 0.3))
            service.kill9()
            service.start()
    service.wait_status(lambda now: now["received"] >= _points_sent(messages), "all of it to be received")
    first = service.wait_quiet()
    service.kill9()
    service.start()
    _send(broker, messages)
    service.wait_status(lambda now: now["received"] >= 2 * _points_sent(messages), "all of it to be received again")
    second = service.wait_quiet()
    assert second["stored"] == first["stored"]
    assert second["signals"] == first["signals"], "something was raised again"
    service.kill9()
    return Stored.read(service.data).signals


def _replayed(
    service: ServiceProcess,
    folder: Path,
    broker: str,
    moments: list[int],
    records: int,
    settled: Callable[[ServiceProcess], object],
) -> list[Signal]:
    """The signals of a replay of the service's log into empty stores, so many records at a time, killed when it has so many."""
    folder.mkdir(mode=0o700)
    for name in (REGISTRY_FILE, POINTS_LOG_FILE, ALARMS_LOG_FILE, AUDIT_FILE):
        for part in service.data.glob(f"{name}*"):
            shutil.copy2(part, folder / part.name)
    shutil.copytree(service.data / "keys", folder / "keys")
    for part in service.data.glob("audit.checkpoints*"):
        shutil.copy2(part, folder / part.name)
    with ServiceProcess(folder, broker, env=service.env | {"LUCHENG_LOG__READ_MAX_RECORDS": str(records)}) as replaying:
        for moment in moments:
            replaying.spawn()
            _until_it_has(replaying, moment)
            replaying.kill9()
            print(f"killed when it had {_signals_kept(folder)} signals")
        replaying.start()
        settled(replaying)
    stored = Stored.read(folder)
    judge_desk(stored)
    return stored.signals


def _until_it_has(service: ServiceProcess, signals: int) -> None:
    """Wait until its desk has so many signals: it is in the middle of the replay."""
    while _signals_kept(service.data) < signals:
        assert service.alive, service.said
        time.sleep(0.002)


def _signals_kept(data: Path) -> int:
    if not (data / DESK_FILE).exists():
        return 0
    with closing(sqlite3.connect(f"file:{data / DESK_FILE}?mode=ro", uri=True)) as desk:
        try:
            return int(desk.execute("SELECT count(*) FROM signals").fetchone()[0])
        except sqlite3.OperationalError:  # its tables are not made yet
            return 0


def _last_position(data: Path, name: str) -> int:
    with closing(sqlite3.connect(f"file:{data / name}?mode=ro", uri=True)) as log:
        first, last = log.execute("SELECT min(position), max(position) FROM records").fetchone()
    assert first == 1, "the log was trimmed: it cannot be replayed from its beginning"
    return int(last)


def _run(
    service: ServiceProcess, mosquitto: Mosquitto, folder: Path, random: Random, *, replays: int, kills: int
) -> None:
    messages = _stream(random, time.time_ns() // 1_000_000)
    lived = _live(service, mosquitto.url, messages, random, kills)
    _judge_lived(lived)
    ends = {name: _last_position(service.data, name) for name in (POINTS_LOG_FILE, ALARMS_LOG_FILE)}

    def settled(replaying: ServiceProcess) -> object:
        return replaying.wait_status(
            lambda now: (
                now["live"]["pipeline_position"] >= ends[POINTS_LOG_FILE]
                and now["live"]["alarms_position"] >= ends[ALARMS_LOG_FILE]
            ),
            "the log to be replayed",
        )

    silent = Mosquitto(folder / "silent").start()  # nobody sends anything there
    try:
        wanted = _told(lived, ends)
        for number in range(replays):
            moments = sorted(random.sample(range(PRESSES + 1, len(wanted)), kills)) if number else []
            records = random.choice((1, 2, 7)) if number else 256
            replay = folder / f"replay-{number}"
            again = _told(_replayed(service, replay, silent.url, moments, records, settled), ends)
            print(f"replay of {records} records at a time with {len(moments)} kills: {len(again)} signals")
            _same(again, wanted)
    finally:
        silent.stop()


def _told(signals: list[Signal], ends: dict[str, int]) -> dict[str, Signal]:
    """Signals by id that are of the log as it was copied."""
    points = {one.id: one for one in signals if one.source != "message" and one.log_position <= ends[POINTS_LOG_FILE]}
    return points | {one.id: one for one in signals if one.source == "message"}


def _same(again: dict[str, Signal], wanted: dict[str, Signal]) -> None:
    gone = [signal for name, signal in wanted.items() if name not in again]
    new = [signal for name, signal in again.items() if name not in wanted]
    assert (gone, new) == ([], [])
    assert again == wanted


def _judge_lived(signals: list[Signal]) -> None:
    """What each device did is told as often as it did it, where its points came in order; a press is one signal."""
    for device, (_, kind) in SCENES.items():
        mine = [one for one in signals if one.device == f"{device}-in-order" and one.kind == kind]
        assert len(mine) == TIMES[kind], (device, mine)
    presses = [one for one in signals if one.device == "button/1" and one.source == "message"]
    assert len(presses) == PRESSES
    for kind in ("disordered", "late"):
        calls = [one for one in signals if one.device == f"taxi/calls-{kind}" and one.kind == "sos"]
        days = 2 if kind == "late" else 1
        print(f"{kind}: {len(calls)} calls of {days * TIMES['sos']}")
        assert len(calls) == days * TIMES["sos"]


@pytest.mark.soak
def test_nothing_twice_and_a_replay_gives_the_same(
    service: ServiceProcess, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    _run(service, mosquitto, tmp_path, seeded("signals"), replays=2, kills=1)


@pytest.mark.soak
def test_many_replays_give_the_same(service: ServiceProcess, mosquitto: Mosquitto, tmp_path: Path) -> None:
    _run(service, mosquitto, tmp_path, seeded("signals"), replays=8, kills=4)
