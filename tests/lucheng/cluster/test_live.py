"""Places on their way to the consoles: the newest of each device, bounded, lost rather than waited for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from lucheng.cluster.live import LivePlaces, LiveReader, newest_places
from model.batch import PointBatch
from model.clock import SystemClock
from store.nats.link import Link
from tests.conftest import wait_until
from tests.nats import NatsServer, link_to, names_of

CLOCK = SystemClock()


@pytest.fixture
def link(nats_server: NatsServer) -> Iterator[Link]:
    link = link_to([nats_server.url])
    yield link
    link.close()


def points(slots: list[int], time_ms: list[int], **columns: object) -> PointBatch:
    given = {"slot": slots, "time_ms": time_ms, "received_ms": 5, "lat": 40.6, "lon": 109.8}
    return PointBatch.of(len(slots), given | columns, {0: b'{"secret":1}'})


def test_only_the_newest_place_of_each_device_is_left() -> None:
    batch = points([3, 1, 3, 1, 2], [10, 20, 30, 20, 5], seq=[0, 1, 2, 2, 0], lat=[1.0, 2.0, 3.0, 4.0, np.nan])
    found = newest_places(batch)
    assert (found.slot.tolist(), found.time_ms.tolist(), found.lat.tolist()) == ([1, 3], [20, 30], [4.0, 3.0])


def test_what_was_stored_reaches_every_desk_and_carries_no_texts(link: Link, tmp_path: Path) -> None:
    names = names_of(tmp_path)
    got: list[list[PointBatch]] = [[], []]
    readers = [LiveReader(link, names, some.append) for some in got]
    for reader in readers:
        reader.start()
    places = LivePlaces(link, names, CLOCK, live_ms=20, max_rows=100)
    places.start()

    def arrived() -> bool:
        places.take(2, points([1], [1]))
        return all(some for some in got)

    wait_until(arrived)
    for some in got:
        some.clear()
    for number in range(10):
        places.take(3, points(list(range(250)), [1_000 + number] * 250))
    wait_until(lambda: all(sum(len(one) for one in some if int(one.slot.max()) > 1) >= 250 for some in got))
    assert all(len(one) <= 100 for some in got for one in some)
    assert all(not len(one.extra) for some in got for one in some)
    newest = {slot: ms for one in got[0] for slot, ms in zip(one.slot.tolist(), one.time_ms.tolist(), strict=True)}
    wait_until(lambda: got[0][-1].time_ms.max() >= 1_009)
    assert set(newest) >= set(range(250))
    places.stop()
    for reader in readers:
        reader.stop()


def test_gathering_is_bounded_while_nothing_is_sent(link: Link, tmp_path: Path) -> None:
    places = LivePlaces(link, names_of(tmp_path), CLOCK, live_ms=60_000, max_rows=100)
    for number in range(200):
        places.take(0, points(list(range(90)), [number] * 90))
    assert sum(len(one) for one in places._gathered[0]) <= 500
    places.flush()
    assert places.rows == 90


def test_a_slow_desk_loses_the_oldest_and_holds_up_nobody(link: Link, tmp_path: Path) -> None:
    names = names_of(tmp_path)
    import threading

    may_go = threading.Event()
    got: list[int] = []

    def slow(batch: PointBatch) -> None:
        may_go.wait(20)
        got.append(int(batch.time_ms[0]))

    reader = LiveReader(link, names, slow, max_waiting=4)
    reader.start()
    places = LivePlaces(link, names, CLOCK, live_ms=60_000, max_rows=100)

    def first() -> bool:
        places.take(0, points([1], [0]))
        places.flush()
        return reader.messages > 0

    wait_until(first)
    for number in range(1, 51):
        places.take(0, points([1], [number]))
        places.flush()
    wait_until(lambda: reader.messages >= 51)
    may_go.set()
    wait_until(lambda: bool(got) and got[-1] == 50)
    assert reader.lost > 0
    assert len(got) <= 6
    reader.stop()
