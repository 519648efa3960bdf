"""The tables of `recordings.db`, and the nouns read from them. It opens nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from model.video import NewSegment

MIGRATIONS = (
    """
CREATE TABLE segment (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    camera TEXT NOT NULL,
    file TEXT NOT NULL UNIQUE,
    from_ms INTEGER NOT NULL,
    to_ms INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    codec TEXT NOT NULL,
    width_px INTEGER NOT NULL,
    height_px INTEGER NOT NULL,
    motion_ms INTEGER NOT NULL,
    masked INTEGER NOT NULL,
    entered_ms INTEGER NOT NULL,
    adopted INTEGER NOT NULL,
    deleting INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX segment_camera ON segment (camera, from_ms);
CREATE INDEX segment_age ON segment (to_ms, number) WHERE deleting = 0;
CREATE INDEX segment_deleting ON segment (number) WHERE deleting = 1;
CREATE TABLE hold (
    alarm TEXT NOT NULL,
    camera TEXT NOT NULL,
    from_ms INTEGER NOT NULL,
    to_ms INTEGER NOT NULL,
    made_ms INTEGER NOT NULL,
    PRIMARY KEY (alarm, camera, from_ms, to_ms)
) STRICT, WITHOUT ROWID;
CREATE INDEX hold_camera ON hold (camera, from_ms);
""",
)
#: Whether something holds the segment `s`.
HELD = "EXISTS (SELECT 1 FROM hold h WHERE h.camera = s.camera AND h.from_ms < s.to_ms AND h.to_ms > s.from_ms)"
COLUMNS = "camera, file, from_ms, to_ms, size_bytes, sha256, codec, width_px, height_px, motion_ms, masked"
SELECT = f"SELECT number, {COLUMNS}, entered_ms, adopted, {HELD} FROM segment s"  # noqa: S608 (constants)
INSERT = f"INSERT INTO segment ({COLUMNS}, entered_ms, adopted) VALUES ({', '.join('?' * 13)})"  # noqa: S608 (constants)


@dataclass(frozen=True, slots=True)
class Segment:
    """A kept piece of a recording: what `NewSegment` says, and what became of it.

    Attributes:
        id: e.g. `R17`; never used again.
        camera, file, from_ms, to_ms, size_bytes, sha256, codec, width_px, height_px, motion_ms, masked: as there.
        entered_ms: when it was entered, our clock, UTC ms.
        adopted: found on the disk after a crash; how long there was motion in it is not known.
        held: an alarm holds it: it is not deleted.
    """

    id: str
    camera: str
    file: str
    from_ms: int
    to_ms: int
    size_bytes: int
    sha256: str
    codec: str
    width_px: int
    height_px: int
    motion_ms: int
    masked: bool
    entered_ms: int
    adopted: bool
    held: bool


@dataclass(frozen=True, slots=True)
class Span:
    """Recorded without a gap.

    Attributes:
        from_ms, to_ms: half open, UTC ms.
        segments: how many pieces. motion_ms: how long there was motion in them.
        held: an alarm holds at least one of them.
    """

    from_ms: int
    to_ms: int
    segments: int
    motion_ms: int
    held: bool


@dataclass(frozen=True, slots=True)
class Hold:
    """A window of a camera's recordings that an alarm keeps from being deleted; half open, UTC ms."""

    alarm: str
    camera: str
    from_ms: int
    to_ms: int
    made_ms: int


def segment_of(row: tuple[Any, ...]) -> Segment:
    """From a row of `SELECT`."""
    values: tuple[Any, ...] = (f"R{row[0]}", *row[1:11], bool(row[11]), row[12], bool(row[13]), bool(row[14]))
    return Segment(*values)


def values_of(new: NewSegment) -> tuple[Any, ...]:
    """For `INSERT`, as far as `COLUMNS` go."""
    return tuple(getattr(new, name) for name in COLUMNS.split(", "))
