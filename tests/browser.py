"""Debian's Chromium for tests, pictures and benchmarks: without a window, as on a machine without a graphics card.

Its headless shell where it is installed, for the whole program opens a window's own pages for each context (a second of CPU);
else the whole program. WebGL is drawn in software, and so is the page.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
    "--autoplay-policy=no-user-gesture-required",
)
MISSING = "chromium is not installed; on Debian: apt-get install chromium-headless-shell"


def chromium_program() -> str | None:
    """Where it is; None where it is not installed."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


@contextmanager
def chromium() -> Iterator[Browser]:
    """One browser; without the program a skip, with CI=true a failure."""
    program = chromium_program()
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield made
        made.close()
