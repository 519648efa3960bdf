"""`PasswordCheck` against a real registry."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from devices.credentials import Credentials
from devices.password_check import PasswordCheck
from devices.registry import Registry


class Counting(Credentials):
    """Credentials that note how often a password was stretched."""

    stretched = 0

    def verify(self, user: str, password: str) -> bool:
        self.stretched += 1
        return super().verify(user, password)


@pytest.fixture
def counting(registry: Registry) -> Counting:
    return Counting(registry.file)


def test_a_right_password_is_stretched_once(registry: Registry, counting: Counting) -> None:
    registry.ensure(["taxi/1", "taxi/2"])
    one, two = counting.issue("taxi/1"), counting.issue("taxi/2")
    check = PasswordCheck(counting, registry.file)
    assert [check.check("taxi/1", one.password) for _ in range(3)] == [True] * 3
    assert counting.stretched == 1
    assert not check.check("taxi/2", one.password)
    assert not check.check("taxi/1", two.password)
    assert not check.check("taxi/1", one.password + "x")
    assert not check.check("taxi/9", one.password)
    assert check.check("taxi/1", one.password)
    assert len(check) == 1  # nothing wrong was kept


@pytest.mark.parametrize("how", ["revoke", "rotate", "disable", "delete"])
def test_what_was_remembered_ends_with_the_credential(registry: Registry, counting: Counting, how: str) -> None:
    registry.add("taxi/1")
    one = counting.issue("taxi/1")
    check = PasswordCheck(counting, registry.file)
    assert check.check("taxi/1", one.password)
    ending: dict[str, Callable[[str], object]] = {
        "revoke": counting.revoke,
        "rotate": counting.rotate,
        "disable": registry.disable,
        "delete": registry.delete,
    }
    ending[how]("taxi/1")
    assert not check.check("taxi/1", one.password)
    if how == "disable":
        registry.enable("taxi/1")
        assert check.check("taxi/1", one.password)


def test_accounts_of_the_service_and_odd_texts_are_nobody(registry: Registry, counting: Counting) -> None:
    account = counting.renew_account("lucheng")
    registry.add("taxi/1")
    counting.issue("taxi/1")
    check = PasswordCheck(counting, registry.file)
    assert not check.check("lucheng", account.password)
    for odd in ("", "x" * 129, "\ud800", "\x00"):
        assert not check.check("taxi/1", odd)


def test_what_is_remembered_is_bounded(registry: Registry, counting: Counting) -> None:
    devices = [f"taxi/{n}" for n in range(5)]
    registry.ensure(devices)
    made = [counting.issue(device) for device in devices]
    check = PasswordCheck(counting, registry.file, max_entries=2)
    for credential in made:
        assert check.check(credential.user, credential.password)
    assert len(check) == 2
    before = counting.stretched
    assert check.check("taxi/4", made[4].password)
    assert counting.stretched == before
    assert check.check("taxi/0", made[0].password)
    assert counting.stretched == before + 1
