"""The terminal and the fleet against the gateway itself: two readings of the standards that have to agree."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pytest

from ingest.gateway.gateway import Gateway
from ingest.gateway.seams import Order
from model.clock import SystemClock
from model.codes import ALARM_BY_NAME
from simulator.terminal import media
from simulator.terminal.fix import drive
from simulator.terminal.fleet import Fleet
from simulator.terminal.terminal import Terminal
from simulator.terminal.wire import Protocol
from tests.conftest import wait_until
from tests.ingest.gateway.conftest import LIMITS, Events, Log, Registry

JT = (Protocol.JT808, Protocol.JT808_2019, Protocol.JT905)
NUMBERS = {Protocol.JT905: "108000000316", Protocol.GT06: "860000000000001"}


@dataclass
class House:
    """A gateway and what is around it."""

    gateway: Gateway
    registry: Registry
    log: Log
    events: Events

    def port(self, protocol: Protocol) -> int:
        return self.gateway.gt06_port if protocol is Protocol.GT06 else self.gateway.jt_port

    @contextmanager
    def terminal(self, protocol: Protocol, *, answer_timeout_s: float = 10.0) -> Iterator[Terminal]:
        number = NUMBERS.get(protocol, "13800000001")
        self.registry.add(number, protocol.value.partition("-")[0], registered=False)
        with Terminal(
            "127.0.0.1", self.port(protocol), protocol=protocol, number=number, answer_timeout_s=answer_timeout_s
        ) as one:
            yield one.come_online()

    def order(self, name: str, **args: object) -> None:
        assert self.gateway.send(Order("K1", 0, name, args))

    def replied(self) -> bool:
        """Whether the order was carried out, once it was answered."""
        wait_until(lambda: self.events.replies, what="a reply to the order")
        return self.events.replies[-1].ok


@pytest.fixture
def house() -> Iterator[House]:
    registry, log, events = Registry(), Log(), Events()
    gateway = Gateway(
        replace(LIMITS, part_timeout_s=0.3), clock=SystemClock(), terminals=registry, take=log.take, events=events, jt_port=0, gt06_port=0,
        phone_number="04720000110",
    ).start()  # fmt: skip
    yield House(gateway, registry, log, events)
    gateway.stop()


def start_ms() -> int:
    return SystemClock().now_ms() // 1000 * 1000 - 3_600_000


@pytest.mark.parametrize("protocol", JT)
def test_places_arrive_where_they_were_sent(house: House, protocol: Protocol) -> None:
    fixes = list(drive(start_ms(), 5))
    with house.terminal(protocol) as terminal:
        assert terminal.wait_answers(terminal.send_positions(fixes[:2])) == [0, 0]
        assert terminal.wait_answers(terminal.send_batch(fixes[2:])) == [0]
    assert house.log.column("time_ms") == [fix.time_ms for fix in fixes]
    assert house.log.column("lat") == pytest.approx([fix.lat for fix in fixes], abs=2e-6)
    assert house.log.column("lon") == pytest.approx([fix.lon for fix in fixes], abs=2e-6)
    assert house.log.reasons == []


def test_gt06_places_arrive(house: House) -> None:
    fixes = list(drive(start_ms(), 3))
    with house.terminal(Protocol.GT06) as terminal:
        terminal.send_positions(fixes)
        assert terminal.wait_answer(terminal.heartbeat()) == 0
        wait_until(lambda: house.log.points >= 3, what="the places")
        assert terminal.wait_answer(terminal.press_sos(fixes[-1])) == 0
    assert house.log.column("time_ms")[:3] == [fix.time_ms for fix in fixes]
    assert house.log.column("lat")[:3] == pytest.approx([fix.lat for fix in fixes], abs=2e-6)
    assert [one.kind for decoded in house.log.taken for one in decoded.signals] == ["sos"]


@pytest.mark.parametrize("protocol", JT)
def test_sos_is_raised_and_released_when_confirmed(house: House, protocol: Protocol) -> None:
    with house.terminal(protocol) as terminal:
        assert terminal.wait_answer(terminal.press_sos(), 10) in (0, 4)
        assert _sos(house) == [True]
        house.order("confirm_alarm", alarm_kind="sos", state="closed")
        assert house.replied()
        assert terminal.latched == 0


def _sos(house: House) -> list[bool]:
    """Of each place that was stored, whether it says sos."""
    return [bool(bits >> ALARM_BY_NAME["sos"].bit & 1) for bits in house.log.column("alarm_bits")]


@pytest.mark.parametrize("protocol", JT)
def test_a_photo_with_three_parts_lost_is_whole(house: House, protocol: Protocol) -> None:
    data = media.picture(400, 300, seed=5)
    # JT/T 905 has no message that asks for parts: its terminal sends again what was not answered.
    with house.terminal(protocol, answer_timeout_s=0.3) as terminal:
        upload = terminal.send_photo(data, 9, lose=(3, 7, 11), part_bytes=-(-(len(data) + 36) // 20), event=2)
        assert upload.parts == 20
        assert upload.wait(20)
        wait_until(lambda: house.events.pieces, what="the photo")
    (piece,) = house.events.pieces
    assert piece.data == data
    assert (piece.kind, piece.format, piece.channel) == ("image", "jpg", 1)


ORDERS: list[tuple[Protocol, str, dict[str, object], Callable[[Terminal], object]]] = [
    (Protocol.JT808, "snapshot", {"channel": 1, "count": 1, "interval_s": 0}, lambda one: one.stored),
    (Protocol.JT905, "snapshot", {"channel": 1, "count": 1, "interval_s": 0}, lambda one: one.stored),
    (Protocol.JT808, "listen_in", {"minutes": 5}, lambda one: one.calls == [(True, "04720000110", 300)]),
    (Protocol.JT905, "listen_in", {"minutes": 5}, lambda one: one.calls == [(True, "04720000110", 300)]),
    (Protocol.JT808, "call", {}, lambda one: one.calls == [(False, "04720000110", 600)]),
    (Protocol.JT808, "text", {"text": "你好", "urgent": True, "speak": True}, lambda one: one.texts == ["你好"]),
    (Protocol.JT808_2019, "text", {"text": "你好", "urgent": True, "speak": True}, lambda one: one.texts == ["你好"]),
    (Protocol.JT905, "text", {"text": "你好", "urgent": True, "speak": True}, lambda one: one.texts == ["你好"]),
    (Protocol.JT808, "track_faster", {"interval_s": 5, "for_s": 60}, lambda one: one.tracking == (5, 60)),
    (Protocol.JT905, "track_faster", {"interval_s": 5, "for_s": 60}, lambda one: one.tracking == (5, 60)),
    (Protocol.JT808, "query", {"what": "position"}, lambda one: True),
    (Protocol.JT808, "query", {"what": "attributes"}, lambda one: True),
    (Protocol.JT808, "query", {"what": "parameters"}, lambda one: True),
    (Protocol.JT905, "query", {"what": "position"}, lambda one: True),
    (Protocol.JT905, "query", {"what": "inspection"}, lambda one: True),
    (Protocol.JT905, "cut_power", {"restore": False}, lambda one: one.ordered),
    (Protocol.GT06, "cut_power", {"restore": False}, lambda one: one.texts),
]


@pytest.mark.parametrize(("protocol", "name", "args", "done"), ORDERS)
def test_orders_are_obeyed_and_their_replies_found(
    house: House, protocol: Protocol, name: str, args: dict[str, object], done: Callable[[Terminal], object]
) -> None:
    with house.terminal(protocol) as terminal:
        terminal.wait_answer(terminal.heartbeat())
        house.order(name, **args)
        assert house.replied()
        wait_until(lambda: done(terminal), what=f"{name} to be obeyed")
        assert terminal.link.counts.bad == []


def test_a_refused_order_is_refused(house: House) -> None:
    with house.terminal(Protocol.JT808) as terminal:
        terminal.refusing[0x8300] = 1
        house.order("text", text="x", urgent=False, speak=False)
        assert not house.replied()


def test_a_shift_is_reported(house: House) -> None:
    with house.terminal(Protocol.JT905) as terminal:
        began, ended = drive(start_ms(), 2, 600_000)
        serials = [terminal.sign_on(), terminal.trip_record(began, ended, rating=1), terminal.sign_off()]
        assert terminal.wait_answers(serials) == [0, 0, 0]
    assert len(house.events.reports) == 3
    assert house.log.reasons == []


@pytest.mark.parametrize("protocol", JT)
def test_what_a_fleet_has_in_its_ledger_is_in_the_log(house: House, protocol: Protocol) -> None:
    batch = 20
    numbers = [f"10800000{at:04d}" for at in range(30)]
    for number in numbers:
        house.registry.add(number, protocol.value.partition("-")[0], registered=False)
    with Fleet("127.0.0.1", house.gateway.jt_port, numbers, protocol=protocol, batch=batch) as fleet:
        fleet.connect(20)
        fleet.run(20, messages_each=5)
        fleet.reconnect(20)
        fleet.run(20, messages_each=10)
        assert fleet.drain(20)
        promised = {(at, int(one)) for at, (_, times) in enumerate(fleet.ledger()) for one in times}
    stored = set(zip(house.log.column("slot"), house.log.column("time_ms"), strict=True))
    assert len(promised) == 30 * 10 * batch
    assert promised <= stored
