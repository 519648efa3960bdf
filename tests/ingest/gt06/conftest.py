"""Frames of others, from the test data."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest


def frames_of(name: str) -> Any:
    """A file of the frames; the test is skipped where it is absent."""
    root = Path(__file__).resolve().parents[3]
    path = Path(os.environ.get("LUCHENG_TEST_DATA") or root.parent / "shared" / "data") / "frames" / name
    if not path.is_file():
        pytest.skip(f"no data at {path}: set LUCHENG_TEST_DATA")
    return json.loads(path.read_text(encoding="utf-8"))
