"""A town for the pages: `lucheng run` as a process, a real broker, cameras that speak RTSP, people with accounts.

Everything goes the way it goes in a city: devices send through MQTT, cameras are watched by the service's own workers, and whoever
looks signs in over HTTP. Invariants: whatever a test does, `close` leaves no process. It asserts nothing but that what it
waits for comes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from console.client import RemoteClient
from console.web.pages import BUILT
from lucheng.demo_roads import put_roads
from model.clock import SystemClock
from model.errors import LuchengError
from model.role import Role
from simulator import payloads
from simulator.publisher import Publisher
from tests.conftest import Mosquitto, free_port, wait_until
from tests.lucheng.service_process import HANG_S, ServiceProcess
from tests.rtsp import RtspServer, pictures

__all__ = ["BUILT", "PASSWORD", "PEOPLE", "Town"]

LAT, LON = 40.65, 109.84
PASSWORD = "open sesame, please"
PEOPLE = {
    "wang": Role.OPERATOR,
    "li": Role.OPERATOR,
    "chen": Role.SUPERVISOR,
    "zhao": Role.AUDITOR,
    "sun": Role.OFFICER,
    "zhou": Role.APPROVER,
    "wu": Role.TECHNICIAN,
    "zheng": Role.ADMIN,
}
BUTTON = "button/S3"
CAMERAS = ("camera/gate-1", "camera/gate-2")
UNITS = ("unit/P1", "unit/P2")
#: A camera is asked for what was before the alarm: so long it has to have been watched.
BEFORE_S = 12.0
_M_PER_DEG = 111_320.0


class Town:
    """One service with what belongs to it; a context manager.

    Args:
        folder: for everything.
        cameras: whether there are two beside the button.
        people: whether the accounts of `PEOPLE` are made, else the service waits for its first administrator.
        doors: further addresses under which browsers come, e.g. that of a proxy.
        settings: further settings of the service, as environment.
    """

    def __init__(
        self,
        folder: Path,
        *,
        cameras: bool = False,
        people: bool = True,
        doors: tuple[str, ...] = (),
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._people = people
        self.mosquitto = Mosquitto(folder / "mosquitto")
        self.rtsp: RtspServer | None = None
        if cameras:
            film = pictures(folder / "film", fps=10.0, width_px=640, height_px=360, frames=60, gop=10)
            self.rtsp = RtspServer(folder / "rtsp")
            for number in range(len(CAMERAS)):
                self.rtsp.add(f"/gate-{number + 1}", film)
        env = {
            "LUCHENG_DEVICES__UNKNOWN": "register",
            "LUCHENG_WEB__PORT": str(self.port),
            "LUCHENG_WEB__ORIGINS": json.dumps(list(doors)),
            "LUCHENG_ACCOUNTS__PASSWORD_MEMORY_KIB": "19456",
            "LUCHENG_ACCOUNTS__PASSWORD_PASSES": "2",
            "LUCHENG_CAMERA__ALLOW_NETWORKS": '["127.0.0.0/8"]',
            "LUCHENG_CAMERA__WORKERS": "1",
            "LUCHENG_CAMERA__BACK_OFF_MAX_S": "1",
            **(settings or {}),
        }
        (folder / "data").mkdir(parents=True, exist_ok=True)
        put_roads(folder / "data", 1)
        self.service = ServiceProcess(folder / "data", self.mosquitto.url, env=env)
        self._numbers: dict[str, int] = {}
        self._publisher: Publisher | None = None

    # -- its life -----------------------------------------------------------------------------

    def start(self) -> Self:
        """Broker, cameras, service; accounts, devices, the first places."""
        self.mosquitto.start()
        if self.rtsp is not None:
            self.rtsp.start()
        self.service.start()
        self._publisher = Publisher(self.mosquitto.url, clock=SystemClock())
        self._publisher.__enter__()
        if self._people:
            for user, role in PEOPLE.items():
                self.call("account_add", user=user, role=role.value, password=PASSWORD, name=user)
        self._settle()
        return self

    def close(self) -> None:
        """End all of it."""
        if self._publisher is not None:
            self._publisher.__exit__(None, None, None)
        self.service.close()
        if self.rtsp is not None:
            self.rtsp.stop()
        self.mosquitto.stop()

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _settle(self) -> None:
        self.call("site_add", site="S3", name="第三小学", contact="王老师", phone="04725551234", lat=LAT, lon=LON)
        self.call("device_add", device=BUTTON, name="门卫室", site="S3", lat=LAT, lon=LON)
        if self.rtsp is not None:
            for number, camera in enumerate(CAMERAS, 1):
                self.call(
                    "camera_set", camera=camera, add=True, url=self.rtsp.url(f"/gate-{number}"), name=f"校门 {number} 号",
                    lat=LAT + 0.0008 * number, lon=LON + 0.0006, settings={"pre_roll_s": 15.0, "post_roll_s": 5.0},
                )  # fmt: skip
        for number, unit in enumerate(UNITS, 1):
            self.drive(unit, LAT + 0.004 * number, LON, kmh=0.0)
        for number in (1, 2, 3):
            self.drive(f"taxi/B000{number}", LAT - 0.003 * number, LON + 0.002)
        wait_until(lambda: self.call("status")["devices"].get("taxi", 0) >= 3, HANG_S, "the first places")
        for unit in UNITS:
            self.call("unit_set", unit=unit, level=1, state="free")

    # -- people -------------------------------------------------------------------------------

    def client(self) -> RemoteClient:
        """A client of the service's own socket."""
        return self.service.client()

    def call(self, operation: str, **arguments: Any) -> Any:
        """An operation, as whoever runs the service."""
        return self.client().call(operation, **arguments)

    # -- devices ------------------------------------------------------------------------------

    def send(self, device: str, stream: str, payload: bytes) -> None:
        """A message of a device to the broker."""
        assert self._publisher is not None
        self._publisher.publish(device, payloads.topic(device, stream), payload)

    def sent(self) -> None:
        """Wait until the broker has all of it."""
        assert self._publisher is not None
        assert self._publisher.drain(HANG_S), "the broker does not acknowledge"

    def drive(self, device: str, lat: float, lon: float, kmh: float = 40.0) -> None:
        """A place of now."""
        self.points(device, [(time.time_ns() // 1_000_000, lat, lon, kmh)])

    def points(self, device: str, rows: list[tuple[int, float, float, float]]) -> None:
        """Places as (time ms, lat, lon, km/h), in order of time; those of the past say that they were kept."""
        now_ms = time.time_ns() // 1_000_000
        made = []
        for time_ms, lat, lon, kmh in rows:
            self._numbers[device] = self._numbers.get(device, 0) + 1
            made.append(
                {
                    "ts": time_ms, "seq": self._numbers[device], "lat": round(lat, 6), "lon": round(lon, 6),
                    "speed_kmh": round(kmh, 1), "heading_deg": 90.0, "acc_m": 9.0, "valid": True, "ignition": True,
                    "occupied": False, "buffered": now_ms - time_ms > 60_000,
                }
            )  # fmt: skip
        for first in range(0, len(made), 50):
            self.send(device, "point", json.dumps(made[first : first + 50]).encode())
        self.sent()

    def way(self, device: str, minutes: int, *, ago_min: int, lat: float = LAT, lon: float = LON) -> None:
        """A straight way in the past at 36 km/h, a point every ten seconds."""
        began_ms = time.time_ns() // 1_000_000 - ago_min * 60_000
        step = 100.0 / _M_PER_DEG
        self.points(device, [(began_ms + n * 10_000, lat + n * step, lon, 36.0) for n in range(minutes * 6)])

    def press(self, name: str, device: str = BUTTON, kind: str = "one_key") -> None:
        """An alarm message with the device's own number."""
        self.send(device, "alarm", payloads.alarm(name, time.time_ns() // 1_000_000, kind))
        self.sent()

    # -- what came of it ----------------------------------------------------------------------

    def alarms(self, **filters: Any) -> list[dict[str, Any]]:
        """Every alarm, closed ones too."""
        found: list[dict[str, Any]] = self.call(
            "alarm_list", all=True, folded=False, purpose="test", limit=10_000, **filters
        )
        return found

    def alarm(self, device: str = BUTTON) -> dict[str, Any]:
        """The newest alarm of a device, once there is one."""
        wait_until(lambda: self.alarms(device=device), HANG_S, f"an alarm of {device}")
        return max(self.alarms(device=device), key=lambda row: str(row["received"]))

    def wait_watched(self) -> None:
        """Wait until every camera was watched long enough for what is before an alarm."""
        deadline_s = time.monotonic() + HANG_S
        for camera in CAMERAS:
            why = "late"
            while "late" in why:
                assert time.monotonic() < deadline_s, f"{camera}: {why}; {self.service.said[-2000:]}"
                try:
                    why = self.call("camera_clip", camera=camera, seconds=BEFORE_S, purpose="test")["note"]
                except LuchengError as error:
                    why = f"late: {error}"
                time.sleep(0.2)
