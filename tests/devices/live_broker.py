"""A real mosquitto with the registry's files, and MQTT connections to it, for the tests of this folder."""

from __future__ import annotations

import os
import pwd
import queue
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from devices.broker_files import conf_lines
from devices.credentials import Credential
from model.clock import SystemClock
from tests.conftest import free_port

#: How long a test waits before it says that something did not happen.
WAIT_S = 10.0


class Listener:
    """One MQTT 5 connection; what happens to it comes out of `events` in order."""

    def __init__(self, port: int, credential: Credential | None, client_id: str, *, will: str = "") -> None:
        self.events: queue.Queue[tuple[str, str]] = queue.Queue()
        self.client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=client_id, protocol=mqtt.MQTTv5, reconnect_on_failure=False
        )
        if credential is not None:
            self.client.username_pw_set(credential.user, credential.password)
        if will:
            self.client.will_set(will, b"gone", 1)
        self.client.on_connect = lambda _c, _u, _f, reason, _p: self._note("connect", reason)
        self.client.on_disconnect = lambda _c, _u, _f, reason, _p: self._note("disconnect", reason)
        self.client.on_publish = lambda _c, _u, _m, reason, _p: self._note("published", reason)
        self.client.on_subscribe = lambda _c, _u, _m, _r, _p: self._note("subscribed", "")
        self.client.on_message = lambda _c, _u, message: self._note(message.topic, message.payload.decode())
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def _note(self, what: str, detail: Any) -> None:
        self.events.put((what, str(detail)))

    def next(self) -> tuple[str, str]:
        """The next thing that happened."""
        return self.events.get(timeout=WAIT_S)

    def publish(self, topic: str, payload: str, *, retain: bool = False) -> str:
        """Publish at QoS 1; what the broker answered."""
        self.client.publish(topic, payload, 1, retain=retain)
        what, detail = self.next()
        assert what == "published", (what, detail)
        return detail

    def subscribe(self, topic: str) -> None:
        """Subscribe; the broker grants every subscription and filters what it delivers."""
        self.client.subscribe(topic, 1)
        assert self.next()[0] == "subscribed"

    def drop(self) -> None:
        """Break the connection without a goodbye, so that the broker has to send the last will."""
        line = self.client.socket()
        assert isinstance(line, socket.socket)
        line.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Go, without a sound."""
        self.client.disconnect()
        self.client.loop_stop()


class Broker:
    """mosquitto on a free loopback port with the files of a registry in `folder`.

    Args:
        folder: where the files are.
        per_listener: say who may enter per listener, as the shipped settings for a system's broker do.
    """

    def __init__(self, folder: Path, *, per_listener: bool = False) -> None:
        self.folder = folder
        self.pid_file = folder / "pid"
        self.port = free_port()
        user = pwd.getpwuid(os.geteuid()).pw_name
        rules = [line for line in conf_lines(folder) if not (per_listener and line.startswith("per_listener"))]
        lines = [
            *(["per_listener_settings true"] if per_listener else []),
            f"pid_file {self.pid_file}",
            f"user {user}",
            f"listener {self.port} 127.0.0.1",
            *rules,
        ]
        (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")
        program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        self._log = (folder / "log").open("wb")
        self.process = subprocess.Popen(
            [program, "-c", str(folder / "mosquitto.conf")], stdout=self._log, stderr=self._log
        )
        self._opened: list[Listener] = []

    def wait(self) -> None:
        """Return when it listens."""
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0 and self.pid_file.exists():
                    return
            if self.process.poll() is not None:
                break
            SystemClock().sleep(0.05)
        raise AssertionError((self.folder / "log").read_text())

    def open(self, credential: Credential | None, client_id: str = "any", *, will: str = "") -> Listener:
        """A connection, accepted or not; look at its first event."""
        listener = Listener(self.port, credential, client_id, will=will)
        self._opened.append(listener)
        return listener

    def connected(self, credential: Credential, client_id: str = "any", *, will: str = "") -> Listener:
        """A connection that was accepted."""
        listener = self.open(credential, client_id, will=will)
        assert listener.next() == ("connect", "Success")
        return listener

    def close(self) -> None:
        """End the connections and the process."""
        for listener in self._opened:
            listener.close()
        self.process.terminate()
        self.process.wait(WAIT_S)
        self._log.close()
