"""The recorded frames of terminals, which are never part of the project: tests that need them are skipped without."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

DATA = Path(os.environ.get("LUCHENG_TEST_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")


def frames(name: str) -> list[dict[str, Any]]:
    """The entries of `frames/{name}.json` whose data is hex."""
    path = DATA / "frames" / f"{name}.json"
    if not path.exists():
        pytest.skip(f"{path.name} is not there: set LUCHENG_TEST_DATA to the folder of the test data")
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return found
