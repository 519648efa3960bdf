"""Many terminals at once against a platform on a real socket."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from model.errors import TryAgain, UsageError
from simulator.terminal import jt
from simulator.terminal.fix import drive
from simulator.terminal.fleet import Fleet
from simulator.terminal.fleet_link import need_files
from simulator.terminal.stock import Stock
from simulator.terminal.wire import Protocol, pack, unpack
from tests.conftest import free_port
from tests.simulator.terminal.tiny_platform import TOKEN, Platform

Start = Callable[[Protocol], Platform]
START_MS = 1_795_334_395_000
NUMBERS = [f"1380000{at:04d}" for at in range(20)]
PROTOCOLS = (Protocol.JT808, Protocol.JT808_2019, Protocol.JT905)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("places", [1, 7])
def test_the_stock_holds_what_the_slow_writer_writes(protocol: Protocol, places: int) -> None:
    number, first, count, serial = "13800000001", 5, 300, 65_400
    stock = Stock(protocol, number, start_ms=START_MS, step_ms=60_000, places=places, seed=3)
    fixes = list(drive(START_MS + first * places * 60_000, count * places, 60_000, seed=3))
    for at, raw in enumerate(stock.make(first, count, serial)):
        some = fixes[at * places : (at + 1) * places]
        body = jt.position(some[0], protocol) if places == 1 else jt.batch(some, protocol, blind=False)
        message_id = 0x0200 if places == 1 else 0x0203 if protocol is Protocol.JT905 else 0x0704
        slow = unpack(protocol, pack(protocol, message_id, body, number=number, serial=(serial + at) & 0xFFFF)[0])
        fast = unpack(protocol, raw)
        assert (fast.message_id, fast.serial, fast.number) == (slow.message_id, slow.serial, slow.number)
        assert _near(fast.body, slow.body), at
    assert stock.times_ms(np.array([first])).tolist() == [fix.time_ms for fix in fixes[:places]]


def _near(fast: bytes, slow: bytes) -> bool:
    """The same but for the last digit of a place: one rounds degrees first."""
    return len(fast) == len(slow) and sum(one != other for one, other in zip(fast, slow, strict=True)) <= len(fast) // 7


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("batch", [0, 20])
def test_all_come_online_and_everything_is_answered(platform: Start, protocol: Protocol, batch: int) -> None:
    there = platform(protocol)
    with Fleet("127.0.0.1", there.port, NUMBERS, protocol=protocol, batch=batch, start_ms=START_MS) as fleet:
        came = fleet.connect(10)
        assert (came.connections, fleet.up) == (20, 20)
        load = fleet.run(20, messages_each=70)
        assert fleet.drain(10)
        assert load.messages_sent == 20 * 70
        assert load.places_answered == 20 * 70 * max(batch, 1)
        ledger = dict(fleet.ledger())
    message_id = 0x0200 if not batch else 0x0203 if protocol is Protocol.JT905 else 0x0704
    assert len(there.of(message_id)) == 20 * 70
    assert list(ledger) == NUMBERS
    expected = START_MS + np.arange(70 * max(batch, 1)) * 1000
    assert all(np.array_equal(times, expected) for times in ledger.values())


def test_after_a_drop_nothing_is_missing_and_tokens_are_kept(platform: Start) -> None:
    there = platform(Protocol.JT808)
    with Fleet("127.0.0.1", there.port, NUMBERS, start_ms=START_MS, outstanding=4) as fleet:
        fleet.connect(10)
        assert set(fleet.tokens().values()) == {TOKEN}
        there.mute.add(0x0200)
        fleet.run(0.05)
        assert not fleet.drain(0.0)
        there.mute.clear()
        again = fleet.reconnect(10)
        assert again.connections == 20
        assert fleet.drain(10)
        assert [times.size for _, times in fleet.ledger()] == [4] * 20
        assert len(there.of(0x0100)) == 20
        assert fleet.drop() == 20
        assert fleet.up == 0


def test_lost_connections_stay_open_and_what_was_on_them_is_sent_again(platform: Start) -> None:
    there = platform(Protocol.JT808)
    with Fleet("127.0.0.1", there.port, NUMBERS, start_ms=START_MS, outstanding=3) as fleet:
        fleet.connect(10)
        fleet.run(0)
        assert (fleet.lose(), fleet.up, len(fleet.lost)) == (20, 0, 20)
        assert all(sock.fileno() >= 0 for sock in fleet.lost)
        fleet.connect(10)
        assert fleet.drain(10)
        assert [times.size for _, times in fleet.ledger()] == [3] * 20
        before = list(fleet.lost)
    assert all(sock.fileno() == -1 for sock in before)


def test_what_is_refused_is_not_in_the_ledger(platform: Start) -> None:
    there = platform(Protocol.JT808)
    there.results[0x0200] = 1
    with Fleet("127.0.0.1", there.port, NUMBERS[:2], start_ms=START_MS) as fleet:
        fleet.connect(10)
        load = fleet.run(10, messages_each=3)
        assert (load.refused, load.places_answered) == (6, 0)
        assert [times.size for _, times in fleet.ledger()] == [0, 0]


def test_a_rate_is_kept(platform: Start) -> None:
    there = platform(Protocol.JT808)
    with Fleet("127.0.0.1", there.port, NUMBERS, start_ms=START_MS, rate_per_s=500) as fleet:
        fleet.connect(10)
        load = fleet.run(0.4)
        assert 0 < load.messages_sent <= 500 * load.seconds + 1


def test_nobody_there_is_try_again() -> None:
    with (
        Fleet("127.0.0.1", free_port(), NUMBERS[:1]) as fleet,
        pytest.raises(TryAgain, match="0 of 1 terminals are online"),
    ):
        fleet.connect(0.1)


def test_gt06_has_no_closed_loop_and_files_have_a_limit() -> None:
    with pytest.raises(UsageError, match="no closed loop"):
        Fleet("127.0.0.1", 1, NUMBERS, protocol=Protocol.GT06)
    with pytest.raises(UsageError, match="open files"):
        need_files(100_000_000)


@pytest.mark.parametrize(("protocol", "places"), [(Protocol.JT808, 1), (Protocol.JT808_2019, 7), (Protocol.JT905, 1)])
def test_additional_items_are_as_the_slow_writer_writes_them(protocol: Protocol, places: int) -> None:
    stock = Stock(protocol, "13800000001", start_ms=START_MS, step_ms=60_000, places=places, seed=3, items=True)
    more = () if protocol is Protocol.JT905 else ((0x30, b"\x17"), (0x31, b"\x0b"))
    fixes = [
        replace(fix, items=((0x01, (fix.time_ms // 10_000 % 2_000_000).to_bytes(4, "big")), *more))
        for fix in drive(START_MS, 20 * places, 60_000, seed=3)
    ]
    for at, raw in enumerate(stock.make(0, 20, 0)):
        some = fixes[at * places : (at + 1) * places]
        body = jt.position(some[0], protocol) if places == 1 else jt.batch(some, protocol, blind=False)
        assert _near(unpack(protocol, raw).body, body), at
