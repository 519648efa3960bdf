"""The role `video`: a machine that watches its part of all cameras, and answers what is asked of them.

`open_video_role` makes everything that runs while the role runs. What cameras notice goes into the alarms' stream from here; what a desk
asks for an alarm comes through `<prefix>_video_asks`, and what it shows live through a connection of its own. It joins parts and decides no rule.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from console.live.hub import LiveHub
from lucheng.nats_choice import open_link
from lucheng.video.camera_watch import CameraWatch
from lucheng.video.sharing.answering import Answering
from lucheng.video.sharing.known import KnownCameras
from lucheng.video.sharing.rows import TELL_EVERY_S, RowTeller
from lucheng.video.sharing.sharer import Sharer
from lucheng.video.sharing.views import DEFAULT_MAX_VIEWS, Views
from store.nats.cameras import VideoNames, set_up_video
from store.nats.files import Files
from store.nats.terms import Away

if TYPE_CHECKING:
    from lucheng.video.camera_watch import WatchRooms
    from store.log.committer import Committer
    from store.nats.link import Link

#: How long the end may take to close the connections to cameras.
CLOSE_S = 4.0


class VideoRole:
    """See the module. Made by `open_video_role`.

    Args:
        rooms: what it needs of the stores; recordings are this machine's own.
        alarms: committer of the alarms' stream.
        link: the way to the servers, for leases and requests.
        bulk: another, for pictures: nothing that matters waits behind them.
        machine: this machine's name, for people.
        on_fatal: called when it cannot go on.
    """

    def __init__(
        self,
        rooms: WatchRooms,
        alarms: Committer,
        link: Link,
        bulk: Link,
        *,
        machine: str,
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        self._link = link
        self._bulk = bulk
        settings = rooms.settings
        names = VideoNames(settings.nats.prefix)
        self.known = KnownCameras(rooms.cameras)
        self.watch = CameraWatch(
            rooms,
            alarms,
            on_fatal=on_fatal,
            may_tell=lambda device: self.sharer.speaks_for(device),  # noqa: PLW0108 made below
            until_s=lambda: self.sharer.until_s(),  # noqa: PLW0108 as above
        )
        self.sharer = Sharer(
            link,
            names,
            machine=machine,
            settings=settings.video,
            watch=self.watch,
            known=self.known.now,
            on_fatal=on_fatal,
            answer=lambda subject, said: self.views.answer(subject, said),  # noqa: PLW0108 as above
        )
        self.answering = Answering(
            link,
            names,
            Files(bulk, names.files),
            self.watch.requests,
            holds=self.sharer.holds,
            run=lambda: self.sharer.run,
            recorded=self.watch.recorded,
            machine=machine,
        )
        live = settings.live
        self._hub = LiveHub(
            self.watch.live,
            clock=rooms.clock,
            max_viewers=DEFAULT_MAX_VIEWS,
            max_viewers_per_camera=live.max_viewers_per_camera,
            max_viewer_bytes=live.max_viewer_bytes,
        )
        self.views = Views(
            bulk,
            names,
            self._hub,
            holds=self.sharer.speaks_for,
            wake=self.watch.requests.wake,
            max_view_bytes=settings.video.max_view_bytes,
        )
        self._names = names
        self._recordings = rooms.recordings
        self._rows = RowTeller(machine)
        self._end_rows: Callable[[], None] = lambda: None

    def start(self) -> None:
        """Take part. Raises StoreError."""
        self.watch.adopt()
        self.known.start()
        self.watch.start_watching()
        self.answering.start()
        self.views.start()
        self._end_rows = self._bulk.start(self._tell_rows())
        self.sharer.start()

    async def _tell_rows(self) -> None:
        while True:
            await asyncio.sleep(TELL_EVERY_S)
            rows = await asyncio.to_thread(self.watch.duty.rows)
            with suppress(Away):
                for said in self._rows.next(rows):
                    await self._bulk.tell(self._names.rows_subject, said)

    def stop(self) -> None:
        """Close every camera, let the others have them at once, and finish what is recorded."""
        self.sharer.stop(CLOSE_S)
        self._end_rows()
        self.views.stop()
        self.answering.stop()
        self.watch.stop_watching()
        self.known.stop()
        self._bulk.close()
        self._link.close()

    def changed(self) -> None:
        """Something was set in the registry: take it over now and not within a second."""
        self.known.refresh()

    def live_values(self) -> dict[str, float]:
        """State by name."""
        values = self.sharer.values()
        values |= {
            "video_workers": len(self.watch.supervisor.process_ids()),
            "video_worker_deaths": self.watch.supervisor.deaths,
            "camera_signals": self.watch.signals.written,
            "camera_signals_left_out": self.watch.signals.left_out,
            "recording_segments": self.watch.segments,
            "recording_segments_refused": self.watch.segments_refused,
            "recording_bytes": self._recordings.total_bytes,
        }
        values |= {
            "video_asks_begun": self.answering.begun,
            "video_asks_told": self.answering.told,
            "video_asks_again": self.answering.again,
            "video_views": self.views.count,
        }
        values |= {f"cameras_{state}": count for state, count in self.watch.duty.counts().items()}
        return values | self.watch.worker_values()

    def status(self) -> dict[str, Any]:
        """For people, and for `lucheng cluster status`."""
        return self.sharer.status()


def open_video_role(
    rooms: WatchRooms, alarms: Committer, *, machine: str, on_fatal: Callable[[BaseException], None]
) -> VideoRole:
    """The role on this machine; `start` it.

    Args: see `VideoRole`.

    Raises:
        SettingsError: the nats-servers in the settings, or what they hold, do not fit. StoreError: they were not reached.
    """
    settings = rooms.settings
    link = open_link(settings, rooms.clock, "lucheng-video")
    try:
        names = VideoNames(settings.nats.prefix)
        replicas = settings.nats.alarm_replicas
        link.call(set_up_video(link, names, replicas=replicas, max_file_bytes=settings.video.max_file_bytes))
        bulk = open_link(settings, rooms.clock, "lucheng-video-bulk")
        try:
            return VideoRole(rooms, alarms, link, bulk, machine=machine, on_fatal=on_fatal)
        except BaseException:
            bulk.close()
            raise
    except BaseException:
        link.close()
        raise
