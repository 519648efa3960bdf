"""Turns of the interpreter follow how busy the process is."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import pytest

from lucheng.turns import LONG_TURN_S, SHORT_TURN_S, Turns


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    before_s = sys.getswitchinterval()
    yield
    sys.setswitchinterval(before_s)


def test_short_turns_for_a_process_that_waits_and_long_ones_for_one_that_works(monkeypatch: pytest.MonkeyPatch) -> None:
    now = {"wall": 100.0, "cpu": 7.0}
    monkeypatch.setattr(time, "monotonic", lambda: now["wall"])
    monkeypatch.setattr(time, "process_time", lambda: now["cpu"])
    turns = Turns()
    assert sys.getswitchinterval() == pytest.approx(LONG_TURN_S)
    for cpu_s, turn_s in ((0.2, SHORT_TURN_S), (0.5, LONG_TURN_S), (0.9, LONG_TURN_S), (0.1, SHORT_TURN_S)):
        now["wall"] += 0.5
        now["cpu"] += cpu_s
        assert turns.look() == turn_s
        assert sys.getswitchinterval() == pytest.approx(turn_s)
