"""Folding a flood: every alarm in one row, severity 1 alone and first, a hundred rows at most."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.alarm import raised
from model.codes import ALARM_KINDS
from model.desk import DeskAlarm, Located
from model.flood import fold
from model.signal import Signal

T0 = 1_760_000_000_000
MINUTE_MS = 60_000


def alarm(number: int, kind: str = "offline", *, at_ms: int = T0, area: str = "a1") -> DeskAlarm:
    signal = Signal(f"s{number}", f"taxi/{number}", kind, "bit", at_ms, at_ms, None, None, 3, False, "", number)
    return DeskAlarm(raised(f"A-{number}", signal), Located(area=area))


def test_ten_stay_alone_and_eleven_become_one_row_that_keeps_them() -> None:
    ten = [alarm(n, at_ms=T0 + n) for n in range(10)]
    assert [row.folded for row in fold(ten)] == [False] * 10
    eleven = [*ten, alarm(10, at_ms=T0 + 10)]
    (row,) = fold(eleven[::-1])
    assert (row.kind, row.area, row.count, row.folded, row.severity) == ("offline", "a1", 11, True, 3)
    assert (row.first.alarm.id, row.last.alarm.id) == ("A-0", "A-10")
    assert list(row.children) == eleven


def test_only_the_burst_is_folded_and_the_window_is_ten_minutes() -> None:
    burst = [alarm(n, at_ms=T0 + n * MINUTE_MS * 9 // 10) for n in range(11)]
    before, after = alarm(50, at_ms=T0 - 60 * MINUTE_MS), alarm(51, at_ms=T0 + 60 * MINUTE_MS)
    rows = fold([before, *burst, after])
    assert [row.count for row in rows] == [1, 11, 1]
    assert [row.last.alarm.id for row in rows] == ["A-51", "A-10", "A-50"]
    slow = [alarm(n, at_ms=T0 + n * MINUTE_MS) for n in range(11)]
    assert {row.count for row in fold(slow)} == {1}


@pytest.mark.parametrize("sort", [("vibration", "a1"), ("offline", "a2")])
def test_another_kind_or_area_is_another_row(sort: tuple[str, str]) -> None:
    many = [alarm(n) for n in range(20)] + [alarm(n, sort[0], area=sort[1]) for n in range(20, 40)]
    assert sorted(row.count for row in fold(many)) == [20, 20]


def test_severity_1_is_alone_and_first_however_many() -> None:
    panics = [alarm(n, "one_key", at_ms=T0 + n) for n in range(150)]
    rows = fold([*[alarm(n, at_ms=T0 + 10**6) for n in range(1_000, 1_500)], *panics])
    assert [row.count for row in rows[:150]] == [1] * 150
    assert {row.kind for row in rows[:150]} == {"one_key"}
    assert [row.count for row in rows[150:]] == [500]


@given(
    st.lists(
        st.tuples(
            st.sampled_from([kind.name for kind in ALARM_KINDS]), st.integers(0, 40), st.integers(0, 60 * MINUTE_MS)
        ),
        max_size=300,
    ),
    st.integers(0, 12),
)
def test_nothing_is_lost_or_twice_and_the_list_stays_short(sorts: list[tuple[str, int, int]], more_than: int) -> None:
    alarms = [alarm(n, kind, at_ms=T0 + ms, area=f"a{area}") for n, (kind, area, ms) in enumerate(sorts)]
    rows = fold(alarms, more_than=more_than, max_rows=40)
    assert Counter(one.alarm.id for row in rows for one in row.children) == Counter(one.alarm.id for one in alarms)
    assert [row.severity for row in rows] == sorted(row.severity for row in rows)
    urgent = sum(one.alarm.severity == 1 for one in alarms)
    assert all(row.count == 1 for row in rows[:urgent])
    assert len(rows) <= max(40, urgent + len(ALARM_KINDS))
    for row in rows:
        times = [one.alarm.received_ms for one in row.children]
        assert all(early <= later for early, later in pairwise(times))
        assert {one.alarm.kind for one in row.children} == {row.kind}
