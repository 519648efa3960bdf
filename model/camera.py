"""The nouns of cameras: settings of one, its states, what its pictures may show. Pure; it opens and decodes nothing.

Places in a picture are fractions of its width and height, 0..1 from the top left corner, so that they hold for the main
stream, the sub-stream and the thumbnail alike. What a value may be is checked by `devices.camera_checks`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag, StrEnum

from model.codes import Word

Place = tuple[float, float]


class DecodePolicy(StrEnum):
    """How much of a camera is decoded (glossary); `auto` picks among the others."""

    AUTO = "auto"
    OFF = "off"
    KEYFRAMES = "keyframes"
    SUBSTREAM = "substream"
    FULL = "full"
    ON_DEMAND = "on_demand"


#: What `CameraSettings.transport` and `CameraSettings.record` may be.
TRANSPORTS = ("tcp", "udp")
RECORD_MODES = ("off", "events", "continuous")


class CameraState(StrEnum):
    """How a camera is; every change is a signal and a sample of a time series."""

    ONLINE = "online"
    DEGRADED = "degraded"
    STALLED = "stalled"
    OFFLINE = "offline"
    #: It killed its worker too often; a person lets it back in.
    PARKED = "parked"
    DISABLED = "disabled"


STATE_WORDS: dict[CameraState, Word] = {
    CameraState.ONLINE: Word("online", "在线"),
    CameraState.DEGRADED: Word("degraded", "降级"),
    CameraState.STALLED: Word("no media for a moment", "媒体中断"),
    CameraState.OFFLINE: Word("offline", "离线"),
    CameraState.PARKED: Word("set aside: it ended its worker too often", "已搁置（多次致工作进程异常）"),
    CameraState.DISABLED: Word("disabled", "停用"),
}

#: What stands in the series `camera_state`: worse is greater.
STATE_NUMBER: dict[CameraState, int] = {
    CameraState.ONLINE: 0,
    CameraState.DEGRADED: 1,
    CameraState.STALLED: 2,
    CameraState.OFFLINE: 3,
    CameraState.PARKED: 4,
    CameraState.DISABLED: 5,
}


class Health(IntFlag):
    """What is wrong with a picture or a stream."""

    BLACK = 1 << 0
    FROZEN = 1 << 1
    COVERED = 1 << 2
    DEFOCUSED = 1 << 3
    MOVED = 1 << 4
    CORRUPTED = 1 << 5
    LOW_FPS = 1 << 6
    LOW_BITRATE = 1 << 7
    LONG_KEYFRAME_GAP = 1 << 8


#: Of these an alarm may be made: flag to alarm kind.
HEALTH_ALARMS: dict[Health, str] = {
    Health.BLACK: "camera_black",
    Health.FROZEN: "camera_frozen",
    Health.COVERED: "camera_covered",
    Health.DEFOCUSED: "camera_defocused",
    Health.MOVED: "camera_moved",
    Health.CORRUPTED: "camera_corrupted",
}


def health_names(bits: int) -> list[str]:
    """Lower-case names of the health flags set in `bits`, in bit order."""
    return [flag.name.lower() for flag in Health if bits & flag and flag.name]


class ObjectKind(StrEnum):
    """What a detector may find: things that happen in a street, and never who."""

    PERSON = "person"
    BICYCLE = "bicycle"
    #: Motorcycles and e-bikes: the public models do not tell them apart.
    MOTORCYCLE = "motorcycle"
    CAR = "car"
    BUS = "bus"
    TRUCK = "truck"


#: Code of an object kind in the columns; 0 is none.
OBJECT_CODE: dict[ObjectKind, int] = {kind: code for code, kind in enumerate(ObjectKind, 1)}
OBJECT_BY_CODE: dict[int, ObjectKind] = {code: kind for kind, code in OBJECT_CODE.items()}


class ZoneRule(StrEnum):
    """What is watched in a zone."""

    #: Motion, without a detector.
    MOTION = "motion"
    #: An object comes in.
    ENTER = "enter"
    #: An object stays longer than `stay_s`.
    STAY = "stay"
    #: More than `max_count` objects at a time.
    COUNT = "count"


@dataclass(frozen=True, slots=True)
class Zone:
    """A polygon in the picture.

    Attributes:
        name: unique in its camera.
        ring: its corners, at least 3, not closed.
        rule: what is watched.
        kinds: objects that count; empty: all.
        stay_s, max_count: of their rules.
        alarm: whether it raises an alarm (`motion_in_zone`, `object_in_zone`), else a signal alone.
    """

    name: str
    ring: tuple[Place, ...]
    rule: ZoneRule = ZoneRule.MOTION
    kinds: tuple[ObjectKind, ...] = ()
    stay_s: float = 0.0
    max_count: int = 0
    alarm: bool = True


@dataclass(frozen=True, slots=True)
class Line:
    """A line across the picture, from `start` to `end`.

    Attributes:
        name: unique in its camera.
        direction: `right` (crossed from the left of start ▸ end to its right, as seen in the picture), `left`, or `both`.
        kinds: objects that count; empty: all.
        alarm: whether it raises `line_crossed`, else a signal alone.
    """

    name: str
    start: Place
    end: Place
    direction: str = "both"
    kinds: tuple[ObjectKind, ...] = ()
    alarm: bool = True


@dataclass(frozen=True, slots=True)
class CameraSettings:
    """Everything that is set for one camera; its addresses are secrets and stand elsewhere.

    Attributes:
        policy: how much is decoded.
        transport: RTSP over `tcp` or `udp`.
        record: `off`, `events` (a minute around what happens) or `continuous`.
        sensitivity: of motion, 0 (blind) to 1 (everything); 0.5 is what the thresholds were tuned for.
        objects: whether the detector looks at it (where a model is set).
        zones, lines: what is watched.
        masks: polygons that are burned into the pixels before anything is stored or shown.
        ignore: polygons in which nothing is motion and nothing is judged (burned-in text, trees).
        health_alarms: health flags (lower-case names) and `offline` that raise an alarm; the others are signals alone.
        pre_roll_s, post_roll_s: of clips.
        bearing_deg: where it looks, clockwise from north; None: not known, or all around.
        field_deg: how wide it sees; of no meaning without a bearing.
        range_m: how far away a vehicle can be told.
    """

    policy: DecodePolicy = DecodePolicy.AUTO
    transport: str = "tcp"
    record: str = "off"
    sensitivity: float = 0.5
    objects: bool = False
    zones: tuple[Zone, ...] = ()
    lines: tuple[Line, ...] = ()
    masks: tuple[tuple[Place, ...], ...] = ()
    ignore: tuple[tuple[Place, ...], ...] = ()
    health_alarms: tuple[str, ...] = ("offline", "covered", "defocused", "moved", "black", "frozen")
    pre_roll_s: float = 10.0
    post_roll_s: float = 30.0
    bearing_deg: float | None = None
    field_deg: float = 90.0
    range_m: float = 50.0


@dataclass(frozen=True, slots=True, repr=False)
class CameraSetup:
    """What a worker needs to know of one camera. Its `repr` shows no address: an address may hold a password.

    Attributes:
        device: id; slot: its slot.
        url, sub_url: main stream and sub-stream ("": none).
        settings: see there.
        version: grows with every change of it.
    """

    device: str
    slot: int
    url: str
    sub_url: str
    settings: CameraSettings
    version: int

    def __repr__(self) -> str:
        return f"CameraSetup({self.device!r}, version={self.version})"
