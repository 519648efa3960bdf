"""Live video that begins a while ago: what the camera saw before, then, without a hole, what it sees.

Invariants: the live view is opened first and tells where it begins; what is before that comes out of memory or the recordings, by the same
right as a clip and audited as one, and ends where the live view begins, so that no picture comes twice or is missing; where there is
nothing of that time, or it takes too long, the live view goes on without it. One lead is made at a time and is bounded as a clip is.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable

import structlog

from console.live.streams import Look
from console.live.viewer import Told, Viewer
from model.errors import LuchengError
from model.video import Clip, Fragment

#: A lead that is not there by then is left out, seconds.
LEAD_TIMEOUT_S = 8.0
#: Leads that are made at a time; of H.265 each is re-encoded.
MAX_AT_A_TIME = 2
#: Width to which H.265 is re-encoded, pixels; as the live view does.
VIEW_WIDTH_PX = 960

_log = structlog.get_logger(__name__)
_turns = threading.BoundedSemaphore(MAX_AT_A_TIME)


class LedLook(Look):
    """A look that begins before now; see `Look`.

    `ask_clip` gives the clip up to a time, UTC ms, under the visitor's right. Raises LuchengError.
    """

    ask_clip: Callable[[int], Clip]

    async def begin(self, mode: str) -> Viewer:
        """Audit it and open it; the lead comes when the first live piece says where it ends."""
        return LedViewer(await super().begin(mode), self.ask_clip)


class LedViewer(Viewer):
    """A viewer whose first pieces are those before it."""

    def __init__(self, viewer: Viewer, ask_clip: Callable[[int], Clip]) -> None:
        # its own state is never used: everything is the viewer's that is led
        self._viewer = viewer
        self._ask_clip = ask_clip
        self._init: Fragment | None = None
        self._ready: deque[Fragment] = deque()
        self._led = False
        self.camera, self.mode = viewer.camera, viewer.mode

    async def next(self) -> Fragment | Told | None:
        """What comes next: `init` and the pieces of the lead, then `init` again and what is live."""
        if self._ready:
            return self._ready.popleft()
        while True:
            piece = await self._viewer.next()
            if self._led or not isinstance(piece, Fragment):
                return piece
            if piece.kind == "init":
                self._init = piece
                continue
            self._led = True
            self._ready.extend(await self._lead(piece.time_ms))
            self._ready.extend(one for one in (self._init, piece) if one is not None)
            return self._ready.popleft()

    def close(self) -> None:
        """It looks no more; twice is once."""
        self._viewer.close()

    async def _lead(self, to_ms: int) -> list[Fragment]:
        try:
            async with asyncio.timeout(LEAD_TIMEOUT_S):
                return await asyncio.to_thread(self._made, to_ms)
        except (LuchengError, TimeoutError) as error:
            _log.info("live.no_lead", camera=self.camera, error=type(error).__name__)
            return []

    def _made(self, to_ms: int) -> list[Fragment]:
        if not _turns.acquire(timeout=LEAD_TIMEOUT_S):
            return []
        try:
            pieces = fragments_of(self._ask_clip(to_ms), self.camera)
        finally:
            _turns.release()
        return [piece for piece in pieces if piece.kind == "init" or piece.time_ms < to_ms]


def fragments_of(clip: Clip, camera: str) -> list[Fragment]:
    """A clip as what a player of live video takes; H.265 is re-encoded. Raises BadInput, Refused."""
    from ingest.video.clip import clip_packets, viewing_copy  # noqa: PLC0415 loads FFmpeg
    from ingest.video.fragments import Fragmenter  # noqa: PLC0415 as above

    shown = viewing_copy(clip, max_width_px=VIEW_WIDTH_PX)
    packets = clip_packets(shown)
    if not packets:
        return []
    making = Fragmenter(camera, packets[0].info, transcoded=shown.transcoded)
    return [piece for packet in packets for piece in making.push(packet)]
