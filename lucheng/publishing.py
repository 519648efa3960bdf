"""`lucheng publish`: a file's points through MQTT, as their devices would send them.

Invariants: points go out in the order of their times, whatever the file's order; one message a
point at QoS 1, and the call returns when the broker has acknowledged all of them or says how many
are missing. A row that is no point is counted and not sent. Pace and times are `simulator.playing`'s;
it knows nothing of who listens.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingest.files import FileBatch, FileReader, open_file
from model.errors import TryAgain
from simulator.playing import DEFAULT_MAX_POINTS, Played, TimeMode, play
from simulator.publisher import Publisher, read_credentials

if TYPE_CHECKING:
    from config.sections import Settings
    from model.clock import Clock

Progress = Callable[[int, int], None]


@dataclass(slots=True)
class _Counted:
    """The batches of a file as they are read, and how many rows of which kind went by."""

    reader: FileReader
    points: int = 0
    skipped: int = 0
    devices: set[str] = field(default_factory=set)

    def __iter__(self) -> Iterator[FileBatch]:
        for batch in self.reader:
            self.points += len(batch.points)
            self.skipped += sum(item.rows for item in batch.quarantined)
            self.devices.update(batch.devices)
            yield batch


def publish_file(
    path: Path,
    format_name: str,
    broker_url: str,
    *,
    settings: Settings,
    clock: Clock,
    speed: float,
    time_mode: TimeMode = TimeMode.ORIGINAL,
    credentials_file: Path | None = None,
    day: datetime.date | None = None,
    max_points: int = DEFAULT_MAX_POINTS,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Play a file; return `{"points", "acknowledged", "skipped", "devices", "seconds"}`.

    Args:
        path: the file.
        format_name: a name of `ingest.files`.
        broker_url: where it is played to.
        settings: time zone and limits.
        clock: paces.
        speed: times as fast as recorded; 0: as fast as the broker takes them.
        time_mode: what becomes of the times.
        credentials_file: JSON with user and password by device, or None for one connection for all.
        day: local day of a format whose times have none.
        max_points: points of one file, for they are put in order of time before the first one goes out.
        progress: called with points sent and in all.

    Raises BadInput (the file), UsageError (format, broker's address, speed), TryAgain (the broker stopped answering).
    """
    credentials = None if credentials_file is None else read_credentials(credentials_file)
    started_s = clock.monotonic_s()
    reader = open_file(
        path,
        format_name,
        time_zone=settings.city.time_zone,
        date=day,
        clock=clock,
        max_line_bytes=settings.limits.line_bytes,
    )
    with reader, Publisher(broker_url, clock=clock, credentials=credentials) as publisher:
        source = _Counted(reader)

        def report(played: Played) -> None:
            if progress is not None:
                progress(played.points, source.points)

        played = play(
            source,
            publisher,
            clock=clock,
            speed=speed,
            time_mode=time_mode,
            time_order=True,
            progress=report,
            max_points=max_points,
        )
    if not played.drained:
        raise TryAgain(
            f"The broker did not acknowledge {played.messages - played.acknowledged} of {played.messages} points.",
            mend="Check the broker, then publish again: what came twice is known as duplicate.",
        )
    return {
        "points": source.points,
        "acknowledged": played.acknowledged,
        "skipped": source.skipped,
        "devices": len(source.devices),
        "seconds": round(clock.monotonic_s() - started_s, 3),
    }
