"""A service that watches simulated cameras, for tests of the whole way: RTSP ▸ worker ▸ service ▸ command line and live server.

Purpose: what such tests share: films, cameras, an operator's calls, the live server over HTTP and WebSocket, what is in a
file. Invariants: films are encoded once a module; every camera is its own channel, which a test may mute or change;
whatever a test does, `close` leaves no process. It asserts nothing but that what it waits for comes.
"""

from __future__ import annotations

import http.client
import io
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import av
import numpy as np
import numpy.typing as npt
import psutil
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from model.errors import LuchengError
from simulator.camera.film import Film, film, nal_units
from simulator.camera.rtsp import Channel, RtspCameras
from simulator.camera.scene import Street, passers
from tests.conftest import free_port, wait_until
from tests.lucheng.faults.desk_side import alarms_of, audit_of
from tests.lucheng.service_process import ServiceProcess

#: A worker's start costs seconds of processor, and the machine may be busy.
WORKER_S = 60.0
WIDTH_PX, HEIGHT_PX, FPS, GOP_S = 320, 180, 10, 1.0
PURPOSE = "test"
Bgr = npt.NDArray[np.uint8]


def pictures(seed: int, *, length_s: float = 4.0, width_px: int = WIDTH_PX, height_px: int = HEIGHT_PX) -> list[Bgr]:
    """A street with passers."""
    street = Street(seed, width_px=width_px, height_px=height_px, title=str(seed))
    return list(street.frames(passers(seed, length_s, busy=0.8), fps=FPS, length_s=length_s))


def make_film(frames: Sequence[Bgr], *, gop_s: float = GOP_S, bitrate_kbps: int = 800) -> Film:
    """Encode pictures as a camera of this module does."""
    return film(frames, fps=FPS, gop_s=gop_s, bitrate_kbps=bitrate_kbps)


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture of a file: its NAL units, when it is shown (s from the file's beginning), whether it is a keyframe."""

    nals: tuple[bytes, ...]
    at_s: float
    keyframe: bool


def shots_of(mp4: bytes) -> list[Shot]:
    """The pictures of an MP4, as they are in it."""
    with av.open(io.BytesIO(mp4), "r") as container:
        return [
            Shot(tuple(_nals(bytes(packet))), float(packet.pts * packet.time_base), packet.is_keyframe)
            for packet in container.demux(container.streams.video[0])
            if packet.size and packet.pts is not None and packet.time_base is not None
        ]


def _nals(sample: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(sample):
        size = int.from_bytes(sample[at : at + 4], "big")
        yield sample[at + 4 : at + 4 + size].rstrip(b"\x00")
        at += 4 + size


def place_in(shots: Sequence[Shot], sent: Film) -> int:
    """Where in the film these pictures begin, every unit of every picture as it was sent, in order; -1: nowhere."""
    units = [tuple(nal_units(unit)) for unit in sent.units]
    for start, first in enumerate(units):
        if first == shots[0].nals and all(
            units[(start + number) % len(units)] == shot.nals for number, shot in enumerate(shots)
        ):
            return start
    return -1


def frames_of(data: bytes) -> list[Bgr]:
    """The pictures of a video file or an image, BGR."""
    with av.open(io.BytesIO(data), "r") as container:
        return [frame.to_ndarray(format="bgr24").astype(np.uint8) for frame in container.decode(video=0)]


class CameraCity:
    """A service, its simulated cameras and the live server.

    Args:
        folder: for the data folder and what belongs to it.
        channels: path to what is sent there.
        settings: further settings of the service, as environment.
        broker: URL of a broker; None: the embedded one.
    """

    def __init__(
        self,
        folder: Path,
        channels: Mapping[str, Channel],
        *,
        settings: Mapping[str, str] | None = None,
        broker: str | None = None,
    ) -> None:
        self.cameras = RtspCameras(channels)
        self.live_port = free_port()
        env = {
            "LUCHENG_CAMERA__ALLOW_NETWORKS": '["127.0.0.0/8"]',
            "LUCHENG_CAMERA__WORKERS": "1",
            "LUCHENG_CAMERA__STALLED_AFTER_S": "2",
            "LUCHENG_CAMERA__RECOVER_AFTER_S": "0",
            "LUCHENG_CAMERA__BACK_OFF_MAX_S": "1",
            "LUCHENG_LIVE__PORT": str(self.live_port),
            **(settings or {}),
        }
        self.service = ServiceProcess(folder / "data", broker, env=env)

    # -- its life -----------------------------------------------------------------------------

    def start(self) -> Self:
        """Cameras, then the service."""
        self.cameras.start()
        self.service.start()
        return self

    def close(self) -> None:
        """End both."""
        self.service.close()
        self.cameras.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.service.data

    def call(self, operation: str, **arguments: Any) -> Any:
        """An operator's call."""
        return self.service.client().call(operation, **arguments)

    # -- cameras ------------------------------------------------------------------------------

    def add(self, camera: str, path: str = "", *, url: str = "", **given: Any) -> dict[str, Any]:
        """Set a camera up; `given`: name, site, lat, lon, and anything of its settings."""
        known = {key: given.pop(key) for key in ("name", "site", "lat", "lon", "sub_url") if key in given}
        settings = {"pre_roll_s": 4.0, "post_roll_s": 4.0, **given}
        address = url or self.cameras.url(path)
        made: dict[str, Any] = self.call("camera_set", camera=camera, add=True, url=address, settings=settings, **known)
        return made

    def show(self, camera: str) -> dict[str, Any]:
        """How it is."""
        found: dict[str, Any] = self.call("camera_show", camera=camera, purpose=PURPOSE)
        return found

    def wait_online(self, *cameras: str) -> None:
        """Wait until these cameras send pictures."""
        for camera in cameras:
            self.wait(camera, "state", "online")

    def wait(self, camera: str, what: str, value: object) -> None:
        """Wait until something of a camera (a key of `show`) is so."""
        deadline_s = time.monotonic() + WORKER_S
        while (found := self.show(camera))[what] != value:
            assert time.monotonic() < deadline_s, f"{camera} to be {value}: {found}; {self.service.said[-3000:]}"
            time.sleep(0.05)

    def wait_ring(self, camera: str, seconds: float) -> None:
        """Wait until the camera was watched for so long: until a clip that begins then is not late."""
        deadline_s = time.monotonic() + WORKER_S
        why = "late"
        while "late" in why:
            assert time.monotonic() < deadline_s, f"{camera} to have {seconds} s: {why}"
            time.sleep(0.2)
            try:
                why = self.call("camera_clip", camera=camera, seconds=seconds, purpose=PURPOSE)["note"]
            except LuchengError as error:
                why = f"late: {error}"

    def workers(self) -> list[psutil.Process]:
        """The video processes of the service."""
        found = []
        for process in psutil.Process(self.service.pid).children(recursive=True):
            try:
                if "lucheng.video_worker" in process.cmdline():
                    found.append(process)
            except psutil.NoSuchProcess:
                continue
        return found

    # -- alarms -------------------------------------------------------------------------------

    @property
    def broker(self) -> str:
        """URL of the broker; of the embedded one as well."""
        if self.service.broker is not None:
            return self.service.broker
        return f"mqtt://127.0.0.1:{int(self.service.status()['live']['broker_port'])}"

    def alarm_of(self, device: str, kind: str = "one_key") -> dict[str, Any]:
        """The alarm of a device, once it is raised."""
        wait_until(lambda: alarms_of(self.service, device, kind), WORKER_S, f"the alarm of {device}")
        return alarms_of(self.service, device, kind)[0]

    def evidence(self, alarm: str) -> list[dict[str, Any]]:
        """What an alarm has."""
        found: list[dict[str, Any]] = self.call("evidence_list", alarm=alarm, limit=1_000)
        return found

    def wait_evidence(self, alarm: str, *, clips: int, snapshots: int) -> list[dict[str, Any]]:
        """Wait until an alarm has so much; what it has."""

        def there() -> bool:
            kinds = [piece["kind"] for piece in self.evidence(alarm)]
            return (kinds.count("video"), kinds.count("image")) == (clips, snapshots)

        wait_until(there, WORKER_S, f"{clips} clips and {snapshots} snapshots of {alarm}")
        return self.evidence(alarm)

    def missing(self, alarm: str) -> list[dict[str, Any]]:
        """What is written down that an alarm lacks."""
        return [row["detail"] for row in audit_of(self.service, alarm) if row["action"] == "clip.missing"]

    def bytes_of(self, piece: Mapping[str, Any]) -> bytes:
        """The bytes of a piece of evidence."""
        purpose = f"alarm:{piece['alarm']}" if piece["alarm"] else PURPOSE
        data: bytes = self.service.client().blob("evidence_read", evidence=piece["evidence"], purpose=purpose)
        return data

    # -- the live server ----------------------------------------------------------------------

    @property
    def token(self) -> str:
        """As it stands in the data folder."""
        return (self.data / "live.token").read_text().strip()

    def page(self, path: str) -> str:
        """A page's address with the token, as a person is given it."""
        return f"http://127.0.0.1:{self.live_port}/{path}{'&' if '?' in path else '?'}token={self.token}"

    def get(self, path: str, *, token: bool = True, method: str = "GET", **headers: str) -> tuple[int, bytes]:
        """One request to the live server: status and body, of an endless one its beginning."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            sent["Authorization"] = f"Bearer {self.token}"
        connection = http.client.HTTPConnection("127.0.0.1", self.live_port, timeout=30)
        try:
            connection.request(method, path, headers=sent)
            answer = connection.getresponse()
            endless = answer.headers.get("content-type", "").startswith("multipart/")
            return answer.status, answer.read(4_096) if endless else answer.read()
        finally:
            connection.close()

    def socket(self, camera: str, purpose: str = PURPOSE, **options: Any) -> Connection:
        """A WebSocket of a camera's live view."""
        return connect(
            f"ws://127.0.0.1:{self.live_port}/camera/{camera}/live?{urlencode({'purpose': purpose})}",
            additional_headers={"Authorization": f"Bearer {self.token}"},
            compression=None,
            max_size=None,
            close_timeout=0.5,
            **options,
        )


class LiveFilm:
    """What comes over a live view's WebSocket, taken apart.

    Attributes:
        data: `init` and the pieces after it, a whole MP4 that can be decoded.
        heads: every head, in the order in which they came.
    """

    def __init__(self, socket: Connection) -> None:
        self._socket = socket
        self.data = b""
        self.heads: list[dict[str, Any]] = []

    def next(self, timeout_s: float = WORKER_S) -> dict[str, Any]:
        """The next head; its bytes are added to `data`."""
        said = self._socket.recv(timeout_s)
        assert isinstance(said, str)
        head: dict[str, Any] = json.loads(said)
        self.heads.append(head)
        if head["t"] in ("init", "media"):
            data = self._socket.recv(timeout_s)
            assert isinstance(data, bytes)
            self.data = data if head["t"] == "init" else self.data + data
        return head

    def until(self, kind: str) -> dict[str, Any]:
        """The next head of this kind."""
        while (head := self.next())["t"] != kind:
            pass
        return head

    def media(self, count: int) -> list[dict[str, Any]]:
        """The next `count` pieces of video."""
        return [self.until("media") for _ in range(count)]
