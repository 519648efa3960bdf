"""Who may read the past of many vehicles at once, or a long time ago, or take it away: the one question of every wide read.

Invariants: what is not wide is nobody's business here; what is wide needs a second person's approval, whoever asks, or in a
live emergency a break-glass, which others are told of and review; an approval is used, durably, before anything is read
under it, and audited before that; a refusal is audited before it is told. The steps are `model.approval`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, cast

from console.given_texts import check_id, short
from console.roles import role_of
from console.track_rows import FIRST_MS, LAST_MS
from model.approval import (
    MAX_REASON_CHARS,
    Approval,
    ApprovalState,
    check_asker,
    digest_of,
    expire,
    standing,
    use,
)
from model.errors import ApprovalNeeded, Conflict, NotFound, Refused, UsageError
from store.audit import purpose_text

if TYPE_CHECKING:
    from config.approvals import Approvals
    from config.sections import Settings
    from console.device_operations import Caller
    from model.clock import Clock
    from model.grant import Purpose
    from model.role import Role
    from store.approvals.store import ApprovalStore

#: What `approval` may begin with instead of being an id: ask another person, or read now and be reviewed; a reason follows.
ASK = "ask:"
BREAK_GLASS = "break-glass:"
DAY_MS = 86_400_000
#: How often a use is tried again when another one of the same approval came between.
DEFAULT_USE_TRIES = 8
_WHY_CHARS = 200
_HOW = "Ask another person: --approval 'ask:WHY'. In a live emergency: --approval 'break-glass:WHY'."


@dataclass(frozen=True, slots=True)
class WideRead:
    """What is about to be read.

    Attributes:
        operation: name of the operation of `console.operations`.
        vehicles: devices whose past may be told; a search that leaves nobody out counts every device that it may find.
        from_ms, to_ms: window of fix time, half open.
        asked: what exactly is asked, JSON-ready, such that two reads with the same mapping tell the same: an approval
            is for this and nothing else. Without purpose, language and form.
        export: points themselves leave as a file, so that many vehicle-days of them are a bulk export.
    """

    operation: str
    vehicles: int
    from_ms: int
    to_ms: int
    asked: Mapping[str, Any]
    export: bool = False


class House(Protocol):
    """What it needs of the operations that call it."""

    _settings: Settings

    def _note(self, caller: Caller, action: str, target: str = "", purpose: str = "", **detail: Any) -> None: ...


class _Keeper(House, Protocol):
    """What else all operations have; those who only call need not say so."""

    _clock: Clock
    _approvals: ApprovalStore
    _on_break_glass: Callable[[Approval], None]


def check_wide(house: House, caller: Caller, why: Purpose, read: WideRead, approval: str = "") -> str:
    """What allows this read: "" where it is not wide, else which approval by whom; for the audit's row of the read.

    Args:
        house: the operations.
        caller: who asks.
        why: the purpose.
        read: what is asked.
        approval: the id of a second person's approval; or `ask:REASON`, which files a request and never reads; or
            `break-glass:REASON`; or "".

    Raises ApprovalNeeded when it is wide and nobody has approved it yet (after a request with its id); Refused when it is
    wide and not allowed; NotFound, Conflict, UsageError. All were audited.
    """
    keeper = cast("_Keeper", house)
    limits = keeper._settings.approvals  # noqa: SLF001 a mixin's own
    wide = why_wide(limits, read, keeper._clock.now_ms())  # noqa: SLF001 as above
    asks = approval.startswith(ASK)
    if not wide:
        if asks:
            raise Refused("That needs nobody's approval.", mend="Read it without --approval.")
        return ""
    role = role_of(keeper._settings, caller)  # noqa: SLF001 as above
    attempt = _Attempt(keeper, limits, caller, role, purpose_text(why), read, wide)
    with attempt.refusals(approval):
        check_asker(caller.who, role)
        if not approval:
            raise ApprovalNeeded(f"{attempt.said}: that needs a second person's approval.", mend=_HOW)
        if approval.startswith(BREAK_GLASS):
            return attempt.break_glass(_reason(approval.removeprefix(BREAK_GLASS)))
        if not asks:
            return attempt.use(check_id(approval, "an approval"))
        made = attempt.ask(_reason(approval.removeprefix(ASK)))
    raise _waits(made, attempt.said)


def why_wide(limits: Approvals, read: WideRead, now_ms: int) -> dict[str, str]:
    """Why a read is wide: word to sentence; empty where it is not."""
    found: dict[str, str] = {}
    if read.vehicles > limits.wide_vehicles:
        found["vehicles"] = f"{read.vehicles} vehicles are more than {limits.wide_vehicles}"
    if limits.wide_age_days and read.from_ms < now_ms - limits.wide_age_days * DAY_MS:
        found["age"] = f"it goes back more than {limits.wide_age_days} days"
    vehicle_days = read.vehicles * -(-max(read.to_ms - read.from_ms, 1) // DAY_MS)
    if read.export and vehicle_days > limits.bulk_vehicle_days:
        found["bulk"] = f"an export of {vehicle_days} vehicle-days is more than {limits.bulk_vehicle_days}"
    return found


def _reason(given: str) -> str:
    reason = short(given.strip(), "reason", MAX_REASON_CHARS)
    if not reason:
        raise UsageError("It is not said why.", mend="Say why: --approval 'ask:WHY' or 'break-glass:WHY'.")
    return reason


def _waits(made: Approval, said: str) -> ApprovalNeeded:
    """What somebody is told who has asked."""
    again = f"repeat it with --approval {made.id}."
    if made.state is ApprovalState.GRANTED:
        return ApprovalNeeded(
            f"{made.id} was granted by {made.decided_by} already.", mend=again.capitalize(), approval=made.id
        )
    return ApprovalNeeded(
        f"{said}: {made.id} waits for another person.",
        mend=f"When an approver or supervisor has done `lucheng approval grant {made.id}`, {again}",
        approval=made.id,
    )


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One attempt at a wide read."""

    house: _Keeper
    limits: Approvals
    caller: Caller
    role: Role
    purpose: str
    read: WideRead
    wide: Mapping[str, str]

    @property
    def said(self) -> str:
        """Why it is wide, as the beginning of a sentence."""
        text = ", ".join(self.wide.values())
        return text[0].upper() + text[1:]

    @contextmanager
    def refusals(self, approval: str) -> Iterator[None]:
        """Audit what is refused inside, and let it go on."""
        try:
            yield
        except (Refused, NotFound, Conflict, UsageError) as error:
            self._note(
                "read.refused",
                f"{self.read.vehicles} vehicles",
                why=error.message[:_WHY_CHARS],
                approval=approval[:_WHY_CHARS],
            )
            raise

    def ask(self, reason: str) -> Approval:
        """File a request, durably, or find the one that stands already."""
        draft = self._draft(ApprovalState.ASKED, reason, self.limits.answer_within_s)
        self._note_draft("approval.ask", draft)
        return self._store.ask(draft, max_open=self.limits.max_open)

    def break_glass(self, reason: str) -> str:
        """Allow it at once, this once; others are told and have to review it."""
        draft = self._draft(ApprovalState.BROKEN, reason, self.limits.review_within_s)
        draft = replace(draft, uses=1, max_uses=1, last_used_ms=draft.asked_ms)
        self._note_draft("approval.break_glass", draft)
        made = self._store.break_glass(draft, max_unreviewed=self.limits.max_unreviewed)
        self.house._on_break_glass(made)  # noqa: SLF001 a mixin's own
        return f"{made.id} break-glass"

    def use(self, given: str) -> str:
        """Count one use, durably; audited before that."""
        digest = digest_of(self.read.operation, self.read.asked)
        for left in reversed(range(DEFAULT_USE_TRIES)):
            before, now_ms = self._store.get(given), self._now_ms
            try:
                if standing(before, now_ms) is not before.state:  # for good, whatever becomes of our clock
                    before = self._store.step(before, expire(before, now_ms))
                after = use(before, self.caller.who, self.role, digest, self.purpose, now_ms)
                by = before.decided_by
                self._note("approval.use", before.id, uses=after.uses, of=after.max_uses, granted_by=by)
                self._store.step(before, after)
            except Conflict:  # another use of it came between
                if not left:
                    raise
                continue
            return f"{before.id} granted by {by}"
        raise AssertionError

    @property
    def _store(self) -> ApprovalStore:
        return self.house._approvals  # noqa: SLF001 a mixin's own

    @property
    def _now_ms(self) -> int:
        return self.house._clock.now_ms()  # noqa: SLF001 a mixin's own

    def _draft(self, state: ApprovalState, reason: str, ends_after_s: int) -> Approval:
        read, now_ms = self.read, self._now_ms
        return Approval(
            id="",
            by=self.caller.who,
            role=self.role.value,
            operation=read.operation,
            asked=dict(read.asked),
            digest=digest_of(read.operation, read.asked),
            vehicles=read.vehicles,
            from_ms=max(read.from_ms, FIRST_MS),
            to_ms=min(read.to_ms, LAST_MS - 1),
            wide=",".join(self.wide),
            purpose=self.purpose,
            reason=reason,
            state=state,
            version=0,
            asked_ms=now_ms,
            expires_ms=now_ms + ends_after_s * 1_000,
        )

    def _note_draft(self, action: str, draft: Approval) -> None:
        self._note(
            action,
            draft.operation,
            reason=draft.reason,
            vehicles=draft.vehicles,
            from_ms=draft.from_ms,
            to_ms=draft.to_ms,
            digest=draft.digest,
        )

    def _note(self, action: str, target: str, **detail: Any) -> None:
        caller = replace(self.caller, role=self.role.value)
        detail |= {"operation": self.read.operation, "wide": list(self.wide)}
        self.house._note(caller, action, target, self.purpose, **detail)  # noqa: SLF001 a mixin's own
