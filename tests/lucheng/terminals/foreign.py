"""Recorded frames of other people's terminals, and what a reader of the standards makes of each.

Purpose: for every frame of `frames/*.json` where it has to end and how it has to be answered, said from its bytes and from
`decode_body` of its codec, not from what the gateway does. Invariants: a frame has exactly one `Fate`. It opens no socket.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from config.sections import Settings
from ingest.gt06 import codec as gt06
from ingest.gt06.alarms import alarm_of, unknown_code
from ingest.jt.framing import split, unescape, xor
from ingest.jt808 import codec as jt808
from ingest.jt808.alarms import ALARMS, VIDEO_ALARMS
from ingest.jt808.messages import CATALOGUE as JT808_TABLE
from ingest.jt905 import codec as jt905
from ingest.jt905.alarms import ALARMS as ALARMS_905
from ingest.jt905.messages import CATALOGUE as JT905_TABLE
from ingest.wire.fields import Values
from ingest.wire.message import Way
from ingest.wire.reader import Malformed
from tests.ingest.frames import DATA

CODECS: dict[str, Any] = {"jt808": jt808, "jt905": jt905}
_TABLES = {"jt808": JT808_TABLE, "jt905": JT905_TABLE}
#: The rules of the analytics as they are unless set otherwise.
CLEAN = Settings().clean
DONE, FAILED, BAD, UNSUPPORTED, HANDLED = 0, 1, 2, 3, 4
#: An answer: message id, then what of its body is known before: serial, message id and result of 8001, number of 8800, …
Answer = tuple[int, ...]
_KINDS = {"jt808": {one.name for one in ALARMS if one.kind}, "jt905": {one.name for one in ALARMS_905 if one.kind}}
_VIDEO = sum(1 << one.bit for one in VIDEO_ALARMS if one.kind)
_LOCATED = {0x0200, 0x0201, 0x0202, 0x0203, 0x0704}
_HEADER, _LONG_HEADER = 12, 17
_TEXT_PLACE = re.compile(
    r"Lat:([NS])([\d.]+),Lon:([EW])([\d.]+),Course:([\d.]+),Speed:([\d.]+),DateTime:(\S+ +\S+?)(?:\s|$|,)"
)
_VERSIONED = 1 << 14


@dataclass(frozen=True, slots=True)
class Place:
    """A position as its codec reads it: signed degrees, km/h and degrees where it says them, UTC ms."""

    time_ms: int
    lat: float
    lon: float
    speed_kmh: float | None
    heading_deg: float | None
    buffered: bool = False
    #: What has no column of its own here but tells two positions of one time apart.
    more: str = ""


@dataclass(slots=True)
class Fate:
    """Where a frame ends.

    Attributes:
        raw: the frame.
        what: position, report, reply, evidence, session, part, or the reason for which it is quarantined.
        answers: what the terminal is told.
        kept: what of it stands in the quarantine, in order.
        places: positions it holds.
        report: name and body of the report.
        alarm: whether it is an alarm message that raises a signal.
    """

    raw: bytes
    what: str
    answers: Counter[Answer] = field(default_factory=Counter)
    kept: list[bytes] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    report: tuple[str, bytes] | None = None
    alarm: bool = False


@dataclass(slots=True)
class Speaker:
    """A terminal: everything that was recorded of one number."""

    protocol: str
    number: str
    fates: list[Fate] = field(default_factory=list)

    @property
    def device(self) -> str:
        """Under which it is registered."""
        return f"taxi/{self.protocol}-{self.number or 'none'}"


def judged(place: Place, now_ms: int, max_live_age_ms: int = CLEAN.max_live_age_ms) -> str:
    """The reason for which the analytics keep a place out, "" for none; by the rules of docs/reference/decisions.md."""
    if abs(place.lat) > 90 or abs(place.lon) > 180:
        return "out_of_range"
    if abs(place.lat) <= CLEAN.null_island_deg and abs(place.lon) <= CLEAN.null_island_deg:
        return "null_island"
    if place.time_ms > now_ms + CLEAN.max_ahead_ms:
        return "future"
    return "stale_clock" if not place.buffered and place.time_ms < now_ms - max_live_age_ms else ""


def recorded(name: str) -> list[bytes]:
    """The frames of one file."""
    texts = [
        one if isinstance(one, str) else one.get("hex") or one["data"]
        for one in json.loads((DATA / "frames" / f"{name}.json").read_text(encoding="utf-8"))
    ]
    return [text.encode() if text.startswith("(") else bytes.fromhex(text) for text in texts]


# -- JT/T 808 and 905 -----------------------------------------------------------------------------


def number_of(plain: bytes, protocol: str) -> str | None:
    """The digits of an unescaped header without zeros in front; None where they are none."""
    long = protocol == "jt808" and bool(int.from_bytes(plain[2:4], "big") & _VERSIONED)
    digits = plain[5:15].hex() if long else plain[4:10].hex()
    return digits.lstrip("0") if digits.isdecimal() else None


def speaker_of(raw: bytes, protocol: str) -> str | None:
    """The number that a recorded frame says it is of; None where nobody can tell."""
    try:
        plain = unescape(raw[1:-1])
    except Malformed:
        return None
    return number_of(plain, protocol) if raw[:1] == b"\x7e" and xor(plain) == 0 and len(plain) > _HEADER else None


def jt_fates(raw: bytes, protocol: str, *, known: bool = True) -> list[Fate]:
    """What has to become of what was recorded, on a fresh connection: of each run of bytes between two marks."""
    pieces, rest, junk = split(raw)
    assert rest in (b"", b"\x7e")
    return [
        *([Fate(junk, "bad_frame", kept=[junk])] if junk else []),
        *(jt_fate(piece, protocol, known=known) for piece in pieces),
    ]


def jt_fate(raw: bytes, protocol: str, *, known: bool = True) -> Fate:  # noqa: PLR0911 one for each fate
    """What has to become of a frame on the connection of its own number (`known`: registered)."""
    try:
        plain = unescape(raw[1:-1])
    except Malformed:
        return _refused(raw, "bad_frame")
    if xor(plain) != 0:
        return _refused(raw, "bad_checksum")
    plain = plain[:-1]
    number = number_of(plain, protocol) if len(plain) >= _HEADER else None
    if number is None:
        return _refused(raw, "bad_frame")
    message_id, long = int.from_bytes(plain[:2], "big"), int.from_bytes(plain[2:4], "big") & _VERSIONED
    at = _LONG_HEADER if long and protocol == "jt808" else _HEADER
    serial = int.from_bytes(plain[at - 2 : at], "big")
    if not known:
        return _refused(raw, "unknown_device", (0x8001, serial, message_id, FAILED))
    try:
        frame = CODECS[protocol].read_frame(raw)
    except Malformed:
        return _refused(raw, "bad_frame", (0x8001, serial, message_id, BAD))
    if frame.encrypted:
        return _refused(raw, "encrypted", (0x8001, serial, message_id, UNSUPPORTED))
    return Fate(raw, "part") if frame.total > 1 else _body_fate(raw, frame, protocol)


def _refused(raw: bytes, reason: str, answer: Answer | None = None) -> Fate:
    return Fate(raw, reason, Counter([answer] if answer else []), [raw])


def _body_fate(raw: bytes, frame: Any, protocol: str) -> Fate:  # noqa: PLR0911 one for each fate
    codec = CODECS[protocol]
    entry = _TABLES[protocol].by_id.get(frame.message_id)
    told: Answer = (0x8001, frame.serial, frame.message_id)
    if entry is None or entry.way is Way.DOWN:
        return _refused(raw, "unknown_message", (*told, BAD if protocol == "jt905" else UNSUPPORTED))
    try:
        values = codec.decode_body(frame)
    except Malformed:
        return _refused(raw, "bad_body", (*told, BAD))
    done: Counter[Answer] = Counter([(*told, DONE)])
    if entry.name in ("heartbeat", "log_out", "authenticate"):
        return Fate(raw, "session", done)
    if entry.name == "register":
        return Fate(raw, "session", Counter([(0x8100, frame.serial, 0)]))
    if entry.name == "media":
        return Fate(raw, "evidence", done + Counter([(0x8800, values["media_id"])]))
    if entry.name == "terminal_reply":
        return Fate(raw, "reply")
    if frame.message_id in _LOCATED:
        places = jt_places(values, protocol, blind=frame.message_id == 0x0203 or values.get("batch") == "blind_zone")
        if frame.message_id == 0x0201:  # an answer that nobody waits for, and a position all the same
            return Fate(raw, "position", places=places)
        handled = protocol == "jt808" and any(_alarmed(one, protocol) for one in _positions(values))
        return Fate(raw, "position", Counter([(*told, HANDLED if handled else DONE)]), places=places)
    return Fate(raw, "report", done, report=(entry.name, frame.body))


def _positions(values: Values) -> list[Values]:
    if "positions" in values:
        return list(values["positions"])
    return [values.get("position", values)]


def _alarmed(one: Values, protocol: str) -> bool:
    video = [item["value"] for item in one.get("items", ()) if item.get("id") == 0x14 and "value" in item]
    word = video[0]["value"] if video and isinstance(video[0], dict) else 0
    return bool(_KINDS[protocol] & set(one["alarm"]["set"])) or bool(word & _VIDEO)


def jt_places(values: Values, protocol: str, *, blind: bool) -> list[Place]:
    """The positions of a decoded message."""
    made = []
    for one in _positions(values):
        status = one["status"]["set"]
        made.append(
            Place(
                time_ms=round(datetime.fromisoformat(one["time"]).timestamp() * 1000),
                lat=-one["lat"] if "south" in status else one["lat"],
                lon=-one["lon"] if "west" in status else one["lon"],
                speed_kmh=one["speed_kmh"],
                heading_deg=float(one["heading_deg"]),
                buffered=blind,
                more=f"{one['alarm']['value']:x} {one['status']['value']:x}" + protocol,
            )
        )
    return made


# -- GT06 -----------------------------------------------------------------------------------------


def gt06_fate(raw: bytes) -> Fate:  # noqa: PLR0911 one for each fate
    """What has to become of a frame behind the login of another IMEI than its own."""
    frames, rest, junk = gt06.split(raw)
    if junk or rest or frames != [raw]:
        return Fate(raw, "bad_frame", kept=[raw])
    frame = gt06.read_frame(raw)
    if not frame.checksum_ok:
        return _refused(raw, "bad_checksum")
    if frame.message_id == 0x01:
        return _refused(raw, "identity_mismatch")
    try:
        entry = gt06.entry_of(frame.message_id, long=frame.long)
    except Malformed:
        return _refused(raw, "unknown_message")
    if entry.way is Way.DOWN:
        return _refused(raw, "unknown_message")
    try:
        values = gt06.decode_body(frame)
    except Malformed:
        return _refused(raw, "bad_body")
    reply = gt06.reply_to(frame, 0)
    fate = Fate(raw, "session", Counter([(frame.message_id, frame.serial)]) if reply else Counter())
    if frame.message_id in (0x13, 0x23, 0x8A):
        return fate
    fate.places = [place] if (place := gt06_place(values)) is not None else []
    fate.alarm = alarm_of(frame, values) is not None
    if unknown_code(frame, values) is not None:
        fate.kept = [raw]
    if fate.places or fate.alarm:
        fate.what = "position" if fate.places else "alarm"
    else:
        fate.what, fate.report = "report", (entry.name, frame.body)
    return fate


def gt06_place(values: Values) -> Place | None:
    """The first group of a decoded message that has a latitude, a longitude and a course; its time, 0 where it has none."""
    groups = [values, *(one for one in values.values() if isinstance(one, dict))]
    groups += [one["value"] for one in values.get("modules", ()) if isinstance(one.get("value"), dict)]
    for group in groups:
        if not {"lat", "lon", "course"} <= group.keys() or not isinstance(group["course"], dict):
            continue
        if "epoch_s" in group and not group["epoch_s"]:
            continue
        said = group.get("time") or values.get("time")
        epoch_s = group.get("epoch_s") or (datetime.fromisoformat(said + "+00:00").timestamp() if said else 0)
        course = group["course"]
        return Place(
            time_ms=round(epoch_s * 1000),
            lat=group["lat"] * (1 if course["north"] else -1),
            lon=group["lon"] * (-1 if course["west"] else 1),
            speed_kmh=group.get("speed_kmh"),
            heading_deg=float(course["heading_deg"]),
            buffered=any(one.get("buffered") in ("buffered", 1) for one in groups),
        )
    text = _TEXT_PLACE.search(values["text"]) if isinstance(values.get("text"), str) else None
    if text is None:
        return None
    north, lat, east, lon, heading, speed, moment = text.groups()
    return Place(
        time_ms=round(datetime.fromisoformat("T".join(moment.split()) + "+00:00").timestamp() * 1000),
        lat=float(lat) * (1 if north == "N" else -1),
        lon=float(lon) * (1 if east == "E" else -1),
        speed_kmh=float(speed),
        heading_deg=float(heading),
    )
