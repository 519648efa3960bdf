"""OwnTracks over MQTT: `owntracks/{kind}/{name}` and its subtopics to points, statuses and replies.

Purpose: the app's JSON (source: owntracks/booklet, docs/tech/json.md) as columns. In the app the topic is set to
`owntracks/%u`, the user name being the device id, so that the broker's rules hold: the topic is the identity.
Invariants: one message ends in one place: `location`, and a `transition` that says where, are points; `lwt` is a status;
what the app says of itself (waypoint, card, steps …) is passed over and counted; anything else is bad, with the reason.
A message that the broker had kept is a point too, marked BUFFERED: the app publishes its place retained.

`tst` is the fix, `created_at` when the app packed it up: far apart means that it was kept while offline. iOS says -1 for a
speed or course it does not know. A place reported because we asked (`t` is `r`) is also a reply; it names no command.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ingest.decode.limits import BAD_PAYLOAD, DecodeLimits, judge
from ingest.decode.points import Bad, OpenPoint, kept_extra
from ingest.decode.status import Status
from ingest.trackers.tracked import (
    DECODE_KEYS,
    EpochSeconds,
    Measure,
    Tracked,
    TrackerMessage,
    measure,
    not_negative,
    whole,
)
from model.codes import Reason
from model.command import Reply
from model.device import check_device_id
from model.errors import UsageError

#: Types that are about the app and hold no place of the device.
PASSED_OVER = frozenset(
    {"waypoint", "waypoints", "status", "steps", "beacon", "card", "cmd", "configuration", "dump", "request", "msg"}
)
#: Trigger of a place that answers `reportLocation`, as JSON.
_ANSWER = b'"r"'
_MS = 1_000


class Location(msgspec.Struct, gc=False):
    """A `location`, or a `transition` with its place, as it comes."""

    tst: EpochSeconds
    lat: float
    lon: float
    acc: Measure = None
    alt: Measure = None
    vel: Measure = None
    cog: Measure = None
    batt: Measure = None
    created_at: EpochSeconds | None = None
    ign: bool | None = None
    t: msgspec.Raw = msgspec.Raw()


class _Will(msgspec.Struct, gc=False):
    tst: EpochSeconds | None = None


#: Known keys that are not kept in `extra`: their value is in a column.
_IN_COLUMNS = frozenset({"tst", "lat", "lon", "acc", "alt", "vel", "cog", "batt", "ign"})
# Not strict: some apps and bridges send numbers as texts.
_DECODE_LOCATION = msgspec.json.Decoder(Location, strict=False).decode
_DECODE_WILL = msgspec.json.Decoder(_Will, strict=False).decode
_DECODE_TEXT = msgspec.json.Decoder(str).decode


def decode_owntracks(messages: Sequence[TrackerMessage], received_ms: int, limits: DecodeLimits) -> Tracked:
    """Everything that `messages` held, in order. Never raises for what they hold.

    Args:
        messages: of known devices.
        received_ms: our clock, UTC ms.
        limits: see `DecodeLimits`: `extra_bytes`, `buffered_s`.
    """
    tracked = Tracked()
    for index, message in enumerate(messages):
        try:
            refused = _one(message, received_ms, limits, tracked)
        except BAD_PAYLOAD as error:
            refused = judge(error)
        if refused is not None:
            tracked.rows.bad.append(Bad(index, refused[0], 1, refused[1], message.payload))
    return tracked


def _one(
    message: TrackerMessage, received_ms: int, limits: DecodeLimits, tracked: Tracked
) -> tuple[Reason, str] | None:
    """Keep what one message holds, or say why not. Raises `BAD_PAYLOAD`."""
    if not message.payload:  # clears what the broker had kept
        tracked.passed_over += 1
        return None
    message.payload.decode()
    keys = DECODE_KEYS(message.payload)
    if "_type" not in keys:
        return Reason.MISSING_FIELD, "Object missing required field `_type`"
    kind = _DECODE_TEXT(keys["_type"])
    if kind == "location" or (kind == "transition" and "lat" in keys and "lon" in keys):
        return _place(kind, keys, message, limits, tracked)
    if kind == "lwt":
        tracked.statuses.append(_gone(message, received_ms))
    elif kind in PASSED_OVER or kind == "transition":
        tracked.passed_over += 1
    elif kind == "encrypted":
        return Reason.ENCRYPTED, "The app encrypts its payload: turn that off, TLS protects it on the way"
    else:
        return Reason.UNKNOWN_MESSAGE, f"{kind[:80]!r} is no `_type` of OwnTracks"
    return None


def _place(
    kind: str, keys: dict[str, msgspec.Raw], message: TrackerMessage, limits: DecodeLimits, tracked: Tracked
) -> tuple[Reason, str] | None:
    other = _other_device(keys.get("topic"), message.device)
    if other:
        return Reason.IDENTITY_MISMATCH, f"`topic` says {other[:80]!r}"
    said = _DECODE_LOCATION(message.payload)
    extra = {
        key: raw for key, raw in keys.items() if key not in _IN_COLUMNS and not (key == "_type" and kind == "location")
    }
    buffered = message.retained or (said.created_at is not None and said.created_at - said.tst > limits.buffered_s)
    point = OpenPoint(
        ts=round(said.tst * _MS),
        lat=said.lat,
        lon=said.lon,
        speed_kmh=not_negative(said.vel),
        heading_deg=not_negative(said.cog),
        alt_m=measure(said.alt),
        acc_m=not_negative(said.acc),
        battery_pct=whole(said.batt),
        buffered=buffered,
    )
    if said.ign is not None:
        point.ignition = said.ign
    tracked.add(message.slot, point, kept_extra(extra, limits.extra_bytes))
    if bytes(said.t) == _ANSWER and not message.retained:
        data = {"time_ms": point.ts, "lat": point.lat, "lon": point.lon}
        tracked.replies.append(Reply("", ok=True, detail="", data=data, device=message.device))
    return None


def _gone(message: TrackerMessage, received_ms: int) -> Status:
    """The last will: the broker has lost the app. Its time is when the app had connected, so ours is taken without."""
    said = _DECODE_WILL(message.payload)
    return Status(
        device=message.device,
        slot=message.slot,
        time_ms=received_ms if said.tst is None else round(said.tst * _MS),
        received_ms=received_ms,
        online=False,
        battery_pct=None,
        rssi_dbm=None,
        firmware="",
        retained=message.retained,
    )


def _other_device(raw: msgspec.Raw | None, device: str) -> str:
    """The device id in the payload's `topic` where it is one of ours and not `device`, else "".

    A name that is no device id, as a bridge leaves it there, says nothing.
    """
    if raw is None:
        return ""
    try:
        levels = _DECODE_TEXT(raw).split("/")
        said = check_device_id("/".join(levels[1:3])) if levels[0] == "owntracks" else device
    except (*BAD_PAYLOAD, UsageError):
        return ""
    return "" if said == device else said
