"""The operation `trips` on real stores: what it tells, and that a track's protections are its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from config.rules import Rules
from config.sections import Api, Settings
from model.codes import Flag
from model.errors import NotFound, Refused, UsageError
from tests.console.conftest import START_MS, House

DAY_MS = 86_400_000
STEP = 100 / 111_195.08
FREE, TAKEN = int(Flag.OCCUPIED_SENT), int(Flag.OCCUPIED | Flag.OCCUPIED_SENT)


def drive(house: House, device: str = "taxi/1", **columns: Any) -> None:
    """Standing 5 min, 10 min northwards at 36 km/h, standing 5 min; every 10 s."""
    moves = np.concatenate(([0.0], np.zeros(30), np.ones(60), np.zeros(30)))
    times = (START_MS + np.arange(121) * 10_000).tolist()
    house.put(device, times, lat=40.65 + np.cumsum(moves) * STEP, **columns)


def ask(house: House, device: str = "taxi/1", **arguments: Any) -> dict[str, Any]:
    window = {"from_ms": START_MS, "to_ms": START_MS + DAY_MS}
    found: dict[str, Any] = house.ask("trips", device=device, **{**window, **arguments})
    return found


def test_trips_stops_and_totals(house: House) -> None:
    flags = np.where((np.arange(121) >= 40) & (np.arange(121) < 70), TAKEN, FREE)
    drive(house, flags=flags)
    found = ask(house, purpose="case:A-7:why")
    (trip,) = found["trips"]
    assert (trip["start"], trip["end"]) == ("2026-11-22T08:05:00.000Z", "2026-11-22T08:15:00.000Z")
    assert trip["distance_m"] == pytest.approx(6_000, abs=1)
    assert (trip["duration_s"], trip["points"], trip["mean_kmh"], trip["max_kmh"]) == (600.0, 61, 36.0, 36.0)
    assert (trip["occupied_m"], trip["occupied_share"]) == (pytest.approx(3_000, abs=1), 0.5)
    assert [stop["start"] for stop in found["stops"]] == ["2026-11-22T08:00:00.000Z", "2026-11-22T08:15:00.000Z"]
    assert found["stops"][0]["lat"] == 40.65
    assert [flip["occupied"] for flip in found["occupancy"]] == [True, False]
    totals = found["totals"]
    assert (totals["trips"], totals["stops"], totals["driving_s"], totals["standing_s"]) == (1, 2, 600.0, 600.0)
    assert totals["occupied_share"] == 0.5
    assert house.actions()[-1] == ("series.track", "taxi/1", "case:A-7:why")


def test_what_a_device_does_not_tell_is_none_and_nothing_is_nothing(house: House) -> None:
    drive(house)
    (trip,) = ask(house)["trips"]
    assert (trip["occupied_m"], trip["occupied_share"]) == (None, None)
    empty = ask(house, from_ms=START_MS + DAY_MS - 1)
    assert (empty["trips"], empty["stops"], empty["totals"]["distance_m"]) == ([], [], 0.0)
    assert empty["totals"]["occupied_share"] is None


class TestOtherRules:
    """With a stop that no track of twenty minutes has."""

    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(rules=Rules(stop_min_s=900), api=Api(max_answer_points=200))

    def test_the_settings_decide_what_a_stop_is(self, house: House) -> None:
        drive(house)
        found = ask(house)
        assert (len(found["trips"]), found["stops"]) == (1, [])

    def test_a_window_with_too_many_points_is_refused(self, house: House) -> None:
        house.put("taxi/1", [START_MS + at for at in range(201)])
        with pytest.raises(Refused, match="201 points"):
            ask(house)


def test_an_ebike_is_as_protected_as_its_track(house: House) -> None:
    drive(house, "ebike/1")
    with pytest.raises(Refused, match="ebike/1"):
        ask(house, "ebike/1")
    assert house.actions()[-1][:2] == ("read.refused", "ebike/1")
    assert len(ask(house, "ebike/1", purpose="subject_request:R-17")["trips"]) == 1


@pytest.mark.parametrize(
    ("arguments", "error"),
    [({"device": "taxi/9"}, NotFound), ({"device": "../x"}, UsageError), ({"to_ms": START_MS}, UsageError)],
)
def test_what_cannot_be_told(house: House, arguments: dict[str, Any], error: type[Exception]) -> None:
    drive(house)
    with pytest.raises(error):
        ask(house, **arguments)
