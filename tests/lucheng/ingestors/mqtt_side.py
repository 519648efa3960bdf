"""What tests of MQTT across machines share: shipped mosquitto files on free ports, devices that publish, the points in the log."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from model.batch_codec import decode
from model.seams import RecordKind
from store.log.jetstream import JetStreamLog
from store.nats.link import Link
from store.nats.streams import Names
from tests.conftest import Mosquitto
from tests.nats import link_to

PROJECT = Path(__file__).parents[3]
FILES = PROJECT / "config" / "files"
START_MS = 1_760_000_000_000


class Shipped(Mosquitto):
    """mosquitto on a shipped configuration file, in which `replaced` has the addresses and folders of the test."""

    def __init__(self, folder: Path, name: str, port: int, replaced: Mapping[str, str]) -> None:
        super().__init__(folder)
        self.port = port
        text = (FILES / "mqtt_cluster" / name).read_text()
        for before, after in replaced.items():
            assert before in text, before
            text = text.replace(before, after)
        own = [f"persistence_location {folder}/", *(("user root",) if os.geteuid() == 0 else ())]
        self.lines = (*own, *text.splitlines())


class Process:
    """A Python program beside this file, that says a line when it is ready."""

    def __init__(self, name: str, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name(name)), *arguments],
            env=os.environ | {"PYTHONPATH": str(PROJECT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.said = self.process.stdout.readline()
        assert self.said, f"{name} did not start"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


class Device:
    """A device that publishes points at QoS 1, and knows which of them were acknowledged.

    Its client keeps what was not acknowledged and sends it again after it came back, as a good device does.
    """

    def __init__(self, port: int, device: str, password: str, *, client_id: str = "", wait: bool = True) -> None:
        self.device = device
        self.refused = 0
        self.listening = threading.Event()
        self.heard: list[tuple[str, bytes]] = []
        self.reasons: list[str] = []
        self._times: dict[int, int] = {}
        self._next = 0
        self._up = threading.Event()
        self._acknowledged: list[int] = []
        self.client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=client_id or device, clean_session=False, protocol=paho.MQTTv311
        )
        self.client.username_pw_set(device, password)
        self.client.reconnect_delay_set(1, 1)
        self.client.on_connect = self._connected
        self.client.on_publish = self._published
        self.client.on_disconnect = self._cut_off
        self.client.on_subscribe = lambda *_: self.listening.set()
        self.client.on_message = lambda _c, _d, message: self.heard.append((message.topic, bytes(message.payload)))
        self.client.connect_async("127.0.0.1", port, keepalive=5)
        self.client.loop_start()
        assert not wait or self._up.wait(20), (device, self.reasons)

    def send(self, count: int, *, topic: str = "") -> None:
        """Publish the next points, one a second of device time."""
        for _ in range(count):
            time_ms = START_MS + self._next * 1_000
            payload = {"seq": self._next, "ts": time_ms, "lat": 40.65, "lon": 109.84}
            self._next += 1
            info = self.client.publish(topic or f"lucheng/v1/{self.device}/up/point", json.dumps(payload), qos=1)
            self._times[info.mid] = time_ms

    @property
    def acknowledged(self) -> list[int]:
        """Times of the points that the broker acknowledged."""
        return [self._times[mid] for mid in list(self._acknowledged) if mid in self._times]

    @property
    def sent(self) -> int:
        return self._next

    @property
    def up(self) -> bool:
        """Whether it was ever let in."""
        return self._up.is_set()

    def listen(self) -> None:
        """Hear what it is told."""
        self.client.subscribe(f"lucheng/v1/{self.device}/down/#", 1)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def _connected(self, _client: object, _data: object, _flags: object, reason: ReasonCode, _p: object) -> None:
        self.reasons.append(str(reason))
        if not reason.is_failure:
            self._up.set()

    def _cut_off(self, *_: object) -> None:
        self.refused += not self.up

    def _published(self, _client: object, _data: object, mid: int, _reason: object, _properties: object) -> None:
        self._acknowledged.append(mid)


def stored(url: str, names: Names) -> dict[int, list[int]]:
    """Times of every point in the log by slot, in the order of the log."""
    return stored_in(link_to([url]), names)


def stored_in(link: Link, names: Names) -> dict[int, list[int]]:
    """The same, by a connection that is closed with it."""
    log = JetStreamLog(link, names, names.alarms, names.alarms_subject, exclusive=False, read_only=True)
    found: dict[int, list[int]] = {}
    after = 0
    with contextlib.closing(log):
        while records := log.read(after, max_records=1_000, max_bytes=1 << 24):
            for record in records:
                if record.kind is RecordKind.POINTS:
                    batch = decode(record.payload)
                    for slot, time_ms in zip(batch.slot.tolist(), batch.time_ms.tolist(), strict=True):
                        found.setdefault(slot, []).append(time_ms)
            after = records[-1].position
    return found


def first_of_each(times: list[int]) -> list[int]:
    """In their order, what came again left out."""
    return list(dict.fromkeys(times))
