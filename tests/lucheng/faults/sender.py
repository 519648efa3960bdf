"""A fleet that reports through MQTT as a process of its own: `python -m tests.lucheng.faults.sender …`.

It behaves as good devices do: QoS 1, a seq that counts up without holes, and what was not acknowledged is sent again,
also after the sender itself was killed (from its ledger). A PUBACK of the broker is its acknowledgement. Besides
points there are alarm messages of buttons, and taxis that raise `sos` in one stretch of three points.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from config.sections import Settings
from devices.credentials import Credentials
from lucheng.rooms import open_rooms
from simulator.publisher import Broker
from tests.lucheng.faults.ledger import Ledger, Point, Press, Sent

PROJECT = Path(__file__).resolve().parents[3]
TICK_S = 0.02
WINDOW = 1_000
DRAIN_S = 30.0
SOS_POINTS = 3
REGISTERED_TAXIS = 8
#: Points from one alarm message, and one taxi in distress, to the next.
PRESS_EVERY = 100
SOS_EVERY = 250
#: What the process says when it can be told to stop in order.
READY = "ready"


@dataclass(slots=True)
class Line:
    """One MQTT connection with what it has not been told about yet."""

    client: mqtt.Client
    open: dict[int, Point | Press] = field(default_factory=dict)
    answered: deque[int] = field(default_factory=deque)


class Fleet:
    """Makes items, sends them and notes what came of them.

    Args:
        broker: URL of the broker.
        ledger: the ledger's file.
        devices: how many taxis report in turn.
        credentials: user name to password; each device then has its own connection.
    """

    def __init__(self, broker: str, ledger: Path, devices: int, credentials: dict[str, str] | None) -> None:
        self._where = Broker.parse(broker)
        self._credentials = credentials
        before = Sent.read(ledger)
        self._ledger = Ledger(ledger)
        self._lines: dict[str, Line] = {}
        self._taxis = [f"taxi/{number}" for number in range(devices)]
        self._last: dict[str, tuple[int, int]] = {}
        for device, seq in before.points:
            self._last[device] = max(self._last.get(device, (0, 0)), (seq, before.points[device, seq].time_ms))
        self._made = len(before.points)
        self._again: deque[Point | Press] = deque(
            [point for key, point in before.points.items() if key not in before.acknowledged]
            + [press for name, press in before.presses.items() if name not in before.acknowledged_presses]
        )
        names = [*self._taxis, "button/1"] if credentials is not None else [""]
        for name in names:
            self._connect(name)

    def _connect(self, name: str) -> None:
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"fleet-{name or 'all'}".replace("/", "-"))
        if self._credentials is not None:
            client.username_pw_set(name, self._credentials[name])
        elif self._where.user:
            client.username_pw_set(self._where.user, self._where.password)
        client.max_inflight_messages_set(WINDOW)
        client.reconnect_delay_set(1, 1)
        line = Line(client)
        client.on_publish = lambda _c, _u, mid, _r, _p: line.answered.append(mid)
        client.connect_async(self._where.host, self._where.port, 10)
        client.loop_start()
        self._lines[name] = line

    @property
    def connected(self) -> bool:
        """Whether every connection stands; until then the fleet holds its reports, so that they go out in order."""
        return all(line.client.is_connected() for line in self._lines.values())

    @property
    def waiting(self) -> int:
        """Items sent and not acknowledged."""
        return sum(len(line.open) for line in self._lines.values())

    def send(self, items: list[Point | Press], *, new: bool = True) -> None:
        """Note and publish."""
        if new:
            self._ledger.sends(items)
        for item in items:
            line = self._lines["" if self._credentials is None else item.device]
            line.open[line.client.publish(item.topic, item.payload, qos=1).mid] = item

    def settle(self) -> None:
        """Note the acknowledgements that came."""
        for line in self._lines.values():
            done: list[Point | Press] = []
            for _ in range(len(line.answered)):
                mid = line.answered.popleft()
                if mid in line.open:
                    done.append(line.open.pop(mid))
                else:
                    line.answered.append(mid)  # answered before `send` could note it
            self._ledger.acknowledges(done)

    def again(self) -> None:
        """Send once more what an earlier life of this sender was not told about."""
        while self._again and self.connected and self.waiting < WINDOW:
            self.send([self._again.popleft()], new=False)

    def make(self, count: int) -> list[Point | Press]:
        """The next items: points of the taxis in turn, now and then a press or a taxi in distress."""
        items: list[Point | Press] = []
        for _ in range(count):
            self._made += 1
            items.append(self._point(self._taxis[self._made % len(self._taxis)]))
            if self._made % PRESS_EVERY == 0:
                items.append(Press("button/1", f"press-{self._made}", time.time_ns() // 1_000_000))
            if self._made % SOS_EVERY == 0 and self._credentials is None:
                items += [self._point(f"taxi/sos-{self._made}", sos=True) for _ in range(SOS_POINTS)]
        return items

    def _point(self, device: str, *, sos: bool = False) -> Point:
        seq, last_ms = self._last.get(device, (0, 0))
        time_ms = max(time.time_ns() // 1_000_000, last_ms + 1)
        self._last[device] = (seq + 1, time_ms)
        lat, lon = 40_600_000 + self._made % 100_000, 109_800_000 + seq % 50_000
        return Point(device, seq + 1, time_ms, lat / 1e6, lon / 1e6, (seq % 800) / 10, sos)

    def close(self) -> None:
        """Say goodbye."""
        for line in self._lines.values():
            line.client.disconnect()
            line.client.loop_stop()


def main() -> int:
    """Send until SIGTERM, then wait for the last acknowledgements; 0 when all came."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--broker", required=True)
    parser.add_argument("--ledger", type=Path, required=True)
    parser.add_argument("--rate", type=int, default=1_000)
    parser.add_argument("--devices", type=int, default=50)
    parser.add_argument("--credentials", type=Path)
    given = parser.parse_args()
    credentials = json.loads(given.credentials.read_text()) if given.credentials else None
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stop.set())
    print(READY, flush=True)
    fleet = Fleet(given.broker, given.ledger, given.devices, credentials)
    began_s, done, parent = time.monotonic(), 0, os.getppid()
    while not stop.is_set() and os.getppid() == parent:  # a test that died leaves no sender behind
        time.sleep(TICK_S)
        fleet.settle()
        fleet.again()
        due = int((time.monotonic() - began_s) * given.rate) - done
        done += due  # what the window has no room for is not made up for: the fleet just reports less often
        if fleet.connected and fleet.waiting < WINDOW:
            fleet.send(fleet.make(min(due, given.rate)))
    deadline_s = time.monotonic() + DRAIN_S
    while (fleet.waiting or fleet._again) and time.monotonic() < deadline_s:
        fleet.again()
        fleet.settle()
        time.sleep(TICK_S)
    left = fleet.waiting
    fleet.close()
    return 1 if left else 0


def registered(data: Path, credentials: Path) -> Path:
    """Register a small fleet before the service starts, with a password each; write them to `credentials`."""
    devices = [*(f"taxi/{number}" for number in range(REGISTERED_TAXIS)), "button/1"]
    with open_rooms(data, Settings(), write=True) as rooms:
        rooms.registry.ensure(devices)
        issued = list(Credentials(rooms.registry.file).issue_many(devices))
    credentials.write_text(json.dumps({one.user: one.password for one in issued}))
    return credentials


class SenderProcess:
    """The sender as a process that a test starts, kills and stops."""

    def __init__(self, broker: str, ledger: Path, *, rate: int = 1_000, credentials: Path | None = None) -> None:
        self.ledger = ledger
        self._arguments = ["--broker", broker, "--ledger", str(ledger), "--rate", str(rate)]
        if credentials is not None:
            self._arguments += ["--credentials", str(credentials), "--devices", str(REGISTERED_TAXIS)]
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> Self:
        """Start it; returns when it can be told to stop."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.lucheng.faults.sender", *self._arguments],
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline().strip() == READY, "the sender did not start"
        return self

    def kill9(self) -> None:
        """End it as a power cut would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.process = None

    def stop(self) -> Sent:
        """Let it finish and end; everything it sent was acknowledged, or the test fails."""
        assert self.process is not None
        self.process.terminate()
        status = self.process.wait(DRAIN_S + 10)
        self.process = None
        assert status == 0, "the broker did not acknowledge everything that was sent"
        return Sent.read(self.ledger)

    def __enter__(self) -> Self:
        return self if self.process is not None else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Any:
        if self.process is not None:
            self.kill9()


if __name__ == "__main__":
    sys.exit(main())
