"""The live view of one camera in its worker: packets of its ring to fragments, in the form that a browser plays.

Invariants: a view begins with what a player needs first and the newest keyframe, so there is a picture at once; H.264 is
passed on as it is; H.265 is re-encoded, marked so, and only while somebody looks. A view reads the ring on a thread of its
own: no packet is left out or comes twice between the ring and it, and what re-encoding costs holds up no camera; one that is
too slow goes on at the newest keyframe. After `end`, and after another `begin`, nothing of the view before is delivered.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import structlog

from ingest.video.decoding import DEFAULT_MAX_PIXELS
from ingest.video.fragments import Fragmenter
from ingest.video.transcoding import Transcoder
from model.video import Fragment

if TYPE_CHECKING:
    from ingest.video.ring import PacketRing
    from model.video import Packet

#: Pictures of other codecs than this are re-encoded.
PLAYABLE_CODEC = "h264"
#: Width to which they are, pixels.
VIEW_WIDTH_PX = 960
#: A view that is so far behind the newest keyframe goes on there.
MAX_BEHIND_MS = 3_000
#: Packets between two looks whether the view goes on.
TAKE_PACKETS = 16

_log = structlog.get_logger(__name__)


class LiveView:
    """Fragmented MP4 of one camera, while it is watched.

    Args:
        camera: device id.
        deliver: called with each fragment; must not wait.
        inside: for a `with` around every stay in a decoder.
        masked: the packets were re-encoded already, to burn masks in.
        max_pixels: of a picture that is decoded.
    """

    def __init__(
        self,
        camera: str,
        deliver: Callable[[Fragment], None],
        *,
        inside: AbstractContextManager[object],
        masked: bool,
        max_pixels: int = DEFAULT_MAX_PIXELS,
    ) -> None:
        self._camera = camera
        self._deliver = deliver
        self._inside = inside
        self._masked = masked
        self._max_pixels = max_pixels
        self._lock = threading.Lock()
        self._run: _Run | None = None

    @property
    def on(self) -> bool:
        """Whether it is watched."""
        return self._run is not None

    def begin(self, ring: PacketRing) -> None:
        """Somebody watches from now on: the newest keyframe of `ring`, and everything after it."""
        self._begin(ring, anyway=True)

    def move(self, ring: PacketRing) -> None:
        """Who watches is shown another ring from now on; nothing happens where nobody does."""
        self._begin(ring, anyway=False)

    def _begin(self, ring: PacketRing, *, anyway: bool) -> None:
        making = _Making(self._camera, self._inside, masked=self._masked, max_pixels=self._max_pixels)
        with self._lock:
            before = self._run
            if before is None and not anyway:
                return
            run = self._run = _Run(ring, making)
        if before is not None:
            before.come.set()
        threading.Thread(target=self._keep_on, args=(run,), name=f"view-{self._camera}", daemon=True).start()

    def end(self, why: str = "") -> None:
        """Nobody watches any more; `why` is told to who did, "" if they know."""
        self._end(None, why)

    def _end(self, which: _Run | None, why: str) -> None:
        with self._lock:
            run = self._run
            if run is None or which not in (None, run):
                return
            self._run = None
            if why:
                self._deliver(Fragment(self._camera, "end", keyframe=False, data=why.encode(), time_ms=0))
        run.come.set()

    def came(self) -> None:
        """A packet has come into the ring."""
        run = self._run
        if run is not None:
            run.come.set()

    def _keep_on(self, run: _Run) -> None:
        try:
            while self._run is run:
                run.come.wait()
                run.come.clear()
                while self._run is run and self._some(run):
                    pass
        except Exception as error:  # a stream that cannot be shown: who watches is told, the camera goes on
            _log.exception("live view ended", camera=self._camera, error=type(error).__name__)
            self._end(run, "its stream cannot be shown")
        finally:
            run.making.close()

    def _some(self, run: _Run) -> bool:
        """Pass on what has come; whether there was anything."""
        overtaken = run.cursor.overtaken
        packets = run.cursor.take(TAKE_PACKETS)
        newest = run.ring.last_keyframe()
        if packets and newest is not None and newest.time_ms - packets[0].time_ms > MAX_BEHIND_MS:
            run.cursor = run.ring.follow()
            run.making.restart()
            return True
        if run.cursor.overtaken > overtaken:
            run.making.restart()
        for packet in packets:
            for fragment in run.making.push(packet):
                with self._lock:
                    if self._run is not run:
                        return False
                    self._deliver(fragment)
        return bool(packets)


class _Run:
    """One view from its beginning to its end."""

    def __init__(self, ring: PacketRing, making: _Making) -> None:
        self.ring = ring
        self.cursor = ring.follow()
        self.making = making
        self.come = threading.Event()
        self.come.set()


class _Making:
    """Packets of any codec to fragments that a browser plays. One thread."""

    def __init__(self, camera: str, inside: AbstractContextManager[object], *, masked: bool, max_pixels: int) -> None:
        self._camera = camera
        self._inside = inside
        self._masked = masked
        self._max_pixels = max_pixels
        self._codec = ""
        self._transcoder: Transcoder | None = None
        self._fragmenter: Fragmenter | None = None

    def push(self, packet: Packet) -> list[Fragment]:
        """The fragments of the next packet."""
        if packet.info.codec != self._codec:
            if not packet.keyframe:
                return []
            self.close()
            self._codec = packet.info.codec
            if self._codec != PLAYABLE_CODEC:
                self._transcoder = Transcoder(packet.info, max_width_px=VIEW_WIDTH_PX, max_pixels=self._max_pixels)
        if self._transcoder is None:
            return self._fragments(packet)
        with self._inside:
            viewable = self._transcoder.push(packet)
        return [fragment for one in viewable for fragment in self._fragments(one)]

    def restart(self) -> None:
        """Packets were left out; the next one is a keyframe."""
        if self._transcoder is None and self._fragmenter is not None:
            self._fragmenter.restart()

    def close(self) -> None:
        """Give the memory of codecs back."""
        if self._transcoder is not None:
            self._transcoder.close()
        self._codec, self._transcoder, self._fragmenter = "", None, None

    def _fragments(self, packet: Packet) -> list[Fragment]:
        if self._fragmenter is None:
            transcoded = self._masked or self._transcoder is not None
            self._fragmenter = Fragmenter(self._camera, packet.info, transcoded=transcoded)
        return self._fragmenter.push(packet)
