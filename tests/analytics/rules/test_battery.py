"""`low_battery` of points against a plain oracle, cut anywhere."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.meaning.limits import RuleLimits
from analytics.rules.battery import PointBattery
from tests.analytics.keeper import NOW_MS
from tests.analytics.rules.ebike_streams import LAT, LON, NO_FIX, VALID, Event, play, streams


def told(rows: list[dict[str, Any]], low: int, clear: int) -> list[Event]:
    up: dict[int, bool] = {}
    found: list[Event] = []
    for at, row in enumerate(rows):
        slot, pct = row["slot"], row["battery_pct"]
        if slot == 3 or pct < 0:
            continue
        now = True if pct <= low else False if pct >= clear else up.get(slot, False)
        if now != up.get(slot, False):
            found.append((at, now, slot, row["time_ms"], float(pct)))
        up[slot] = now
    return found


@settings(max_examples=80, deadline=None)
@given(streams(), st.integers(0, 40), st.integers(1, 20), st.booleans())
def test_any_stream_cut_anywhere_tells_what_the_oracle_tells(stream, low, above, restart) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    rows, cuts = stream
    limits = RuleLimits(low_battery_pct=low, low_battery_clear_pct=low + above)
    whole = play(PointBattery, rows, limits=limits)
    assert play(PointBattery, rows, cuts, limits=limits, restart=restart) == whole
    assert whole[0] == told(rows, low, low + above)


def row(at: int, pct: int, *, slot: int = 0, flags: int = VALID) -> dict[str, Any]:
    time_ms = NOW_MS + 1_000 * at
    return {
        "slot": slot, "time_ms": time_ms, "received_ms": time_ms, "lat": LAT, "lon": LON, "battery_pct": pct, "flags": flags
    }  # fmt: skip


def test_a_charge_that_flickers_rings_once() -> None:
    charges = [22, 21, 20, 21, 20, 22, 19, -1, 29, 20, 30, 25, 21, 20]
    events, _ = play(PointBattery, [row(at, pct) for at, pct in enumerate(charges)])
    assert [(at, up, pct) for at, up, _, _, pct in events] == [(2, True, 20.0), (10, False, 30.0), (13, True, 20.0)]


def test_a_row_without_a_place_tells_its_charge_and_a_button_is_not_asked_here() -> None:
    assert len(play(PointBattery, [row(0, 5, flags=NO_FIX)])[0]) == 1
    assert len(play(PointBattery, [row(0, 5, slot=2)])[0]) == 1
    assert play(PointBattery, [row(0, 5, slot=3)])[0] == []
