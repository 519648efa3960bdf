"""Where the real files are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.lucheng.service_process import PROJECT


@pytest.fixture
def taxi_data() -> Path:
    """Folder of the real taxi files; the test is skipped where it is absent."""
    folder = Path(os.environ.get("LUCHENG_TEST_DATA") or PROJECT.parent / "shared" / "data") / "taxi"
    if not folder.is_dir():
        pytest.skip(f"no data at {folder}: set LUCHENG_TEST_DATA")
    return folder
