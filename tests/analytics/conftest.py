"""A fresh analysis with a store that answers truly."""

from __future__ import annotations

import pytest

from tests.analytics.keeper import Keeper


@pytest.fixture
def keeper() -> Keeper:
    return Keeper()
