"""The operation `trips`: a device's track told as trips and stops. Part of `console.operations`.

Invariants: it reads by `track` alone, so a track's protections, limits and audit are its own too. Answers are JSON-ready;
`None` for what the device did not tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from console.device_operations import Caller
from console.trip_rows import flip_rows, journeys_of, stop_rows, totals, trip_rows

if TYPE_CHECKING:
    from config.sections import Settings
    from console.track_operations import Track


class _Tracks(Protocol):
    """What it needs of the operations."""

    _settings: Settings

    def track(
        self, caller: Caller, device: str, from_ms: int, to_ms: int, purpose: str | None = None, approval: str = ""
    ) -> Track: ...


class TripOperations:
    """See the module."""

    def trips(
        self: _Tracks,
        caller: Caller,
        device: str,
        from_ms: int,
        to_ms: int,
        purpose: str | None = None,
        approval: str = "",
    ) -> dict[str, Any]:
        """Trips and stops of one device with from_ms <= time < to_ms, each in order, its occupancy changes, and totals.

        A trip or a stop that began before the window or goes on after it is told as far as it lies within. Raises as `track`.
        """
        points = self.track(caller, device, from_ms, to_ms, purpose, approval).points
        found = journeys_of(points, self._settings)
        return {
            "device": device,
            "points": len(points),
            "trips": list(trip_rows(found.trips)),
            "stops": list(stop_rows(found.stops)),
            "occupancy": list(flip_rows(found.flips)),
            "totals": totals(found.trips, found.stops),
        }
