"""What the local logs of a data folder still hold when its log becomes streams: nobody would ever read it again, so it is refused.

Invariants: nothing is changed; where the logs were worked off, or were never there, nothing is said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lucheng.alarm_path import CONSUMER as ALARMS
from lucheng.rooms import ALARMS_LOG_FILE, POINTS_LOG_FILE
from lucheng.runner import CONSUMER as POINTS
from lucheng.series_choice import embedded_position, influx_position
from model.errors import Conflict
from store.log.local import LocalLog

if TYPE_CHECKING:
    from lucheng.rooms import Rooms


def refuse_left_over(rooms: Rooms) -> None:
    """Raise Conflict, with how many and what to do, where a local log has records that are not in the stores.

    Args:
        rooms: of a process whose logs are streams.
    """
    folder = rooms.data_dir
    stored = max(embedded_position(folder), influx_position(folder))
    left = {
        name: count
        for name, consumer, done in (
            (POINTS_LOG_FILE, POINTS, stored),
            (ALARMS_LOG_FILE, ALARMS, rooms.desk.position(ALARMS)),
        )
        if (count := _left(rooms, name, consumer, done))
    }
    if left:
        told = " and ".join(f"{count} in {name}" for name, count in left.items())
        raise Conflict(
            f"The local log of {folder} has records that nobody has worked off: {told}.",
            mend='Run once with nats.mode = "off" and the stores as they were until `lucheng status` has nothing in flight, stop it, '
            "then start again; or move these files away, and what is in them is lost.",
        )


def _left(rooms: Rooms, name: str, consumer: str, done: int) -> int:
    """Records of a log that neither its consumer nor the store has done."""
    path = rooms.data_dir / name
    if not path.exists():
        return 0
    log = LocalLog(path, clock=rooms.clock, read_only=True)
    try:
        return max(0, log.last_position() - max(done, log.consumed(consumer)))
    finally:
        log.close()
