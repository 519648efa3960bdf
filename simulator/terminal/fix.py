"""`Fix`: a place as a terminal has it, and a small loop to drive.

Purpose: what `send_positions` takes, and fixes that move as a vehicle does. Invariants: the same place, seed and time
give the same fix. It writes no bytes: `jt` and `gt06` do.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

#: A place in the city, WGS-84 degrees: where terminals drive unless told otherwise.
DEFAULT_PLACE = (40.65, 109.84)
DEFAULT_RADIUS_M = 400.0
DEFAULT_SPEED_KMH = 36.0
_METRES_PER_DEGREE = 111_195.08
#: The bit of one-key alarm, in JT/T 808 and 905 alike.
SOS_BIT = 1
#: Alarm code of one-key alarm in GT06.
GT06_SOS = 0x01


@dataclass(frozen=True, slots=True)
class Fix:
    """One place.

    Attributes:
        time_ms: device clock, UTC ms; the wire keeps whole seconds.
        lat, lon: WGS-84 degrees.
        speed_kmh, heading_deg, altitude_m: of the vehicle.
        alarm: alarm bits of the terminal's own protocol (of GT06 the alarm code).
        status: status bits of its protocol; None: a valid fix with ignition on, and what the terminal was ordered.
        items: additional items (number, bytes), in order.
    """

    time_ms: int
    lat: float
    lon: float
    speed_kmh: float = 0.0
    heading_deg: int = 0
    alarm: int = 0
    status: int | None = None
    altitude_m: int = 0
    items: tuple[tuple[int, bytes], ...] = field(default=())

    def values(self) -> dict[str, Any]:
        """What people want to see of it."""
        return {
            "time_ms": self.time_ms,
            "lat": self.lat,
            "lon": self.lon,
            "speed_kmh": self.speed_kmh,
            "alarm": self.alarm,
            "status": self.status,
        }


def loop_fix(
    time_ms: int,
    *,
    place: tuple[float, float] = DEFAULT_PLACE,
    seed: int = 0,
    speed_kmh: float = DEFAULT_SPEED_KMH,
    radius_m: float = DEFAULT_RADIUS_M,
) -> Fix:
    """Where a vehicle is at `time_ms` that drives round `place` for ever; `seed` says where on the circle it began."""
    metres = speed_kmh / 3.6 * (time_ms / 1000.0)
    angle = (metres / radius_m + seed * 2.399963) % math.tau
    lat = place[0] + radius_m * math.cos(angle) / _METRES_PER_DEGREE
    lon = place[1] + radius_m * math.sin(angle) / (_METRES_PER_DEGREE * math.cos(math.radians(place[0])))
    heading = int(math.degrees(angle) + 90.0) % 360
    return Fix(time_ms, round(lat, 6), round(lon, 6), speed_kmh, heading)


def drive(start_ms: int, count: int, step_ms: int = 1_000, **loop: float) -> Iterator[Fix]:
    """`count` fixes of `loop_fix`, `step_ms` apart."""
    for number in range(count):
        yield loop_fix(start_ms + number * step_ms, **loop)  # type: ignore[arg-type]
