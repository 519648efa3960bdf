"""The life of an approval: every state × every role × every step in one table; nobody decides on his own; nothing leads back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.approval import (
    ASKERS,
    DECIDERS,
    MAX_ASKED_BYTES,
    OPEN,
    STATE_WORDS,
    Approval,
    ApprovalState,
    check_break_glass,
    digest_of,
    expire,
    grant,
    overdue,
    refuse,
    review,
    standing,
    use,
)
from model.errors import ApprovalNeeded, Refused, UsageError
from model.role import Role

T0 = 1_795_334_400_000
HOUR_MS = 3_600_000
WHAT = {"date": "2026-11-22", "devices": None}
S = ApprovalState


def made(state: ApprovalState, **changes: Any) -> Approval:
    """An approval of li's in that state, half an hour ago, good for an hour."""
    decided = state not in (S.ASKED, S.BROKEN, S.REVIEWED)
    approval = Approval(
        id="W2026-000001",
        by="li",
        role="operator",
        operation="report_supervision",
        asked=WHAT,
        digest=digest_of("report_supervision", WHAT),
        vehicles=7_000,
        from_ms=T0 - HOUR_MS,
        to_ms=T0,
        wide="vehicles",
        purpose="supervision",
        reason="the yearly audit",
        state=state,
        version=3,
        asked_ms=T0 - HOUR_MS // 2,
        expires_ms=T0 + HOUR_MS // 2,
        decided_by="wang" if decided else "",
        decided_ms=T0 - HOUR_MS // 4 if decided else 0,
        uses=2 if state is S.USED else 0,
        max_uses=2 if decided else 0,
        reviewed_by="wang" if state is S.REVIEWED else "",
    )
    return replace(approval, **changes)


def read(one: Approval, who: str, role: Role, now_ms: int) -> Approval:
    return use(one, who, role, one.digest, one.purpose, now_ms)


Step = Callable[[Approval, str, Role, int], Approval]
STEPS: dict[str, Step] = {
    "grant": lambda one, who, role, now: grant(one, who, role, now, valid_ms=HOUR_MS, uses=2),
    "refuse": lambda one, who, role, now: refuse(one, who, role, now, "no"),
    "use": read,
    "review": lambda one, who, role, now: review(one, who, role, now, "found", justified=True),
}
#: Step, state, whether it is li (who asked) or another: what comes of it; what stands nowhere here is refused.
TABLE: dict[tuple[str, ApprovalState, str], ApprovalState] = {
    ("grant", S.ASKED, "another"): S.GRANTED,
    ("refuse", S.ASKED, "another"): S.REFUSED,
    ("refuse", S.ASKED, "li"): S.REFUSED,
    ("refuse", S.GRANTED, "another"): S.REFUSED,
    ("refuse", S.GRANTED, "li"): S.REFUSED,
    ("use", S.GRANTED, "li"): S.GRANTED,
    ("review", S.BROKEN, "another"): S.REVIEWED,
}


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("state", list(S))
def test_every_state_and_every_role(state: ApprovalState, role: Role) -> None:
    for name, step in STEPS.items():
        for who in ("li", "another"):
            expected = TABLE.get((name, state, who))
            roles = ASKERS if name == "use" else DECIDERS
            own_refusal = name == "refuse" and who == "li"  # taken back, by whoever he is now
            before = made(state)
            if expected is None or (role not in roles and not own_refusal):
                with pytest.raises(Refused) as refused:
                    step(before, who, role, T0)
                assert refused.value.mend
                waits = name == "use" and state is S.ASKED and who == "li" and role in ASKERS
                assert isinstance(refused.value, ApprovalNeeded) == waits
                continue
            after = step(before, who, role, T0)
            assert (after.state, after.version) == (expected, 4)
            assert (after.by, after.digest, after.purpose) == (before.by, before.digest, before.purpose)


def test_roles_are_those_of_trust() -> None:
    assert {Role.AUDITOR, Role.ADMIN, Role.TECHNICIAN}.isdisjoint(ASKERS)
    assert {Role.APPROVER, Role.SUPERVISOR} == DECIDERS
    assert Role.OFFICER not in DECIDERS, "nobody is both officer and approver"


def test_s21_nobody_approves_or_reviews_his_own_in_any_role() -> None:
    for role in Role:
        with pytest.raises(Refused, match="li's own: nobody may approve"):
            grant(made(S.ASKED), "li", role, T0, valid_ms=HOUR_MS, uses=1)
        with pytest.raises(Refused, match="li's own: nobody may review"):
            review(made(S.BROKEN), "li", role, T0, "fine", justified=True)
    with pytest.raises(Refused):
        grant(made(S.ASKED), "system", Role.SUPERVISOR, T0, valid_ms=HOUR_MS, uses=1)


def test_it_is_for_one_person_one_read_and_one_purpose() -> None:
    one = made(S.GRANTED)
    for arguments, words in (
        (("wang", Role.OPERATOR, one.digest, one.purpose), "given to li"),
        (
            ("li", Role.OPERATOR, digest_of("report_supervision", {**WHAT, "date": "2026-11-21"}), one.purpose),
            "another",
        ),
        (("li", Role.OPERATOR, digest_of("export", WHAT), one.purpose), "another read"),
        (("li", Role.OPERATOR, one.digest, "test"), "for the purpose supervision"),
        (("li", Role.AUDITOR, one.digest, one.purpose), "may not read what is wide"),
        (("system", Role.OPERATOR, one.digest, one.purpose), "the desk itself"),
    ):
        with pytest.raises(Refused, match=words):
            use(one, *arguments, T0)


def test_so_often_and_so_long() -> None:
    one = grant(made(S.ASKED), "wang", Role.APPROVER, T0, valid_ms=HOUR_MS, uses=2, note="once more")
    assert (one.expires_ms, one.max_uses, one.decided_by, one.note) == (T0 + HOUR_MS, 2, "wang", "once more")
    first = read(one, "li", Role.OPERATOR, T0 + 1)
    last = read(first, "li", Role.OPERATOR, T0 + HOUR_MS - 1)
    assert [(step.state, step.uses) for step in (first, last)] == [(S.GRANTED, 1), (S.USED, 2)]
    with pytest.raises(Refused, match="used up"):
        read(last, "li", Role.OPERATOR, T0 + 2)
    with pytest.raises(Refused, match="expired"):
        read(first, "li", Role.OPERATOR, T0 + HOUR_MS)
    assert standing(first, T0 + HOUR_MS) is S.EXPIRED
    gone = expire(first, T0 + HOUR_MS)
    with pytest.raises(Refused, match="expired"):
        read(gone, "li", Role.OPERATOR, T0 + 3)  # a clock set back brings nothing back to life
    with pytest.raises(Refused, match="gone back"):
        read(first, "li", Role.OPERATOR, T0 - 2_000)
    with pytest.raises(Refused, match="expired"):
        grant(made(S.ASKED), "wang", Role.APPROVER, T0 + HOUR_MS, valid_ms=1, uses=1)
    for still in (one, gone, made(S.USED), made(S.BROKEN)):
        with pytest.raises(Refused, match="does not expire"):
            expire(still, T0)
    said = refuse(one, "zhao", Role.SUPERVISOR, T0, "too wide")
    with pytest.raises(Refused, match="refused by zhao: too wide"):
        read(said, "li", Role.OPERATOR, T0)


def test_the_glass_is_broken_again_only_when_it_was_reviewed() -> None:
    fresh, late = made(S.BROKEN), made(S.BROKEN, id="W2026-000002", by="zhao", expires_ms=T0)
    check_break_glass([], "li", T0, 1)
    check_break_glass([fresh], "li", T0, 2)
    check_break_glass([fresh], "zhao", T0, 1)
    with pytest.raises(Refused, match="1 break-glasses of li wait"):
        check_break_glass([fresh], "li", T0, 1)
    assert (overdue(late, T0), overdue(late, T0 - 1), overdue(made(S.REVIEWED, expires_ms=T0), T0)) == (
        True,
        False,
        False,
    )
    with pytest.raises(Refused, match="W2026-000002 of zhao was not reviewed in time"):
        check_break_glass([fresh, late], "li", T0, 100)
    done = review(late, "wang", Role.SUPERVISOR, T0 + HOUR_MS, "no reason", justified=False)
    assert (done.state, done.reviewed_by, done.justified, done.review) == (S.REVIEWED, "wang", False, "no reason")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), json_values, max_size=5), st.randoms())
@settings(max_examples=100)
def test_the_digest_is_of_what_is_asked_and_not_of_its_order(asked: dict[str, Any], chance: Any) -> None:
    items = list(asked.items())
    chance.shuffle(items)
    assert digest_of("replay", dict(items)) == digest_of("replay", asked)
    assert digest_of("export", asked) != digest_of("replay", asked)
    assert digest_of("replay", {**asked, "and": "more"}) != digest_of("replay", {**asked, "and": "less"})


def test_what_has_no_digest() -> None:
    for asked in ({"x": float("nan")}, {"x": b"bytes"}, {"x": object()}, {"x": "y" * MAX_ASKED_BYTES}):
        with pytest.raises(UsageError):
            digest_of("replay", asked)


def test_every_state_has_words_in_both_languages() -> None:
    assert set(STATE_WORDS) == set(S)
    assert all(words.en and words.zh for words in STATE_WORDS.values())
    assert set(S) > OPEN
