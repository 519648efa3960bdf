"""Cases of stolen e-bikes: reported ▸ stolen ▸ tracked ▸ recovered ▸ closed, forward only, one open per device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from model.alarm import DEFAULT_REASON_CHARS, SYSTEM
from model.desk import Case, CaseState, CaseStep
from model.errors import Conflict, NotFound, Refused, UsageError
from model.signal import Signal
from store.desk.page import Page
from store.desk.rows import plain_text

MAX_OWNER_REF_CHARS = 200
MAX_OFFICER_CHARS = 64
_ORDER = tuple(CaseState)
SELECT_CASE = "SELECT number, id, device, owner_ref, state, officer FROM cases"
SELECT_STEPS = "SELECT time_ms, state, who, note, given_to FROM case_steps WHERE number = ? ORDER BY step"
_INSERT = (
    "INSERT INTO cases (number, id, device, owner_ref, state) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (device) WHERE state <> 'closed' DO NOTHING RETURNING number"
)
_STEP = (
    "INSERT INTO case_steps (number, step, time_ms, state, who, note, given_to)"
    " SELECT ?, coalesce(max(step), 0) + 1, ?, ?, ?, ?, ? FROM case_steps WHERE number = ?"
)
#: Runs a query of one row's parameters: the page's connection, or the book's reader.
Query = Callable[[str, tuple[object, ...]], Sequence[tuple[Any, ...]]]


def report(page: Page, device: str, owner_ref: str, who: str, note: str) -> Case:
    """Open a case. Raises Conflict when the device has one."""
    _said(device, "which e-bike")
    _said(who, "who")
    if len(owner_ref) > MAX_OWNER_REF_CHARS:
        raise UsageError(f"The reference is longer than {MAX_OWNER_REF_CHARS} characters.", mend="Shorten it.")
    number = page.counters.get("case", 0) + 1
    case_id = f"C{page.year}-{number:06d}"
    values = (number, case_id, device, plain_text(owner_ref), CaseState.REPORTED.value)
    if page.connection.execute(_INSERT, values).fetchone() is None:
        row = _open_case(page, device)
        raise Conflict(f"{device} has the open case {row[1]}.", mend="Go on with that one, or close it first.")
    page.next("case")
    _step(page, number, CaseState.REPORTED, who, note)
    return case_of(_query(page), (*values, ""))


def move(page: Page, case_id: str, state: CaseState, who: str, note: str, version: int | None) -> Case:
    """Take a case forward, decided on `version` where one is said. Raises NotFound, Conflict, and Refused for a step back."""
    _said(who, "who")
    row = _decided_on(page, case_id, version)
    before = CaseState(row[4])
    if _ORDER.index(state) <= _ORDER.index(before):
        raise Refused(f"A case that is {before} does not become {state}: it only goes forward.", mend=_mend(before))
    _forward(page, row[0], before, state, who, note)
    return case_of(_query(page), (*row[:4], state, row[5]))


def hand_over(page: Page, case_id: str, officer: str, who: str, note: str, version: int | None) -> Case:
    """Give an open case to an officer. Raises NotFound, Conflict, and Refused for one that is closed or his already."""
    _said(who, "who")
    _said(officer, "to whom")
    if len(officer) > MAX_OFFICER_CHARS:
        raise UsageError(f"The name is longer than {MAX_OFFICER_CHARS} characters.", mend="Give a user name.")
    row = _decided_on(page, case_id, version)
    state, has_it = CaseState(row[4]), row[5]
    if state is CaseState.CLOSED:
        raise Refused(f"{case_id} is closed.", mend=_mend(state))
    if has_it == officer:
        raise Refused(f"{officer} has {case_id} already.", mend="Hand it to another officer, or leave it there.")
    page.connection.execute("UPDATE cases SET officer = ? WHERE number = ?", (plain_text(officer), row[0]))
    _step(page, row[0], state, who, note, given_to=officer)
    return case_of(_query(page), (*row[:5], plain_text(officer)))


def _decided_on(page: Page, case_id: str, version: int | None) -> Any:
    """The row of the case; Conflict where it has had another step since `version`."""
    row = page.connection.execute(f"{SELECT_CASE} WHERE id = ?", (case_id,)).fetchone()
    if row is None:
        raise no_such_case(case_id)
    if version is not None:
        steps = _query(page)(SELECT_STEPS, (row[0],))
        if len(steps) != version:
            raise Conflict(
                f"{steps[-1][2]} was first: {case_id} is {row[4]} by now.",
                mend="Look at it as it stands and decide again.",
                who=steps[-1][2],
            )
    return row


def seen(page: Page, signal: Signal) -> None:
    """A stolen e-bike was seen: its open case is tracked from now on."""
    row = _open_case(page, signal.device)
    if row is not None and row[4] in (CaseState.REPORTED, CaseState.STOLEN):
        _forward(page, row[0], CaseState(row[4]), CaseState.TRACKED, SYSTEM, f"signal {signal.id}")


def case_of(query: Query, row: Sequence[Any]) -> Case:
    """A row of `SELECT_CASE` with its steps."""
    number, case_id, device, owner_ref, state, officer = row
    steps = [
        CaseStep(time_ms, CaseState(then), who, note, to)
        for time_ms, then, who, note, to in query(SELECT_STEPS, (number,))
    ]
    return Case(case_id, device, owner_ref, CaseState(state), tuple(steps), officer)


def no_such_case(case_id: str) -> NotFound:
    """The error for an id that no case has."""
    return NotFound(f"There is no case {case_id[:64]!r}.", mend="`lucheng ebike case` shows what there is.")


def _open_case(page: Page, device: str) -> Any:
    return page.connection.execute(f"{SELECT_CASE} WHERE device = ? AND state <> 'closed'", (device,)).fetchone()


def _forward(page: Page, number: int, before: CaseState, state: CaseState, who: str, note: str) -> None:
    done = page.connection.execute(
        "UPDATE cases SET state = ? WHERE number = ? AND state = ?", (state.value, number, before.value)
    )
    if done.rowcount != 1:
        raise Conflict("Somebody else has moved this case.", mend="Look at it as it stands and decide again.")
    _step(page, number, state, who, note)


def _step(page: Page, number: int, state: CaseState, who: str, note: str, *, given_to: str = "") -> None:
    if len(note) > DEFAULT_REASON_CHARS:
        raise UsageError(f"The note is longer than {DEFAULT_REASON_CHARS} characters.", mend="Shorten it.")
    values = (number, page.now_ms, state.value, who, plain_text(note), plain_text(given_to), number)
    page.connection.execute(_STEP, values)


def _query(page: Page) -> Query:
    return lambda sql, values: page.connection.execute(sql, values).fetchall()


def _mend(before: CaseState) -> str:
    later = _ORDER[_ORDER.index(before) + 1 :]
    return f"It can become: {', '.join(later)}." if later else "Report the theft anew: that is another case."


def _said(text: str, what: str) -> None:
    if not text.strip():
        raise UsageError(f"It is not said {what}.", mend=f"Say {what}.")
