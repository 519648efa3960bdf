"""What all tests of the wired program share."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def history_of_any_age(monkeypatch: pytest.MonkeyPatch) -> None:
    """Data of tests are years old: that this alone needs an approval is tested where it is meant."""
    monkeypatch.setenv("LUCHENG_APPROVALS__WIDE_AGE_DAYS", "0")
