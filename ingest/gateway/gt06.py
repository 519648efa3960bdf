"""The GT06 side of a round: frames of trackers, one by one.

Purpose: login, heartbeat, positions, alarms, answers to commands, time. Invariants: a tracker is believed by its IMEI in
the login alone, since the protocol has no authentication; what holds a position or an alarm is answered after the commit;
a frame whose checksum does not hold is quarantined and never answered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ingest.gateway.links import Link

if TYPE_CHECKING:
    from ingest.gateway.core import Core, Round

LOGIN = 0x01


class Gt06Side:
    """See the module. One thread.

    Args:
        core: what all sides share.
    """

    def __init__(self, core: Core) -> None:
        self._core = core

    def take(self, pieces: list[tuple[Link, bytes]], round_: Round) -> None:
        """Take what was read of each link, its rest in front."""
