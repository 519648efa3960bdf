"""The live side of the console, put together: where devices are, the stream of events, the map's data and base map.

Invariants: the table of places is filled from the store once, at the start or as soon as the store answers, under the service's own
name in the audit, and from then on by what was stored and by nothing else; the feed of events is one of its own, so that the command line's readers take no
place of the console's. It decides nothing about who may see what: `visitor` does, and the table of permissions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from console.camera_seams import CameraRow
from console.device_operations import Caller
from console.feed import Feed
from console.track_rows import FIRST_MS, LAST_MS
from console.web.base_map import BaseMap
from console.web.event_routes import event_routes
from console.web.events import EventHub, EventLimits
from console.web.maps import MapData, map_routes
from console.web.positions import Positions
from console.web.views import Board
from console.web.watching import Permits, Visitor
from lucheng.logs import logger
from model.errors import TryAgain
from model.grant import Grant, Purpose

if TYPE_CHECKING:
    from fastapi import APIRouter, Request

    from console.operations import Operations
    from devices.directory import Directory
    from lucheng.rooms import Rooms
    from model.batch import PointBatch

#: Purpose of watching what is live where none was said: the shift itself.
SHIFT_PURPOSE = "patrol"
#: Readers of the console's own feed: its hub is one.
_FEED_READERS = 4
#: A store that does not answer yet is asked for the first places this often.
FILL_EVERY_S = 10.0

_log = logger(__name__)


class Places:
    """The table of places, filled from the store as soon as that answers.

    A store whose server is away stops no start: the table is empty then, and is filled after a batch was stored, when the
    server must be back. What is filled in late is older than what was stored meanwhile, and the table keeps the newer.

    Args:
        rooms: the open data folder.
        directory: who is registered; the service's own.

    Raises AuditUnwritable, StoreError.
    """

    def __init__(self, rooms: Rooms, directory: Directory) -> None:
        self.table = Positions(directory, rooms.clock, window_s=rooms.settings.trust.live_window_s)
        self._rooms = rooms
        self._filled = False
        self._next_try_s = 0.0
        self._fill()

    def take(self, points: PointBatch) -> None:
        """Take over a batch that was stored; called by the one thread that stores."""
        self.table.take(points)
        if not self._filled and self._rooms.clock.monotonic_s() >= self._next_try_s:
            self._fill()

    def _fill(self) -> None:
        why = Purpose("maintenance", "", "the live map begins")
        try:
            newest = self._rooms.series.latest(Grant("lucheng", "service", why, None, FIRST_MS, LAST_MS), None)
        except TryAgain as error:
            self._next_try_s = self._rooms.clock.monotonic_s() + FILL_EVERY_S
            _log.warning("the live map begins empty", reason=error.message)
            return
        self._filled = True
        self.table.take(newest)


@dataclass(frozen=True, slots=True)
class LiveSide:
    """What the console's server mounts.

    Attributes:
        feed: the hub's own.
        hub: the streams of events.
        data: what is drawn on the map.
        base: what lies under it; `base.origins` has to be allowed by the page's security policy.
    """

    feed: Feed
    hub: EventHub
    data: MapData
    base: BaseMap
    board: Board
    positions: Positions

    def routes(self, visitor: Callable[[Request], Visitor]) -> list[APIRouter]:
        """The routes, to be mounted under `/api/v1`; `visitor` says who asks."""
        return [event_routes(self.hub, visitor), map_routes(self.data, self.base, visitor)]

    def live_values(self) -> dict[str, float]:
        """What it says of itself."""
        return {"event_streams": self.hub.streams, "event_views": len(self.board)}

    def close(self) -> None:
        """End every stream; twice is once."""
        self.hub.close()
        self.feed.close()


def open_live_side(
    rooms: Rooms,
    operations: Operations,
    positions: Positions,
    *,
    states: Callable[[], Mapping[str, CameraRow]] | None = None,
    roads: Callable[[], bytes | None] = lambda: None,
    api: str = "/api/v1",
) -> LiveSide:
    """Everything over an open data folder.

    Args:
        rooms: the data folder.
        operations: of the service.
        positions: the table of `Places`, fed by whoever stores points.
        states: how cameras are now.
        roads: GeoJSON lines where the data folder has no file of roads.
        api: where the routes will be mounted.
    """
    from devices.areas import Areas  # noqa: PLC0415 shapely costs 0.2 s

    settings, given = rooms.settings, rooms.settings.map
    desk = operations.desk
    board = Board(positions, window_s=settings.trust.live_window_s, max_vehicles=given.max_vehicles)
    feed = Feed(desk, operations.feed_row, max_watchers=_FEED_READERS)
    permits = Permits(
        board,
        positions,
        audit=rooms.audit,
        open_cases=lambda device: rooms.desk.cases(device=device),
        default_purpose=SHIFT_PURPOSE,
        clock=rooms.clock,
        max_follow=given.max_follow,
    )

    def begin(caller: Caller, after: int | None, purpose: str | None) -> None:
        operations.alarm_watch(caller, after, purpose or SHIFT_PURPOSE)

    hub = EventHub(
        feed,
        desk,
        board,
        positions,
        permits,
        begin=begin,
        clock=rooms.clock,
        limits=EventLimits(
            max_streams=given.max_viewers,
            max_streams_per_user=given.max_viewers_per_user,
            refresh_s=given.refresh_ms / 1000,
            beat_s=given.beat_s,
            stall_s=given.stall_s,
        ),
        approvals=rooms.approvals.counts,
    )
    data = MapData(
        registry=rooms.registry,
        nearby=lambda: rooms.nearby,
        fences=lambda: rooms.fences,
        areas=Areas(rooms.registry.file),
        positions=positions,
        units=desk.units,
        audit=rooms.audit,
        clock=rooms.clock,
        states=states,
        max_points=given.max_points,
        max_vertices=given.max_shape_vertices,
    )
    base = BaseMap(given, rooms.data_dir, api=api, roads=roads)
    return LiveSide(feed, hub, data, base, board, positions)
