"""The demo's cameras: a street corner around the first alarm button, drawn, filmed and sent over RTSP like real ones.

Invariants: they listen on the loopback interface alone and end with the demo; films are drawn on threads while the rest of
the demo starts, and a demo that ends before waits for the picture that is being drawn and no longer.
"""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from model.camera import CameraState
from model.errors import Conflict, LuchengError
from simulator.camera.film import Film, film
from simulator.camera.rtsp import Channel, RtspCameras
from simulator.camera.scene import Street, passers

if TYPE_CHECKING:
    from console.client import RemoteClient
    from model.clock import Clock

#: Pictures of the films: small, so that drawing five of them takes a few seconds.
WIDTH_PX, HEIGHT_PX, FPS, LENGTH_S, KBPS = 640, 360, 12.0, 20.0, 900
#: Clips of the demo: as much before as everywhere, less after, so that one sees them come.
PRE_ROLL_S, POST_ROLL_S = 10, 10
#: Where they hang, metres north and east of the button, and their names.
CORNER = ((12.0, 8.0), (-15.0, 10.0), (22.0, -18.0), (-25.0, -22.0), (60.0, 55.0))
STREETS = ("北街", "南街", "东街", "西街", "广场")
#: How often it is looked whether they are online.
ASK_EVERY_S = 0.5
PREFIX = "camera/demo-"
METRES_PER_DEGREE = 111_195.0
#: The zone of each that is watched for motion, without an alarm: the roadway.
ROAD = {"name": "road", "ring": [[0, 0.5], [1, 0.5], [1, 0.9], [0, 0.9]], "rule": "motion", "alarm": False}


@dataclass(slots=True)
class DemoCameras:
    """The cameras of a demo; a context manager.

    Attributes:
        client: of the demo's service.
        clock: measures.
        lat, lon: of the button that will be pressed, WGS-84.
        count: how many.
    """

    client: RemoteClient
    clock: Clock
    lat: float
    lon: float
    count: int
    _stop: threading.Event = field(default_factory=threading.Event)
    _server: RtspCameras | None = None
    _thread: threading.Thread | None = None
    _settled: bool = False
    _online_s: float | None = None
    _asked_s: float = float("-inf")

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._begin, name="demo-cameras", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        if self._server is not None:
            self._server.stop()

    def _begin(self) -> None:
        try:
            films = self._films()
            if self._stop.is_set():
                return
            channels = {f"/camera/{at + 1}": Channel(one) for at, one in enumerate(films)}
            self._server = RtspCameras(channels)
            self._server.start()
            for at in range(len(films)):
                self._register(at)
        finally:
            self._settled = True

    def filmed(self) -> bool:
        """Whether every camera has been watched long enough that a clip can begin before now; True where there are none."""
        if not self.count:
            return True
        now_s = self.clock.monotonic_s()
        if not self._settled or now_s - self._asked_s < ASK_EVERY_S:
            return False
        self._asked_s = now_s
        with contextlib.suppress(LuchengError):
            rows = self.client.call("camera_list", purpose="test")
            ours = [row for row in rows if row["camera"].startswith(PREFIX)]
            online = [row for row in ours if row["state"] == CameraState.ONLINE]
            if len(online) < len(ours):
                self._online_s = None
            elif self._online_s is None:
                self._online_s = now_s
        return self._online_s is not None and now_s - self._online_s >= PRE_ROLL_S

    def _films(self) -> list[Film]:
        found = []
        for at, name in enumerate(f"CAM {number}" for number in range(1, self.count + 1)):
            if self._stop.is_set():
                break
            street = Street(at + 1, width_px=WIDTH_PX, height_px=HEIGHT_PX, title=name)
            crowd = passers(at + 1, LENGTH_S, busy=0.5)
            pictures = street.frames(crowd, fps=FPS, length_s=LENGTH_S)
            found.append(film(pictures, fps=FPS, bitrate_kbps=KBPS))
        return found

    def _register(self, at: int) -> None:
        assert self._server is not None
        north_m, east_m = CORNER[at]
        settings: dict[str, Any] = {
            "record": "events",
            "pre_roll_s": PRE_ROLL_S,
            "post_roll_s": POST_ROLL_S,
            "zones": [ROAD],
        }
        with contextlib.suppress(Conflict, LuchengError):  # in a data folder that an earlier demo left
            self.client.call(
                "camera_set",
                add=True,
                camera=f"{PREFIX}{at + 1}",
                url=self._server.url(f"/camera/{at + 1}"),
                name=STREETS[at],
                lat=self.lat + north_m / METRES_PER_DEGREE,
                lon=self.lon + east_m / METRES_PER_DEGREE,
                settings=settings,
            )
