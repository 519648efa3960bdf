"""The table of places begins with what the store knows, at once or as soon as the store answers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from config.settings import load
from devices.directory import Directory
from lucheng.live_side import FILL_EVERY_S, Places
from model.batch import PointBatch
from model.clock import FakeClock
from model.errors import TryAgain
from model.grant import Grant

NOW_MS = 1_795_334_400_000


def batch(slot: list[int], time_ms: list[int], lat: list[float]) -> PointBatch:
    columns = {"slot": slot, "time_ms": time_ms, "received_ms": time_ms, "lat": lat, "lon": 109.0}
    return PointBatch.of(len(slot), columns)


class Store:
    """A store that is away until it is told to answer."""

    def __init__(self, newest: PointBatch, *, away: bool) -> None:
        self.newest, self.away, self.asked = newest, away, 0

    def latest(self, grant: Grant, slots: Any) -> PointBatch:
        self.asked += 1
        assert grant.purpose.code == "maintenance"
        assert slots is None
        if self.away:
            raise TryAgain("The server is away.", mend="Start it.")
        return self.newest


def made(store: Store, clock: FakeClock) -> Places:
    directory = Directory()
    directory.apply([(slot, f"taxi/{slot}", "taxi", 1, 0, -1) for slot in range(2)], 1)
    rooms = SimpleNamespace(clock=clock, settings=load(None, {}), series=store)
    return Places(cast("Any", rooms), directory)


def test_it_begins_with_what_is_stored() -> None:
    store = Store(batch([0, 1], [NOW_MS - 2_000, NOW_MS - 1_000], [40.0, 41.0]), away=False)
    places = made(store, FakeClock(NOW_MS))
    assert places.table.picture().lat.tolist() == [40.0, 41.0]
    places.take(batch([0], [NOW_MS], [40.5]))
    assert places.table.picture().lat.tolist() == [40.5, 41.0]
    assert store.asked == 1


def test_a_store_that_is_away_is_asked_again_and_what_is_newer_stays() -> None:
    clock = FakeClock(NOW_MS)
    store = Store(batch([0, 1], [NOW_MS - 2_000, NOW_MS - 1_000], [40.0, 41.0]), away=True)
    places = made(store, clock)
    assert len(places.table.picture()) == 0
    places.take(batch([0], [NOW_MS], [40.5]))
    assert (store.asked, places.table.picture().lat.tolist()) == (1, [40.5])
    store.away = False
    clock.advance(FILL_EVERY_S)
    places.take(batch([0], [NOW_MS + 1], [40.6]))
    assert places.table.picture().lat.tolist() == [40.6, 41.0]
    places.take(batch([0], [NOW_MS + 2], [40.7]))
    assert store.asked == 2
