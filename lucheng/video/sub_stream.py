"""The sub-stream of a camera: open while the decode policy wants it, or somebody watches a main stream that no browser plays.

Invariants: it is opened and closed beside the main stream and never holds that up; what it brings is decoded for the slab,
kept for who watches, and recorded nowhere; where it is lost who watches is shown the main stream again. A masked camera has
none: nobody masks it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analytics.gate.planner import Decode, DecodePlanner
from ingest.video.decoding import PictureDecoder
from ingest.video.ring import PacketRing
from ingest.video.seams import LossReason

if TYPE_CHECKING:
    from ingest.video.connection import CameraConnection
    from ingest.video.decoding import Picture
    from ingest.video.seams import Loss, PacketSink
    from lucheng.video.live_view import LiveView
    from lucheng.video.stays import Stays
    from model.video import Packet, StreamInfo

#: Its ring: enough to begin a live view.
RING_S = 10.0
#: How long one that is not wanted any more may take to end, beside everything else.
END_S = 3.0


@dataclass(frozen=True, slots=True)
class Main:
    """What the sub-stream needs of its camera.

    Attributes:
        ring: of the main stream. view, planner, stays: of the camera.
        look: called with each picture.
        opened: called when it brings pictures (again). lost: … when it does not, and whether it hung.
        ring_bytes, max_pixels: limits.
    """

    ring: PacketRing
    view: LiveView
    planner: DecodePlanner
    stays: Stays
    look: Callable[[Picture], None]
    opened: Callable[[], None]
    lost: Callable[[bool], None]
    ring_bytes: int
    max_pixels: int


class SubStream:
    """See the module. Any thread.

    Args:
        main: see `Main`.
        connect: makes its connection, to a sink; None: there is none.
    """

    def __init__(self, main: Main, connect: Callable[[PacketSink], CameraConnection] | None) -> None:
        self._main = main
        self._connect = connect
        self._lock = threading.Lock()
        self._now: _Opened | None = None
        self._viewed = self._ended = False
        #: Pictures decoded.
        self.decoded = 0

    @property
    def open(self) -> bool:
        """Whether it is meant to bring pictures now."""
        return self._now is not None

    def follow(self) -> None:
        """Open it where it is wanted, and close it where it is not; to be called now and then."""
        if self._connect is None:
            return
        with self._lock:
            wanted = not self._ended and (self._main.planner.wants_substream or self._viewed)
            if wanted and self._now is None:
                self._now = _Opened(self)
                self._now.connection = self._connect(self._now).start()
            now = self._now
            if wanted or now is None:
                return
            self._now = None
        if now.connection is not None:
            # beside: this may be a camera's own thread, and a read that ends a moment later has not hung
            threading.Thread(target=now.connection.stop, args=(END_S,), name="sub-stream", daemon=True).start()

    def begin_view(self, *, hard: bool) -> None:
        """Somebody watches; `hard`: a browser does not play the main stream, so as soon as it is there this is shown."""
        with self._lock:
            self._viewed = hard and self._connect is not None
            ring, now = self._main.ring, self._now
            if now is not None:
                now.shown = self._viewed and len(now.ring) > 0
                ring = now.ring if now.shown else ring
            self._main.view.begin(ring)
        self.follow()

    def end_view(self) -> None:
        """Nobody watches any more."""
        with self._lock:
            self._viewed = False
            self._main.view.end()
        self.follow()

    def end(self) -> None:
        """Close it for good."""
        self._ended = True
        self.follow()

    def _came(self, now: _Opened, packet: Packet) -> bool:
        """A packet of it is in its ring; False: it is not wanted any more."""
        if self._now is not now:
            return False
        if packet.keyframe and not now.shown:
            self._show(now)
        self._main.view.came()
        return True

    def _show(self, now: _Opened) -> None:
        with self._lock:
            if self._viewed and self._now is now:
                now.shown = True
                self._main.view.move(now.ring)

    def _lost(self, now: _Opened, loss: Loss) -> None:
        with self._lock:
            if now.shown and self._viewed:
                self._main.view.move(self._main.ring)
            now.shown = False
        self._main.lost(loss.reason in {LossReason.STUCK, LossReason.DECODE})


class _Opened:
    """The sub-stream from one opening to its close: a `PacketSink`."""

    def __init__(self, sub: SubStream) -> None:
        self._sub = sub
        self._main = sub._main  # noqa: SLF001 a part of it
        self.ring = PacketRing(max_s=RING_S, max_bytes=self._main.ring_bytes)
        self.connection: CameraConnection | None = None
        #: Whether who watches the camera is shown this.
        self.shown = False
        self._decoder: PictureDecoder | None = None
        #: The thread whose packets count: one that hung may come back after it was given up.
        self._owner = 0

    def on_open(self, info: StreamInfo) -> None:
        self._owner = threading.get_ident()
        if self._decoder is not None:
            self._decoder.close()
        self._decoder = PictureDecoder(info, fast=False, max_pixels=self._main.max_pixels)
        self._main.planner.reset_sub()
        self._main.opened()

    def on_packet(self, packet: Packet) -> None:
        self.ring.append(packet)
        if not self._sub._came(self, packet):  # noqa: SLF001
            return
        if self._main.planner.decide_sub(keyframe=packet.keyframe, corrupt=packet.corrupt) is not Decode.ALL:
            return
        assert self._decoder is not None
        with self._main.stays:
            pictures = self._decoder.decode(packet)
            if pictures and self._owner == threading.get_ident():
                self._main.look(pictures[-1])
        self._sub.decoded += len(pictures)

    def on_lost(self, loss: Loss) -> None:
        self._owner = 0
        self._sub._lost(self, loss)  # noqa: SLF001
