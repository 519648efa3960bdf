"""`approval` and `--approval` as people type them: in this process and through a service."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from config.settings import load
from console.api import make_app
from console.device_operations import Caller
from console.server import ApiServer
from lucheng.cli.approval_commands import read_arguments
from lucheng.operating import operations_of
from lucheng.rooms import Rooms, open_rooms, operating_system_user
from model.errors import UsageError
from tests.lucheng.cli.test_alarm_commands import columns
from tests.lucheng.cli.test_commands import Result

ME = operating_system_user()
REPORT = ("report", "supervision", "--date", "2025-10-09", "--format", "json", "--purpose", "supervision")
#: Runs an operation as another person.
Other = Callable[..., Any]


@pytest.fixture(params=["in process", "through the service"])
def other(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Other]:
    """A folder with two taxis, where more than one is wide. Whoever runs this is an operator, `boss` a supervisor."""
    folder = tmp_path / "data"
    monkeypatch.setenv("LUCHENG_DATA", str(folder))
    monkeypatch.setenv("LUCHENG_OPERATORS__USERS", json.dumps({ME: "operator", "boss": "supervisor"}))
    monkeypatch.setenv("LUCHENG_APPROVALS__WIDE_VEHICLES", "1")
    with open_rooms(folder, load(), write=True) as rooms:
        rooms.registry.ensure(["taxi/1", "taxi/2"])
        if request.param == "through the service":
            with ApiServer(make_app(operations_of(rooms)), rooms.socket_path):
                yield lambda name, **arguments: as_boss(rooms, name, **arguments)
            return

    def alone(name: str, **arguments: Any) -> Any:
        with open_rooms(folder, load(), write=True) as again:
            return as_boss(again, name, **arguments)

    yield alone


def as_boss(rooms: Rooms, name: str, /, **arguments: Any) -> Any:
    return getattr(operations_of(rooms), name)(Caller("boss", "cli", "socket"), **arguments)


def test_asked_granted_by_another_read_and_used_up(other: Other) -> None:
    refused = Result(*REPORT)
    assert (refused.status, refused.out) == (1, "")
    assert "2 vehicles are more than 1" in refused.err
    assert "ask:WHY" in refused.err
    asked = Result(*REPORT, "--approval", "ask:the yearly audit")
    assert (asked.status, asked.out) == (1, "")
    (row,) = Result("approval", "list", "--json").json()
    name = row["approval"]
    assert f"lucheng approval grant {name}" in asked.err
    assert f"--approval {name}" in asked.err
    assert (row["state"], row["by"], row["reason"], row["vehicles"]) == ("asked", ME, "the yearly audit", 2)
    own = Result("approval", "grant", name)
    assert own.status == 1
    assert "nobody may approve" in own.err
    assert other("approval_grant", approval=name, uses=1)["state"] == "granted"
    (line,) = columns("approval", "list")
    assert (line["approval"], line["state"], line["uses"]) == (name, "granted", "0/1")
    assert not line["asked"].endswith("Z")
    read = Result(*REPORT, "--approval", name)
    assert (read.status, read.err) == (0, "")
    assert len(json.loads(read.out)["vehicles"]) == 2
    again = Result(*REPORT, "--approval", name)
    assert (again.status, again.out) == (1, "")
    assert "used up" in again.err
    assert Result("approval", "list", "--json").json() == []
    shown = Result("approval", "show", name).out
    assert "decided_by\tboss" in shown
    assert 'what\t{"date": "2025-10-09", "devices": null}' in shown
    assert [one["approval"] for one in Result("approval", "list", "--all", "--json").json()] == [name]


def test_asked_by_name_and_taken_back(other: Other) -> None:
    asked = Result(
        "approval", "ask", "report_supervision", "--arg", "date=2025-10-09", "--arg", 'devices=["taxi/1","taxi/2"]',
        "--reason", "audit", "--purpose", "supervision",
    )  # fmt: skip
    assert (asked.status, asked.err) == (0, "")
    assert "waits for another person" in asked.out
    (row,) = Result("approval", "list", "--json").json()
    assert row["what"]["devices"] == ["taxi/1", "taxi/2"]
    granted = other("approval_grant", approval=row["approval"])
    assert granted["max_uses"] == 5
    assert "refused" in Result("approval", "refuse", row["approval"], "--reason", "not needed").out
    again = Result(*REPORT, "--device", "taxi/1", "--device", "taxi/2", "--approval", row["approval"])
    assert f"refused by {ME}: not needed" in again.err
    assert Result("approval", "refuse", row["approval"]).status == 2


def test_break_glass_has_a_banner_and_waits_for_a_review(other: Other) -> None:
    read = Result(*REPORT, "--approval", "break-glass:a child is missing")
    assert read.status == 0
    assert "*** BREAK-GLASS" in read.err
    assert json.loads(read.out)["vehicles"]
    (line,) = columns("approval", "list")
    assert line["state"] == "break-glass, to be reviewed"
    own = Result("approval", "review", line["approval"], "--note", "fine")
    assert own.status == 1
    assert "nobody may review" in own.err
    assert "approvals.unreviewed\t1" in Result("status").out
    done = other("approval_review", approval=line["approval"], note="found", justified=True)
    assert done["justified"] is True
    assert Result("approval", "list", "--json").json() == []


def test_what_is_granted_is_said_with_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Boss asks, and whoever runs this grants."""
    monkeypatch.setenv("LUCHENG_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("LUCHENG_OPERATORS__USERS", json.dumps({ME: "approver", "boss": "supervisor"}))
    monkeypatch.setenv("LUCHENG_APPROVALS__WIDE_VEHICLES", "0")
    with open_rooms(tmp_path / "data", load(), write=True) as rooms:
        rooms.registry.ensure(["taxi/1"])
        asked = {"operation": "report_supervision", "arguments": {"date": "2025-10-09"}}
        name = as_boss(rooms, "approval_ask", **asked, reason="audit")["approval"]
    done = Result("approval", "grant", name, "--uses", "2", "--for", "30m", "--note", "go on")
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith(f"{name} of boss: granted")
    assert "It holds for 2 reads until" in done.out
    assert Result("approval", "grant", name, "--json").status == 1
    assert Result("approval", "grant", name, "--for", "soon").status == 2


def test_arguments_are_json_or_text() -> None:
    given = ["date=2025-10-09", "n=3", 'devices=["taxi/1"]', "x=a=b", "none=null"]
    assert read_arguments(given) == {
        "date": "2025-10-09", "n": 3, "devices": ["taxi/1"], "x": "a=b", "none": None,
    }  # fmt: skip
    for wrong in (["x"], ["=1"], ["x=1", "x=2"]):
        with pytest.raises(UsageError):
            read_arguments(wrong)
