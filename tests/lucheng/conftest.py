"""What all tests of the wired program share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module", autouse=True)
def history_of_any_age() -> Iterator[None]:
    """Data of tests are years old: that this alone needs an approval is tested where it is meant.

    Before anything else of a module, services that it starts for all of its tests too.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LUCHENG_APPROVALS__WIDE_AGE_DAYS", "0")
        yield
