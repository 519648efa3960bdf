"""Operations for whoever leads the shift: who sits at the desk, how loaded it is, how fast it acts. Part of `console.operations`.

Who sits is what can be known: a page that holds the stream of alarms is open under that name, or he did something within the
last ten minutes; that somebody looks at his screen, nothing can tell. How many sat in the past is told by who acted then, so a
quiet seat is not counted, and the load a seat is said to have had is rather too high than too low.
Invariants: every read is bounded and goes by columns; the figures name devices and people, so they are audited before they are
given out; seats hold no device and are not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol
from zoneinfo import ZoneInfo

import numpy as np

from console.alarm_rows import EEMUA_ALARMS_PER_10_MIN, moment
from console.desk_figures import (
    LEVELS,
    PROMISE_S,
    TEN_MINUTES_MS,
    WORST_LEVEL,
    device_row,
    edges,
    floods,
    level_of,
    load_rows,
    noisiest,
    times_row,
)
from console.device_operations import Caller
from console.given_texts import one_of
from console.roles import role_of
from model.errors import NotFound, UsageError
from store.desk.figures import SeatRow

if TYPE_CHECKING:
    from config.sections import Settings
    from model.clock import Clock
    from model.desk import Desk
    from store.accounts.store import AccountStore
    from store.desk.figures import DeskFigures

DAY_MS = 86_400_000
DEFAULT_WINDOW_MS = {"hour": DAY_MS, "day": 7 * DAY_MS}
#: Of one read of figures, by the period that they are told by.
MAX_WINDOW_MS = {"hour": 8 * DAY_MS, "day": 92 * DAY_MS}
#: Who did nothing for so long and has no page open sits there no more.
SEEN_WITHIN_MS = 12 * 3_600_000
By = Literal["hour", "day"]


class _House(Protocol):
    """What it needs of the operations."""

    _settings: Settings
    _clock: Clock
    _desk: Desk
    _figures: DeskFigures
    _accounts: AccountStore | None
    _sitters: Callable[[], Sequence[Mapping[str, Any]]]

    def _note(self, caller: Caller, action: str, target: str = "", purpose: str = "", **detail: Any) -> None: ...


class SupervisorOperations:
    """See the module."""

    def desk_seats(self: _House, caller: Caller) -> dict[str, Any]:
        """Who sits at the desk now, with what he has and how much came to him; and the desk's load for each seat.

        `state`: `open` a page of his holds the alarms, `acted` none does, but he did something within ten minutes, `away` neither.
        """
        del caller
        now_ms = self._clock.now_ms()
        found = {row.who: row for row in self._figures.seats(now_ms, now_ms - SEEN_WITHIN_MS, now_ms - TEN_MINUTES_MS)}
        pages: dict[str, list[Mapping[str, Any]]] = {}
        for page in self._sitters():
            pages.setdefault(page["user"], []).append(page)
        rows = [
            _seat_row(self, who, found.get(who, SeatRow(who)), pages.get(who, []), now_ms)
            for who in sorted(found.keys() | pages.keys())
        ]
        seats = sum(row["seat"] for row in rows)
        stats = self._desk.stats()
        per_seat = stats.last_10_min / max(1, seats)
        return {
            "time": moment(now_ms),
            "seats": rows,
            "taken": seats,
            "last_10_min": stats.last_10_min,
            "per_seat": round(per_seat, 2),
            "level": level_of(per_seat),
            "flood": stats.flood,
            "open": sum(stats.open.values()),
            "new": stats.by_work.get("new", 0),
        }

    def desk_figures(
        self: _House, caller: Caller, from_ms: int | None = None, to_ms: int | None = None, by: By = "hour"
    ) -> dict[str, Any]:
        """How the desk did in a window, by hours or days of the city: load against EEMUA 191, times from receipt to taken, sent
        and on scene, the 300-second promise, floods, and the noisiest devices with what to do about them.

        The last day by hours or the last week by days where no window is given. Raises UsageError: too wide.
        """
        one_of(by, "period", tuple(DEFAULT_WINDOW_MS))
        now_ms = self._clock.now_ms()
        until_ms = now_ms if to_ms is None else to_ms
        begin_ms = until_ms - DEFAULT_WINDOW_MS[by] if from_ms is None else from_ms
        if not 0 <= begin_ms < until_ms:
            raise UsageError("The window ends before it begins.", mend="Give a begin before the end.")
        if until_ms - begin_ms > MAX_WINDOW_MS[by]:
            days = MAX_WINDOW_MS[by] // DAY_MS
            raise UsageError(f"By the {by}, a window has {days} days at most.", mend="Ask for less, or by the day.")
        self._note(caller, "read.desk_figures", "*", from_ms=begin_ms, to_ms=until_ms, by=by)
        bounds = edges(begin_ms, until_ms, by, ZoneInfo(self._settings.city.time_zone))
        figures = self._figures
        laps = figures.laps(bounds[0], bounds[-1])
        # an hour is the finest that is told: who acted within it is one seat of it
        people = figures.people(bounds[0], bounds[-1], 3_600_000)
        devices = noisiest(laps, figures.endings(bounds[0], bounds[-1]))
        signals = figures.signals_by_device([device for device, _ in devices], bounds[0], bounds[-1])
        return {
            "from": moment(bounds[0]),
            "to": moment(bounds[-1]),
            "by": by,
            "time_zone": self._settings.city.time_zone,
            "promise_s": PROMISE_S,
            "eemua_191_per_10_min": EEMUA_ALARMS_PER_10_MIN,
            "levels": [*(list(one) for one in LEVELS), [WORST_LEVEL, None]],
            "cut": laps.cut,
            "in_all": times_row(laps, np.ones(len(laps), np.bool_)),
            "rows": load_rows(laps, bounds, people, now_ms),
            "floods": floods(laps, self._settings.desk.flood_alarms),
            "devices": [device_row(device, noise, signals.get(device, 0)) for device, noise in devices],
        }


def _seat_row(
    house: _House, who: str, done: SeatRow, pages: Sequence[Mapping[str, Any]], now_ms: int
) -> dict[str, Any]:
    lately = done.last_ms > now_ms - TEN_MINUTES_MS
    name, role = _known_as(house, who, pages)
    return {
        "user": who,
        "name": name,
        "role": role,
        "state": "open" if pages else "acted" if lately else "away",
        # the alarms of the desk are for operators and supervisors; an officer looks on
        "seat": bool(pages or lately) and role in ("operator", "supervisor"),
        "pages": len(pages),
        "since": moment(min((page["since_ms"] for page in pages), default=0)),
        "last": moment(done.last_ms),
        "last_action": done.last_action,
        "open": done.open,
        "oldest": moment(done.oldest_ms),
        "taken": done.taken,
        "taken_10_min": done.taken_10_min,
        "level": level_of(done.taken_10_min),
    }


def _known_as(house: _House, who: str, pages: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """His name and role: of his page, of his account, else what the settings say of an operating system's user."""
    accounts = house._accounts  # noqa: SLF001 a mixin's own
    account = None
    if accounts is not None:
        try:
            account = accounts.get(who)
        except (NotFound, UsageError):
            account = None
    if account is not None:
        return account.name, account.role.value
    if pages:
        return "", str(pages[0]["role"])
    return "", role_of(house._settings, who).value  # noqa: SLF001 as above
