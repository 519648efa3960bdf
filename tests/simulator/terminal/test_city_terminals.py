"""Taxis of a city at the gateway itself: every row comes once, by one way, with what it said."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from ingest.gateway.gateway import Gateway
from ingest.gateway.seams import Order
from model.batch import PointBatch
from model.clock import SystemClock
from model.codes import ALARM_BY_NAME, Flag
from simulator.city import City
from simulator.city_terminals import CityTerminals, terminals_of
from simulator.terminal.wire import Protocol
from tests.conftest import wait_until
from tests.ingest.gateway.conftest import LIMITS, Events, Log, Registry

HANG_S = 60.0
TAXIS = 6


class Town:
    """A city, a gateway, and the terminals of its last three taxis."""

    def __init__(self) -> None:
        self.clock = SystemClock()
        self.registry, self.log, self.events = Registry(), Log(), Events()
        self.gateway = Gateway(
            replace(LIMITS),
            clock=self.clock,
            terminals=self.registry,
            take=self.log.take,
            events=self.events,
            jt_port=0,
        ).start()
        self.city = City(3, TAXIS, 4, 0, 0, self.clock.now_ms() - 600_000, taxi_interval_s=2.0)
        self.taxis = terminals_of(self.city.ids[TAXIS - 3 : TAXIS])
        for one in self.taxis:
            self.registry.add(one.number, one.registered_as, registered=False)
        self.terminals = CityTerminals("127.0.0.1", self.gateway.jt_port, self.taxis, self.city.ids, self.clock)

    def step(self, seconds: int) -> PointBatch:
        return self.city.step(self.city.now_ms + seconds * 1000)


@pytest.fixture
def town() -> Iterator[Town]:
    made = Town()
    with made.terminals:
        yield made
    made.gateway.stop()


def test_all_three_protocols_are_spoken(town: Town) -> None:
    assert {one.protocol for one in town.taxis} == {Protocol.JT808, Protocol.JT808_2019, Protocol.JT905}
    assert len({one.number for one in town.taxis} | {one.plate for one in town.taxis}) == 6
    town.terminals.come_online()
    assert len(town.terminals) == 3
    town.terminals.take(town.step(10))  # of JT/T 905 the first place says who speaks
    wait_until(lambda: len(town.gateway.sessions()) == 3, HANG_S, "three sessions")
    assert {row["protocol"] for row in town.gateway.sessions()} == {"jt808", "jt905"}


def test_rows_come_by_one_way_and_are_the_same(town: Town) -> None:
    town.terminals.come_online()
    past, now = town.step(70), town.step(10)
    past.flags = past.flags | np.uint16(Flag.BUFFERED)
    for batch in (past, now):
        mine = np.isin(batch.slot, np.arange(TAXIS - 3, TAXIS))
        assert mine.any()
        rest = town.terminals.take(batch)
        assert rest.slot.tolist() == batch.slot[~mine].tolist()
    both = PointBatch.concat([past, now])
    sent = both.take(np.flatnonzero(np.isin(both.slot, np.arange(TAXIS - 3, TAXIS))))
    assert town.terminals.drain(HANG_S)
    assert town.terminals.places == len(sent) == town.log.points
    assert sorted(town.log.column("time_ms")) == sorted(sent.time_ms.tolist())
    assert sorted(town.log.column("lat")) == pytest.approx(sorted(sent.lat.tolist()), abs=2e-6)
    flags = np.array(town.log.column("flags"))
    for flag in (Flag.BUFFERED, Flag.OCCUPIED):
        assert int(((flags & flag) != 0).sum()) == int(((sent.flags & flag) != 0).sum()), flag
    assert town.log.reasons == []
    assert len(town.terminals.take(PointBatch.empty())) == 0


def test_sos_is_where_the_taxi_is_and_its_photo_too(town: Town) -> None:
    assert town.terminals.press_sos() == "", "nobody is on line"
    town.terminals.come_online()
    town.terminals.take(town.step(10))
    device = town.terminals.press_sos()
    assert device == town.taxis[0].device
    wait_until(lambda: any(town.log.column("alarm_bits")), HANG_S, "the sos")
    bits = town.log.column("alarm_bits")
    at = next(place for place, value in enumerate(bits) if value >> ALARM_BY_NAME["sos"].bit & 1)
    slot = town.registry.known[town.taxis[0].number].slot
    assert town.gateway.send(Order("K1", slot, "snapshot", {"channel": 1, "count": 1, "interval_s": 0}))
    wait_until(lambda: town.events.pieces, HANG_S, "the photo")
    piece = town.events.pieces[0]
    assert (piece.lat, piece.lon) == pytest.approx((town.log.column("lat")[at], town.log.column("lon")[at]), abs=2e-6)


def test_who_is_not_let_in_goes_on_by_mqtt(town: Town) -> None:
    del town.registry.known[town.taxis[1].number]
    town.terminals.come_online()
    assert town.terminals.turned_away == [town.taxis[1].device]
    batch = town.step(10)
    rest = {town.city.ids[slot] for slot in town.terminals.take(batch).slot.tolist()}
    assert town.taxis[1].device in rest
    assert not {town.taxis[0].device, town.taxis[2].device} & rest


def test_a_broken_connection_loses_nothing(town: Town) -> None:
    town.terminals.come_online()
    batches = [town.step(10), town.step(10)]
    town.terminals.take(batches[0])
    for terminal in town.terminals._terminals.values():
        terminal.drop()
    town.terminals.take(batches[1])
    assert town.terminals.drain(HANG_S)
    both = PointBatch.concat(batches)
    sent = both.take(np.flatnonzero(np.isin(both.slot, np.arange(TAXIS - 3, TAXIS))))
    assert set(town.log.column("time_ms")) == set(sent.time_ms.tolist())
