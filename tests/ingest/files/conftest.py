"""Files to read: the real data sets where they are, small ones made here."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def taxi_data() -> Path:
    """Folder of the real taxi files; the test is skipped where it is absent."""
    root = Path(__file__).resolve().parents[3]
    folder = Path(os.environ.get("LUCHENG_TEST_DATA") or root.parent / "shared" / "data") / "taxi"
    if not folder.is_dir():
        pytest.skip(f"no data at {folder}: set LUCHENG_TEST_DATA")
    return folder


@pytest.fixture
def write(tmp_path: Path) -> Callable[[bytes], Path]:
    """Write bytes to a new file and return its path."""
    count = iter(range(1_000_000))

    def put(text: bytes) -> Path:
        path = tmp_path / f"points-{next(count)}.csv"
        path.write_bytes(text)
        return path

    return put
