"""Who may command, and what a terminal may dial: settings that cannot be right are refused in words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from config.settings import WrongSettings, dump, load
from model.role import Role


def test_users_have_the_role_that_is_written(tmp_path: Path) -> None:
    path = tmp_path / "city.toml"
    path.write_text('[operators]\ndefault_role = "auditor"\nusers = { alice = "supervisor", "d w" = "officer" }\n')
    got = load(path, env={})
    assert got.operators.users == {"alice": Role.SUPERVISOR, "d w": Role.OFFICER}
    assert got.operators.default_role == Role.AUDITOR
    path.write_text(dump(got), encoding="utf-8")
    assert load(path, env={}) == got
    assert load(env={}).operators.default_role == Role.OPERATOR
    path.write_text('[operators.users]\nbob = "approver"\n')
    assert load(path, env={}).operators.users == {"bob": Role.APPROVER}


@pytest.mark.parametrize(
    ("users", "word"),
    [
        ({"bob": "king"}, "operator, supervisor, officer"),
        ({"bob": ""}, "operator, supervisor, officer"),
        ({"system": "officer"}, "the desk itself"),
        ({"": "officer"}, "1 to 64 characters"),
        ({" bob": "officer"}, "1 to 64 characters"),
        ({"b\x07b": "officer"}, "1 to 64 characters"),
        ({"b" * 65: "officer"}, "1 to 64 characters"),
        ({f"user{number}": "officer" for number in range(10_001)}, "10000"),
    ],
)
def test_wrong_users(users: dict[str, str], word: str) -> None:
    with pytest.raises(WrongSettings) as caught:
        load(env={"LUCHENG_OPERATORS__USERS": json.dumps(users)})
    (problem,) = caught.value.problems
    assert problem.place == "LUCHENG_OPERATORS__USERS"
    assert word in problem.what
    assert problem.mend


@pytest.mark.parametrize("number", ["", "110", "+86-472-2110110", "0" * 20])
def test_numbers_that_a_terminal_can_dial(number: str) -> None:
    assert load(None, {"desk.phone_number": number}, {}).desk.phone_number == number


@pytest.mark.parametrize("number", ["0" * 21, "+", "--", "1 10", "110;110", "一一〇", "١١٠", "110\n", "tel:110"])
def test_numbers_that_it_cannot(number: str) -> None:
    with pytest.raises(WrongSettings) as caught:
        load(None, {"desk.phone_number": number}, {})
    (problem,) = caught.value.problems
    assert "telephone number" in problem.what
