"""The life of an alarm through real processes, with `kill -9` of the service between any two steps.

Press ▸ broker ▸ log ▸ alarm ▸ escalation ▸ acknowledge ▸ dispatch ▸ arrive ▸ resolve ▸ close. After every kill: exactly one
alarm of that key, with the signal that made it; its version has not gone back; no stored moment or clock has changed, so the
300-second clock runs from the receive time; its history only grows; the ladder goes on; and in the end the device was told
`received`, `acknowledged` and `closed`, and the audit holds and has every transition.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from model.alarm import RESPONSE_CLOCK_MS
from model.errors import Conflict, Refused, TryAgain
from tests.conftest import Mosquitto
from tests.lucheng.faults.conftest import REGISTER
from tests.lucheng.faults.desk_side import PURPOSE, Device, alarms_of, audit_of, millis, wait_alarm
from tests.lucheng.faults.judge import seeded
from tests.lucheng.service_process import HANG_S, ServiceProcess

#: One rung a second, and no second round while the operator works.
LADDER = {
    "LUCHENG_DESK__ALL_SEATS_S": "1",
    "LUCHENG_DESK__SHIFT_LEAD_S": "2",
    "LUCHENG_DESK__DUTY_OFFICER_S": "3",
    "LUCHENG_DESK__DISPATCH_WITHIN_S": "3600",
}
STEPS = ("press", "raised", "all seats", "duty officer", "ack", "dispatch", "arrive", "resolve", "close")
#: What the operator does, and how the alarm then stands.
ACTIONS: dict[str, tuple[str, dict[str, Any], str]] = {
    "ack": ("acknowledge", {}, "acknowledged"),
    "dispatch": ("dispatch", {"eta_minutes": 3}, "dispatched"),
    "arrive": ("arrive", {}, "on_scene"),
    "resolve": ("resolve", {"outcome": "real", "reason": "met"}, "resolved"),
    "close": ("close", {"reason": "reviewed"}, "closed"),
}
MOMENTS = (
    "time",
    "received",
    "shown",
    "acknowledged",
    "dispatched",
    "eta",
    "on_scene",
    "resolved",
    "closed",
    "cleared",
)
#: A kill during an operator's call comes so long after the call began.
DURING_S = (0.0, 0.03)


class Life:
    """One alarm, from the press to the end of its work.

    Args:
        service: the service that is killed.
        device: who presses.
        number: tells this life from others of the same test.
        random: says when, within a call, a kill comes.
    """

    def __init__(self, service: ServiceProcess, device: Device, number: int, random: Random) -> None:
        self.service = service
        self.device = device
        self.name = f"press-{number}"
        self.unit = f"unit/{number}"
        self.id = ""
        self._random = random
        self._row: dict[str, Any] = {}
        self._history: list[dict[str, Any]] = []
        self._pressed_ms = 0
        self.kills = 0

    def live(self, kill_after: set[str], kill_during: set[str]) -> None:
        """Every step, with a kill after and during some of them."""
        for step in STEPS:
            if step == "press":
                self._press(down=step in kill_during)
            elif step in ACTIONS:
                self._act(step, kill=step in kill_during)
            else:
                self._wait(step)
            if step in kill_after:
                self._kill()
                self.service.start()
                self._same_as_before()
            if step != "press":
                self._look()

    # -- steps --------------------------------------------------------------------------------

    def _press(self, *, down: bool) -> None:
        """The button is pressed; `down`: while no service runs, so that the broker alone has it."""
        if down:
            self._kill()
        self._pressed_ms = time.time_ns() // 1_000_000
        self.device.press(self.name, self._pressed_ms)
        if down:
            self.service.start()

    def _wait(self, step: str) -> None:
        rung = {"raised": 0, "all seats": 1, "duty officer": 3}[step]
        row = wait_alarm(self.service, self.device.id, "one_key", lambda row: row["rung"] >= rung, f"rung {rung}")
        assert row["work"] == "new"
        assert millis(row["time"]) == self._pressed_ms
        self.id = row["alarm"]

    def _act(self, step: str, *, kill: bool) -> None:
        """The operator's step; one that was cut off by a kill is asked for again when it was not done."""
        _, arguments, after = ACTIONS[step]
        if step == "dispatch":
            arguments = {**arguments, "unit": self.unit}
        killer = threading.Timer(self._random.uniform(*DURING_S), self._kill) if kill else None
        if killer:
            killer.start()
        try:
            self._call(step, arguments)
        except TryAgain:
            assert killer is not None, "the service went away by itself"
        if killer is None:
            return
        killer.join()
        self.service.start()
        self._same_as_before()
        if alarms_of(self.service, self.device.id, "one_key")[0]["work"] != after:
            self._call(step, arguments)
        else:
            with pytest.raises((Conflict, Refused)):  # it was done, once
                self.service.client().call("alarm_ack", alarm=self.id, version=self._row["version"])

    def _call(self, step: str, arguments: dict[str, Any]) -> None:
        row = self.service.client().call(f"alarm_{step}", alarm=self.id, **arguments)
        assert row["work"] == ACTIONS[step][2]

    # -- what holds after each ----------------------------------------------------------------

    def _kill(self) -> None:
        self.service.kill9()
        self.kills += 1

    def _look(self) -> None:
        """Remember how it stands now."""
        before_ms = time.time_ns() // 1_000_000
        shown = self.service.client().call("alarm_show", alarm=self.id, purpose=PURPOSE)
        after_ms = time.time_ns() // 1_000_000
        received_ms = millis(shown["received"])
        assert received_ms is not None
        assert received_ms >= self._pressed_ms
        if shown["response_ms"] is None and shown["work"] in {"new", "acknowledged", "dispatched"}:
            left = [(RESPONSE_CLOCK_MS - (at_ms - received_ms)) // 1000 for at_ms in (after_ms, before_ms)]
            assert left[0] <= shown["remaining_s"] <= left[1], "the 300-second clock does not run from the receive time"
        assert [kept["device_alarm_id"] for kept in shown["signals_kept"]] == [self.name]
        self._row, self._history = shown, shown["history"]

    def _same_as_before(self) -> None:
        """Nothing that was there before the kill is lost or changed."""
        if not self.id:
            return
        rows = [row for row in alarms_of(self.service, self.device.id) if row["kind"] == "one_key"]
        assert len(rows) == 1, rows
        assert rows[0]["alarm"] == self.id
        shown = self.service.client().call("alarm_show", alarm=self.id, purpose=PURPOSE)
        if not self._row:
            return
        assert shown["version"] >= self._row["version"]
        assert shown["signals"] == shown["lap"] == 1
        assert shown["history"][: len(self._history)] == self._history
        for name in MOMENTS:
            assert self._row[name] in (None, shown[name]), f"{name} changed"
        for name, value in self._row["clocks_ms"].items():
            assert value in (None, shown["clocks_ms"][name]), f"{name} changed"
        if self._row["response_ms"] is not None:
            assert shown["response_ms"] == self._row["response_ms"]

    def judge(self) -> None:
        """The verdict over the whole life."""
        self.device.wait_answers(self.name, {"received", "acknowledged", "closed"})
        assert self.device.first_told(self.name) == ["received", "acknowledged", "closed"]
        row, history = self._row, self._history
        assert (row["work"], row["outcome"], row["unit"]) == ("closed", "real", self.unit)
        assert row["response_ms"] == _span(row, "received", "on_scene")
        assert row["breached"] is (row["response_ms"] > RESPONSE_CLOCK_MS)
        done = [step["action"] for step in history]
        assert done == ["raise", "escalate", "escalate", "escalate", *(ACTIONS[step][0] for step in ACTIONS)]
        assert [step["detail"]["rung"] for step in history if step["action"] == "escalate"] == [1, 2, 3]
        versions = [step["version"] for step in history]
        assert versions == sorted(versions)
        assert len(set(versions[4:])) == len(ACTIONS)
        self._judge_audit()

    def _judge_audit(self) -> None:
        mine = [step["number"] for step in self._history if step["by"] == "system"]
        deadline_s = time.monotonic() + HANG_S
        while True:
            rows = audit_of(self.service, self.id)
            told = {row["detail"]["event"] for row in rows if row["who"] == "system"}
            if told == set(mine) or time.monotonic() > deadline_s:
                break
            time.sleep(0.2)
        assert told == set(mine), "a transition of the system's is not in the audit"
        people = [row["action"] for row in rows if row["who"] != "system" and row["action"].startswith("alarm.")]
        for action, _, _ in ACTIONS.values():
            assert f"alarm.{action}" in people


def _span(row: dict[str, Any], start: str, end: str) -> int:
    start_ms, end_ms = millis(row[start]), millis(row[end])
    assert start_ms is not None
    assert end_ms is not None
    return end_ms - start_ms


@pytest.fixture
def service(tmp_path: Path, mosquitto: Mosquitto) -> Iterator[ServiceProcess]:
    """A service whose ladder has a rung a second."""
    with ServiceProcess(tmp_path / "data", mosquitto.url, env=REGISTER | LADDER).start() as made:
        yield made


def _lives(
    service: ServiceProcess, mosquitto: Mosquitto, plans: list[tuple[set[str], set[str]]], random: Random
) -> None:
    for number, (after, during) in enumerate(plans):
        with Device(mosquitto.url, f"button/{number}") as device:
            service.client().call("device_add", device=f"unit/{number}")
            life = Life(service, device, number, random)
            life.live(after, during)
            life.judge()
            print(f"life {number}: {life.kills} kills, after {sorted(after)}, during {sorted(during)}")
    assert service.client().call("store_check")["ok"]


def test_a_life_with_kills_between_random_steps(service: ServiceProcess, mosquitto: Mosquitto) -> None:
    random = seeded("life of an alarm")
    after = set(random.sample(STEPS, 2))
    during = {random.choice(("press", *ACTIONS))}
    _lives(service, mosquitto, [(after, during)], random)


@pytest.mark.soak
def test_lives_with_kills_between_all_steps_and_during_each(service: ServiceProcess, mosquitto: Mosquitto) -> None:
    random = seeded("lives of alarms")
    every, calls = set(STEPS), {"press", *ACTIONS}
    plans = [(every, set()), (set(), calls), (every, calls)]
    plans += [(set(random.sample(STEPS, 5)), set(random.sample(sorted(calls), 3))) for _ in range(3)]
    _lives(service, mosquitto, plans, random)
