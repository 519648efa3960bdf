"""The live view of one camera in its worker: packets to fragments, in the form that a browser plays.

Invariants: a view begins with what a player needs first and the newest keyframe, so there is a picture at once; H.264 is
passed on as it is; H.265 is re-encoded, marked so, and only while somebody looks. The camera's thread pushes; beginning
and ending come from another, so one lock is held for either.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ingest.video.fragments import Fragmenter
from ingest.video.transcoding import Transcoder
from model.video import Fragment

if TYPE_CHECKING:
    from model.video import Packet

#: Pictures of other codecs than this are re-encoded.
PLAYABLE_CODEC = "h264"
#: Width to which they are, pixels.
VIEW_WIDTH_PX = 960


class LiveView:
    """Fragmented MP4 of one camera, while it is watched.

    Args:
        camera: device id.
        deliver: called with each fragment; must not wait.
        masked: the packets were re-encoded already, to burn masks in.
    """

    def __init__(self, camera: str, deliver: Callable[[Fragment], None], *, masked: bool) -> None:
        self._camera = camera
        self._deliver = deliver
        self._masked = masked
        self._lock = threading.Lock()
        self._on = False
        self._codec = ""
        self._transcoder: Transcoder | None = None
        self._fragmenter: Fragmenter | None = None

    @property
    def on(self) -> bool:
        """Whether it is watched."""
        return self._on

    def begin(self, packets: Sequence[Packet]) -> None:
        """Somebody watches from now on; `packets` begin at the newest keyframe."""
        with self._lock:
            self._end()
            self._on = True
            for packet in packets:
                self._push(packet)

    def end(self) -> None:
        """Nobody watches any more."""
        with self._lock:
            self._end()
            self._on = False

    def push(self, packet: Packet) -> None:
        """The next packet of the camera."""
        if not self._on:
            return
        with self._lock:
            if self._on:
                self._push(packet)

    def _end(self) -> None:
        if self._transcoder is not None:
            self._transcoder.close()
        self._codec, self._transcoder, self._fragmenter = "", None, None

    def _push(self, packet: Packet) -> None:
        if packet.info.codec != self._codec:
            if not packet.keyframe:
                return
            self._end()
            self._codec = packet.info.codec
            if self._codec != PLAYABLE_CODEC:
                self._transcoder = Transcoder(packet.info, max_width_px=VIEW_WIDTH_PX)
        if self._transcoder is None:
            self._pass(packet)
            return
        for viewable in self._transcoder.push(packet):
            self._pass(viewable)

    def _pass(self, packet: Packet) -> None:
        if self._fragmenter is None:
            transcoded = self._masked or self._transcoder is not None
            self._fragmenter = Fragmenter(self._camera, packet.info, transcoded=transcoded)
        for fragment in self._fragmenter.push(packet):
            self._deliver(fragment)
