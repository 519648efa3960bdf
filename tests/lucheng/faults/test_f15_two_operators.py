"""F15: two operators act on the same alarm at the same moment: one wins, the other is told who, the audit has both.

The two are processes of their own. Where the tests run as root the second is another user; elsewhere both are the same one.
"""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import pytest

from console.server import user_name
from tests.conftest import Mosquitto
from tests.lucheng.faults.desk_side import PURPOSE, Device, audit_of, wait_alarm
from tests.lucheng.service_process import HANG_S, PROJECT, ServiceProcess

ROUNDS = 12
#: Both are told what to do so long before.
AHEAD_S = 0.03


class Operator:
    """The process of one operator."""

    def __init__(self, service: ServiceProcess, uid: int) -> None:
        self.name = user_name(uid)
        command = [sys.executable, "-m", "tests.lucheng.faults.operator_process", str(service.data), str(uid)]
        self._process = subprocess.Popen(
            command, cwd=PROJECT, env={**os.environ, "PYTHONPATH": str(PROJECT)}, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        assert self._process.stdout.readline().strip() == "ready", "the operator did not start"

    def tell(self, at_s: float, operation: str, arguments: dict[str, Any]) -> None:
        """Say what to do at which moment."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"at": at_s, "operation": operation, "arguments": arguments}) + "\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """What came of it."""
        assert self._process.stdout is not None
        found: dict[str, Any] = json.loads(self._process.stdout.readline())
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(HANG_S)
        self._process.stdout.close()


@pytest.fixture
def operators(service: ServiceProcess) -> Iterator[tuple[Operator, Operator]]:
    """Two, of different names where that can be had."""
    first = second = os.getuid()
    if first == 0:
        second = pwd.getpwnam("nobody").pw_uid
        service.data.chmod(0o711)
        service.socket.chmod(0o666)
    with Operator(service, first) as one, Operator(service, second) as other:
        yield one, other


def _race(
    operators: tuple[Operator, Operator], operation: str, arguments: tuple[dict[str, Any], dict[str, Any]]
) -> tuple[Operator, dict[str, Any], Operator, dict[str, Any]]:
    """Both at once: the winner with his row, the loser with his error."""
    at_s = time.monotonic() + AHEAD_S
    for operator, said in zip(operators, arguments, strict=True):
        operator.tell(at_s, operation, said)
    done = [operator.answer() for operator in operators]
    won = [index for index, one in enumerate(done) if "row" in one]
    assert len(won) == 1, done
    winner, loser = won[0], 1 - won[0]
    return operators[winner], done[winner]["row"], operators[loser], done[loser]


def _judge_audit(rows: list[dict[str, Any]], action: str, winner: Operator, loser: Operator) -> None:
    """Both tried, and one was refused."""
    tries = sorted(row["who"] for row in rows if row["action"] == f"alarm.{action}")
    assert tries == sorted((winner.name, loser.name))
    refused = [(row["who"], row["detail"]["tried"]) for row in rows if row["action"] == "alarm.refused"]
    assert refused == [(loser.name, action)]


@pytest.mark.soak
def test_two_act_at_once(service: ServiceProcess, mosquitto: Mosquitto, operators: tuple[Operator, Operator]) -> None:
    winners: list[str] = []
    with Device(mosquitto.url, "button/1") as device:
        for number in range(ROUNDS):
            device.press(f"press-{number}", time.time_ns() // 1_000_000)
            row = wait_alarm(service, device.id, "one_key", lambda row: row["work"] == "new")
            winners.append(_both_take(service, operators, row, says_version=number % 2 == 0))
            if number < ROUNDS - 1:
                client = service.client()
                client.call("alarm_resolve", alarm=row["alarm"], outcome="test")  # the next press begins a new lap
    print(f"won: { {name: winners.count(name) for name in set(winners)} }")
    _both_send_a_unit(service, operators, row["alarm"])


def _both_take(
    service: ServiceProcess, operators: tuple[Operator, Operator], row: dict[str, Any], *, says_version: bool
) -> str:
    """One takes it; the winner's name."""
    alarm, before = row["alarm"], len(audit_of(service, row["alarm"]))
    said = {"alarm": alarm, **({"version": row["version"]} if says_version else {})}
    winner, taken, loser, told = _race(operators, "alarm_ack", (said, said))
    assert taken["owner"] == winner.name
    assert told["error"] == "Conflict" if says_version else told["error"] in {"Conflict", "Refused"}
    if winner.name != loser.name or says_version:
        assert f"{winner.name} was first: acknowledge" in told["message"]
    shown = service.client().call("alarm_show", alarm=alarm, purpose=PURPOSE)
    assert (shown["work"], shown["owner"]) == ("acknowledged", winner.name)
    of_lap = [step for step in shown["history"] if step["version"] > row["version"]]
    assert [(step["action"], step["by"]) for step in of_lap] == [("acknowledge", winner.name)]
    _judge_audit(audit_of(service, alarm)[before:], "acknowledge", winner, loser)
    return winner.name


def _both_send_a_unit(service: ServiceProcess, operators: tuple[Operator, Operator], alarm: str) -> None:
    client = service.client()
    units = ("unit/a", "unit/b")
    for unit in units:
        client.call("device_add", device=unit)
        client.call("unit_set", unit=unit, level=1, state="free")
    version = client.call("alarm_show", alarm=alarm, purpose=PURPOSE)["version"]
    before = len(audit_of(service, alarm))
    said = [{"alarm": alarm, "unit": unit, "version": version} for unit in units]
    winner, sent, loser, told = _race(operators, "alarm_dispatch", (said[0], said[1]))
    assert told["error"] == "Conflict"
    assert f"{winner.name} was first: dispatch" in told["message"]
    states = {unit["device"]: (unit["state"], unit["alarm"]) for unit in client.call("unit_list")}
    (idle,) = set(units) - {sent["unit"]}
    assert states == {sent["unit"]: ("on_the_way", alarm), idle: ("free", "")}
    _judge_audit(audit_of(service, alarm)[before:], "dispatch", winner, loser)
