"""What may be set for a camera: its limits, read from JSON or TOML values and given back as such.

Invariants: settings that get past here have polygons that can be computed with (three corners and more, none crossing
itself, every place within the picture), names that are one of a kind in their camera, and rules with everything that they
need and nothing that they do not know; a value that is wrong is named by its path (`zones[1].ring[3]`), with what may
stand there. It opens no file, and knows no address.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from devices.details import checked_text
from model.camera import (
    HEALTH_ALARMS,
    RECORD_MODES,
    TRANSPORTS,
    CameraSettings,
    DecodePolicy,
    Line,
    ObjectKind,
    Place,
    Zone,
    ZoneRule,
)
from model.errors import UsageError

DIRECTIONS = ("both", "left", "right")
#: What may stand in `health_alarms`.
ALARM_CAUSES = ("offline", *(flag.name.lower() for flag in HEALTH_ALARMS if flag.name))

#: Farther away no camera tells a vehicle.
MAX_RANGE_M = 1_000.0

_SHOWN_CHARS = 40
_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class CameraLimits:
    """How much of everything.

    Attributes:
        max_zones, max_lines: of one camera.
        max_masks: polygons of `masks`; `ignore` has the same limit.
        max_corners: of one polygon.
        max_name_chars: of the name of a zone or a line.
        min_area: smallest polygon, fraction of the picture.
        min_line: shortest line, fraction of the picture's side.
        max_stay_s, max_count: of the rules of zones.
        max_pre_roll_s: what the ring in memory can give, seconds (the setting `camera.ring_s`).
        max_clip_s: pre-roll and post-roll together, seconds (the setting `clips.max_length_s`).
    """

    max_zones: int = 16
    max_lines: int = 16
    max_masks: int = 16
    max_corners: int = 64
    max_name_chars: int = 64
    min_area: float = 1e-4
    min_line: float = 0.01
    max_stay_s: float = _DAY_S
    max_count: int = 1_000
    max_pre_roll_s: float = 30.0
    max_clip_s: float = 300.0


DEFAULT_CAMERA_LIMITS = CameraLimits()

_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(CameraSettings)


def settings_to_json(settings: CameraSettings) -> dict[str, Any]:
    """The settings as JSON values, every key there; `read_settings` makes the same settings of it."""
    found: dict[str, Any] = msgspec.json.decode(_ENCODER.encode(settings))
    return found


def stored_text(settings: CameraSettings) -> str:
    """Checked settings as the registry keeps them; equal settings are equal texts."""
    return _ENCODER.encode(settings).decode()


def from_stored(text: str) -> CameraSettings:
    """Settings that were checked when they were kept; what a later lucheng added there is passed over."""
    return _DECODER.decode(text)


def read_settings(
    given: Mapping[str, Any],
    limits: CameraLimits = DEFAULT_CAMERA_LIMITS,
    *,
    base: CameraSettings | None = None,
) -> CameraSettings:
    """Settings from JSON or TOML values.

    Args:
        given: by key of `CameraSettings`; zones and lines are objects, places are `[x, y]`.
        limits: how much of everything.
        base: what holds for the keys that are not given; None: the defaults.

    Raises UsageError naming the path of the first wrong value and what may stand there.
    """
    values = settings_to_json(base or CameraSettings())
    values |= _object("", given, tuple(values))
    objects = _flag("objects", values["objects"])
    zones = _list("zones", values["zones"], limits.max_zones)
    lines = _list("lines", values["lines"], limits.max_lines)
    made = CameraSettings(
        policy=DecodePolicy(_choice("policy", values["policy"], tuple(DecodePolicy))),
        transport=_choice("transport", values["transport"], TRANSPORTS),
        record=_choice("record", values["record"], RECORD_MODES),
        sensitivity=_number("sensitivity", values["sensitivity"], 0.0, 1.0),
        objects=objects,
        zones=tuple(_zone(f"zones[{place}]", zone, limits, objects=objects) for place, zone in enumerate(zones)),
        lines=tuple(_line(f"lines[{place}]", line, limits, objects=objects) for place, line in enumerate(lines)),
        masks=_polygons("masks", values["masks"], limits),
        ignore=_polygons("ignore", values["ignore"], limits),
        health_alarms=_names("health_alarms", values["health_alarms"], ALARM_CAUSES),
        pre_roll_s=_number("pre_roll_s", values["pre_roll_s"], 0.0, limits.max_pre_roll_s, "the setting camera.ring_s"),
        post_roll_s=_number("post_roll_s", values["post_roll_s"], 0.0, limits.max_clip_s, "clips.max_length_s"),
        bearing_deg=None
        if values["bearing_deg"] is None
        else _number("bearing_deg", values["bearing_deg"], 0.0, 360.0),
        field_deg=_number("field_deg", values["field_deg"], 1.0, 360.0),
        range_m=_number("range_m", values["range_m"], 1.0, MAX_RANGE_M),
    )
    if made.pre_roll_s + made.post_roll_s > limits.max_clip_s:
        raise _wrong(
            "post_roll_s",
            f"with the pre-roll the clip has {made.pre_roll_s + made.post_roll_s:g} s",
            f"Keep both within {limits.max_clip_s:g} s (clips.max_length_s).",
        )
    _check_names(made)
    return made


def unmasked_fraction(before: CameraSettings, after: CameraSettings) -> float:
    """How much of the picture was masked `before` and is not any more `after`, 0 to 1."""
    if before.masks == after.masks or not before.masks:
        return 0.0
    import shapely  # noqa: PLC0415 shapely costs 0.2 s

    was = shapely.union_all([shapely.Polygon(ring) for ring in before.masks])
    now = shapely.union_all([shapely.Polygon(ring) for ring in after.masks])
    return float(was.difference(now).area)


# -- zones and lines ------------------------------------------------------------------------------


def _zone(at: str, given: Any, limits: CameraLimits, *, objects: bool) -> Zone:
    values = _object(at, given, ("name", "ring", "rule", "kinds", "stay_s", "max_count", "alarm"), ("name", "ring"))
    rule = ZoneRule(_choice(f"{at}.rule", values.get("rule", ZoneRule.MOTION.value), tuple(ZoneRule)))
    kinds = tuple(ObjectKind(kind) for kind in _names(f"{at}.kinds", values.get("kinds", []), tuple(ObjectKind)))
    stay_s = _number(f"{at}.stay_s", values.get("stay_s", 0.0), 0.0, limits.max_stay_s)
    max_count = _whole(f"{at}.max_count", values.get("max_count", 0), limits.max_count)
    if rule is ZoneRule.MOTION and kinds:
        raise _wrong(f"{at}.kinds", "motion knows no kinds of object", "Leave kinds out, or use enter, stay or count.")
    if rule is not ZoneRule.MOTION and not objects:
        raise _wrong(f"{at}.rule", f"{rule.value} needs the detector", "Set objects = true, or use the rule motion.")
    if (rule is ZoneRule.STAY) != (stay_s > 0):
        mend = f"Give more than 0, at most {limits.max_stay_s:g}." if rule is ZoneRule.STAY else "Leave it out."
        raise _wrong(f"{at}.stay_s", f"a stay of {stay_s:g} s with the rule {rule.value}", mend)
    if (rule is ZoneRule.COUNT) != (max_count > 0):
        mend = f"Give 1 to {limits.max_count}." if rule is ZoneRule.COUNT else "Leave it out."
        raise _wrong(f"{at}.max_count", f"{max_count} objects with the rule {rule.value}", mend)
    return Zone(
        name=_name(f"{at}.name", values["name"], limits),
        ring=_ring(f"{at}.ring", values["ring"], limits),
        rule=rule,
        kinds=kinds,
        stay_s=stay_s,
        max_count=max_count,
        alarm=_flag(f"{at}.alarm", values.get("alarm", True)),
    )


def _line(at: str, given: Any, limits: CameraLimits, *, objects: bool) -> Line:
    known = ("name", "start", "end", "direction", "kinds", "alarm")
    values = _object(at, given, known, ("name", "start", "end"))
    if not objects:
        raise _wrong(at, "a line needs the detector", "Set objects = true, or leave the line out.")
    start, end = _place(f"{at}.start", values["start"]), _place(f"{at}.end", values["end"])
    if math.dist(start, end) < limits.min_line:
        raise _wrong(
            f"{at}.end", "the line has no length", f"Draw it at least {limits.min_line:g} of the picture long."
        )
    kinds = _names(f"{at}.kinds", values.get("kinds", []), tuple(ObjectKind))
    return Line(
        name=_name(f"{at}.name", values["name"], limits),
        start=start,
        end=end,
        direction=_choice(f"{at}.direction", values.get("direction", "both"), DIRECTIONS),
        kinds=tuple(ObjectKind(kind) for kind in kinds),
        alarm=_flag(f"{at}.alarm", values.get("alarm", True)),
    )


def _check_names(settings: CameraSettings) -> None:
    seen: dict[str, str] = {}
    named: list[tuple[str, Sequence[Zone | Line]]] = [("zones", settings.zones), ("lines", settings.lines)]
    for what, shapes in named:
        for place, shape in enumerate(shapes):
            at = f"{what}[{place}].name"
            if shape.name in seen:
                raise _wrong(at, f"{shape.name!r} is the name of {seen[shape.name]}", "Give each a name of its own.")
            seen[shape.name] = f"{what}[{place}]"


# -- shapes ---------------------------------------------------------------------------------------


def _polygons(at: str, given: Any, limits: CameraLimits) -> tuple[tuple[Place, ...], ...]:
    rings = _list(at, given, limits.max_masks)
    return tuple(_ring(f"{at}[{place}]", ring, limits) for place, ring in enumerate(rings))


def _ring(at: str, given: Any, limits: CameraLimits) -> tuple[Place, ...]:
    """The corners, not closed (a last corner that is the first again is taken off)."""
    corners = [
        _place(f"{at}[{place}]", corner) for place, corner in enumerate(_list(at, given, limits.max_corners + 1))
    ]
    if len(corners) > 1 and corners[0] == corners[-1]:
        corners.pop()
    if not 3 <= len(corners) <= limits.max_corners:
        raise _wrong(at, f"{len(corners)} corners", f"Draw 3 to {limits.max_corners}.")
    import shapely  # noqa: PLC0415 shapely costs 0.2 s, and most cameras have no polygon

    polygon = shapely.Polygon(corners)
    if not polygon.is_valid:
        why = shapely.is_valid_reason(polygon).partition("[")[0].strip().lower()
        raise _wrong(at, f"the outline crosses or touches itself ({why})", "Draw the corners in order, once round.")
    if polygon.area < limits.min_area:
        raise _wrong(at, "the outline has no area to speak of", f"Draw at least {limits.min_area:g} of the picture.")
    return tuple(corners)


def _place(at: str, given: Any) -> Place:
    pair = _list(at, given, 2)
    if len(pair) != 2:
        raise _wrong(at, f"{len(pair)} numbers", "Write a place as [x, y].")
    return _number(f"{at}[0]", pair[0], 0.0, 1.0), _number(f"{at}[1]", pair[1], 0.0, 1.0)


# -- single values --------------------------------------------------------------------------------


def _object(at: str, given: Any, known: tuple[str, ...], needed: tuple[str, ...] = ()) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise _wrong(at, f"{_shown(given)} is no object", f"Write the keys {', '.join(known)}.")
    for key in given:
        if key not in known:
            close = difflib.get_close_matches(str(key), known, n=1, cutoff=0.6)
            here = f"{at}.{_shown(key, quoted=False)}" if at else _shown(key, quoted=False)
            raise _wrong(
                here, "there is no such key", f"Did you mean {close[0]}?" if close else f"Known: {', '.join(known)}."
            )
    for key in needed:
        if key not in given:
            raise _wrong(f"{at}.{key}", "it is missing", f"Needed are: {', '.join(needed)}.")
    return dict(given)


def _list(at: str, given: Any, max_items: int) -> Sequence[Any]:
    if not isinstance(given, list | tuple):
        raise _wrong(at, f"{_shown(given)} is no list", "Write it in [ ].")
    if len(given) > max_items:
        raise _wrong(at, f"{len(given)} items", f"Write {max_items} at most.")
    return given


def _names(at: str, given: Any, known: Sequence[str]) -> tuple[str, ...]:
    """Known words, none twice."""
    found = tuple(_choice(f"{at}[{place}]", one, known) for place, one in enumerate(_list(at, given, len(known))))
    if len(set(found)) != len(found):
        raise _wrong(at, "a word stands there twice", "Write each once.")
    return found


def _choice(at: str, given: Any, known: Sequence[str]) -> str:
    if not isinstance(given, str) or given not in known:
        raise _wrong(at, f"{_shown(given)} is not known", "Use one of " + ", ".join(known) + ".")
    return str(given)


def _name(at: str, given: Any, limits: CameraLimits) -> str:
    if not isinstance(given, str):
        raise _wrong(at, f"{_shown(given)} is no text", "Write a name.")
    name = checked_text(at, given, {at: limits.max_name_chars})
    if not name:
        raise _wrong(at, "it is empty", "Write a name.")
    return name


def _flag(at: str, given: Any) -> bool:
    if not isinstance(given, bool):
        raise _wrong(at, f"{_shown(given)} is neither true nor false", "Write true or false.")
    return given


def _number(at: str, given: Any, low: float, high: float, bound_by: str = "") -> float:
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise _wrong(at, f"{_shown(given)} is no number", f"Write {low:g} to {high:g}.")
    if not low <= given <= high:  # not a number is neither
        why = f" ({bound_by})" if bound_by else ""
        raise _wrong(at, f"{_shown(given)} is out of range", f"Write {low:g} to {high:g}{why}.")
    return float(given)


def _whole(at: str, given: Any, high: int) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or not 0 <= given <= high:
        raise _wrong(at, f"{_shown(given)} is no number of things", f"Write a whole number, 0 to {high}.")
    return given


def _shown(given: Any, *, quoted: bool = True) -> str:
    """A value for an error: one short line."""
    if isinstance(given, int) and not isinstance(given, bool) and abs(given) >= 10**_SHOWN_CHARS:
        return "a number that is too large"
    if isinstance(given, str) and "://" in given:
        return "an address"  # which may hold a password
    text = repr(given)[:_SHOWN_CHARS] if quoted else str(given)[:_SHOWN_CHARS]
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def _wrong(at: str, what: str, mend: str) -> UsageError:
    return UsageError(f"{at or 'The settings'}: {what}.", mend=mend)
