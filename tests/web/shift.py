"""A day at the desk that lies behind: alarms, what became of them, a flood, tests of a button; put there by the desk's own steps."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from model.clock import SystemClock
from tests.web.city import City

HOUR_MS, MINUTE_MS, SECOND_MS = 3_600_000, 60_000, 1_000


@dataclass
class Past:
    """The service's clock, so far back."""

    back_ms: int = 0

    def at(self, ago_ms: int) -> None:
        """From here on it is so long ago."""
        self.back_ms = ago_ms

    def wait(self, seconds: float) -> None:
        """Time goes by."""
        self.back_ms -= round(seconds * SECOND_MS)


def past_of(monkeypatch: pytest.MonkeyPatch) -> Past:
    """The clock of everything that is opened with the system's; `at(0)` is now."""
    past = Past()
    real: Callable[[SystemClock], int] = SystemClock.now_ms
    monkeypatch.setattr(SystemClock, "now_ms", lambda clock: real(clock) - past.back_ms)
    return past


def one_alarm(
    city: City, past: Past, who: str, device: str, kind: str, number: int, *, steps: tuple[float, ...]
) -> str:
    """An alarm that is taken, gets a unit, sees it come and is resolved, so many seconds after one another."""
    alarm = city.press(device, kind, number)
    city.ask("alarm_shown", alarms=[alarm])
    deeds: tuple[tuple[str, dict[str, str]], ...] = (
        ("alarm_ack", {}),
        ("alarm_dispatch", {"unit": "unit/P1"}),
        ("alarm_arrive", {}),
        ("alarm_resolve", {"outcome": "real", "reason": "seen"}),
    )
    for seconds, (deed, more) in zip(steps, deeds, strict=False):
        past.wait(seconds)
        city.ask(deed, who, alarm=alarm, **more)
    return alarm


def a_day(city: City, past: Past, seed: int = 7) -> None:
    """Twenty hours of it, and back to now."""
    chance = random.Random(seed)
    number = 0
    for hour in range(20, 0, -1):
        who = ("wang", "li")[hour % 2]
        for _ in range(chance.randrange(1, 5)):
            number += 1
            past.at(hour * HOUR_MS - chance.randrange(50) * MINUTE_MS)
            steps = (chance.uniform(3, 40), chance.uniform(5, 60), chance.uniform(60, 260), 30.0)
            one_alarm(city, past, who, f"button/b{number}", "one_key", number, steps=steps)
    past.at(9 * HOUR_MS)
    for burst in range(26):  # a flood: nobody takes one of them
        city.press(f"taxi/B{burst:04d}", "overspeed", burst)
        past.wait(9)
    for turn in range(8):  # a device that makes noise
        past.at((8 * 60 - turn * 20) * MINUTE_MS)
        alarm = city.press("taxi/B0001", "antenna_cut", turn)
        city.ask("alarm_ack", "wang", alarm=alarm)
        city.ask("alarm_resolve", "wang", alarm=alarm, outcome="false", reason="a loose plug")
        city.ask("alarm_close", "wang", alarm=alarm, reason="a loose plug")
    past.at(2 * MINUTE_MS)
    city.ask("alarm_ack", "li", alarm=city.press("button/b900", "one_key", 900))
    shelved = city.press("taxi/B0002", "power_cut", 901)
    city.ask("alarm_shelve", "wang", alarm=shelved, reason="in the workshop", minutes=90)
    past.at(0)
