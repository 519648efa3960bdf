"""What the desk did, as columns: laps of alarms, who acted when, how alarms ended, who has what open. Reads alone, each bounded.

Events have no index by time, but numbers that grow with it: where a time begins is found by halving, twenty looks at most.
Where our clock was set back, an event may stand on the other side of such a begin. It asks nobody for leave and audits nothing:
the console does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from model.alarm import SYSTEM, Action, Side, Work
from store.desk.book import Book

DEFAULT_MAX_LAPS = 100_000
DEFAULT_MAX_ENDINGS = 100_000
#: Different people in different periods that one read counts.
DEFAULT_MAX_PEOPLE = 100_000
DEFAULT_MAX_SEATS = 1_000

_COLUMNS = (
    "a.device, a.kind, a.area, a.severity, {lap}.late, {lap}.received_ms, {lap}.to_show_ms, {lap}.to_acknowledge_ms,"
    " {lap}.to_dispatch_ms, {lap}.to_scene_ms, {lap}.response_ms, {lap}.breached, {lap}.overdue"
)
_NOW, _PAST = _COLUMNS.format(lap="a"), _COLUMNS.format(lap="l")
_LAPS = (
    f"SELECT {_NOW} FROM alarms AS a WHERE a.received_ms >= ? AND a.received_ms < ? AND a.side <> '{Side.SUPPRESSED}'"  # noqa: S608 (constants)
    f" UNION ALL SELECT {_PAST} FROM laps AS l JOIN alarms AS a ON a.number = l.alarm"
    " WHERE l.received_ms >= ? AND l.received_ms < ? ORDER BY 6 DESC LIMIT ?"
)
_AT_WORK = f"('{Work.ACKNOWLEDGED}', '{Work.DISPATCHED}', '{Work.ON_SCENE}')"

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Laps:
    """Laps by receive time, the oldest first; one a row, all columns of one length.

    Attributes:
        device, kind, area: of their alarms.
        severity, late: of the lap; received_ms: UTC ms.
        acknowledge_ms, dispatch_ms, scene_ms: from receipt until it was taken, a unit was sent, a unit was there; NaN: never.
        kept: of the 300-second clock: 1 kept, 0 over, -1 it runs, or the lap has none.
        cut: older ones were left out, for there are more than were asked for.
    """

    device: list[str]
    kind: list[str]
    area: list[str]
    severity: npt.NDArray[np.int8]
    late: npt.NDArray[np.bool_]
    received_ms: npt.NDArray[np.int64]
    acknowledge_ms: Floats
    dispatch_ms: Floats
    scene_ms: Floats
    kept: npt.NDArray[np.int8]
    cut: bool

    def __len__(self) -> int:
        return len(self.device)


@dataclass(frozen=True, slots=True)
class SeatRow:
    """What one person did at the desk lately.

    Attributes:
        who: the user.
        last_ms, last_action: his newest action; 0 and "" none within the time looked at.
        taken_10_min: alarms that he took in the last ten minutes; taken: in the whole time looked at.
        open: alarms that he has now; oldest_ms: when the oldest of them came, 0 none.
    """

    who: str
    last_ms: int = 0
    last_action: str = ""
    taken_10_min: int = 0
    taken: int = 0
    open: int = 0
    oldest_ms: int = 0


class DeskFigures:
    """See the module. Any thread may call anything."""

    def __init__(self, book: Book) -> None:
        self._book = book

    def laps(self, from_ms: int, to_ms: int, limit: int = DEFAULT_MAX_LAPS) -> Laps:
        """Laps received in [from, to), without what a rule put out of sight; of more than `limit` the newest."""
        found = self._book.rows(_LAPS, (from_ms, to_ms, from_ms, to_ms, limit + 1))
        cut = len(found) > limit
        found = found[:limit][::-1]
        columns: list[Sequence[Any]] = list(zip(*found, strict=True)) if found else [()] * 13
        device, kind, area, severity, late, received, *clocks = columns
        show, taken, sent, there, response = (_floats(column) for column in clocks[:5])
        taken_ms, sent_ms = _since_receipt(show, taken, sent, there, response)
        over = np.array(
            [bool(breached) or bool(overdue) for breached, overdue in zip(*clocks[5:7], strict=True)], np.bool_
        )
        done = np.isfinite(response)
        late_ones = np.array(late, np.bool_)
        kept = np.where(late_ones, -1, np.where(over, 0, np.where(done, 1, -1))).astype(np.int8)
        return Laps(
            device=list(device),
            kind=list(kind),
            area=list(area),
            severity=np.array(severity, np.int8),
            late=late_ones,
            received_ms=np.array(received, np.int64),
            acknowledge_ms=taken_ms,
            dispatch_ms=sent_ms,
            scene_ms=response,
            kept=kept,
            cut=cut,
        )

    def people(self, from_ms: int, to_ms: int, step_ms: int, limit: int = DEFAULT_MAX_PEOPLE) -> list[tuple[int, str]]:
        """(begin of the step, who) for everybody who did something within it, steps counted from `from_ms`."""
        sql = (
            "SELECT DISTINCT (time_ms - ?) / ? AS step, who FROM events"
            " WHERE number >= ? AND time_ms >= ? AND time_ms < ? AND who <> ? ORDER BY step, who LIMIT ?"
        )
        first = self.first_event(from_ms)
        rows = self._book.rows(sql, (from_ms, step_ms, first, from_ms, to_ms, SYSTEM, limit))
        return [(from_ms + step * step_ms, who) for step, who in rows]

    def endings(self, from_ms: int, to_ms: int, limit: int = DEFAULT_MAX_ENDINGS) -> list[tuple[str, str]]:
        """(device, outcome) of every alarm that a person resolved in [from, to), the newest first."""
        sql = (
            "SELECT a.device, e.detail FROM events AS e JOIN alarms AS a ON a.number = e.alarm"
            " WHERE e.number >= ? AND e.time_ms >= ? AND e.time_ms < ? AND e.action = ?"
            " ORDER BY e.number DESC LIMIT ?"
        )
        rows = self._book.rows(sql, (self.first_event(from_ms), from_ms, to_ms, Action.RESOLVE.value, limit))
        return [(device, str(msgspec.json.decode(detail).get("outcome", ""))) for device, detail in rows]

    def signals_by_device(self, devices: Sequence[str], from_ms: int, to_ms: int) -> dict[str, int]:
        """How many signals each of these sent (device time in [from, to)); those without one are absent."""
        if not devices:
            return {}
        marks = ", ".join("?" * len(devices))
        sql = (
            f"SELECT device, count(*) FROM signals WHERE device IN ({marks})"  # noqa: S608 (constants)
            " AND time_ms >= ? AND time_ms < ? GROUP BY device"
        )
        return dict(self._book.rows(sql, (*devices, from_ms, to_ms)))

    def seats(self, now_ms: int, since_ms: int, recent_ms: int, limit: int = DEFAULT_MAX_SEATS) -> list[SeatRow]:
        """Everybody who did something since `since_ms` or has an alarm now; `taken_10_min` counts from `recent_ms`."""
        first = self.first_event(since_ms)
        newest = self._book.rows(
            "SELECT e.who, e.time_ms, e.action FROM events AS e JOIN (SELECT max(number) AS number FROM events"
            " WHERE number >= ? AND time_ms >= ? AND time_ms <= ? AND who <> ? GROUP BY who LIMIT ?) AS n"
            " ON n.number = e.number",
            (first, since_ms, now_ms, SYSTEM, limit),
        )
        taken = self._book.rows(
            "SELECT who, count(*), count(*) FILTER (WHERE time_ms >= ?) FROM events WHERE number >= ? AND action = ?"
            " AND time_ms >= ? AND time_ms <= ? AND who <> ? GROUP BY who LIMIT ?",
            (recent_ms, first, Action.ACKNOWLEDGE.value, since_ms, now_ms, SYSTEM, limit),
        )
        held = self._book.rows(
            f"SELECT owner, count(*), min(received_ms) FROM alarms WHERE work IN {_AT_WORK} AND owner <> ''"  # noqa: S608 (constants)
            " GROUP BY owner LIMIT ?",
            (limit,),
        )
        by_name = {who: {"who": who, "last_ms": at_ms, "last_action": action} for who, at_ms, action in newest}
        for who, count, lately in taken:
            by_name.setdefault(who, {"who": who}).update(taken=count, taken_10_min=int(lately or 0))
        for who, count, oldest_ms in held:
            by_name.setdefault(who, {"who": who}).update(open=count, oldest_ms=oldest_ms)
        return [SeatRow(**by_name[who]) for who in sorted(by_name)]

    def first_event(self, from_ms: int) -> int:
        """Number of the first event at or after that time; one more than the newest where there is none."""
        low, high = 1, int(self._book.rows("SELECT coalesce(max(number), 0) FROM events")[0][0]) + 1
        while low < high:
            middle = (low + high) // 2
            found = self._book.rows(
                "SELECT number, time_ms FROM events WHERE number >= ? ORDER BY number LIMIT 1", (middle,)
            )
            if found and found[0][1] < from_ms:
                low = found[0][0] + 1
            else:
                high = middle
        return low


def _since_receipt(show: Floats, taken: Floats, sent: Floats, there: Floats, response: Floats) -> tuple[Floats, Floats]:
    """From receipt to taken and to sent. The clocks of a lap are spans, each from the one before; where a unit came, they
    are reckoned back from its coming, for an alarm may be taken before it was shown and the first span then is no part of it.
    """
    forth = np.where(np.isfinite(show), show, 0.0) + taken
    back = response - there - sent
    acknowledged = np.where(np.isfinite(back), np.maximum(back, 0.0), forth)
    return acknowledged, acknowledged + sent


def _floats(column: Sequence[Any]) -> Floats:
    return np.array([np.nan if value is None else value for value in column], np.float64)
