"""The administrator's accounts: made with a password that is shown once, changed, closed; whose sessions end with that."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.web.city import City
from tests.web.conftest import Seat


def test_an_account_is_made_and_its_password_shown_once_opens_the_desk(city: City, seats: list[Seat]) -> None:
    page = seats[0].sign_in("zheng", "/accounts")
    page.get_by_role("button", name="新建账号").click()
    page.keyboard.type("qian")
    page.fill("[name=name]", "钱进")
    page.select_option("[name=role]", "operator")
    page.keyboard.press("Enter")
    secret = page.locator("[data-password=qian]")
    expect(secret).to_be_visible()
    password = secret.inner_text()
    page.keyboard.press("Escape")  # it is shown once: a slip does not put it away
    expect(secret).to_be_visible()
    page.get_by_role("button", name="已交给本人").click()
    expect(page.locator('[data-user="qian"]')).to_contain_text("钱进")
    assert password not in page.content()
    other = seats[1]
    other.page.goto(city.url + "/")
    other.page.fill("[name=user]", "qian")
    other.page.fill("[name=password]", password)
    other.page.keyboard.press("Enter")
    expect(other.page.locator(".desk")).to_be_visible()
    rows = city.rooms.audit.rows(limit=10_000)
    assert [row.target for row in rows if row.action == "account.add" and row.who == "zheng"] == ["qian"]
    assert not [row for row in rows if password in str(row)]


def test_who_is_closed_is_out_at_once_and_cannot_come_back_until_he_is_let_in(city: City, seats: list[Seat]) -> None:
    page, other = seats[0].sign_in("zheng", "/accounts"), seats[1].desk("wang")
    row = page.locator('[data-user="wang"]')
    row.get_by_role("button", name="停用").click()
    expect(page.locator("dialog")).to_contain_text("1 个会话立即结束")
    page.keyboard.press("Enter")
    expect(row).to_have_attribute("data-enabled", "no")
    expect(other.locator("[name=password]")).to_be_visible(timeout=15_000)  # his page, without a click of his
    row.get_by_role("button", name="启用").click()
    page.keyboard.press("Enter")
    expect(row).to_have_attribute("data-enabled", "yes")


def test_a_role_is_changed_and_what_may_not_be_is_said(city: City, seats: list[Seat]) -> None:
    page = seats[1].sign_in("zheng", "/accounts")
    row = page.locator('[data-user="li"]')
    row.get_by_role("button", name="Change the role").click()
    page.select_option("dialog [name=role]", "supervisor")
    page.locator("dialog").get_by_role("button", name="Change the role").click()
    expect(row).to_contain_text("supervisor")
    own = page.locator('[data-user="zheng"]')
    expect(own.get_by_role("button")).to_have_count(0)
    page.get_by_role("button", name="Add an account").click()
    page.keyboard.type("Wang Wu")
    page.locator("dialog").get_by_role("button", name="Add an account").click()
    expect(page.locator("dialog .failure")).to_be_visible()
    page.keyboard.press("Escape")
    page.fill("[name=find]", "approver")
    expect(page.locator('[data-table="accounts"] tbody tr')).to_have_count(1)
    page.fill("[name=find]", "nobody at all")
    expect(page.locator("main")).to_contain_text("There is no account")


def test_a_new_password_ends_the_old_one(city: City, seats: list[Seat]) -> None:
    page = seats[0].sign_in("zheng", "/accounts")
    page.locator('[data-user="sun"]').get_by_role("button", name="重设密码").click()
    page.keyboard.press("Enter")
    password = page.locator("[data-password=sun]").inner_text()
    other = seats[1].page
    other.goto(city.url + "/")
    other.fill("[name=user]", "sun")
    other.fill("[name=password]", "open sesame")
    other.keyboard.press("Enter")
    expect(other.locator(".failure")).to_be_visible()
    other.fill("[name=password]", password)
    other.keyboard.press("Enter")
    expect(other.locator(".frame")).to_be_visible()
