"""Operations on the cases of stolen e-bikes: reported, confirmed, tracked, recovered, closed.

Invariants: every step is audited under the caller's name before it is done; the rules are told when an e-bike is reported
and when it is found or its case is closed. What a case lets police see is `console.ebikes`' rule.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from console.alarm_rows import case_row
from console.device_operations import DEFAULT_LIST_ROWS, Caller, DeviceOperations
from console.ebikes import is_ebike
from console.given_texts import check_id, one_of, short
from console.kept_rows import MAX_LIST_ROWS, check_limit
from model.account import MAX_USER_CHARS
from model.desk import Case, CaseState
from model.device import Device, check_device_id
from model.errors import Conflict, NotFound, UsageError
from model.role import Role

if TYPE_CHECKING:
    from model.desk import Desk
    from store.accounts.store import AccountStore

MAX_OWNER_REF_CHARS = 100
MAX_NOTE_CHARS = 500


class CaseOperations(DeviceOperations):
    """What can be asked of cases; see `console.operations.Operations` for the arguments."""

    _desk: Desk
    _accounts: AccountStore | None
    _on_fact: Callable[[dict[str, Any]], None]

    def ebike_report(self, caller: Caller, device: str, owner_ref: str, note: str = "") -> dict[str, Any]:
        """The owner reports it stolen: a case opens, and the rules watch for it."""
        bike = self._ebike(device)
        if not owner_ref.strip():
            raise UsageError("The owner's report has no reference.", mend="Give the number of the owner's report.")
        owner_ref = short(owner_ref, "reference", MAX_OWNER_REF_CHARS)
        note = short(note, "note", MAX_NOTE_CHARS)
        self._note(caller, "case.report", device, owner_ref=owner_ref)
        case = self._desk.report_stolen(device, owner_ref, caller.who, note=note)
        self._on_fact(_stolen(bike, on=True))
        return case_row(case)

    def ebike_recover(
        self, caller: Caller, case: str = "", device: str = "", note: str = "", version: int | None = None
    ) -> dict[str, Any]:
        """It is found: by the case, or by the e-bike when it has one open case."""
        return self._step(caller, self._case_of(case, device), CaseState.RECOVERED, note, version)

    def ebike_step(
        self, caller: Caller, case: str, state: str, note: str = "", version: int | None = None
    ) -> dict[str, Any]:
        """Move a case on: `stolen` (confirmed), `tracked`, `recovered` or `closed`.

        `version` is the one it was decided on; Conflict says who was first.
        """
        to = CaseState(
            one_of(state, "step of a case", [one.value for one in CaseState if one is not CaseState.REPORTED])
        )
        return self._step(caller, self._case(case), to, note, version)

    def ebike_hand_over(
        self, caller: Caller, case: str, to: str, note: str = "", version: int | None = None
    ) -> dict[str, Any]:
        """Give the case to an officer, by his user name, with what he should know. Raises NotFound (no such officer)."""
        found = self._case(case)
        to = short(to, "name", MAX_USER_CHARS)
        note = short(note, "note", MAX_NOTE_CHARS)
        self._note(caller, "case.hand_over", found.device, case=found.id, to=to, note=note)
        if to not in {one["officer"] for one in self._officers()}:
            raise NotFound(
                f"There is no officer {to[:MAX_USER_CHARS]!r}.", mend="`lucheng ebike officers` shows who there is."
            )
        with self._as_it_stands(found.id):
            return case_row(self._desk.hand_case_over(found.id, to, caller.who, note=note, version=version))

    def ebike_officers(self, caller: Caller) -> list[dict[str, Any]]:
        """The officers whom a case can be given to, and how many open cases each has."""
        del caller  # names and roles alone: not audited
        has = Counter(case.officer for case in self._desk.cases(open_only=True, limit=MAX_LIST_ROWS))
        return [{**one, "cases": has[one["officer"]]} for one in self._officers()]

    def ebike_case(self, caller: Caller, case: str) -> dict[str, Any]:
        """One case with its steps."""
        self._note(caller, "read.cases", check_id(case, "a case"))
        return case_row(self._case(case))

    def ebike_cases(
        self,
        caller: Caller,
        device: str = "",
        all: bool = False,  # noqa: A002, FBT001, FBT002 called by name alone, as the option is
        limit: int = DEFAULT_LIST_ROWS,
    ) -> list[dict[str, Any]]:
        """The open cases, or all of them."""
        check_limit(limit)
        if device:
            check_device_id(device)
        self._note(caller, "read.cases", device or "*")
        return [case_row(case) for case in self._desk.cases(device=device, open_only=not all, limit=limit)]

    def _officers(self) -> list[dict[str, Any]]:
        """Who is an officer: by an account that may sign in, or by the settings."""
        found = {user: "" for user, role in self._settings.operators.users.items() if role == Role.OFFICER}
        if self._accounts is not None:
            after = ""
            while page := self._accounts.list(after=after, limit=MAX_LIST_ROWS):
                found |= {one.user: one.name for one in page if one.enabled and one.role is Role.OFFICER}
                after = page[-1].user
        return [{"officer": user, "name": name} for user, name in sorted(found.items())]

    def _step(self, caller: Caller, case: Case, to: CaseState, note: str, version: int | None = None) -> dict[str, Any]:
        bike = self._known(case.device)
        note = short(note, "note", MAX_NOTE_CHARS)
        self._note(caller, "case.move", case.device, case=case.id, state=to.value)
        with self._as_it_stands(case.id):
            moved = self._desk.move_case(case.id, to, caller.who, note=note, version=version)
        if to in (CaseState.RECOVERED, CaseState.CLOSED):
            self._on_fact(_stolen(bike, on=False))
        return case_row(moved)

    @contextmanager
    def _as_it_stands(self, case: str) -> Iterator[None]:
        """Whoever comes second is told how the case stands."""
        try:
            yield
        except Conflict as error:
            raise Conflict(error.message, mend=error.mend, who=error.who, current=case_row(self._case(case))) from error

    def _case_of(self, case: str, device: str) -> Case:
        if bool(case) == bool(device):
            raise UsageError("It is not said which.", mend="Name the case or the e-bike, one of them.")
        if case:
            return self._case(case)
        check_device_id(device)
        found = self._open_cases(device)
        if not found:
            raise NotFound(f"{device} has no open case.", mend="`lucheng ebike case` shows which there are.")
        return found[0]

    def _case(self, case: str) -> Case:
        return self._desk.case(check_id(case, "a case"))

    def _open_cases(self, device: str) -> list[Case]:
        return self._desk.cases(device=device, open_only=True)

    def _ebike(self, device: str) -> Device:
        check_device_id(device)
        if not is_ebike(device):
            raise UsageError(f"{device} is no e-bike.", mend="Name a device of kind ebike.")
        return self._known(device)


def _stolen(bike: Device, *, on: bool) -> dict[str, Any]:
    """What the rules are told of a theft."""
    return {"kind": "stolen", "slot": bike.slot, "on": on}
