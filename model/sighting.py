"""How far a tag may be from the reader that saw it.

Purpose: `sighting_uncertainty_m`, an honest `acc_m` for a row whose place is the reader's. Invariants: pure, bounded
(`MIN_SIGHTING_M` to `MAX_SIGHTING_M`), never smaller for a weaker signal. It makes no point and knows no reader's place.

It is an upper bound, not an estimate of the distance: signal strength tells little about distance (walls, a body, the
antenna's direction), so the bound is the distance at which a signal that is `MARGIN_SIGMAS` spreads luckier than usual
would be as weak as this one.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

#: dBm at `REFERENCE_M`, of an active tag of 0 dBm at 2.4 GHz: free space takes 40 dB over the first metre (Friis), and
#: tag and reader antennas together some 10 dB.
DEFAULT_REFERENCE_DBM = -50.0
REFERENCE_M = 1.0
#: Path-loss exponent: 2 in free space, 2.7 to 3.5 in urban cells (Rappaport, table 4.2); the lower one, since the bound is wanted.
DEFAULT_PATH_LOSS_EXPONENT = 2.7
#: Spread of shadowing outdoors, dB (A. Goldsmith, "Wireless Communications", section 2.7: 4 to 13 are measured).
DEFAULT_SHADOWING_DB = 6.0
#: One-sided: 97.7 % of signals are no luckier than this.
MARGIN_SIGMAS = 2.0
#: A reader's own place is surveyed to some metres, and the tag passes in front of it.
MIN_SIGHTING_M = 10.0
#: Beyond this no reader reads a tag of 0 dBm; also what a reader that tells no strength has seen.
MAX_SIGHTING_M = 150.0


def sighting_uncertainty_m(
    rssi_dbm: npt.NDArray[np.floating] | float,
    *,
    reference_dbm: float = DEFAULT_REFERENCE_DBM,
    path_loss_exponent: float = DEFAULT_PATH_LOSS_EXPONENT,
    shadowing_db: float = DEFAULT_SHADOWING_DB,
) -> npt.NDArray[np.float64]:
    """Radius (m, float64, shape of the argument) within which a tag of this received strength (dBm) was.

    NaN (no strength told) gives `MAX_SIGHTING_M`; nothing raises.

    Source: log-distance path loss with log-normal shadowing, T. S. Rappaport, "Wireless Communications: Principles and
    Practice", 2nd ed., section 4.9: strength = reference - 10 · n · log10(d / d0) + X, X normal with `shadowing_db`;
    solved for d with X = `MARGIN_SIGMAS` · `shadowing_db`.
    """
    rssi = np.asarray(rssi_dbm, np.float64)
    lost_db = reference_dbm - rssi + MARGIN_SIGMAS * shadowing_db
    # The exponent is bounded before the power, so that no strength overflows.
    decades = np.clip(lost_db / (10.0 * path_loss_exponent), -3.0, 6.0)
    radius = np.clip(REFERENCE_M * 10.0**decades, MIN_SIGHTING_M, MAX_SIGHTING_M)
    return np.where(np.isnan(rssi), MAX_SIGHTING_M, radius)
