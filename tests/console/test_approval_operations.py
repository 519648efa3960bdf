"""Second persons' approvals over real stores: asked for a real read, decided, used, audited; and what is wide at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import structlog

from config.approvals import Approvals
from config.gateway import Operators
from config.sections import Settings
from console.approval_operations import approval_row
from console.device_operations import Caller
from console.wide_gate import DAY_MS, WideRead, check_wide, why_wide
from model.approval import ApprovalState
from model.errors import ApprovalNeeded, AuditUnwritable, Conflict, NotFound, Refused, UsageError
from model.grant import Purpose
from model.role import Role
from tests.console.conftest import START_MS, House

DATE = "2026-11-22"
WHY = Purpose("supervision", "", "daily")
USERS = {role.value: role.value for role in Role} | {"boss": "supervisor", "second": "approver", "tester": "operator"}


@pytest.fixture
def settings() -> Settings:
    return Settings(operators=Operators(users=USERS), approvals=Approvals(wide_vehicles=2, max_uses=2, max_open=3))


def person(who: str) -> Caller:
    return Caller(who, "cli", "socket")


def wide(what: str = "all", vehicles: int = 3, **changes: Any) -> WideRead:
    given: dict[str, Any] = {"from_ms": START_MS - DAY_MS, "to_ms": START_MS, "asked": {"what": what}, **changes}
    return WideRead("replay", vehicles, **given)


def read(house: House, who: str = "tester", approval: str = "", one: WideRead | None = None) -> str:
    """A wide read as an operation does it, up to the moment it would read."""
    return check_wide(house.operations, person(who), WHY, one or wide(), approval)


def ask(house: House, who: str = "tester", one: WideRead | None = None) -> str:
    with pytest.raises(ApprovalNeeded) as waits:
        read(house, who, "ask:because", one)
    return waits.value.approval


def last(house: House) -> Any:
    return house.rooms.audit.rows(limit=1, newest_first=True)[0]


# -- what is wide -----------------------------------------------------------------------------


def test_what_is_wide() -> None:
    limits = Approvals(wide_vehicles=50, wide_age_days=30, bulk_vehicle_days=50)
    old, now = START_MS - 30 * DAY_MS, START_MS
    assert why_wide(limits, wide(vehicles=50, from_ms=old), now) == {}
    assert list(why_wide(limits, wide(vehicles=51, from_ms=old - 1), now)) == ["vehicles", "age"]
    assert why_wide(Approvals(wide_age_days=0), wide(from_ms=0), now) == {}
    week: dict[str, Any] = {"from_ms": now - 7 * DAY_MS, "to_ms": now}
    assert why_wide(limits, wide(vehicles=8, **week), now) == {}, "on a screen it is no export"
    assert why_wide(limits, wide(vehicles=7, export=True, **week), now) == {}
    assert list(why_wide(limits, wide(vehicles=8, export=True, **week), now)) == ["bulk"]
    begun = wide(vehicles=26, export=True, from_ms=now - DAY_MS - 1, to_ms=now)
    assert why_wide(limits, begun, now)["bulk"].startswith("an export of 52 vehicle-days")


def test_what_is_not_wide_is_nobodys_business(house: House) -> None:
    before = len(house.actions())
    for who in ("tester", "auditor", "admin"):
        assert read(house, who, one=wide(vehicles=2)) == ""
    assert read(house, approval="break-glass:not needed", one=wide(vehicles=2)) == ""
    with pytest.raises(Refused, match="nobody's approval"):
        read(house, approval="ask:why", one=wide(vehicles=2))
    assert len(house.actions()) == before


# -- who may ----------------------------------------------------------------------------------


def test_every_role_asks_decides_and_looks_by_the_table(house: House) -> None:
    for number, role in enumerate(Role):
        _role_does_what_it_may(house, role, wide(str(number)))


def _role_does_what_it_may(house: House, role: Role, one: WideRead) -> None:
    asks = role in (Role.OPERATOR, Role.SUPERVISOR, Role.OFFICER, Role.APPROVER)
    decides = role in (Role.SUPERVISOR, Role.APPROVER)
    name = ask(house, one=one)
    operations, me = house.operations, person(role.value)
    for approval in ("", "ask:why", "break-glass:why", name):
        if asks and approval == "break-glass:why":
            assert read(house, role.value, approval, one).endswith("break-glass")
            continue
        with pytest.raises(Refused) as refused:
            read(house, role.value, approval, one)
        assert isinstance(refused.value, ApprovalNeeded) == (asks and approval in ("", "ask:why"))
        if not asks:
            row = last(house)
            assert (row.action, row.who, row.role) == ("read.refused", role.value, role.value)
    if not asks:
        for look in (lambda: operations.approval_list(me), lambda: operations.approval_show(me, name)):
            with pytest.raises(Refused, match="may not see"):
                look()
        assert last(house).action == "read.refused"
    else:
        seen = {row["by"] for row in operations.approval_list(me)}
        assert seen >= {role.value, "tester"} if decides else seen == {role.value}
    if decides:
        assert operations.approval_show(me, name)["by"] == "tester"
        assert operations.approval_grant(me, name)["decided_by"] == role.value
        return
    decisions: list[Callable[[], Any]] = [
        lambda: operations.approval_grant(me, name),
        lambda: operations.approval_refuse(me, name, "no"),
        lambda: operations.approval_review(me, name, "seen"),
    ]
    for decide in decisions:
        with pytest.raises(Refused):
            decide()
        row = last(house)
        assert (row.action, row.who, row.role, row.target) == ("approval.refused", role.value, role.value, name)
    if asks:
        with pytest.raises(Refused, match="another's"):
            operations.approval_show(me, name)
    assert operations.approval_refuse(person("boss"), name, "done")["state"] == "refused"


def test_s21_nobody_approves_or_reviews_his_own(house: House) -> None:
    name = ask(house, "boss")
    with pytest.raises(Refused, match="boss's own"):
        house.operations.approval_grant(person("boss"), name)
    row = last(house)
    assert (row.action, row.detail["tried"], row.target) == ("approval.refused", "grant", name)
    broken = read(house, "boss", "break-glass:why").split()[0]
    with pytest.raises(Refused, match="boss's own"):
        house.operations.approval_review(person("boss"), broken, "fine")
    assert house.operations.approval_refuse(person("boss"), name, "not needed")["state"] == "refused", "taken back"
    with pytest.raises(Refused, match="the desk itself"):
        house.operations.approval_grant(person("system"), name)
    with pytest.raises(Refused, match="the desk itself"):
        read(house, "system", "break-glass:why")


def test_a_role_that_was_taken_away_ends_what_was_granted(house: House) -> None:
    name = ask(house)
    house.operations.approval_grant(person("boss"), name)
    assert read(house, approval=name) == f"{name} granted by boss"
    house.operations._settings = Settings(
        operators=Operators(users={"tester": "auditor"}), approvals=Approvals(wide_vehicles=2)
    )
    with pytest.raises(Refused, match="may not read what is wide"):
        read(house, approval=name)


# -- for what, how long, how often ------------------------------------------------------------


def test_an_approval_is_used_so_often_for_that_alone(house: House) -> None:
    name = ask(house)
    assert name == ask(house), "the same is asked once"
    assert ask(house, one=wide("other")) != name
    with pytest.raises(ApprovalNeeded, match="waits for another person"):
        read(house, approval=name)
    assert last(house).action == "read.refused"
    row = house.operations.approval_grant(person("second"), name, uses=1, valid_s=600, note="once")
    assert (row["state"], row["max_uses"], row["expires"]) == ("granted", 1, "2026-11-22T08:10:00.000Z")
    audited = last(house)
    assert (audited.action, audited.who, audited.detail["by"]) == ("approval.grant", "second", "tester")
    with pytest.raises(ApprovalNeeded, match="granted by second already"):
        read(house, approval="ask:again")
    for who, one, words in (
        ("boss", None, "given to tester"),
        ("tester", wide("other"), "another read"),
        ("tester", WideRead("export", 3, START_MS - DAY_MS, START_MS, {"what": "all"}), "another read"),
    ):
        with pytest.raises(Refused, match=words):
            read(house, who, name, one)
        assert last(house).action == "read.refused"
        assert words in last(house).detail["why"]
    with pytest.raises(Refused, match="for the purpose"):
        check_wide(house.operations, person("tester"), Purpose("test"), wide(), name)
    assert read(house, approval=name) == f"{name} granted by second"
    assert (last(house).action, last(house).detail["uses"]) == ("approval.use", 1)
    with pytest.raises(Refused, match="used up"):
        read(house, approval=name)
    for wrong, error in (
        ("W2026-999999", NotFound),
        ("../../etc", NotFound),
        ("", ApprovalNeeded),
        ("x" * 99, UsageError),
    ):
        with pytest.raises(error):
            read(house, approval=wrong)
        assert last(house).action == "read.refused"


def test_what_has_expired_stays_so(house: House) -> None:
    waiting, held = ask(house), ask(house, one=wide("other"))
    house.operations.approval_grant(person("boss"), held)
    house.clock.advance(86_400)
    for decide in (
        lambda: house.operations.approval_grant(person("boss"), waiting),
        lambda: read(house, approval=held, one=wide("other", from_ms=START_MS)),
    ):
        with pytest.raises(Refused, match="expired"):
            decide()
    house.clock.step_wall(-DAY_MS)
    assert [one.state for one in house.rooms.approvals.list()] == [ApprovalState.EXPIRED] * 2
    with pytest.raises(Refused, match="expired"):
        read(house, approval=held, one=wide("other"))
    assert house.operations.approval_list(person("boss")) == []
    assert len(house.operations.approval_list(person("boss"), all=True)) == 2


def test_a_granted_one_can_be_taken_back(house: House) -> None:
    name = ask(house)
    house.operations.approval_grant(person("boss"), name)
    with pytest.raises(UsageError, match="not said why"):
        house.operations.approval_refuse(person("second"), name, "  ")
    house.operations.approval_refuse(person("second"), name, "too wide")
    with pytest.raises(Refused, match="refused by second: too wide"):
        read(house, approval=name)
    with pytest.raises(Refused, match="too late"):
        house.operations.approval_refuse(person("second"), name, "again")


def test_no_more_is_granted_than_the_settings_say(house: House) -> None:
    name = ask(house)
    for uses, valid_s in ((0, None), (3, None), (None, 0), (None, 28_801)):
        with pytest.raises(UsageError, match="cannot be granted"):
            house.operations.approval_grant(person("boss"), name, uses=uses, valid_s=valid_s)
    assert house.rooms.approvals.get(name).state is ApprovalState.ASKED


def test_requests_are_bounded_and_need_a_reason(house: House) -> None:
    for text in ("ask:", "ask:   ", "break-glass:", "ask:" + "x" * 501):
        with pytest.raises(UsageError):
            read(house, approval=text)
        assert last(house).action == "read.refused"
    for number in range(3):
        ask(house, one=wide(str(number)))
    with pytest.raises(Refused, match="3 requests of tester wait"):
        read(house, approval="ask:why", one=wide("more"))
    assert last(house).action == "read.refused"


# -- in an emergency --------------------------------------------------------------------------


def test_the_glass_is_broken_once_and_reviewed_by_another(house: House) -> None:
    with structlog.testing.capture_logs() as lines:
        assert read(house, approval="break-glass:child missing") == "W2026-000001 break-glass"
    (said,) = lines
    assert (said["log_level"], said["who"], said["reason"]) == ("warning", "tester", "child missing")
    assert said["review"] == "lucheng approval review W2026-000001"
    row = last(house)
    assert (row.action, row.detail["reason"], row.detail["vehicles"]) == ("approval.break_glass", "child missing", 3)
    assert house.ask("status")["approvals"] == {"waiting": 0, "unreviewed": 1, "overdue": 0}
    assert house.operations.metric_values()["approvals"] == {"waiting": 0, "unreviewed": 1, "overdue": 0}
    with pytest.raises(Refused, match="is break-glass, to be reviewed"):
        read(house, approval="W2026-000001")
    (shown,) = house.operations.approval_list(person("boss"))
    assert (shown["break_glass"], shown["state"], shown["overdue"]) == (True, "broken", False)
    house.clock.advance(86_400)
    with pytest.raises(Refused, match="not reviewed in time"):
        read(house, "boss", "break-glass:now me")
    assert last(house).action == "read.refused"
    assert house.operations.approval_list(person("boss"))[0]["overdue"] is True
    name = ask(house)
    house.operations.approval_grant(person("boss"), name)
    assert read(house, approval=name).endswith("granted by boss"), "what was granted does not wait for a review"
    done = house.operations.approval_review(person("second"), "W2026-000001", "no child was missing", justified=False)
    assert (done["state"], done["justified"], done["overdue"]) == ("reviewed", False, False)
    assert (last(house).action, last(house).detail["justified"]) == ("approval.review", False)
    with pytest.raises(Refused, match="reviewed by second"):
        house.operations.approval_review(person("boss"), "W2026-000001", "again")
    assert read(house, "boss", "break-glass:now me").endswith("break-glass")


# -- asked by name ----------------------------------------------------------------------------


class TestAskedByName:
    @pytest.fixture
    def taxis(self, house: House) -> House:
        for number in range(3):
            house.ask("device_add", device=f"taxi/{number}")
        return house

    def test_the_same_as_the_read_with_ask(self, taxis: House) -> None:
        row = taxis.ask(
            "approval_ask",
            operation="report_supervision",
            arguments={"date": DATE, "form": "csv"},
            reason="audit",
            purpose="supervision",
        )
        assert (row["state"], row["vehicles"], row["what"]) == ("asked", 3, {"date": DATE, "devices": None})
        taxis.operations.approval_grant(person("boss"), row["approval"])
        made = taxis.ask("report_supervision", date=DATE, form="json", purpose="supervision", approval=row["approval"])
        assert made.data
        assert [action for action, *_ in taxis.actions()].count("series.fleet") == 1, "asking read nothing"

    def test_what_cannot_be_asked(self, taxis: House) -> None:
        given: list[tuple[str, dict[str, Any], type[Exception]]] = [
            ("track", {"device": "taxi/1"}, UsageError),
            ("approval_grant", {"approval": "W1"}, UsageError),
            ("_note", {}, UsageError),
            ("report_supervision", {}, UsageError),
            ("report_supervision", {"date": 5}, UsageError),
            ("report_supervision", {"date": DATE, "devices": "taxi/1"}, UsageError),
            ("report_supervision", {"date": DATE, "approval": "W1"}, UsageError),
            ("report_supervision", {"date": DATE, "self": 1}, UsageError),
            ("report_supervision", {"date": DATE, "devices": ["taxi/1"]}, Refused),
            ("report_supervision", {"date": "2027-01-01"}, UsageError),
        ]
        for operation, arguments, error in given:
            with pytest.raises(error):
                taxis.ask("approval_ask", operation=operation, arguments=arguments, reason="why")
        assert taxis.rooms.approvals.list() == []


# -- durable before told, audited before durable ------------------------------------------------


def test_s20_without_an_audit_nothing_is_asked_granted_used_or_broken(house: House) -> None:
    name, other = ask(house), ask(house, one=wide("other"))
    broken = read(house, approval="break-glass:why").split()[0]
    house.operations.approval_grant(person("boss"), other)
    before = house.rooms.approvals.list()
    house.rooms.audit.close()
    for change in (
        lambda: house.operations.approval_grant(person("boss"), name),
        lambda: house.operations.approval_refuse(person("boss"), name, "no"),
        lambda: house.operations.approval_review(person("boss"), broken, "seen"),
        lambda: read(house, approval="ask:why", one=wide("more")),
        lambda: read(house, approval="break-glass:why"),
        lambda: read(house, approval=other, one=wide("other")),
        lambda: house.operations.approval_list(person("boss")),
    ):
        with pytest.raises(AuditUnwritable):
            change()
    assert house.rooms.approvals.list() == before


def test_a_use_that_comes_second_is_tried_again_on_what_is_left(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    name = ask(house)
    house.operations.approval_grant(person("boss"), name)
    store, real, raced = house.rooms.approvals, house.rooms.approvals.get, 0

    def late(given: str) -> Any:
        """What another process used between our looking and our using."""
        nonlocal raced
        found = real(given)
        if raced < 1:
            raced += 1
            assert read(house, approval=name) == f"{name} granted by boss"
        return found

    monkeypatch.setattr(store, "get", late)
    assert read(house, approval=name) == f"{name} granted by boss"
    assert real(name).uses == 2
    with pytest.raises((Refused, Conflict)):
        read(house, approval=name)


def test_a_row_says_what_stands_then(house: House) -> None:
    one = house.rooms.approvals.get(ask(house))
    assert approval_row(one, one.expires_ms)["state"] == "expired"
    assert approval_row(one, one.expires_ms - 1)["justified"] is None


def test_it_is_kept_over_a_restart_and_checked(house: House, tmp_path: Path) -> None:
    name = ask(house)
    house.operations.approval_grant(person("boss"), name)
    house.rooms.close()
    again = House(tmp_path / "data", Settings(operators=Operators(users=USERS), approvals=Approvals(wide_vehicles=2)))
    try:
        assert read(again, approval=name) == f"{name} granted by boss"
        assert again.ask("store_check")["ok"]
        again.rooms.approvals.close()
        problems = again.ask("store_check")["problems"]
        assert [one["place"] for one in problems] == ["approvals.db"]
    finally:
        again.rooms.close()
