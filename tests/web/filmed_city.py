"""The console of a running service that watches cameras: RTSP ▸ worker ▸ service ▸ the console's own server ▸ a browser.

Invariants: everything is the service's own, in its processes; the cameras are simulated, each a channel of a real RTSP server; whatever a test does,
nothing is left of it. It asserts nothing but that what it waits for comes.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from model.errors import LuchengError
from simulator.camera.film import Film
from simulator.camera.rtsp import Channel
from tests.conftest import free_port
from tests.lucheng.video.camera_city import WORKER_S, CameraCity, make_film, pictures
from tests.web.city import PASSWORD

LAT, LON = 40.65, 109.84
SITE = "school-3"
GATE, YARD, HALL, FAR = "camera/gate", "camera/yard", "camera/hall", "camera/far"
#: Of the picture's left half.
MASK = [[0.0, 0.0], [0.5, 0.0], [0.5, 1.0], [0.0, 1.0]]
SEGMENT_S = 5
PEOPLE = {
    "wang": "operator", "chen": "supervisor", "sun": "officer", "zhao": "auditor", "wu": "technician", "zheng": "admin",
}  # fmt: skip
_AREAS = (
    ("city", "鹿城市", "city", "", 109.0, 111.0),
    ("east", "东河分局", "branch", "city", 109.5, 110.0),
    ("west", "昆都仑分局", "branch", "city", 110.0, 111.0),
)


def films() -> dict[str, Film]:
    """Of each camera; no two are alike."""
    return {name: make_film(pictures(seed, length_s=6.0)) for seed, name in enumerate((GATE, YARD, HALL, FAR))}


class FilmedCity(CameraCity):
    """Three cameras of a school, one of them masked, two recorded all the time; one far away that nobody answers for."""

    def __init__(self, folder: Path, made: dict[str, Film]) -> None:
        self.web_port = free_port()
        channels = {f"/{name}": Channel(film) for name, film in made.items() if name != FAR}
        settings = {
            "LUCHENG_WEB__PORT": str(self.web_port),
            "LUCHENG_RECORDING__SEGMENT_S": str(SEGMENT_S),
            "LUCHENG_CAMERA__SAMPLE_S": "5",
            "LUCHENG_CAMERA__RING_S": "10",
            "LUCHENG_ACCOUNTS__MIN_PASSWORD_CHARS": "8",
            "LUCHENG_ACCOUNTS__PASSWORD_MEMORY_KIB": "19456",
            "LUCHENG_ACCOUNTS__PASSWORD_PASSES": "2",
            "LUCHENG_OPERATORS__DEFAULT_ROLE": "supervisor",
        }
        super().__init__(folder, channels, settings=settings)

    def fill(self) -> None:
        """People, jurisdictions, a site, cameras."""
        for user, role in PEOPLE.items():
            self.call("account_add", user=user, role=role, password=PASSWORD)
        features = [
            {
                "type": "Feature",
                "properties": {"id": area, "name": name, "level": level, "parent": parent},
                "geometry": {
                    "type": "Polygon",
                    "coordinates": [[[west, 40], [east, 40], [east, 41], [west, 41], [west, 40]]],
                },
            }
            for area, name, level, parent, west, east in _AREAS
        ]
        self.call("jurisdiction_import", data=json.dumps({"type": "FeatureCollection", "features": features}).encode())
        self.call("site_add", site=SITE, name="第三小学", lat=LAT, lon=LON)
        self.call("device_add", device="button/school-3", site=SITE, lat=LAT, lon=LON)
        self.add(GATE, f"/{GATE}", name="校门", site=SITE, lat=LAT, lon=LON, record="continuous")
        self.add(YARD, f"/{YARD}", name="操场", site=SITE, lat=LAT, lon=LON, record="continuous", masks=[MASK])
        self.add(HALL, f"/{HALL}", name="大厅", site=SITE, lat=LAT, lon=LON)
        self.add(FAR, "/nothing", name="建设路口", lat=LAT, lon=110.5)

    @property
    def url(self) -> str:
        """Of the pages."""
        return f"http://127.0.0.1:{self.web_port}"

    def recorded(self, camera: str, segments: int) -> list[dict[str, Any]]:
        """The camera's recordings, once there are so many."""
        deadline_s = time.monotonic() + 2 * WORKER_S
        found: list[dict[str, Any]] = []
        while len(found) < segments:
            assert time.monotonic() < deadline_s, f"{segments} recordings of {camera}: {found}"
            try:
                found = self.call("camera_recordings", camera=camera, purpose="test")["segments"]
            except LuchengError:
                found = []
            time.sleep(0.2)
        return found
