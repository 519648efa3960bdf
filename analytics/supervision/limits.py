"""`SupervisionLimits`: what the daily supervision goes by besides the limits of the rules and of cleaning."""

from __future__ import annotations

from dataclasses import dataclass

from model.errors import SettingsError

#: Where the law changes what an overspeed costs, percent above the limit: a warning below 10, points from 20 on,
#: more from 50 on (Road Traffic Safety Law of the PRC, art. 99; order 163 of the Ministry of Public Security, 2021).
DEFAULT_BAND_EDGES_PCT: tuple[int, ...] = (10, 20, 50)
DEFAULT_DRIFT_POINTS = 5
DEFAULT_OFFLINE_MS = 600_000
#: 22 bytes each while a day is gathered: 1.8 GB.
DEFAULT_MAX_POINTS = 80_000_000
#: Vehicles looked at together: at one fix in fifteen seconds about 2 million points, some 800 MB of columns.
DEFAULT_PART_VEHICLES = 512


@dataclass(frozen=True, slots=True)
class SupervisionLimits:
    """Thresholds of the supervision.

    Attributes:
        band_edges_pct: percent above the limit, ascending, at which the next band of overspeed begins; the first band
            begins at the limit (with the tolerance of the rules).
        drift_points: so many fixes that jump make a vehicle one that drifts.
        offline_ms: so long without any point is a time off-line.
        max_points: points of one supervision.
        part_vehicles: vehicles looked at together.
    """

    band_edges_pct: tuple[int, ...] = DEFAULT_BAND_EDGES_PCT
    drift_points: int = DEFAULT_DRIFT_POINTS
    offline_ms: int = DEFAULT_OFFLINE_MS
    max_points: int = DEFAULT_MAX_POINTS
    part_vehicles: int = DEFAULT_PART_VEHICLES

    def __post_init__(self) -> None:
        edges = self.band_edges_pct
        if list(edges) != sorted(set(edges)) or (edges and edges[0] <= 0):
            raise SettingsError(
                f"The bands of overspeed {edges} do not ascend from above zero.", mend="Give percents like 10, 20, 50."
            )
        if min(self.drift_points, self.offline_ms, self.max_points, self.part_vehicles) < 1:
            raise SettingsError("A limit of the supervision is not positive.", mend="Give 1 or more for each.")

    @property
    def bands(self) -> int:
        """How many bands there are."""
        return len(self.band_edges_pct) + 1
