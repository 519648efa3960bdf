"""Workers of partitions on a real nats-server: spread, taking over, ticks, facts, back-pressure."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from lucheng.cluster.gate import LagGate
from lucheng.pulse import TICK_S
from model.seams import RecordKind
from model.signal import Signal
from model.status_batch import Tick
from store.nats.partitions import partition_of
from tests.conftest import wait_until
from tests.lucheng.cluster.city import CLOCK, GRANT, SOS, City
from tests.nats import NatsServer

DEVICES = tuple(f"taxi/{number}" for number in range(60))
SLOTS = list(range(len(DEVICES)))
#: After so long a pull counts as lost, with the pin that it was to keep.
UNANSWERED_S = 1.5


@pytest.fixture
def city(tmp_path: Path, own_nats_server: NatsServer) -> Iterator[City]:
    city = City(tmp_path, own_nats_server, DEVICES)
    yield city
    city.close()
    assert not city.failures


def signals(city: City) -> list[Signal]:
    return [kept.signal for kept in city.rooms.signals.list(GRANT, limit=10_000)]


def test_points_of_all_partitions_are_judged_and_stored_once_each(city: City) -> None:
    alone = city.member("a")
    now_ms = CLOCK.now_ms()
    city.send(SLOTS, now_ms - 2_000)
    city.send(SLOTS, now_ms - 1_000, alarm_bits=SOS)
    city.send(SLOTS, now_ms - 1_000, alarm_bits=SOS)  # sent again by an ingestor that died before its answer
    city.wait_held()
    wait_until(lambda: len(signals(city)) == len(DEVICES), timeout_s=30)
    assert Counter(one.device for one in signals(city)) == dict.fromkeys(DEVICES, 1)
    alone.close()
    assert city.stored() == {slot: [now_ms - 2_000, now_ms - 1_000] for slot in SLOTS}


@pytest.mark.soak
def test_a_second_one_gets_its_share_and_takes_over_when_the_first_ends(city: City) -> None:
    first = city.member("a")
    now_ms = CLOCK.now_ms()
    city.send(SLOTS, now_ms - 60_000)
    city.wait_held()
    second = city.member("b")
    wait_until(lambda: Counter(city.holders().values()) == {"a": 4, "b": 4}, timeout_s=60)
    for number in range(50):
        city.send(SLOTS, now_ms - 50_000 + number * 100)
    city.send(SLOTS, now_ms, alarm_bits=SOS)
    first.close()
    city.members.remove(first)
    wait_until(lambda: Counter(city.holders().values()) == {"b": 8}, timeout_s=30)
    wait_until(lambda: len(signals(city)) >= len(DEVICES), timeout_s=30)
    second.close()
    wanted = [now_ms - 60_000, *(now_ms - 50_000 + number * 100 for number in range(50)), now_ms]
    assert city.stored() == dict.fromkeys(SLOTS, wanted)
    assert Counter(one.device for one in signals(city)) == dict.fromkeys(DEVICES, 1)


def test_each_partition_has_ticks_from_its_holder_and_a_quiet_one_is_woken(city: City) -> None:
    member = city.member("a")
    city.wait_held()  # without a point ever sent
    logs = [member.log(partition) for partition in range(city.parts.count)]

    def ticks(partition: int) -> list[Tick]:
        records = logs[partition].read(0, max_records=1_000, max_bytes=1 << 20)
        return [Tick.from_bytes(one.payload) for one in records if one.kind is RecordKind.TICK]

    wait_until(lambda: all(sum(tick.listening for tick in ticks(p)) >= 3 for p in range(8)), timeout_s=30)
    for partition in range(8):
        times = [tick.time_ms for tick in ticks(partition) if tick.listening]
        assert all(later - earlier > 500 for earlier, later in pairwise(times))
    for log in logs:
        log.close()


def test_a_theft_reaches_the_rules_of_its_own_partition(city: City) -> None:
    city.rooms.registry.ensure(["ebike/1", "ebike/2"])
    city.rooms.registry.refresh(city.rooms.directory)
    city.member("a")
    city.wait_held()
    city.rooms.desk.report_stolen("ebike/1", "owner", "desk")
    slot = city.rooms.directory.slot("ebike/1")
    assert slot is not None
    home = partition_of(slot, city.parts.count)

    def stolen() -> dict[int, set[int]]:
        return {p: set(one.steps.facts.stolen) for p, one in city.members[0].analyze.held().items()}

    wait_until(lambda: stolen() == {p: {slot} if p == home else set() for p in range(8)}, timeout_s=20)


def test_who_is_unsure_of_its_partitions_is_certain_again_though_nothing_is_sent(
    city: City, own_nats_server: NatsServer
) -> None:
    member = city.member("a")
    city.wait_held()
    before = [held.turn for held in member.analyze.held().values()]
    seconds = member.analyze._seconds
    second, seconds.second = seconds.second, lambda: None  # type: ignore[method-assign] # no tick is on its way
    time.sleep(TICK_S)
    own_nats_server.pause()
    wait_until(lambda: not any(turn.certain for turn in before))
    time.sleep(UNANSWERED_S)
    own_nats_server.go_on()
    wait_until(lambda: all(worker.unsure for worker in member.analyze.workers))
    seconds.second = second  # type: ignore[method-assign]
    wait_until(lambda: all(turn.certain for turn in before))
    assert [held.turn for held in member.analyze.held().values()] == before


def test_a_worker_that_hangs_loses_its_partition_though_the_seconds_go_on(
    tmp_path: Path, own_nats_server: NatsServer
) -> None:
    city = City(tmp_path, own_nats_server, DEVICES, hung_after_s=2.0)
    member = city.member("a")
    city.wait_held()
    hung, go_on = threading.Event(), threading.Event()
    held = member.analyze.held()[3]
    run_once = held.runner.run_once

    def hangs() -> bool:
        hung.set()
        go_on.wait(30)
        return run_once()

    held.runner.run_once = hangs  # type: ignore[method-assign]
    city.send(SLOTS, CLOCK.now_ms())
    assert hung.wait(10)
    wait_until(lambda: held.turn.lost)
    assert not any(one.turn.lost for partition, one in member.analyze.held().items() if partition != 3)
    go_on.set()
    wait_until(lambda: (again := member.analyze.held().get(3)) is not None and again is not held)
    city.close()
    assert not city.failures


def test_the_gate_closes_when_nobody_works_and_opens_again(city: City) -> None:
    gate = LagGate(city.link, city.names, city.parts.count, max_lag_records=20, max_fill_pct=90.0)
    for number in range(30):
        city.send(SLOTS, CLOCK.now_ms() - 60_000 + number)
    gate.look()
    assert not gate.open()
    assert gate.lag_records == 30
    city.member("a")

    def open_again() -> bool:
        gate.look()
        return gate.open()

    wait_until(open_again, timeout_s=30)
    assert gate.closed == 1


def test_points_are_gathered_and_an_alarm_bit_waits_for_nobody(tmp_path: Path, own_nats_server: NatsServer) -> None:
    city = City(tmp_path, own_nats_server, DEVICES, gather_ms=3_000)
    member = city.member("a")
    city.wait_held()
    steps: Counter[int] = Counter()
    for partition, held in member.analyze.held().items():
        stored = held.steps._on_stored
        held.steps._on_stored = lambda points, p=partition, on=stored: (steps.update([p]), on(points))[1]  # type: ignore[misc]
    now_ms = CLOCK.now_ms()
    for number in range(20):
        city.send(SLOTS, now_ms - 20_000 + number)
    wait_until(lambda: sum(one.series.totals().stored for one in member.analyze.held().values()) == 20 * 60)
    assert max(steps.values()) < 10
    city.send(SLOTS, now_ms - 10_000)
    city.send([7], now_ms - 9_000, alarm_bits=SOS)
    before_s = CLOCK.monotonic_s()
    wait_until(lambda: len(signals(city)) == 1)
    print(f"the alarm bit waited {CLOCK.monotonic_s() - before_s:.3f} s")
    city.close()
    assert not city.failures
