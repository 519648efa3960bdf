"""Coming in: the first administrator by the token that the service printed, wrong passwords, the wait after too many, one's own account."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from lucheng.cli.texts import text
from tests.web.e2e.conftest import Sit
from tests.web.e2e.town import PASSWORD, Town

#: Wrong passwords in a row that cost nothing; then the wait begins.
FREE = 3
NEW_PASSWORD = "another sesame, please"


@pytest.fixture(scope="module")
def new_town(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """Nobody has an account yet."""
    del browser
    settings = {"LUCHENG_ACCOUNTS__FREE_FAILURES": str(FREE), "LUCHENG_ACCOUNTS__LOCK_FIRST_S": "300"}
    with Town(tmp_path_factory.mktemp("new"), people=False, settings=settings) as made:
        yield made


def _printed_token(town: Town) -> str:
    """The token as whoever started the service read it."""
    pattern = re.escape(text("console.setup", token="TOKEN")).replace("TOKEN", r"(\S+)")
    found = re.search(pattern, town.service.said)
    assert found is not None, town.service.said
    return found[1]


def test_the_first_administrator_is_made_by_the_printed_token(new_town: Town, sit: Sit) -> None:
    seat = sit(new_town.url)
    page = seat.go("/")
    expect(page.locator("h1")).to_have_text("首次设置")
    page.get_by_role("button", name="English").click()
    expect(page.locator("h1")).to_have_text("First set-up")

    def fill(token: str, password: str, again: str) -> None:
        page.fill("[name=token]", token)
        page.fill("[name=user]", "qian")
        page.fill("[name=password]", password)
        page.fill("[name=again]", again)
        seat.press("Enter")

    failure = page.locator(".failure")
    fill("0" * 64, PASSWORD, PASSWORD)
    expect(failure).to_be_visible()
    fill(_printed_token(new_town), PASSWORD, NEW_PASSWORD)
    expect(failure).to_contain_text("The two passwords differ.")
    fill(_printed_token(new_town), "short", "short")
    expect(failure).to_contain_text("12")
    fill(_printed_token(new_town), PASSWORD, PASSWORD)
    expect(page.locator("h1")).to_have_text("Sign in")
    expect(page.locator(".notice.good")).to_contain_text("The administrator is made")
    seat.sign_in("qian")
    expect(page.locator(".who")).to_contain_text("administrator")
    assert [row["role"] for row in new_town.call("account_list")] == ["admin"]
    # the token is used up: who comes now signs in
    other = sit(new_town.url, "en-US")
    expect(other.go("/").locator("h1")).to_have_text("Sign in")


def test_wrong_passwords_are_told_and_too_many_of_them_cost_time(new_town: Town, sit: Sit) -> None:
    new_town.call("account_add", user="zhu", role="operator", password=PASSWORD, name="")
    seat = sit(new_town.url)
    page = seat.go("/")
    failure = page.locator(".failure")

    def tries(password: str) -> None:
        page.fill("[name=user]", "zhu")
        page.fill("[name=password]", password)
        expect(page.locator("button.primary")).to_be_enabled()  # the answer to the one before is there
        with page.expect_response("**/api/v1/session"):
            seat.press("Enter")

    for _ in range(FREE):
        tries("not it")
        expect(failure).to_contain_text("用户名或密码错误")
    tries("not it")  # one more than is free
    tries(PASSWORD)  # the right one fits no more than a wrong one while the wait runs
    expect(failure).to_contain_text("还须等待 ")
    expect(page.locator(".frame")).to_have_count(0)
    page.get_by_role("button", name="English").click()
    tries(PASSWORD)
    expect(failure).to_contain_text(re.compile(r"Wait \d+ (s|min)"))
    expect(page.locator("body")).not_to_contain_text(PASSWORD)


def test_ones_own_account_shows_who_one_is_and_changes_the_password(new_town: Town, sit: Sit) -> None:
    new_town.call("account_add", user="feng", role="supervisor", password=PASSWORD, name="冯队长")
    seat, elsewhere = sit(new_town.url, "en-US", "light"), sit(new_town.url)
    elsewhere.sign_in("feng", "/account")
    page = seat.sign_in("feng", "/account")
    expect(page.locator("dl.facts")).to_contain_text("冯队长 (feng)")
    expect(page.locator("dl.facts")).to_contain_text("supervisor")
    failure = page.locator(".failure")

    def change(old: str, new: str) -> None:
        page.fill("[name=old]", old)
        page.fill("[name=new]", new)
        page.fill("[name=again]", new)
        seat.press("Enter")

    change("not it, surely", NEW_PASSWORD)
    expect(failure).to_be_visible()
    change(PASSWORD, NEW_PASSWORD)
    expect(page.locator(".notice.good")).to_contain_text("The password is changed")
    # whoever else was signed in as him is not any more
    elsewhere.page.reload()
    expect(elsewhere.page.locator("[name=user]")).to_be_visible()
    page.get_by_role("button", name="Sign out").first.click()
    expect(page.locator("[name=user]")).to_be_visible()
    seat.sign_in("feng", "/account", NEW_PASSWORD)
    expect(page.locator("dl.facts")).to_contain_text("feng")
