"""The live view of one camera as single pictures, for browsers and networks that take no video: JPEGs, a few a second.

Invariants: pictures that are decoded anyway are made into JPEGs, at most one in `JPEG_EVERY_MS`, and only while somebody
looks; that they are decoded at all, who looks has to demand. The threads that decode a camera call `offer`, any the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ingest.video.jpeg import jpeg_of
from model.video import Fragment

if TYPE_CHECKING:
    from ingest.video.decoding import Picture

#: Of the JPEGs: time between two, quality and width.
JPEG_EVERY_MS = 250
JPEG_QUALITY = 75
JPEG_WIDTH_PX = 960


class SinglePictures:
    """See the module.

    Args:
        camera: device id.
        deliver: called with each picture; must not wait.
        masked: the pictures were re-encoded, to burn masks in.
    """

    def __init__(self, camera: str, deliver: Callable[[Fragment], None], *, masked: bool) -> None:
        self._camera = camera
        self._deliver = deliver
        self._masked = masked
        self._last_ms = 0
        #: Whether somebody looks.
        self.on = False

    def begin(self) -> None:
        """Somebody looks from now on."""
        self._last_ms = 0
        self.on = True

    def end(self, why: str = "") -> None:
        """Nobody looks any more; `why` is told to who did, "" if they know."""
        was, self.on = self.on, False
        if was and why:
            self._deliver(Fragment(self._camera, "end", keyframe=False, data=why.encode(), time_ms=0))

    def offer(self, picture: Picture) -> None:
        """A picture was decoded."""
        if not self.on or 0 <= picture.time_ms - self._last_ms < JPEG_EVERY_MS:
            return
        self._last_ms = picture.time_ms
        data = jpeg_of(picture, quality=JPEG_QUALITY, max_width_px=JPEG_WIDTH_PX)
        self._deliver(
            Fragment(self._camera, "jpeg", keyframe=True, data=data, time_ms=picture.time_ms, transcoded=self._masked)
        )
