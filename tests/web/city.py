"""The pages over a real data folder: real stores, operations, accounts, live side, map, and the console's own server on a free port.

What of the service is not here is what comes from devices: signals and points are put into the stores as its pipeline does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from config.sections import Settings
from config.web import Accounts, Web
from console.device_operations import Caller
from console.web.pages import BUILT
from lucheng.demo_roads import put_roads
from lucheng.live_side import Places, open_live_side
from lucheng.operating import operations_of
from lucheng.rooms import open_rooms
from lucheng.web_side import open_web_side
from model.batch import PointBatch
from model.batch_codec import encode
from model.clock import SystemClock
from model.codes import Flag
from model.role import Role
from model.seams import NewRecord, Outcome, RecordKind
from model.signal import Signal
from tests.conftest import free_port

__all__ = ["BUILT", "City"]

LAT, LON = 40.65, 109.84
#: Of everybody in the city.
PASSWORD = "open sesame"
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
_BITS = Flag.VALID | Flag.VALID_SENT | Flag.IGNITION | Flag.IGNITION_SENT | Flag.OCCUPIED_SENT


class City:
    """A small city: a school with a button, cameras, units and taxis; a context manager."""

    def __init__(self, folder: Path, **sections: Any) -> None:
        """`sections` are settings besides, by section."""
        #: Streams of events that are cut as soon as they begin.
        self.cut = False
        put_roads(folder, 1)
        people = Accounts(password_memory_kib=19_456, password_passes=2)
        settings = Settings(web=Web(port=free_port()), accounts=people, **sections)
        self.rooms = open_rooms(folder, settings, write=True, clock=SystemClock())
        rooms = self.rooms
        #: What the service says of itself, by name.
        self.said: dict[str, float] = {}
        self.operations = operations_of(
            rooms,
            on_registry_change=self._refresh,
            live=lambda: self.said,
            sitters=lambda: self.live.hub.sitters(),  # noqa: PLW0108 made later
        )
        self.positions = Places(rooms, rooms.directory).table
        self.live = open_live_side(rooms, self.operations, self.positions)
        web = open_web_side(rooms, self.operations, self.live, None)
        assert web is not None
        self.web = web
        self._fill()

    def __enter__(self) -> Self:
        self.web.start()
        switch = self.web.server._switch
        assert switch.app is not None
        switch.app = _Cut(switch.app, self)
        return self

    def __exit__(self, *_: object) -> None:
        self.live.close()
        self.web.stop()
        self.rooms.close()

    @property
    def url(self) -> str:
        return self.web.server.url.rstrip("/")

    def ask(self, operation: str, who: str = "tester", **arguments: Any) -> Any:
        """Run an operation as somebody."""
        return getattr(self.operations, operation)(Caller(who, "cli", "process"), **arguments)

    def press(self, device: str = "button/school-3", kind: str = "one_key", number: int = 1, ago_ms: int = 300) -> str:
        """A signal as the pipeline hands it over; the id of its alarm."""
        now_ms = self.rooms.clock.now_ms()
        made = Signal(
            f"{device}-{kind}-{number}", device, kind, "bit", now_ms - ago_ms, now_ms, LAT, LON, 3, False, "", number
        )
        return self.rooms.desk.take([made])[-1].alarm.alarm.id

    def drive(self, device: str, lat: float, lon: float, kmh: float = 40.0) -> None:
        """A point of now, stored and told."""
        now_ms = self.rooms.clock.now_ms()
        (slot,) = self.rooms.registry.ensure([device]).tolist()
        batch = PointBatch.of(
            1,
            {
                "slot": slot, "time_ms": np.array([now_ms]), "received_ms": now_ms, "lat": lat, "lon": lon,
                "speed_kmh": kmh, "heading_deg": 90.0, "acc_m": 9.0, "flags": np.array([int(_BITS)], np.uint16),
            },
        )  # fmt: skip
        position = self.rooms.points_log.append([NewRecord(RecordKind.POINTS, 1, encode(batch))])
        self.rooms.series.commit(Outcome(position, batch), stored_ms=now_ms)
        self.positions.take(batch)

    def _refresh(self) -> None:
        self.rooms.registry.refresh(self.rooms.directory)

    def _fill(self) -> None:
        for user, role in PEOPLE.items():
            self.rooms.accounts.add(user, role, self.rooms.passwords.hash(PASSWORD), by="tester", name=user)
        for number in range(3):
            self.ask(
                "camera_set", camera=f"camera/gate-{number}", add=True, url=f"rtsp://10.0.0.{number}/main",
                name=f"东河路口 {number} 号", lat=LAT + 0.001 * number, lon=LON + 0.001,
            )  # fmt: skip
        self.ask("site_add", site="school-3", name="第三小学", contact="王老师", phone="04725551234", lat=LAT, lon=LON)
        self.ask("device_add", device="button/school-3", name="门卫室", site="school-3", lat=LAT, lon=LON)
        names = ["unit/P1", "unit/P2", "taxi/B0001", "taxi/B0002"]
        self.rooms.registry.ensure(names)
        self.rooms.registry.refresh(self.rooms.directory)
        for unit in names[:2]:
            self.ask("unit_set", unit=unit, level=1, state="free")
        for number, name in enumerate(names):
            self.drive(name, LAT + 0.004 * (number + 1), LON)


class _Cut:
    """Refuses streams of events while the line is cut."""

    def __init__(self, app: ASGIApp, city: City) -> None:
        self._app = app
        self._city = city

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._city.cut and scope.get("path") == "/api/v1/events":
            await JSONResponse({}, 503)(scope, receive, send)
        else:
            await self._app(scope, receive, send)
