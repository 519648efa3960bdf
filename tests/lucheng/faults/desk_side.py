"""Both ends of an alarm: the device that presses and listens for its answers, and the desk as its API shows it.

Purpose: what the tests of alarms through real processes share. Invariants: a message counts as sent when the broker has
acknowledged it; a device keeps its session, so that an answer sent while it is away reaches it. It asserts nothing but
that an answer comes at all.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from model.errors import TryAgain
from simulator import payloads
from simulator.publisher import Broker
from tests.conftest import wait_until
from tests.lucheng.service_process import HANG_S, ServiceProcess

PURPOSE = "test"
ALL_ROWS = 10_000


def millis(moment: str | None) -> int | None:
    """UTC ms of a moment as the API writes it; None of none."""
    return None if moment is None else round(datetime.fromisoformat(moment).timestamp() * 1000)


class Device:
    """A device on a connection of its own.

    Args:
        broker: URL of an anonymous broker.
        device: its id.
    """

    def __init__(self, broker: str, device: str) -> None:
        where = Broker.parse(broker)
        self.id = device
        #: (alarm id, state) of every answer, in the order in which they came.
        self.answers: list[tuple[str, str]] = []
        client_id = f"device-{device}".replace("/", "-")
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=False)
        self._subscribed = threading.Event()
        self._client.on_connect = self._connected
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._message
        self._client.reconnect_delay_set(1, 1)
        self._client.connect(where.host, where.port, 30)
        self._client.loop_start()
        assert self._subscribed.wait(HANG_S), "the broker takes no subscription"

    def _connected(self, client: mqtt.Client, *_: Any) -> None:
        client.subscribe(f"{payloads.TOPIC_ROOT}/{self.id}/down/alarm_state", qos=1)

    def _message(self, _client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        said = json.loads(message.payload)
        self.answers.append((said["id"], said["state"]))

    def send(self, stream: str, payload: bytes) -> None:
        """Publish a message of its own; returns when the broker has acknowledged it."""
        sent = self._client.publish(payloads.topic(self.id, stream), payload, qos=1)
        sent.wait_for_publish(HANG_S)
        assert sent.is_published(), "the broker acknowledges nothing"

    def press(self, name: str, time_ms: int, kind: str = "one_key") -> None:
        """One alarm message with the device's own id."""
        self.send("alarm", payloads.alarm(name, time_ms, kind))

    def wait_answers(self, name: str, states: set[str]) -> None:
        """Wait until it was told all of these about its alarm."""
        wait_until(lambda: states <= {state for told, state in self.answers if told == name}, HANG_S, f"{states}")

    def first_told(self, name: str) -> list[str]:
        """States it was told of its alarm, each where it came first."""
        return list(dict.fromkeys(state for told, state in self.answers if told == name))

    def close(self) -> None:
        """Say goodbye."""
        self._client.disconnect()
        self._client.loop_stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def alarms_of(service: ServiceProcess, device: str, kind: str = "") -> list[dict[str, Any]]:
    """Every alarm of a device, closed ones too."""
    arguments = {"kind": kind} if kind else {}
    found: list[dict[str, Any]] = service.client().call(
        "alarm_list", device=device, all=True, purpose=PURPOSE, limit=ALL_ROWS, **arguments
    )
    return found


def wait_alarm(
    service: ServiceProcess,
    device: str,
    kind: str,
    met: Callable[[dict[str, Any]], object] = lambda _row: True,
    what: str = "an alarm",
) -> dict[str, Any]:
    """Wait until the one alarm of this key is as `met` wants it; it is never more than one."""
    found: list[dict[str, Any]] = []

    def there() -> bool:
        nonlocal found
        found = alarms_of(service, device, kind)
        return bool(found) and bool(met(found[0]))

    wait_until(there, HANG_S, f"{what} of {device}")
    assert len(found) == 1, found
    return found[0]


def audit_of(service: ServiceProcess, target: str) -> list[dict[str, Any]]:
    """Audit rows about `target`, oldest first; the chain holds."""
    client = service.client()
    checked = client.call("audit_verify")
    assert checked["ok"], checked
    rows: list[dict[str, Any]] = []
    before: int | None = None
    while page := client.call("audit_list", limit=ALL_ROWS, before=before):
        rows += page
        before = page[-1]["number"]
    return [row for row in reversed(rows) if row["target"] == target]


class Watching:
    """A reader of the feed of alarms, who comes back after every break with the last number he saw.

    Args:
        service: whose feed.
        after: an event's number to begin after; None: those to come.

    Attributes:
        events: (our monotonic clock, event) in the order in which they came.
    """

    def __init__(self, service: ServiceProcess, after: int | None = None) -> None:
        self._service = service
        self._after = after
        self._stop = threading.Event()
        self._began = threading.Event()
        self.events: list[tuple[float, dict[str, Any]]] = []
        self._thread = threading.Thread(target=self._watch, name="watching", daemon=True)

    def _watch(self) -> None:
        while not self._stop.is_set():
            try:
                for line in self._service.client().watch(after=self._after, purpose=PURPOSE, every_line=True):
                    self._take(line)
                    if self._stop.is_set():
                        return
            except TryAgain:
                self._stop.wait(0.05)

    def _take(self, line: dict[str, Any]) -> None:
        if "action" in line:
            self.events.append((time.monotonic(), line))
            self._after = line["number"]
        elif self._after is None:
            self._after = line["heartbeat"]
        self._began.set()

    def raised(self) -> dict[str, float]:
        """When each alarm was raised first, by id."""
        found: dict[str, float] = {}
        for at_s, event in list(self.events):
            if event["action"] == "raise":
                found.setdefault(event["alarm"]["alarm"], at_s)
        return found

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._began.wait(HANG_S), "the feed says nothing"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(HANG_S)
