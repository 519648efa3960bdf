"""A list of alarms that people can still read: bursts of one kind in one area fold into one row. Pure.

Invariants: every alarm given is in exactly one row; severity 1 is always alone and first; a row keeps all its children.
The list has at most `max_rows` rows unless severity 1 alone is more than what is left for kinds.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from model.desk import DeskAlarm

DEFAULT_FOLD_MORE_THAN = 10
DEFAULT_FOLD_WITHIN_MS = 10 * 60_000
DEFAULT_MAX_ROWS = 100


@dataclass(frozen=True, slots=True)
class FloodRow:
    """One row of the list.

    Attributes:
        kind, area: of the children; area "" where they are of several, or outside all.
        severity: the highest (lowest number) of the children.
        children: every alarm of the row, by receive time, the oldest first.
    """

    kind: str
    area: str
    severity: int
    children: tuple[DeskAlarm, ...]

    @property
    def count(self) -> int:
        """How many alarms it stands for."""
        return len(self.children)

    @property
    def folded(self) -> bool:
        """Whether it stands for more than one."""
        return len(self.children) > 1

    @property
    def first(self) -> DeskAlarm:
        """The oldest child."""
        return self.children[0]

    @property
    def last(self) -> DeskAlarm:
        """The newest child."""
        return self.children[-1]


def fold(
    alarms: Sequence[DeskAlarm],
    *,
    more_than: int = DEFAULT_FOLD_MORE_THAN,
    within_ms: int = DEFAULT_FOLD_WITHIN_MS,
    max_rows: int = DEFAULT_MAX_ROWS,
) -> list[FloodRow]:
    """Rows for a list: severity 1 first, then by severity, the newest first.

    More than `more_than` alarms of one (kind, area) received within `within_ms` are one row. Where that leaves more than
    `max_rows`, all of one (kind, area) are, and then all of one kind.
    """
    urgent = [_row([one]) for one in alarms if one.alarm.severity == 1]
    others = sorted((one for one in alarms if one.alarm.severity != 1), key=_received_ms)
    ways: tuple[Callable[[Sequence[DeskAlarm]], list[FloodRow]], ...] = (
        lambda some: _bursts(some, more_than, within_ms),
        lambda some: [_row(group) for group in _groups(some, _kind_and_area)],
        lambda some: [_row(group) for group in _groups(some, lambda one: one.alarm.kind)],
    )
    rows: list[FloodRow] = []
    for way in ways:
        rows = way(others)
        if len(urgent) + len(rows) <= max_rows:
            break
    return sorted(urgent, key=_order) + sorted(rows, key=_order)


def _bursts(alarms: Sequence[DeskAlarm], more_than: int, within_ms: int) -> list[FloodRow]:
    rows: list[FloodRow] = []
    for group in _groups(alarms, _kind_and_area):
        burst = _in_burst(group, more_than, within_ms)
        together = [one for one, inside in zip(group, burst, strict=True) if inside]
        rows += [_row(together)] if together else []
        rows += [_row([one]) for one, inside in zip(group, burst, strict=True) if not inside]
    return rows


def _in_burst(group: Sequence[DeskAlarm], more_than: int, within_ms: int) -> list[bool]:
    """For alarms in order of time, which lie in some window of `within_ms` with more than `more_than`."""
    inside = [False] * len(group)
    start = marked = 0
    for end, one in enumerate(group):
        while _received_ms(one) - _received_ms(group[start]) >= within_ms:
            start += 1
        if end - start + 1 > more_than:
            for index in range(max(start, marked), end + 1):
                inside[index] = True
            marked = end + 1
    return inside


def _groups(alarms: Sequence[DeskAlarm], key: Callable[[DeskAlarm], Hashable]) -> list[list[DeskAlarm]]:
    found: dict[Hashable, list[DeskAlarm]] = {}
    for one in alarms:
        found.setdefault(key(one), []).append(one)
    return list(found.values())


def _row(children: Sequence[DeskAlarm]) -> FloodRow:
    areas = {one.located.area for one in children}
    return FloodRow(
        kind=children[0].alarm.kind,
        area=areas.pop() if len(areas) == 1 else "",
        severity=min(one.alarm.severity for one in children),
        children=tuple(children),
    )


def _kind_and_area(one: DeskAlarm) -> tuple[str, str]:
    return one.alarm.kind, one.located.area


def _received_ms(one: DeskAlarm) -> int:
    return one.alarm.received_ms


def _order(row: FloodRow) -> tuple[int, int]:
    return row.severity, -_received_ms(row.last)
