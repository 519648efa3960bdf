"""Operations on second persons' approvals: asked, granted, refused, looked at; break-glasses reviewed. Part of `console.operations`.

Invariants: every decision is audited under the person's own name and role before it is made, every refusal of one too, and
without an audit nothing is granted; who asked sees his own, who decides sees all; what an approval allows is checked by
`console.wide_gate` at the read itself, never here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, get_type_hints

import msgspec

from console.alarm_rows import moment
from console.device_operations import DEFAULT_LIST_ROWS, Caller
from console.given_texts import check_id, short
from console.kept_rows import check_limit
from console.roles import role_of
from console.routes import ROUTE_BY_NAME
from console.track_rows import time_text
from console.wide_gate import ASK
from model.alarm import SYSTEM
from model.approval import (
    ASKERS,
    DECIDERS,
    MAX_REASON_CHARS,
    Approval,
    expire,
    grant,
    overdue,
    refuse,
    review,
    standing,
)
from model.errors import ApprovalNeeded, Conflict, NotFound, Refused, UsageError
from model.role import ROLE_WORDS, Role

if TYPE_CHECKING:
    from config.sections import Settings
    from model.clock import Clock
    from store.approvals.store import ApprovalStore

_WHY_CHARS = 200


class _House(Protocol):
    """What it needs of the operations."""

    _settings: Settings
    _clock: Clock
    _approvals: ApprovalStore

    def _note(self, caller: Caller, action: str, target: str = "", purpose: str = "", **detail: Any) -> None: ...


class ApprovalOperations:
    """See the module."""

    def approval_ask(
        self: _House,
        caller: Caller,
        operation: str,
        arguments: dict[str, Any],
        reason: str,
        purpose: str | None = None,
    ) -> dict[str, Any]:
        """Ask another person for a wide read: the operation that reads, with the arguments that it will be given.

        The same as the read itself with `approval="ask:REASON"`; nothing is read. A request of the same person for the
        same read that stands already is given back. Raises Refused where nobody's approval is needed, and as the read does.
        """
        reads, given = _checked_read(self, operation, arguments)
        if purpose is not None:
            given["purpose"] = purpose
        try:
            reads(caller, **given, approval=ASK + reason)
        except ApprovalNeeded as waits:
            if waits.approval:
                return approval_row(self._approvals.get(waits.approval), self._clock.now_ms())
            raise
        raise Refused("That needs nobody's approval.", mend="Read it without an approval.")

    def approval_list(
        self: _House,
        caller: Caller,
        all: bool = False,  # noqa: A002, FBT001, FBT002 called by name alone, as the option is
        before: str = "",
        limit: int = DEFAULT_LIST_ROWS,
    ) -> list[dict[str, Any]]:
        """Approvals, the newest first: what waits, holds or is to be reviewed; with `all` every one; who only asks: his own.

        `before` goes on before that id.
        """
        check_limit(limit)
        if before:
            check_id(before, "an approval")
        who = _reader(self, caller)
        self._note(who, "read.approvals", "*")
        own = "" if who.role in DECIDERS else who.who
        found = self._approvals.list(by=own, open_only=not all, before=before, limit=limit)
        now_ms = self._clock.now_ms()
        return [approval_row(one, now_ms) for one in found]

    def approval_show(self: _House, caller: Caller, approval: str) -> dict[str, Any]:
        """One approval, its own or, for who decides, another's; `approval` may be the unique beginning of an id."""
        who = _reader(self, caller)
        found = _find(self, approval)
        with _refusals(self, who, found, "show"):
            if found.by != who.who and who.role not in DECIDERS:
                raise Refused(f"{found.id} is another's.", mend="An approver or a supervisor sees those of others.")
        self._note(who, "read.approvals", found.id)
        return approval_row(found, self._clock.now_ms())

    def approval_grant(
        self: _House,
        caller: Caller,
        approval: str,
        uses: int | None = None,
        valid_s: int | None = None,
        note: str = "",
    ) -> dict[str, Any]:
        """Another person lets it be read: so often and for so long, at most and by default as the settings say."""
        limits = self._settings.approvals
        uses = _at_most(uses, limits.max_uses, "uses", "approvals.max_uses")
        valid_s = _at_most(valid_s, limits.valid_s, "seconds", "approvals.valid_s")
        note = short(note, "note", MAX_REASON_CHARS)

        def granted(before: Approval, who: str, role: Role, now_ms: int) -> Approval:
            return grant(before, who, role, now_ms, valid_ms=valid_s * 1_000, uses=uses, note=note)

        return _decide(self, caller, approval, "grant", {"uses": uses, "valid_s": valid_s, "note": note}, granted)

    def approval_refuse(self: _House, caller: Caller, approval: str, reason: str) -> dict[str, Any]:
        """Another person turns it down or takes back what was granted; or who asked takes it back."""
        reason = _words(reason, "reason")

        def refused(before: Approval, who: str, role: Role, now_ms: int) -> Approval:
            return refuse(before, who, role, now_ms, reason)

        return _decide(self, caller, approval, "refuse", {"reason": reason}, refused)

    def approval_review(
        self: _House,
        caller: Caller,
        approval: str,
        note: str,
        justified: bool = True,  # noqa: FBT001, FBT002 called by name alone
    ) -> dict[str, Any]:
        """Another person says what a break-glass was, and whether it was justified."""
        note = _words(note, "note")

        def reviewed(before: Approval, who: str, role: Role, now_ms: int) -> Approval:
            return review(before, who, role, now_ms, note, justified=justified)

        return _decide(self, caller, approval, "review", {"note": note, "justified": justified}, reviewed)


def approval_row(approval: Approval, now_ms: int) -> dict[str, Any]:
    """An approval as JSON-ready values, as it stands at that moment."""
    return {
        "approval": approval.id,
        "state": standing(approval, now_ms).value,
        "break_glass": approval.break_glass,
        "overdue": overdue(approval, now_ms),
        "version": approval.version,
        "by": approval.by,
        "role": approval.role,
        "operation": approval.operation,
        "what": approval.asked,
        "vehicles": approval.vehicles,
        "from": time_text(approval.from_ms),
        "to": time_text(approval.to_ms),
        "wide": approval.wide.split(","),
        "purpose": approval.purpose,
        "reason": approval.reason,
        "asked": moment(approval.asked_ms),
        "expires": moment(approval.expires_ms),
        "decided_by": approval.decided_by,
        "decided": moment(approval.decided_ms),
        "note": approval.note,
        "uses": approval.uses,
        "max_uses": approval.max_uses,
        "last_used": moment(approval.last_used_ms),
        "reviewed_by": approval.reviewed_by,
        "reviewed": moment(approval.reviewed_ms),
        "review": approval.review,
        "justified": approval.justified if approval.reviewed_by else None,
    }


# -- what they share ------------------------------------------------------------------------------


def _decide(
    house: _House,
    caller: Caller,
    approval: str,
    action: str,
    detail: dict[str, Any],
    decide: Callable[[Approval, str, Role, int], Approval],
) -> dict[str, Any]:
    """Check a decision on the approval as it stands, audit it, make it durable; a refusal of it is audited too."""
    who = _as_role(house, caller)
    before = _find(house, approval)
    now_ms = house._clock.now_ms()  # noqa: SLF001 a mixin's own
    with _refusals(house, who, before, action):
        if standing(before, now_ms) is not before.state:  # for good, whatever becomes of our clock
            before = house._approvals.step(before, expire(before, now_ms))  # noqa: SLF001 as above
        after = decide(before, who.who, Role(who.role), now_ms)
        house._note(  # noqa: SLF001 as above
            who, f"approval.{action}", before.id, before.purpose, by=before.by, digest=before.digest, **detail
        )
        after = house._approvals.step(before, after)  # noqa: SLF001 as above
    return approval_row(after, now_ms)


@contextmanager
def _refusals(house: _House, who: Caller, approval: Approval, tried: str) -> Iterator[None]:
    """Audit what is refused inside, and let it go on."""
    try:
        yield
    except (Refused, Conflict) as error:
        house._note(  # noqa: SLF001 a mixin's own
            who, "approval.refused", approval.id, approval.purpose, tried=tried, why=error.message[:_WHY_CHARS]
        )
        raise


def _as_role(house: _House, caller: Caller) -> Caller:
    """The caller under the role that the settings give; nobody is the desk itself."""
    if caller.who == SYSTEM:
        raise Refused(f"{SYSTEM!r} is the desk itself.", mend="Work under a user name of your own.")
    return replace(caller, role=role_of(house._settings, caller).value)  # noqa: SLF001 a mixin's own


def _reader(house: _House, caller: Caller) -> Caller:
    """The caller as one who may look at approvals. Raises Refused, audited."""
    who = _as_role(house, caller)
    if who.role not in ASKERS:
        house._note(who, "read.refused", "approvals")  # noqa: SLF001 a mixin's own
        may = ", ".join(sorted(ROLE_WORDS[one].en for one in ASKERS))
        raise Refused(
            f"A {ROLE_WORDS[Role(who.role)].en} may not see what others ask for.",
            mend=f"It is for: {may} (the setting operators.users).",
        )
    return who


def _find(house: _House, given: str) -> Approval:
    """The approval whose id is `given` or alone begins with it."""
    approvals = house._approvals  # noqa: SLF001 a mixin's own
    found = approvals.ids_like(check_id(given, "an approval"), limit=3)
    if not found:
        raise NotFound(f"There is no approval {given}.", mend="`lucheng approval list --all` shows which there are.")
    if given not in found and len(found) > 1:
        raise UsageError(
            f"More than one approval begins with {given}: {', '.join(found)}.", mend="Write more of its id."
        )
    return approvals.get(given if given in found else found[0])


def _checked_read(house: Any, operation: str, arguments: dict[str, Any]) -> tuple[Callable[..., Any], dict[str, Any]]:
    """The operation that reads, and its arguments in the types that it has; UsageError for what is none."""
    reads = {
        name: method
        for name in ROUTE_BY_NAME
        if (method := getattr(house, name, None)) is not None
        and "approval" in (parameters := inspect.signature(method).parameters)
        and parameters["approval"].default == ""
    }
    if operation not in reads:
        raise UsageError(
            f"{operation[:40]!r} is no operation that may need an approval.",
            mend="Use one of " + ", ".join(sorted(reads)) + ".",
        )
    method = reads[operation]
    hints = get_type_hints(method)
    known = list(inspect.signature(method).parameters)[1:]
    made: dict[str, Any] = {}
    for name, value in arguments.items():
        if name not in known or name == "approval":
            takes = ", ".join(one for one in known if one != "approval")
            raise UsageError(f"{operation} has no argument {name[:40]!r}.", mend=f"It takes: {takes}.")
        try:
            made[name] = msgspec.convert(value, hints[name])
        except msgspec.ValidationError as error:
            raise UsageError(f"{name}: {error}.", mend="Correct the argument.") from error
    required = [name for name in known if inspect.signature(method).parameters[name].default is inspect.Parameter.empty]
    missing = [name for name in required if name not in made]
    if missing:
        raise UsageError(f"{operation} needs {missing[0]}.", mend="Give it among the arguments.")
    return method, made


def _words(given: str, what: str) -> str:
    words = short(given.strip(), what, MAX_REASON_CHARS)
    if not words:
        raise UsageError("It is not said why.", mend=f"Say why: --{what}.")
    return words


def _at_most(given: int | None, most: int, what: str, setting: str) -> int:
    if given is None:
        return most
    if not 1 <= given <= most:
        raise UsageError(f"{given} {what} cannot be granted.", mend=f"Give 1 to {most} ({setting}).")
    return given
