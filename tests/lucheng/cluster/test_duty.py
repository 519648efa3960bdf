"""The desk's duty on a real nats-server: one at a time, alarms once, passed on, given out though no alarm comes."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import msgspec
import pytest

from config.sections import Settings
from lucheng.cluster.duty import GROUP, Duty
from lucheng.rooms import Rooms, open_rooms
from model.clock import SystemClock
from model.seams import NewRecord, RecordKind
from model.signal import Signal, message_signal_id
from store.log.jetstream import JetStreamLog
from store.nats.ownership import Partition
from tests.conftest import wait_until
from tests.lucheng.cluster.city import GRANT
from tests.nats import NatsServer, link_to, names_of, open_jetstream_log

CLOCK = SystemClock()
TTL_S = 1.0
#: After so long a pull counts as lost, with the pin that it was to keep.
UNANSWERED_S = 1.5


class Watched:
    """A chore that says whether it is done."""

    doing = 0

    def start(self) -> None:
        Watched.doing += 1

    def stop(self, *, drain_s: float) -> None:
        del drain_s
        Watched.doing -= 1


@pytest.fixture
def rooms(tmp_path: Path) -> Iterator[Rooms]:
    with open_rooms(tmp_path / "data", Settings(), write=True) as rooms:
        rooms.registry.ensure(["button/1"])
        rooms.registry.refresh(rooms.directory)
        yield rooms


@pytest.fixture
def alarms(nats_server: NatsServer, tmp_path: Path) -> Iterator[JetStreamLog]:
    with closing(open_jetstream_log([nats_server.url], tmp_path, exclusive=False)) as log:
        yield log


@pytest.fixture
def desk(
    nats_server: NatsServer, tmp_path: Path, rooms: Rooms, alarms: JetStreamLog
) -> Iterator[Callable[[str], Duty]]:
    names = names_of(tmp_path)
    failures: list[BaseException] = []
    duties: list[Duty] = []
    with ExitStack() as stack:

        def made(name: str) -> Duty:
            link = link_to([nats_server.url])
            stack.callback(link.close)
            log = JetStreamLog(link, names, names.alarms, names.alarms_subject, exclusive=False, close_link=False)
            duty = Duty(
                Partition(link, names, names.alarms, worker=name, group=GROUP, ttl_s=TTL_S),
                log,
                rooms.desk,
                CLOCK,
                chores=lambda: [Watched()],
                on_fatal=failures.append,
                take_over_s=TTL_S,
                nobody=lambda: not any(one.since_ms for one in duties),
            )
            duties.append(duty)
            duty.start()
            return duty

        yield made
        for duty in duties:
            duty.stop(drain_s=5)
    assert not failures
    assert Watched.doing == 0


def pressed(number: int) -> Signal:
    now_ms = CLOCK.now_ms()
    return Signal(
        id=message_signal_id("button/1", str(number)),
        device="button/1",
        kind="sos",
        source="message",
        time_ms=now_ms,
        received_ms=now_ms,
        lat=None,
        lon=None,
        severity=1,
        late=False,
        note="",
        log_position=0,
        device_alarm_id=str(number),
    )


def ring(alarms: JetStreamLog, number: int) -> None:
    alarms.append([NewRecord(RecordKind.ALARM, 1, msgspec.msgpack.encode([pressed(number)]))])


def signals(rooms: Rooms) -> Counter[str]:
    return Counter(kept.signal.device_alarm_id for kept in rooms.signals.list(GRANT, limit=10_000))


def test_the_duty_is_given_out_though_no_alarm_comes(desk: Callable[[str], Duty]) -> None:
    first = desk("a")
    wait_until(lambda: first.since_ms)
    wait_until(lambda: Watched.doing == 1)


def test_alarms_come_once_each_while_the_duty_goes_round(
    desk: Callable[[str], Duty], rooms: Rooms, alarms: JetStreamLog
) -> None:
    desks = {name: desk(name) for name in ("a", "b", "c")}
    stop = threading.Event()
    sent = 0

    def press() -> None:
        nonlocal sent
        while not stop.wait(0.01):
            ring(alarms, sent)
            sent += 1

    thread = threading.Thread(target=press)
    thread.start()
    served: list[str] = []
    for _ in range(3):
        wait_until(lambda: any(one.since_ms for one in desks.values()))
        name = next(name for name, one in desks.items() if one.since_ms)
        wait_until(lambda name=name: desks[name].position > 0)  # type: ignore[misc] # a default binds it
        assert sum(bool(one.since_ms) for one in desks.values()) == 1
        served.append(name)
        if len(served) < 3:
            desks.pop(name).stop(drain_s=5)
    wait_until(lambda: len(signals(rooms)) > sent // 2)
    stop.set()
    thread.join()
    wait_until(lambda: len(signals(rooms)) == sent)
    assert signals(rooms) == Counter(map(str, range(sent)))
    assert len(set(served)) == 3
    assert rooms.desk.position(alarms.stream) > 0


def test_who_is_unsure_of_the_duty_is_certain_again_though_no_alarm_comes(
    desk: Callable[[str], Duty], nats_server: NatsServer
) -> None:
    first = desk("a")
    wait_until(lambda: Watched.doing == 1)
    turn = first.turn
    assert turn is not None
    nats_server.pause()
    wait_until(lambda: not turn.certain)
    time.sleep(UNANSWERED_S)
    nats_server.go_on()
    wait_until(lambda: turn.certain)
    assert (first.turn, first.taken, Watched.doing) == (turn, 1, 1)
