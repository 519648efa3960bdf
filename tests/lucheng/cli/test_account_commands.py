"""`lucheng account`: people who sign in, from the command line, with and without a service."""

from __future__ import annotations

import re
from pathlib import Path

from config.sections import Settings
from console.setup_token import setup_token
from lucheng.rooms import open_rooms
from store.accounts.passwords import Passwords
from tests.lucheng.in_process import answer, lucheng


def test_a_password_is_made_and_told_once(tmp_path: Path) -> None:
    data = tmp_path / "data"
    made = lucheng(data, "account", "add", "wang", "--role", "operator", "--name", "王芳", "--language", "zh")
    assert made.returncode == 0, made.stderr
    password = re.findall(r"[a-z2-9]{5}(?:-[a-z2-9]{5}){3}", made.stdout)[0]
    with open_rooms(data, Settings(), write=False) as rooms:
        assert Passwords().fits(rooms.accounts.password_of("wang"), password)
    (row,) = answer(data, "account", "list")
    assert (row["user"], row["role"], row["name"], row["language"], row["enabled"]) == (
        "wang",
        "operator",
        "王芳",
        "zh",
        True,
    )
    assert password not in str(answer(data, "audit", "list"))


def test_a_password_comes_from_a_file_and_never_from_the_command_line(tmp_path: Path) -> None:
    data, file = tmp_path / "data", tmp_path / "password"
    file.write_text("four words nobody guesses\nrest\n")
    made = lucheng(data, "account", "add", "li", "--role", "officer", "--password-file", str(file))
    assert made.returncode == 0, made.stderr
    assert "four words" not in made.stdout
    file.write_text("short")
    assert lucheng(data, "account", "password", "li", "--password-file", str(file)).returncode == 2
    assert lucheng(data, "account", "add", "x", "--role", "chief").returncode == 2
    assert lucheng(data, "account", "add", "li", "--role", "operator").returncode == 1


def test_roles_and_doors(tmp_path: Path) -> None:
    data = tmp_path / "data"
    lucheng(data, "account", "add", "wang", "--role", "operator")
    assert lucheng(data, "account", "role", "wang", "supervisor").stdout.strip() == "wang: supervisor"
    assert lucheng(data, "account", "disable", "wang").returncode == 0
    assert answer(data, "account", "list")[0]["enabled"] is False
    assert lucheng(data, "account", "enable", "wang").returncode == 0
    assert lucheng(data, "account", "role", "nobody", "operator").returncode == 1
    env = {"LUCHENG_OPERATORS__USERS": '{"wang": "approver"}'}
    refused = lucheng(data, "account", "role", "wang", "officer", env=env)
    assert refused.returncode == 1
    assert "both officer and approver" in refused.stderr
    done = [row["action"] for row in answer(data, "audit", "list")]
    assert {"account.add", "account.role", "account.disable", "account.enable", "account.refused"} <= set(done)


def test_the_one_time_token_is_printed_while_it_is_waited_for(tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert lucheng(data, "account", "setup-token").returncode == 1
    (data / "keys").mkdir(parents=True)
    token = setup_token(data)
    assert lucheng(data, "account", "setup-token").stdout.strip() == token
    (data / "keys" / "setup.token").chmod(0o644)  # others could have read it
    assert lucheng(data, "account", "setup-token").returncode == 1
