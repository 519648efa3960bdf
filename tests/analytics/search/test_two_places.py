"""Both places, one then the other, and meetings, against plain loops over every pair of times."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.search.company import meetings
from analytics.search.kinds import slots_of
from analytics.search.two_places import in_both, one_then_other
from model.batch import PointBatch
from model.device import KIND_CODE, Kind
from model.errors import Refused
from model.presence import Presence

#: A stay: the pause before it, how long it lasts (0: a point).
STAYS = st.lists(st.tuples(st.integers(1, 40), st.sampled_from([0, 0, 0, 3, 11])), min_size=1, max_size=12)
#: Of some devices, by slot.
PLACE = st.dictionaries(st.integers(0, 4), STAYS, max_size=4)
Stay = tuple[int, int, bool]


def told(place: dict[int, list[tuple[int, int]]]) -> tuple[list[Presence], dict[int, list[Stay]]]:
    """What a search would tell, and the same as (start, end, interpolated)."""
    presences, plain = [], {}
    for slot, drawn in sorted(place.items()):
        at, stays = 0, list[Stay]()
        for pause, lasts in drawn:
            at += pause
            stays.append((at, at + lasts, lasts > 0))
            at += lasts
        points = PointBatch.of(
            sum(not leg for _, _, leg in stays), {"slot": slot, "time_ms": [a for a, _, leg in stays if not leg]}
        )
        legs = [(a, b) for a, b, leg in stays if leg]
        ends = PointBatch.of(2 * len(legs), {"slot": slot, "time_ms": [t for leg in legs for t in leg]})
        times = np.array(legs, np.int64).reshape(-1, 2)
        presences.append(Presence(slot, points, ends, times[:, 0], times[:, 1]))
        plain[slot] = stays
    return presences, plain


def apart(one: Stay, other: Stay) -> int:
    return max(other[0] - one[1], one[0] - other[1], 0)


@given(PLACE, PLACE, st.integers(0, 60))
def test_in_both_is_what_every_pair_of_times_says(
    first: dict[int, list[tuple[int, int]]], second: dict[int, list[tuple[int, int]]], within_ms: int
) -> None:
    (here, plain), (there, other) = told(first), told(second)
    expected = {
        slot: min(apart(a, b) for a in plain[slot] for b in other[slot]) for slot in sorted(plain.keys() & other.keys())
    }
    assert {one.slot: one.apart_ms for one in in_both(here, there)} == expected
    near = [slot for slot, least in expected.items() if least <= within_ms]
    assert [one.slot for one in in_both(here, there, within_ms=within_ms)] == near


@given(PLACE, PLACE, st.integers(0, 60))
def test_one_then_the_other_is_what_every_pair_of_times_says(
    first: dict[int, list[tuple[int, int]]], second: dict[int, list[tuple[int, int]]], within_ms: int
) -> None:
    (here, plain), (there, other) = told(first), told(second)
    expected = []
    for slot in plain.keys() & other.keys():
        for a in plain[slot]:
            for b in other[slot]:
                again = any(a[1] < c[1] < b[0] for c in plain[slot])
                earlier = any(a[1] < c[0] < b[0] for c in other[slot])
                if 0 < b[0] - a[1] <= within_ms and not again and not earlier:
                    expected.append((b[0], slot, a[1], a[2], b[2]))
    found = [
        (one.reached_ms, one.slot, one.left_ms, one.left_interpolated, one.reached_interpolated)
        for one in one_then_other(here, there, within_ms=within_ms)
    ]
    assert found == sorted(expected)
    assert all(one.took_ms == one.reached_ms - one.left_ms for one in one_then_other(here, there, within_ms=within_ms))


@given(PLACE, st.integers(0, 20))
def test_meetings_are_what_every_pair_of_times_says(place: dict[int, list[tuple[int, int]]], within_ms: int) -> None:
    there, plain = told(place)
    expected = {}
    for slot, stays in plain.items():
        for other in plain:
            if slot < other:
                pairs = [(apart(a, b), max(a[0], b[0])) for a in stays for b in plain[other]]
                least = min(pairs)[0]
                if least <= within_ms:
                    expected[slot, other] = (least, {at for far, at in pairs if far == least})
    found = {(one.slot, one.other): one for one in meetings(there, within_ms=within_ms)}
    assert found.keys() == expected.keys()
    for pair, one in found.items():
        assert one.apart_ms == expected[pair][0]
        assert one.at_ms in expected[pair][1]
    if len(expected) > 1:
        with pytest.raises(Refused):
            meetings(there, within_ms=within_ms, max_meetings=1)


def test_slots_of_kinds() -> None:
    kinds = np.array([KIND_CODE[kind] for kind in (Kind.TAXI, Kind.EBIKE, Kind.TAXI, Kind.CAMERA)], np.int8)
    assert slots_of(kinds, [Kind.TAXI]).tolist() == [0, 2]
    assert slots_of(kinds, [Kind.EBIKE, Kind.CAMERA]).tolist() == [1, 3]
    assert slots_of(kinds, []).tolist() == []
