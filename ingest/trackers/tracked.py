"""What the messages of trackers held, before it becomes columns: one shape for every JSON tracker.

Invariants: a message ends in exactly one of points, statuses, bad and `passed_over`; replies stand beside the point that
brought them, or alone. It decodes nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, NamedTuple

import msgspec

from ingest.decode.points import OpenPoint, PointRows
from model.batch import NAN

if TYPE_CHECKING:
    from ingest.decode.status import Status
    from model.command import Reply

#: Far beyond anything real, and finite in a float32; `None` is "not sent".
Measure = Annotated[float, msgspec.Meta(ge=-1e9, le=1e9)] | None
#: Seconds since 1970; within it milliseconds fit an int64, and NaN does not.
EpochSeconds = Annotated[float, msgspec.Meta(ge=-1e12, le=1e12)]
Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]

#: Value by value, so that a name's own words stand in what is said of a bad one.
DECODE_KEYS = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_MOST_INT16 = 32_767


class TrackerMessage(NamedTuple):
    """One message of a known device.

    Attributes:
        slot, device: whose it is.
        payload: as it came.
        retained: the broker had kept it.
    """

    slot: int
    device: str
    payload: bytes
    retained: bool = False


@dataclass(slots=True)
class Tracked:
    """What a round of messages held; `index` of what is bad counts the messages of the round."""

    rows: PointRows = field(default_factory=PointRows)
    statuses: list[Status] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    passed_over: int = 0

    def add(self, slot: int, point: OpenPoint, extra: bytes) -> None:
        """Keep a point."""
        if extra:
            self.rows.extra[len(self.rows.points)] = extra
        self.rows.points.append(point)
        self.rows.slots.append(slot)


def not_negative(value: float | None) -> float:
    """A measure that is never below zero; where it is, or is not sent, NaN: phones say -1 for "not known"."""
    return NAN if value is None or value < 0 else value


def whole(value: float | None) -> int:
    """A percentage or a count for an int16 column, -1 where it is not sent, negative or does not fit."""
    if value is None or not 0 <= value <= _MOST_INT16:
        return -1
    return round(value)


def measure(value: float | None) -> float:
    """A measure for a float column, NaN where it is not sent or is not finite."""
    return NAN if value is None or not math.isfinite(value) else value
