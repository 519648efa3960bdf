"""Machines that share cameras, as real processes on a real nats-server, with a real RTSP server in front of them.

It asserts nothing but that what it waits for comes. `close` leaves no process.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from config.sections import Settings
from devices.cameras import Cameras
from devices.details import DeviceDetails
from devices.registry import Registry
from lucheng.nats_choice import open_link, prepare
from lucheng.rooms import SECRET_KEY_FILE
from model.camera import CameraSettings
from model.clock import SystemClock
from model.errors import LuchengError
from tests.conftest import wait_until
from tests.nats import NatsCluster, NatsServer
from tests.rtsp import RtspServer, pictures

MACHINE = Path(__file__).parent / "machine.py"
ROOT = Path(__file__).resolve().parents[4]
WAIT_S = 90.0
MIB = 1 << 20
PATH = "/street"
PLACE = (40.65, 109.84)


class Machine:
    """One machine's process.

    Args:
        folder: that machines share.
        name: its own.
        settings: as JSON values.
    """

    def __init__(self, folder: Path, name: str, settings: dict[str, Any]) -> None:
        self.folder, self.name = folder, name
        self._settings = folder / f"{name}.json"
        self._settings.write_text(json.dumps(settings))
        self._log = folder / f"{name}.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Machine:
        """Start it and do not wait."""
        (self.folder / self.name / "status.json").unlink(missing_ok=True)
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(MACHINE), str(self.folder), self.name, str(self._settings)],
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
        return self

    def status(self) -> dict[str, Any]:
        """How it said it is; {} before its first word."""
        try:
            found: dict[str, Any] = json.loads((self.folder / self.name / "status.json").read_text())
        except FileNotFoundError:
            assert self.process is None or self.process.poll() is None, self.said()
            return {}
        return found

    def watched(self) -> set[str]:
        """Cameras whose pictures it has now."""
        cameras = self.status().get("cameras", {})
        return {device for device, one in cameras.items() if (one["media_age_s"] or 99.0) < 2.0}

    def said(self) -> str:
        """The end of its log."""
        return self._log.read_text(errors="replace")[-4_000:]

    def kill(self) -> None:
        """End it as a power cut ends a process: its workers are left to find out."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.process = None
        (self.folder / self.name / "status.json").unlink(missing_ok=True)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self) -> None:
        """End it in order."""
        if self.process is None:
            return
        self.send(signal.SIGCONT)
        self.send(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            for child in psutil.Process(self.process.pid).children(recursive=True):
                child.kill()
            self.process.kill()
            self.process.wait()
        self.process = None
        (self.folder / self.name / "status.json").unlink(missing_ok=True)


class Seen:
    """Connections to cameras: when each was seen first and last. One of less than `BRIEF_S` was the request before the stream."""

    BRIEF_S = 1.0

    def __init__(self) -> None:
        self.times: dict[tuple[str, int, int], tuple[float, float]] = {}

    def streams(self) -> list[tuple[str, int, float, float]]:
        """Address, process, first and last time of each stream."""
        return [
            (address, pid, first_s, last_s)
            for (address, pid, _), (first_s, last_s) in list(self.times.items())
            if last_s - first_s >= self.BRIEF_S
        ]

    def open_twice(self) -> list[tuple[str, float]]:
        """Cameras that two processes had open at a time, and for how long, seconds."""
        found = []
        for address, pid, first_s, last_s in self.streams():
            for other, other_pid, other_first_s, other_last_s in self.streams():
                if other == address and other_pid > pid and first_s <= other_last_s and other_first_s <= last_s:
                    found.append((address, min(last_s, other_last_s) - max(first_s, other_first_s)))
        return found

    def most_opened_in_a_second(self, pids: list[int]) -> int:
        """Streams that these processes opened within a second, at most."""
        times = [first_s for _, pid, first_s, _ in self.streams() if pid in pids]
        return max((sum(at_s <= one < at_s + 1 for one in times) for at_s in times), default=0)


class SharingHouse:
    """A nats-server, an RTSP server, a registry with cameras, and machines.

    Args:
        folder: for everything.
        cameras: how many there are, all of one street.
        video: settings of `[video]` that differ from what tests want; `three`: of three nats-servers; `more`: further sections; `camera`: of each camera.
    """

    def __init__(
        self,
        folder: Path,
        *,
        cameras: int = 6,
        three: bool = False,
        more: dict[str, Any] | None = None,
        camera: dict[str, Any] | None = None,
        **video: Any,
    ) -> None:
        self.folder = folder
        if three:
            self.cluster = NatsCluster(folder / "nats").start()
            self.servers = self.cluster.servers
        else:
            self.servers = [NatsServer(folder / "nats").start()]
        street = pictures(folder / "street", fps=10, gop=10, frames=100)
        self.rtsp = RtspServer(folder / "rtsp", listen="0.0.0.0").add(PATH, street).start()
        self.settings: dict[str, Any] = {
            "nats": {
                "mode": "log",
                "urls": ",".join(server.url for server in self.servers),
                "monitor_urls": ",".join(server.monitor_url for server in self.servers),
                "alarm_replicas": len(self.servers),
                "point_replicas": 1,
                "max_alarm_bytes": 64 * MIB,
                "max_point_bytes": 64 * MIB,
                "max_snapshot_bytes": 64 * MIB,
            },
            "camera": {
                "allow_networks": ["127.0.0.0/8"],
                "workers": 1,
                "back_off_min_s": 0.2,
                "back_off_max_s": 1.0,
                "offline_after_s": 20,
            },
            "clips": {"cameras": 2},
            "video": {"shares": 32, "settle_s": 2.0, "give_every_s": 0.2, "max_file_bytes": 64 * MIB, **video},
            **(more or {}),
        }
        self.typed = Settings.model_validate(self.settings)
        clock = SystemClock()
        link = open_link(self.typed, clock, "test")
        prepare(self.typed, link)
        link.close()
        self.registry = Registry(folder / "registry.db", clock=clock)
        (folder / SECRET_KEY_FILE).parent.mkdir(exist_ok=True)
        self.cameras = Cameras(self.registry.file, folder / SECRET_KEY_FILE)
        self.names = [f"camera/{number}" for number in range(1, cameras + 1)]
        for number, name in enumerate(self.names):
            self.registry.add(name, DeviceDetails(lat=PLACE[0] + 0.0005 * number, lon=PLACE[1]))
            settings = CameraSettings(**{"health_alarms": (), "pre_roll_s": 4.0, "post_roll_s": 4.0, **(camera or {})})
            self.cameras.put(name, settings, url=self.address(number))
        self.machines: list[Machine] = []

    def address(self, number: int) -> str:
        """Where a camera is: each has an address of its own on the loopback interface, as cameras do."""
        return self.rtsp.url(PATH).replace("127.0.0.1", f"127.0.1.{number + 1}")

    def machine(self, name: str, **video: Any) -> Machine:
        """A machine, started; `video`: what is set otherwise on it."""
        made = Machine(self.folder, name, {**self.settings, "video": {**self.settings["video"], **video}})
        self.machines.append(made)
        return made.start()

    def wait_all_watched(self, machines: Sequence[Machine], what: str = "every camera to be watched") -> float:
        """Wait until each camera is watched by exactly one of these machines; how long it took, seconds."""
        began_s = time.monotonic()

        def there() -> bool:
            found = [device for machine in machines for device in machine.watched()]
            return sorted(found) == sorted(self.names)

        self.wait(there, what)
        return time.monotonic() - began_s

    def wait(self, condition: Callable[[], object], what: str, timeout_s: float = WAIT_S) -> None:
        """Wait; what the machines said is told where it does not come."""
        try:
            wait_until(condition, timeout_s, what)
        except BaseException:
            for machine in self.machines:
                print(f"--- {machine.name}: {machine.status()}\n{machine.said()}")
            raise

    def connections(self) -> set[tuple[str, int, int]]:
        """Connections to the RTSP server: the camera's address, process, and the port of its end."""
        return {
            (one.raddr.ip, one.pid, one.laddr.port)
            for one in psutil.net_connections("tcp")
            if one.raddr
            and one.laddr
            and one.raddr.port == self.rtsp.port
            and one.status == psutil.CONN_ESTABLISHED
            and one.pid
        }

    @contextmanager
    def sampled(self) -> Iterator[Seen]:
        """Who is connected to the RTSP server, while this lasts."""
        seen = Seen()
        stop = threading.Event()

        def sample() -> None:
            while not stop.wait(0.05):
                at_s = time.monotonic()
                for one in self.connections():
                    seen.times.setdefault(one, (at_s, at_s))
                    seen.times[one] = (seen.times[one][0], at_s)

        thread = threading.Thread(target=sample)
        thread.start()
        try:
            yield seen
        finally:
            stop.set()
            thread.join()

    def close(self) -> None:
        """End everything."""
        for machine in self.machines:
            machine.stop()
        self.rtsp.stop()
        for server in self.servers:
            server.kill()
        self.registry.close()


__all__ = ["LuchengError", "Machine", "SharingHouse"]
