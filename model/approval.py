"""`Approval`: one person's leave to read something wide, given by another, and the pure rules by which it moves.

Purpose: a function for each step: asked ▸ granted ▸ used (so often) | refused | expired; and the break-glass of a live
emergency: broken ▸ reviewed. Invariants: nobody decides on or reviews his own; an approval holds for one person, one read
(`digest_of`) and one purpose, for so long and so many uses; every step raises the version by one; nothing leads back from
the end; nothing is changed in place. It stores nothing, reads no clock and audits nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from model.alarm import SYSTEM
from model.codes import Word
from model.errors import ApprovalNeeded, Refused, UsageError
from model.role import ROLE_WORDS, Role

#: Of a reason, a note on a decision, a review.
MAX_REASON_CHARS = 500
#: What is asked, as canonical JSON.
MAX_ASKED_BYTES = 262_144
#: How far our clock may have gone back since the last step.
CLOCK_STEP_MS = 1_000
#: Who works with what devices sent, and so may ask for much of it at once.
ASKERS = frozenset({Role.OPERATOR, Role.SUPERVISOR, Role.OFFICER, Role.APPROVER})
#: Who may decide on another's request, and review another's break-glass.
DECIDERS = frozenset({Role.APPROVER, Role.SUPERVISOR})


class ApprovalState(StrEnum):
    """How far an approval is."""

    ASKED = "asked"
    GRANTED = "granted"
    REFUSED = "refused"
    USED = "used"
    EXPIRED = "expired"
    BROKEN = "broken"
    REVIEWED = "reviewed"


STATE_WORDS: dict[ApprovalState, Word] = {
    ApprovalState.ASKED: Word("waits for another person", "待他人审批"),
    ApprovalState.GRANTED: Word("granted", "已批准"),
    ApprovalState.REFUSED: Word("refused", "已驳回"),
    ApprovalState.USED: Word("used up", "已用完"),
    ApprovalState.EXPIRED: Word("expired", "已过期"),
    ApprovalState.BROKEN: Word("break-glass, to be reviewed", "紧急越权，待复核"),
    ApprovalState.REVIEWED: Word("break-glass, reviewed", "紧急越权，已复核"),
}
#: States in which somebody has to do something, or may.
OPEN = frozenset({ApprovalState.ASKED, ApprovalState.GRANTED, ApprovalState.BROKEN})


@dataclass(frozen=True, slots=True)
class Approval:
    """One request and its life, or one break-glass.

    Attributes:
        id: e.g. `W2026-000001`.
        by, role: who wants to read, and as what.
        operation: name of the operation that reads.
        asked: what exactly is asked, JSON values; digest: `digest_of` it.
        vehicles, from_ms, to_ms: of how many, of when (fix time, half open).
        wide: why it is wide, words of `console.wide_gate` with commas between them.
        purpose: as `store.audit.purpose_text` writes it.
        reason: why it has to be so wide.
        state, version: see `ApprovalState`; grows by 1 with every step.
        asked_ms: when it was asked for. Our clock, UTC ms, as all that follow.
        expires_ms: until when it can be granted, then until when it can be used; of a break-glass when its review is due.
        decided_by, decided_ms, note: who granted or refused it, when, with which words; "" and 0 nobody yet.
        uses, max_uses, last_used_ms: how often it was used, how often it may be, when last.
        reviewed_by, reviewed_ms, review, justified: of a break-glass.
    """

    id: str
    by: str
    role: str
    operation: str
    asked: dict[str, Any]
    digest: str
    vehicles: int
    from_ms: int
    to_ms: int
    wide: str
    purpose: str
    reason: str
    state: ApprovalState
    version: int
    asked_ms: int
    expires_ms: int
    decided_by: str = ""
    decided_ms: int = 0
    note: str = ""
    uses: int = 0
    max_uses: int = 0
    last_used_ms: int = 0
    reviewed_by: str = ""
    reviewed_ms: int = 0
    review: str = ""
    justified: bool = False

    @property
    def break_glass(self) -> bool:
        """Whether it was taken in an emergency instead of being granted."""
        return self.state in (ApprovalState.BROKEN, ApprovalState.REVIEWED)


def digest_of(operation: str, asked: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of an operation and what exactly is asked of it, in canonical JSON: sorted keys, no spaces.

    Raises UsageError when it is no JSON, or too large.
    """
    try:
        text = json.dumps([operation, dict(asked)], sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError("What is asked is no JSON.", mend="Ask with numbers, texts, lists and objects.") from error
    if len(text) > MAX_ASKED_BYTES:
        raise UsageError(f"What is asked is longer than {MAX_ASKED_BYTES} bytes.", mend="Name fewer devices or points.")
    return hashlib.sha256(text.encode()).hexdigest()


def standing(approval: Approval, now_ms: int) -> ApprovalState:
    """Its state at a moment: what nobody answered or used in time has expired, whether or not that was written down."""
    late = approval.state in (ApprovalState.ASKED, ApprovalState.GRANTED) and now_ms >= approval.expires_ms
    return ApprovalState.EXPIRED if late else approval.state


def overdue(approval: Approval, now_ms: int) -> bool:
    """Whether it is a break-glass whose review is overdue."""
    return approval.state is ApprovalState.BROKEN and now_ms >= approval.expires_ms


# -- who may ------------------------------------------------------------------------------------


def check_asker(who: str, role: Role) -> None:
    """Refused unless such a person may read something wide at all, approved or not."""
    if who == SYSTEM:
        raise Refused(f"{SYSTEM!r} is the desk itself.", mend="Work under a user name of your own.")
    if role not in ASKERS:
        raise Refused(f"A {ROLE_WORDS[role].en} may not read what is wide, approved or not.", mend=_for(ASKERS))


def check_decider(approval: Approval, who: str, role: Role) -> None:
    """Refused unless that person may grant or review it: another one, an approver or a supervisor."""
    if who == approval.by:
        verb = "review" if approval.break_glass else "approve"
        raise Refused(f"{approval.id} is {who}'s own: nobody may {verb} that.", mend="Let another person do it.")
    if who == SYSTEM or role not in DECIDERS:
        raise Refused(f"A {ROLE_WORDS[role].en} may not approve.", mend=_for(DECIDERS))


def _for(roles: frozenset[Role]) -> str:
    return f"It is for: {', '.join(sorted(ROLE_WORDS[one].en for one in roles))} (the setting operators.users)."


# -- the steps ----------------------------------------------------------------------------------


def grant(
    approval: Approval, who: str, role: Role, now_ms: int, *, valid_ms: int, uses: int, note: str = ""
) -> Approval:
    """Another person lets it be read, so often and for so long from now."""
    check_decider(approval, who, role)
    _check_waits(approval, now_ms)
    return _step(
        approval,
        state=ApprovalState.GRANTED,
        decided_by=who,
        decided_ms=now_ms,
        note=note,
        expires_ms=now_ms + valid_ms,
        max_uses=uses,
    )


def refuse(approval: Approval, who: str, role: Role, now_ms: int, reason: str) -> Approval:
    """Another person turns it down, or takes back what was granted; or who asked takes it back."""
    if who != approval.by:
        check_decider(approval, who, role)
    if standing(approval, now_ms) not in (ApprovalState.ASKED, ApprovalState.GRANTED):
        raise Refused(f"{approval.id} is {_word(approval, now_ms)}: it is too late to refuse it.", mend=_look(approval))
    return _step(approval, state=ApprovalState.REFUSED, decided_by=who, decided_ms=now_ms, note=reason)


def use(approval: Approval, who: str, role: Role, digest: str, purpose: str, now_ms: int) -> Approval:
    """One read under it, by who asked, of what was asked, for the same purpose, in time.

    Raises ApprovalNeeded while it waits, Refused for everything else that does not fit.
    """
    check_asker(who, role)
    if who != approval.by:
        raise Refused(
            f"{approval.id} was given to {approval.by}, not to {who}.", mend="Ask for your own: --approval ask:WHY."
        )
    if digest != approval.digest:
        raise Refused(
            f"{approval.id} is for another read.",
            mend=f"`lucheng approval show {approval.id}` says for which; ask for this one: --approval ask:WHY.",
        )
    if purpose != approval.purpose:
        raise Refused(
            f"{approval.id} is for the purpose {approval.purpose}.", mend=f"Read it with --purpose {approval.purpose}."
        )
    state = standing(approval, now_ms)
    if state is ApprovalState.ASKED:
        raise ApprovalNeeded(
            f"{approval.id} waits for another person.",
            mend=f"Let an approver or supervisor do `lucheng approval grant {approval.id}`.",
            approval=approval.id,
        )
    if state is not ApprovalState.GRANTED:
        said = f" by {approval.decided_by}: {approval.note}" if state is ApprovalState.REFUSED else ""
        raise Refused(
            f"{approval.id} is {_word(approval, now_ms)}{said}.", mend="Ask anew: --approval ask:WHY, and say why."
        )
    _check_clock(approval, now_ms)
    uses = approval.uses + 1
    state = ApprovalState.USED if uses >= approval.max_uses else ApprovalState.GRANTED
    return _step(approval, state=state, uses=uses, last_used_ms=now_ms)


def expire(approval: Approval, now_ms: int) -> Approval:
    """Its time is over. Refused where it is not."""
    if standing(approval, now_ms) is not ApprovalState.EXPIRED or approval.state is ApprovalState.EXPIRED:
        raise Refused(f"{approval.id} does not expire now.", mend=_look(approval))
    return _step(approval, state=ApprovalState.EXPIRED)


def review(approval: Approval, who: str, role: Role, now_ms: int, words: str, *, justified: bool) -> Approval:
    """Another person has looked at a break-glass and says what it was, late or not."""
    if not approval.break_glass:
        raise Refused(f"{approval.id} is no break-glass: there is nothing to review.", mend=_look(approval))
    check_decider(approval, who, role)
    if approval.state is not ApprovalState.BROKEN:
        raise Refused(f"{approval.id} was reviewed by {approval.reviewed_by}.", mend=_look(approval))
    _check_clock(approval, now_ms)
    return _step(
        approval,
        state=ApprovalState.REVIEWED,
        reviewed_by=who,
        reviewed_ms=now_ms,
        review=words,
        justified=justified,
    )


def check_break_glass(unreviewed: Sequence[Approval], who: str, now_ms: int, max_unreviewed: int) -> None:
    """Refused while any break-glass, whoever's, is overdue for review, or too many of this person wait for it."""
    late = [one for one in unreviewed if overdue(one, now_ms)]
    if late:
        raise Refused(
            f"{late[0].id} of {late[0].by} was not reviewed in time: until it is, there is no break-glass.",
            mend=f"Let another person review it first: `lucheng approval review {late[0].id}`.",
        )
    own = [one.id for one in unreviewed if one.by == who]
    if len(own) >= max_unreviewed:
        raise Refused(
            f"{len(own)} break-glasses of {who} wait for review already.",
            mend=f"Let another person review them first: `lucheng approval review {own[0]}`.",
        )


def _check_waits(approval: Approval, now_ms: int) -> None:
    if standing(approval, now_ms) is not ApprovalState.ASKED:
        raise Refused(
            f"{approval.id} is {_word(approval, now_ms)}: it does not wait for anybody.", mend=_look(approval)
        )
    _check_clock(approval, now_ms)


def _check_clock(approval: Approval, now_ms: int) -> None:
    """What holds for a time is worth nothing when the clock has gone back."""
    if now_ms < max(approval.asked_ms, approval.decided_ms, approval.last_used_ms) - CLOCK_STEP_MS:
        raise Refused(f"Our clock has gone back since {approval.id} was asked for.", mend="Mend the clock, ask anew.")


def _word(approval: Approval, now_ms: int) -> str:
    return STATE_WORDS[standing(approval, now_ms)].en


def _look(approval: Approval) -> str:
    return f"Look at it: `lucheng approval show {approval.id}`."


def _step(approval: Approval, **changes: Any) -> Approval:
    return replace(approval, version=approval.version + 1, **changes)
