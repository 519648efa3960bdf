"""`alarm seats`, `alarm figures` and `audit search`, as people type them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from config.sections import Settings
from lucheng.rooms import open_rooms
from model.clock import SystemClock
from model.signal import Signal
from tests.lucheng.in_process import lucheng


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A desk with three alarms, one of them taken."""
    folder = tmp_path / "data"
    with open_rooms(folder, Settings(), write=True) as rooms:
        now_ms = SystemClock().now_ms()
        for number in range(3):
            made = Signal(
                f"s{number}", f"taxi/B{number}", "overspeed", "bit", now_ms, now_ms, 40.6, 109.8, 3, False, "", number
            )
            alarm = rooms.desk.take([made])[-1].alarm.alarm
        rooms.desk.acknowledge(alarm.id, alarm.version, "li")
    return folder


def test_seats_and_figures_are_told_as_tables_and_as_json(data: Path) -> None:
    seats = lucheng(data, "alarm", "seats")
    assert "li" in seats.stdout
    assert "acceptable" in seats.stdout
    told = json.loads(lucheng(data, "alarm", "seats", "--json").stdout)
    assert [(row["user"], row["taken_10_min"]) for row in told["seats"]] == [("li", 1)]
    figures = lucheng(data, "alarm", "figures", "--by", "day")
    assert "peak_per_seat" in figures.stdout
    assert "taxi/B0" in figures.stdout
    found = json.loads(lucheng(data, "alarm", "figures", "--json").stdout)
    assert found["in_all"]["alarms"] == 3
    assert lucheng(data, "alarm", "figures", "--by", "week").returncode == 2
    assert lucheng(data, "alarm", "figures", "--from", "2020-01-01").returncode == 2


def test_the_audit_is_searched_by_who_and_what(data: Path) -> None:
    lucheng(data, "alarm", "figures")
    found = lucheng(data, "audit", "search", "--action", "read.desk_figures")
    assert "read.desk_figures" in found.stdout
    assert "series" not in found.stdout
    none = json.loads(lucheng(data, "audit", "search", "--who", "nobody", "--json").stdout)
    assert (none["items"], none["next"]) == ([], None)
