"""What a sender sent and what was acknowledged to it, in a file that outlives the sender.

Invariants: an item is written before it is sent, an acknowledgement after it came, each block with one `write`, so
that a `kill -9` loses at most acknowledgements; reading it gives the truth that the judge compares the store with.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Self

from model.batch import PointBatch
from model.codes import ALARM_BY_NAME
from model.signal import message_signal_id
from simulator import payloads


class Point(NamedTuple):
    """One point as a device sends it."""

    device: str
    seq: int
    time_ms: int
    lat: float
    lon: float
    speed_kmh: float
    sos: bool = False

    @property
    def key(self) -> tuple[str, int]:
        """What tells it from every other point of the test."""
        return self.device, self.seq

    @property
    def topic(self) -> str:
        """Where it is published."""
        return payloads.topic(self.device, "point")

    @property
    def payload(self) -> bytes:
        """Its message."""
        return point_payload([self])


class Press(NamedTuple):
    """One alarm message of a button."""

    device: str
    name: str
    time_ms: int

    @property
    def signal_id(self) -> str:
        """Id of the one signal that it becomes, however often it comes."""
        return message_signal_id(self.device, self.name)

    @property
    def topic(self) -> str:
        """Where it is published."""
        return payloads.topic(self.device, "alarm")

    @property
    def payload(self) -> bytes:
        """Its message."""
        return payloads.alarm(self.name, self.time_ms, "one_key")


def point_payload(points: list[Point]) -> bytes:
    """One message: an object, or an array when there are more."""
    bit = 1 << ALARM_BY_NAME["sos"].bit
    batch = PointBatch.of(
        len(points),
        {
            "time_ms": [point.time_ms for point in points],
            "seq": [point.seq for point in points],
            "lat": [point.lat for point in points],
            "lon": [point.lon for point in points],
            "speed_kmh": [point.speed_kmh for point in points],
            "alarm_bits": [bit * point.sos for point in points],
        },
    )
    objects = payloads.point_objects(batch)
    return objects[0] if len(objects) == 1 else payloads.point_array(objects)


@dataclass(slots=True)
class Sent:
    """What the ledger holds.

    Attributes:
        points: every point that was sent, by key.
        presses: every alarm message, by signal id.
        acknowledged: keys of points whose PUBACK came.
        acknowledged_presses: signal ids of alarm messages whose PUBACK came.
    """

    points: dict[tuple[str, int], Point] = field(default_factory=dict)
    presses: dict[str, Press] = field(default_factory=dict)
    acknowledged: set[tuple[str, int]] = field(default_factory=set)
    acknowledged_presses: set[str] = field(default_factory=set)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Everything in the file so far; an unfinished line at its end is not."""
        found = cls()
        text = path.read_text() if path.exists() else ""
        for line in text[: text.rfind("\n") + 1].splitlines():
            kind, *words = line.split("\t")
            if kind == "P":
                device, seq, time_ms, lat, lon, speed, sos = words
                point = Point(device, int(seq), int(time_ms), float(lat), float(lon), float(speed), sos == "1")
                found.points[point.key] = point
            elif kind == "M":
                press = Press(words[0], words[1], int(words[2]))
                found.presses[press.signal_id] = press
            elif kind == "p":
                found.acknowledged.add((words[0], int(words[1])))
            elif kind == "m":
                found.acknowledged_presses.add(words[0])
        return found

    @property
    def sos_devices(self) -> set[str]:
        """Devices that sent a point with the sos bit; in these tests each does so in one stretch."""
        return {point.device for point in self.points.values() if point.sos}


class Ledger:
    """The file, open for appending."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def sends(self, items: Iterable[Point | Press]) -> None:
        """Note items that are about to be sent."""
        lines = []
        for item in items:
            if isinstance(item, Point):
                place = f"{item.lat:.6f}\t{item.lon:.6f}\t{item.speed_kmh:.1f}\t{item.sos:d}"
                lines.append(f"P\t{item.device}\t{item.seq}\t{item.time_ms}\t{place}\n")
            else:
                lines.append(f"M\t{item.device}\t{item.name}\t{item.time_ms}\n")
        self._write(lines)

    def acknowledges(self, items: Iterable[Point | Press]) -> None:
        """Note items whose acknowledgement came."""
        self._write(
            f"p\t{item.device}\t{item.seq}\n" if isinstance(item, Point) else f"m\t{item.signal_id}\n" for item in items
        )

    def _write(self, lines: Iterable[str]) -> None:
        data = "".join(lines).encode()
        if data:
            os.write(self._fd, data)

    def close(self) -> None:
        """Release the file."""
        os.close(self._fd)
