"""`Views`: live views of this machine's cameras that somebody watches at a desk.

Invariants: pictures go over a connection of their own and through no stream; of a view no more bytes are on their way than
`max_view_bytes`, what is not taken in time is dropped to the next keyframe, and nobody else waits for it; a view ends when nobody has
said for `UNSEEN_S` that it is seen, and when the camera goes. A camera has one feed, however many desks watch it. Masks are in the
pictures since before the ring.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import msgspec

from lucheng.logs import logger
from lucheng.video.sharing.direct import (
    NOT_HERE,
    OK,
    UNSEEN_S,
    Said,
    Seen,
    Shown,
    Unseen,
    View,
    WakeCamera,
    said_decoder,
)
from lucheng.video.sharing.direct import said_encoder as encoder
from model.errors import LuchengError
from model.video import Fragment
from store.nats.terms import Away

if TYPE_CHECKING:
    from console.live.hub import LiveHub
    from console.live.viewer import Viewer
    from store.nats.cameras import VideoNames
    from store.nats.link import Link

DEFAULT_MAX_VIEWS = 256
TICK_EVERY_S = 0.25
_NEXT_S = 1.0

_log = logger(__name__)


class Views:
    """See the module. `answer` belongs to the loop of the link that hears what is said; everything else to that of `bulk`.

    Args:
        bulk: the connection for pictures. names: what things are called.
        hub: the feeds of this machine's cameras.
        holds: whether a camera is certainly ours.
        wake: decodes a camera fully until then.
        max_view_bytes: of one view, on their way.
        max_views: at a time.
    """

    def __init__(
        self,
        bulk: Link,
        names: VideoNames,
        hub: LiveHub,
        *,
        holds: Callable[[str], bool],
        wake: Callable[[str, int], None],
        max_view_bytes: int,
        max_views: int = DEFAULT_MAX_VIEWS,
    ) -> None:
        self._bulk = bulk
        self._names = names
        self._hub = hub
        self._holds = holds
        self._wake = wake
        self._max_view_bytes = max_view_bytes
        self._max_views = max_views
        self._views: dict[str, _View] = {}
        self._end_ticking: Callable[[], None] = lambda: None
        #: What may wait a moment, and must not on the loop that hears.
        self._apart = ThreadPoolExecutor(1, "video-views")

    def start(self) -> None:
        """Serve from now on."""
        self._end_ticking = self._bulk.start(self._tick())

    def stop(self) -> None:
        """Tell every viewer the end."""
        self._end_ticking()
        self._hub.close()
        self._apart.shutdown(wait=True)

    @property
    def count(self) -> int:
        """Views that are served now."""
        return len(self._views)

    def answer(self, subject: str, said: bytes) -> bytes | None:
        """What a desk says to this machine; quick. On the loop of the link that hears it."""
        del subject
        try:
            return self._answer(said_decoder.decode(said))
        except (msgspec.MsgspecError, RuntimeError):  # of another version, or this machine ends
            return NOT_HERE

    def _answer(self, message: Said) -> bytes:
        match message:
            case WakeCamera(camera, until_ms):
                if not self._holds(camera):
                    return NOT_HERE
                self._apart.submit(self._wake, camera, until_ms)
            case View(camera, _, view):
                if not self._holds(camera) or len(self._views) >= self._max_views:
                    return NOT_HERE
                if view not in self._views:
                    one = self._views[view] = _View(message, self._bulk.clock.monotonic_s())
                    self._apart.submit(lambda: self._bulk.start(self._serve(one)))
            case Seen(view, size_bytes):
                seen = self._views.get(view)
                if seen is None:
                    return NOT_HERE
                seen.seen_bytes, seen.seen_s = size_bytes, self._bulk.clock.monotonic_s()
            case Unseen(view):
                gone = self._views.get(view)
                if gone is not None:
                    gone.seen_s = float("-inf")
        return OK

    # -- on the loop of `bulk` ------------------------------------------------------------------

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_EVERY_S)
            await asyncio.to_thread(self._hub.tick)

    async def _serve(self, one: _View) -> None:
        asked = one.asked
        viewer: Viewer | None = None
        try:
            loop = asyncio.get_running_loop()
            viewer = await asyncio.to_thread(self._hub.open, asked.camera, asked.mode, loop)
            why = await self._send_all(one, viewer)
        except LuchengError as error:
            why = error.message
        except Exception as error:  # one view that fails ends no other
            _log.exception("live view not served", camera=asked.camera, error=type(error).__name__)
            why = "it failed"
        finally:
            self._views.pop(asked.view, None)
            if viewer is not None:
                viewer.close()
        if why:
            try:
                await self._send(one, Fragment(asked.camera, "end", keyframe=False, data=why.encode(), time_ms=0))
            except LuchengError:
                return  # the desk notices that nothing comes

    async def _send_all(self, one: _View, viewer: Viewer) -> str:
        """Send what comes while it is seen; why it ended, "" when nobody watches. Raises Away."""
        while True:
            if self._bulk.clock.monotonic_s() - one.seen_s > UNSEEN_S:
                return ""
            if not self._holds(one.asked.camera):
                return "another machine has the camera now"
            if one.sent_bytes - one.seen_bytes >= self._max_view_bytes:
                await asyncio.sleep(TICK_EVERY_S / 5)  # meanwhile the hub drops to the next keyframe
                continue
            try:
                found = await asyncio.wait_for(viewer.next(), _NEXT_S)
            except TimeoutError:
                continue
            if isinstance(found, Fragment):
                await self._send(one, found)
            elif found is None:
                return "the video machine ends"
            elif found.what in ("ended", "closed"):
                return found.detail or "the video machine ends"

    async def _send(self, one: _View, fragment: Fragment) -> None:
        one.number += 1
        data = encoder.encode(Shown(one.number, fragment))
        if len(data) > self._bulk.max_payload_bytes:
            raise Away(f"a picture of {len(data)} bytes is larger than the nats-servers take")
        one.sent_bytes += len(fragment.data)
        await self._bulk.tell(self._names.view_subject(one.asked.view), data)


class _View:
    """A view that is served: what was asked, what was sent, what has come, when it was said so."""

    def __init__(self, asked: View, now_s: float) -> None:
        self.asked = asked
        self.number = 0
        self.sent_bytes = self.seen_bytes = 0
        self.seen_s = now_s
