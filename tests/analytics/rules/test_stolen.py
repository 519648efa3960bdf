"""`stolen_seen` against a plain oracle, cut anywhere; and the stories it is there for."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.meaning.limits import RuleLimits
from analytics.rules.stolen import StolenSeen
from model.codes import Flag
from tests.analytics.keeper import NOW_MS
from tests.analytics.rules.ebike_streams import LAT, LON, NO_FIX, VALID, Event, play, streams


def told(rows: list[dict[str, Any]], stolen: set[int], repeat_s: int) -> list[Event]:
    last: dict[int, int] = {}
    found: list[Event] = []
    for at, row in enumerate(rows):
        slot, received_ms = row["slot"], row["received_ms"]
        if slot in stolen and (slot not in last or received_ms - last[slot] >= 1_000 * repeat_s):
            last[slot] = received_ms
            found.append((at, True, slot, row["time_ms"], -1.0))
    return found


@settings(max_examples=80, deadline=None)
@given(streams(), st.sets(st.integers(0, 5)), st.sampled_from([0, 1, 600, 5_000]), st.booleans())
def test_any_stream_cut_anywhere_tells_what_the_oracle_tells(stream, stolen, repeat_s, restart) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    rows, cuts = stream
    limits = RuleLimits(stolen_repeat_s=repeat_s)
    whole = play(StolenSeen, rows, limits=limits, stolen=sorted(stolen))
    assert play(StolenSeen, rows, cuts, limits=limits, stolen=sorted(stolen), restart=restart) == whole
    assert whole[0] == told(rows, stolen, repeat_s)


def row(second: int, **more: Any) -> dict[str, Any]:
    time_ms = NOW_MS + 1_000 * second
    return {"slot": 0, "time_ms": time_ms, "received_ms": time_ms, "lat": LAT, "lon": LON, "flags": VALID, **more}


def seconds(rows: list[dict[str, Any]], **more: Any) -> list[int]:
    return [at for at, *_ in play(StolenSeen, rows, stolen=[0, 7], **more)[0]]


def test_it_rises_at_once_and_again_after_ten_minutes() -> None:
    rows = [row(10 * at) for at in range(200)]
    assert seconds(rows) == [0, 60, 120, 180]
    assert seconds(rows, cuts=range(200)) == [0, 60, 120, 180]


def test_what_is_not_stolen_is_nothing() -> None:
    assert play(StolenSeen, [row(at, slot=1) for at in range(9)], stolen=[0, 2]) == ([], StolenSeen().to_bytes())


def test_a_sighting_a_row_without_a_fix_a_stored_and_a_late_one_all_count() -> None:
    for flags in (VALID | int(Flag.SIGHTED), NO_FIX, VALID | int(Flag.BUFFERED)):
        assert seconds([row(0, flags=flags)]) == [0]
    late = [row(5, slot=1), row(0, flags=VALID | int(Flag.BUFFERED))]
    assert seconds(late) == [1]


def test_a_bike_whose_clock_is_wrong_was_heard_all_the_same() -> None:
    ahead = row(0, time_ms=NOW_MS + 10 * 86_400_000)
    events, _ = play(StolenSeen, [ahead], stolen=[0])
    assert events == [(0, True, 0, NOW_MS, -1.0)]
    assert seconds([row(0, lat=999.0)]) == [0]


def test_a_clock_of_ours_that_was_set_back_silences_nothing() -> None:
    assert seconds([row(0), row(1, received_ms=NOW_MS - 3_600_000), row(2, received_ms=NOW_MS - 3_599_000)]) == [0, 1]


def test_one_file_of_one_stolen_bike_is_told_once() -> None:
    """Rows of a file all come at once."""
    rows = [row(at, received_ms=NOW_MS + 10**9) for at in range(500)]
    events, _ = play(StolenSeen, rows, stolen=[0])
    assert [event[0] for event in events] == [0]
    assert np.isfinite(events[0][3])
