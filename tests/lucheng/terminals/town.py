"""`Town`: a service on a data folder with its gateway on free ports, the terminals that are connected to it, and the desk.

Purpose: what the tests of terminals through real processes share. Invariants: the terminals keep their tokens and serials
over restarts of the service; waiting is for conditions alone. It asserts nothing but that what is waited for comes.
"""

from __future__ import annotations

import json
import os
import threading
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from console.server import user_name
from console.track_rows import FIRST_MS, LAST_MS
from simulator import payloads
from simulator.publisher import Broker
from simulator.terminal.terminal import Terminal
from simulator.terminal.wire import Protocol
from tests.conftest import free_port, wait_until
from tests.lucheng.faults.desk_side import PURPOSE, alarms_of, audit_of, millis
from tests.lucheng.in_process import answer
from tests.lucheng.service_process import HANG_S, ServiceProcess

#: Who asks over the service's socket: the user who runs the tests.
ME = user_name(os.getuid())
DESK_NUMBER = "04720000110"
HOUR_MS = 3_600_000


class Town:
    """A service and what is around it.

    Args:
        service: not started yet.
        broker: URL of its broker.
        stack: closes the terminals.
    """

    def __init__(self, service: ServiceProcess, broker: str, stack: ExitStack) -> None:
        self.service, self.broker = service, broker
        self._stack = stack
        self._ports = {"JT": free_port(), "GT06": free_port()}
        service.env = {
            "LUCHENG_GATEWAY__LISTEN": "127.0.0.1",
            **{f"LUCHENG_GATEWAY__{name}_PORT": str(port) for name, port in self._ports.items()},
            # Missing parts are asked for soon, and again for as long as a busy machine may need.
            "LUCHENG_GATEWAY__PART_TIMEOUT_S": "0.2",
            "LUCHENG_GATEWAY__PART_RETRIES": "100",
            "LUCHENG_COMMANDS__SNAPSHOT_ON_SOS": "false",
        }
        self.work_as("supervisor", number=DESK_NUMBER)

    # -- the service --------------------------------------------------------------------------

    def work_as(self, role: str, *, number: str) -> None:
        """From the next start on whoever runs the tests has that role, and terminals dial that number."""
        self.service.env |= {
            "LUCHENG_OPERATORS__USERS": json.dumps({ME: role}),
            "LUCHENG_DESK__PHONE_NUMBER": number,
        }

    def start(self, **settings: str) -> Self:
        """Start the service, with more settings: `COMMANDS__REPLY_TIMEOUT_S="1"`."""
        self.service.env |= {f"LUCHENG_{name}": value for name, value in settings.items()}
        self.service.start()
        return self

    def call(self, operation: str, **arguments: Any) -> Any:
        """Ask over the service's socket, as `ME`."""
        return self.service.client().call(operation, **arguments)

    def cli(self, *arguments: str) -> Any:
        """What the command line prints with `--json`; it asks the running service."""
        return answer(self.service.data, *arguments)

    # -- terminals ----------------------------------------------------------------------------

    def add(self, device: str, number: str, protocol: Protocol) -> Terminal:
        """Register a device, and a terminal for it that has not come yet."""
        spoken = protocol.value.partition("-")[0]
        by = {"imei": number} if protocol is Protocol.GT06 else {"phone": number}
        self.call("device_add", device=device, protocol=spoken, **by)
        port = self._ports["GT06" if protocol is Protocol.GT06 else "JT"]
        # Nothing is sent again but by `reconnect`: a slow machine changes no count.
        made = Terminal("127.0.0.1", port, protocol=protocol, number=number, answer_timeout_s=HANG_S)
        return self._stack.enter_context(made)

    def wait_online(self, device: str) -> None:
        """Wait until its session is known to the gateway."""
        wait_until(
            lambda: any(row["device"] == device and row["session"] for row in self.call("terminal_list")),
            HANG_S,
            f"a session of {device}",
        )

    def stored_ms(self, device: str) -> list[int]:
        """Times of its stored places, in order, UTC ms."""
        pieces = self.service.client().track(device=device, from_ms=FIRST_MS, to_ms=LAST_MS, purpose=PURPOSE)
        times = [millis(point["time"]) for point in json.loads(b"".join(pieces))["points"]]
        return [at_ms for at_ms in times if at_ms is not None]

    # -- commands -----------------------------------------------------------------------------

    def give(self, device: str, name: str, *, reason: str = "", alarm: str = "", **args: Any) -> str:
        """Give a command; its id."""
        made = self.call("command_send", device=device, name=name, args=args, reason=reason, alarm=alarm)
        return str(made["command"])

    def command(self, command: str) -> dict[str, Any]:
        """A command as `lucheng command show` shows it."""
        found: dict[str, Any] = self.cli("command", "show", command)
        return found

    def wait_command(self, command: str, *states: str) -> dict[str, Any]:
        """Wait until it is in one of these states; the command then."""
        wait_until(
            lambda: self.call("command_show", command=command)["state"] in states, HANG_S, f"{command} to be {states}"
        )
        return self.command(command)

    def given(self, device: str, name: str) -> list[dict[str, Any]]:
        """All commands of that name to a device, oldest first."""
        rows = self.call("command_list", device=device, all=True)
        return [row for row in reversed(rows) if row["name"] == name]

    def audited(self, target: str, action: str) -> list[dict[str, Any]]:
        """Audit rows of one action on a target, oldest first: who, and the detail."""
        rows = audit_of(self.service, target)
        return [{"who": row["who"], **row["detail"]} for row in rows if row["action"] == action]

    # -- the desk -----------------------------------------------------------------------------

    def work(self, alarm: str, *steps: str) -> None:
        """Take an alarm further: `ack`, `resolve`, `close`."""
        arguments = {"resolve": {"outcome": "real"}, "close": {"reason": "done"}}
        for step in steps:
            self.call(f"alarm_{step}", alarm=alarm, **arguments.get(step, {}))

    def alarms(self, device: str, kind: str) -> list[dict[str, Any]]:
        """Every alarm of that kind of a device."""
        return alarms_of(self.service, device, kind)


class MqttDevice:
    """A device of ours on a connection of its own, told things on `down/command`.

    Args:
        broker: URL of an anonymous broker.
        device: whose topics it uses.
        client_id: of its connection.

    Attributes:
        commands: what it was told, in order; kept: how many of those the broker had kept for whoever comes.
    """

    def __init__(self, broker: str, device: str, client_id: str = "") -> None:
        where = Broker.parse(broker)
        self.id = device
        self.commands: list[dict[str, Any]] = []
        self.kept = 0
        self._subscribed = threading.Event()
        name = client_id or f"device-{device}".replace("/", "-")
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name)
        self._client.on_connect = lambda client, *_: client.subscribe(
            f"{payloads.TOPIC_ROOT}/{device}/down/command", qos=1
        )
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._message
        self._client.connect(where.host, where.port, 30)
        self._client.loop_start()
        assert self._subscribed.wait(HANG_S), "the broker takes no subscription"

    def _message(self, _client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        self.kept += message.retain
        self.commands.append(json.loads(message.payload))

    def wait_command(self, name: str) -> dict[str, Any]:
        """Wait until it was told this; the newest."""
        wait_until(lambda: any(one["name"] == name for one in list(self.commands)), HANG_S, f"{name} to {self.id}")
        return [one for one in self.commands if one["name"] == name][-1]

    def say(self, stream: str, **values: Any) -> None:
        """Publish a message of its own; returns when the broker has acknowledged it."""
        sent = self._client.publish(payloads.topic(self.id, stream), json.dumps(values), qos=1)
        sent.wait_for_publish(HANG_S)
        assert sent.is_published(), "the broker acknowledges nothing"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()
