"""A person at a browser: signs in, sits down at the desk, and what the browser complains about is kept.

Whatever is put into the page is put there by the browser's own tools and only listens: how many tones began, which events came.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page

from tests.web.e2e.town import PASSWORD

#: Protects a test from hanging; says nothing about how long anything should take.
HANG_MS = 30_000
#: Counts tones, and keeps the number and the alarm of each event of the feed.
_LISTENING = """
window.heard = { tones: 0, events: [], hellos: 0 };
const begin = OscillatorNode.prototype.start;
OscillatorNode.prototype.start = function (...at) { window.heard.tones += 1; return begin.apply(this, at); };
const Plain = window.EventSource;
window.EventSource = class extends Plain {
  constructor(...given) {
    super(...given);
    this.addEventListener("hello", () => { window.heard.hellos += 1; });
    this.addEventListener("alarm", (event) => {
      const told = JSON.parse(event.data);
      window.heard.events.push([Number(event.lastEventId), told.alarm.alarm, told.action]);
    });
  }
};
"""


def until(met: Callable[[], object], what: str, timeout_s: float = HANG_MS / 1000) -> None:
    """Wait until something is so; fail naming it when it is not in time."""
    deadline_s = time.monotonic() + timeout_s
    while not met():
        if time.monotonic() > deadline_s:
            pytest.fail(f"timed out waiting for {what}")
        time.sleep(0.05)


class Seat:
    """One browser window of its own.

    Args:
        browser: Chromium.
        url: where the console is.
        language, theme: what the browser says it likes.
        options: further options of the browser's context.
    """

    def __init__(
        self, browser: Browser, url: str, language: str = "zh-CN", theme: str = "dark", **options: Any
    ) -> None:
        self.context = browser.new_context(
            viewport=options.pop("viewport", {"width": 1366, "height": 768}),
            locale=language,
            timezone_id="Asia/Shanghai",
            color_scheme="light" if theme == "light" else "dark",
            **options,
        )
        self.context.set_default_timeout(HANG_MS)
        self.context.add_init_script(_LISTENING)
        self.page: Page = self.context.new_page()
        self.url = url
        self.complaints: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        self.page.on("console", self._said)

    def _said(self, said: ConsoleMessage) -> None:
        if "Security Policy" in said.text or "violat" in said.text:
            self.complaints.append(said.text)

    def go(self, path: str) -> Page:
        """Open an address of the console."""
        self.page.goto(self.url + path)
        return self.page

    def sign_in(self, user: str, path: str = "/", password: str = PASSWORD) -> Page:
        """By the form and the keyboard."""
        self.go(path)
        self.page.fill("[name=user]", user)
        self.page.keyboard.press("Tab")
        self.page.keyboard.type(password)
        self.page.keyboard.press("Enter")
        self.page.wait_for_selector(".frame")
        return self.page

    def desk(self, user: str, path: str = "/desk") -> Page:
        """Sign in and begin a shift with the sound on, by the keyboard."""
        page = self.sign_in(user, path)
        page.wait_for_selector("dialog[open]")
        page.keyboard.press("Tab")  # from the test of the sound to what says that it was heard
        page.keyboard.press("Enter")
        page.wait_for_selector("dialog", state="detached")
        page.wait_for_selector('[data-link="open"]')
        return page

    def press(self, *keys: str) -> None:
        """Keys, one after the other."""
        for key in keys:
            self.page.keyboard.press(key)

    def heard(self) -> dict[str, Any]:
        """What the listening found."""
        found: dict[str, Any] = self.page.evaluate("window.heard")
        return found

    def focused(self, what: str) -> bool:
        """Whether the focus is on something that fits."""
        return bool(self.page.evaluate("(what) => !!document.activeElement?.matches(what)", what))

    def details(self, alarm: str) -> Locator:
        """The pane of an alarm."""
        return self.page.locator(f'.details[data-alarm="{alarm}"]')

    def close(self) -> None:
        """Leave; fails when the browser complained."""
        self.context.close()
        assert self.complaints == []
