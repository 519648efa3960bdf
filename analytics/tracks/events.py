"""`RuleEvent`: what a zone or a line saw of an object."""

from __future__ import annotations

from dataclasses import dataclass

from model.camera import ObjectKind

#: left, top, right, bottom, fractions of the picture.
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class RuleEvent:
    """Something that a zone or a line of a camera was set to tell.

    Attributes:
        rule: name of the zone or line.
        what: `enter`, `stay`, `count` (zones), `left` or `right` (lines: where it went).
        kind: of the object.
        track: its id, 1 or more.
        time_ms: of the picture, UTC ms.
        box: of the object in it.
        count: objects in the zone at that time (`count`), else 0.
        stay_s: how long it has been in the zone (`stay`), else 0.
        alarm: whether it raises an alarm, else a signal alone.
    """

    rule: str
    what: str
    kind: ObjectKind
    track: int
    time_ms: int
    box: Box
    count: int = 0
    stay_s: float = 0.0
    alarm: bool = True
