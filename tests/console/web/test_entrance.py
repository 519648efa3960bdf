"""S14 and the life of a session: no account by default, a token that works once, argon2id, waits that double; sessions that end."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from argon2 import extract_parameters
from argon2.low_level import Type

from config.web import Accounts
from console.setup_token import SETUP_TOKEN_FILE
from lucheng.web_side import console_lines
from tests.console.web.web_house import ACCOUNTS, PASSWORD, WebHouse

FIRST = "the first of them all"


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[WebHouse]:
    """Nobody has an account."""
    with WebHouse(tmp_path / "data", people=False) as made:
        yield made


# -- the first one ---------------------------------------------------------------------------


def test_there_is_no_account_by_default_and_no_way_in_but_the_token(empty: WebHouse) -> None:
    assert empty.ask("GET", "/setup").json == {"needed": True}
    assert empty.rooms.accounts.count() == 0
    for user in ("admin", "root", "lucheng", "operator"):
        for password in ("", "admin", "password", "lucheng", "changeme"):
            assert empty.ask("POST", "/session", {"user": user, "password": password}).status in (401, 429)


def test_the_token_is_a_file_of_its_owner_and_printed_where_the_service_starts(empty: WebHouse) -> None:
    file = empty.rooms.data_dir / SETUP_TOKEN_FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    token = file.read_text().strip()
    assert len(token) == 43  # 256 bits
    where, how = console_lines(empty.side)
    assert f"http://127.0.0.1:{empty.port}/" in where
    assert token in how


def test_the_token_makes_one_administrator_once(empty: WebHouse) -> None:
    token = empty.side.setup_token
    given = {"user": "chief", "password": FIRST, "token": token}
    assert empty.ask("POST", "/setup", {**given, "token": token[::-1]}).code == "wrong_token"
    assert empty.ask("POST", "/setup", {**given, "token": ""}).code == "wrong_token"
    assert empty.ask("POST", "/setup", {**given, "password": "short"}).code == "usage"
    assert empty.ask("POST", "/setup", {**given, "user": "Chief Inspector"}).code == "usage"
    assert empty.ask("GET", "/setup").json == {"needed": True}
    assert empty.ask("POST", "/setup", given).status == 204
    assert empty.ask("GET", "/setup").json == {"needed": False}
    assert empty.ask("POST", "/setup", {**given, "user": "second"}).code == "setup_done"
    assert not (empty.rooms.data_dir / SETUP_TOKEN_FILE).exists()
    assert empty.side.setup_token == ""
    assert len(console_lines(empty.side)) == 1
    told = empty.sign_in("chief", FIRST)
    assert (told.status, told.json["user"], told.json["role"]) == (200, "chief", "admin")
    assert ("chief", "account.setup", "chief") in empty.audit()


def test_an_account_made_on_the_command_line_ends_the_waiting_too(empty: WebHouse) -> None:
    empty.house.ask("account_add", user="chen", role="supervisor", password=PASSWORD)
    assert not (empty.rooms.data_dir / SETUP_TOKEN_FILE).exists()
    assert empty.ask("POST", "/setup", {"user": "x", "password": FIRST, "token": "x"}).code == "setup_done"


def test_wrong_tokens_make_their_address_wait(empty: WebHouse) -> None:
    codes = [
        empty.ask("POST", "/setup", {"user": "x", "password": FIRST, "token": str(number)}).code for number in range(55)
    ]
    assert codes[:50] == ["wrong_token"] * 50
    assert "locked" in codes[50:]


# -- passwords -------------------------------------------------------------------------------


def test_a_password_is_kept_as_argon2id_at_the_costs_that_are_set(web: WebHouse) -> None:
    kept = web.rooms.accounts.password_of("operator")
    found = extract_parameters(kept)
    assert (found.type, found.memory_cost, found.time_cost) == (
        Type.ID,
        ACCOUNTS.password_memory_kib,
        ACCOUNTS.password_passes,
    )
    assert Accounts().password_memory_kib >= 65_536  # as RFC 9106 wants it by default
    assert PASSWORD.encode() not in (web.rooms.data_dir / "accounts.db").read_bytes()


def test_wrong_passwords_shut_the_account_for_a_time_that_doubles(web: WebHouse) -> None:
    waits = []
    for _ in range(ACCOUNTS.free_failures):
        assert web.sign_in("operator", "wrong").code == "wrong_password"
    for _ in range(4):
        assert web.sign_in("operator", "wrong").code == "wrong_password"
        shut = web.sign_in("operator")  # the right one fits no more than a wrong one
        assert (shut.status, shut.code) == (429, "locked")
        waits.append(int(shut.headers["retry-after"]))
        web.clock.advance(waits[-1])
    assert waits == [2, 4, 8, 16]
    assert web.sign_in("operator").status == 200
    assert web.audit().count(("operator", "account.locked", "operator")) == 4
    # signing in forgets them
    assert web.sign_in("operator", "wrong").code == "wrong_password"
    assert web.sign_in("operator").status == 200


def test_a_wait_has_a_longest_and_an_administrator_ends_it(web: WebHouse) -> None:
    for _ in range(20):
        web.clock.advance(ACCOUNTS.lock_longest_s)
        web.sign_in("operator", "wrong")
    assert int(web.sign_in("operator").headers["retry-after"]) <= ACCOUNTS.lock_longest_s
    assert web.ask("POST", "/accounts/operator/enable", {}, by="admin").json["failures"] == 0
    assert web.sign_in("operator").status == 200


def test_a_name_that_nobody_has_is_not_told_from_a_wrong_password_nor_written_down(web: WebHouse) -> None:
    typed = "my-secret-password"
    unknown = web.ask("POST", "/session", {"user": typed, "password": "x"})
    wrong = web.ask("POST", "/session", {"user": "auditor", "password": "x"})
    assert unknown.json == wrong.json
    web.ask("POST", "/session", {"user": "x" * 900, "password": "y"})
    assert all(typed not in "".join(row) for row in web.audit())
    assert ("auditor", "session.refused", "auditor") in web.audit()


# -- sessions --------------------------------------------------------------------------------


def test_a_session_is_a_cookie_that_no_script_and_no_other_site_has(web: WebHouse) -> None:
    answer = web.sign_in("supervisor")
    (cookie,) = answer.cookies
    name, *attributes = [part.strip().lower() for part in cookie.split(";")]
    assert name.startswith(f"lucheng_{web.port}=")
    assert {"httponly", "samesite=strict", "path=/"} <= set(attributes)
    assert cookie.split("=")[1].split(";")[0].encode() not in answer.raw
    assert "domain" not in cookie.lower()
    assert answer.headers["cache-control"] == "no-store"
    token = cookie.split("=")[1].split(";")[0]
    for file in web.rooms.data_dir.rglob("*"):
        assert not file.is_file() or token.encode() not in file.read_bytes(), file  # it is kept as a hash


def test_by_tls_before_it_the_cookie_is_for_tls_alone(tmp_path: Path) -> None:
    with WebHouse(tmp_path / "data", origins=["https://desk.city.local"]) as web:
        given = {"user": "operator", "password": PASSWORD}
        by_proxy = web.ask("POST", "/session", given, origin="https://desk.city.local", host="desk.city.local")
        assert by_proxy.status == 200
        assert "; secure" in by_proxy.cookies[0].lower()
        assert "; secure" not in web.ask("POST", "/session", given).cookies[0].lower()


def test_a_session_ends_by_its_time_and_for_want_of_use(web: WebHouse) -> None:
    for _ in range(13):
        assert web.ask("GET", "/session", by="operator").status == 200
        web.clock.advance(ACCOUNTS.idle_s - 1)
    assert web.ask("GET", "/session", by="operator").code == "not_signed_in"
    web.sign_in("operator")
    web.clock.advance(ACCOUNTS.idle_s)
    assert web.ask("GET", "/session", by="operator").code == "not_signed_in"


def test_signing_out_ends_this_session_alone(web: WebHouse) -> None:
    web.sign_in("operator")
    here = web.cookies["operator"]
    web.sign_in("operator")
    assert web.ask("DELETE", "/session", cookie=here).status == 204
    assert web.ask("GET", "/session", cookie=here).status == 401
    assert web.ask("GET", "/session", by="operator").status == 200
    assert web.ask("DELETE", "/session").status == 204  # nobody: nothing to do


def test_signing_in_again_leaves_no_session_behind(web: WebHouse) -> None:
    before = web.cookie("operator")
    web.ask("POST", "/session", {"user": "supervisor", "password": PASSWORD}, cookie=before)
    assert web.ask("GET", "/session", cookie=before).status == 401


def test_another_password_ends_the_other_sessions(web: WebHouse) -> None:
    web.sign_in("operator")
    there = web.cookies.pop("operator")
    change = {"old": PASSWORD, "new": "quite another sentence"}
    assert web.ask("POST", "/session/password", {**change, "old": "x"}, by="operator").code == "wrong_password"
    assert web.ask("POST", "/session/password", {**change, "new": "operator-1234"}, by="operator").code == "usage"
    assert web.ask("POST", "/session/password", change, by="operator").status == 204
    assert web.ask("GET", "/session", by="operator").status == 200
    assert web.ask("GET", "/session", cookie=there).status == 401
    assert web.sign_in("operator").code == "wrong_password"
    assert web.sign_in("operator", change["new"]).status == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/accounts/officer/role", {"role": "operator"}),
        ("/accounts/officer/password", {"password": "set by the administrator"}),
        ("/accounts/officer/disable", {}),
    ],
)
def test_what_an_administrator_changes_ends_the_sessions_it_concerns(
    web: WebHouse, path: str, body: dict[str, str]
) -> None:
    assert web.ask("GET", "/session", by="officer").status == 200
    assert web.ask("POST", path, body, by="admin").status == 200
    assert web.ask("GET", "/alarms", by="officer").code == "not_signed_in"


def test_nobody_is_officer_and_approver_nor_raises_himself_nor_is_the_last_administrator_gone(web: WebHouse) -> None:
    assert web.ask("POST", "/accounts/admin/role", {"role": "officer"}, by="admin").code == "refused"
    assert web.ask("POST", "/accounts/admin/disable", {}, by="admin").code == "conflict"
    assert web.ask("POST", "/accounts/nobody/role", {"role": "officer"}, by="admin").code == "not_found"
    assert web.ask("POST", "/accounts/operator/role", {"role": "chief"}, by="admin").code == "usage"
    made = web.ask("POST", "/accounts", {"user": "he", "role": "officer", "password": PASSWORD}, by="admin")
    assert (made.status, made.json["role"]) == (200, "officer")
    assert PASSWORD.encode() not in made.raw
    again = web.ask("POST", "/accounts", {"user": "he", "role": "admin", "password": PASSWORD}, by="admin")
    assert again.code == "conflict"


def test_a_session_of_a_time_before_the_service_started_again_holds(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with WebHouse(folder) as web:
        cookie = web.cookie("operator").split("=")[1]
    with WebHouse(folder, people=False) as web:
        assert web.ask("GET", "/session", cookie=f"{web.cookie_name}={cookie}").json["user"] == "operator"
