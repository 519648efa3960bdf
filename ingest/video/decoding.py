"""`PictureDecoder`: packets of one camera into pictures, one at a time, and never a spoilt one.

Invariants: nothing that a camera sends raises; a damaged packet, a decoder's error or a picture that it flags sets a
quarantine that ends with the next undamaged keyframe, because everything between refers to what was spoilt; so does a gap in
the numbers of H.264 pictures, which libav conceals without a flag. A picture larger than `max_pixels` is refused before it
is decoded. What it cannot see: bits of an H.265 slice turned or cut off so that they still read as one. One thread a decoder; libav gives the GIL back while it decodes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import av
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext

from ingest.video.muxing import av_packet
from ingest.video.parameters import Parameters, numbered, parameters_of
from ingest.video.picture import Picture, Scaler
from model.errors import BadInput
from model.video import Packet, StreamInfo

__all__ = ["Picture", "PictureDecoder"]

#: Largest picture that is decoded, width times height.
DEFAULT_MAX_PIXELS = 8192 * 4320
#: Pictures whose times are remembered while the decoder reorders them; the standards allow 16.
_MAX_WAITING = 64

# libav writes addresses and endless remarks on damaged pictures to standard error; PyAV's own bridge to `logging` takes
# the GIL from decoding threads. Neither is wanted.
av.logging.set_level(None)


class PictureDecoder:
    """Decodes one stream; see the module.

    Args:
        info: the stream; packets of another one open the decoder anew.
        fast: leave out deblocking. For analysis alone: a thumbnail averages over the edges that it would smooth.
        max_pixels: see the module.

    Attributes:
        decoded: pictures given out.
        errors: packets that the decoder could not take, and pictures that it flagged.
        quarantined: packets that were not decoded, or whose pictures were dropped, until the next keyframe.
        refused: keyframes that are larger than `max_pixels`.
        gaps: times that a picture's number showed that one before it was lost.
    """

    def __init__(self, info: StreamInfo, *, fast: bool = True, max_pixels: int = DEFAULT_MAX_PIXELS) -> None:
        self.decoded = self.errors = self.quarantined = self.refused = self.gaps = 0
        self._fast = fast
        self._max_pixels = max_pixels
        self._scaler = Scaler()
        self._times: dict[int, int] = {}
        self._context: VideoCodecContext | None = None
        self._waiting = True
        self._key_pts = 0
        self._parameters: Parameters | None = None
        self._number: int | None = None
        self._closed = False
        self._open(info)

    @property
    def waiting(self) -> bool:
        """Whether nothing is decoded before the next keyframe."""
        return self._waiting

    def decode(self, packet: Packet) -> list[Picture]:
        """Feed the next packet; the pictures that are complete now, in order of presentation. Never raises."""
        if not self._admitted(packet):
            return []
        if packet.keyframe:
            self._key_pts = packet.pts
        self._remember(packet)
        frames = self._fed(packet)
        return self._clean(frames, packet) if frames else []

    def keyframe_only(self, packet: Packet) -> Picture | None:
        """Decode one keyframe by itself and at once; `decode` then waits for the next keyframe. Never raises."""
        if not packet.keyframe or not self._admitted(packet):
            return None
        self._key_pts = packet.pts
        self._remember(packet)
        frames = self._fed(packet)
        if frames == [] and not self._waiting:
            frames = self._fed(None)
        found = self._clean(frames[:1], packet) if frames else []
        self._rest()
        return found[0] if found else None

    def drain(self) -> list[Picture]:
        """The pictures that the decoder still holds, after the last packet; `decode` then waits for a keyframe."""
        frames = [] if self._waiting else self._fed(None)
        found = self._clean(frames, None) if frames else []
        self._rest()
        return found

    def close(self) -> None:
        """Give its memory back; later calls decode nothing."""
        self._closed = True
        self._context = None
        self._times.clear()

    def _open(self, info: StreamInfo) -> None:
        self._info = info
        self._waiting = True
        self._times.clear()
        self._context = None
        if info.codec not in ("h264", "hevc"):
            return
        context = cast("VideoCodecContext", av.CodecContext.create(info.codec, "r"))
        context.thread_count = 1
        if info.extradata:
            context.extradata = info.extradata
        # With `explode` a fault that libav sees is an error; else it conceals most of them without a flag.
        options = {"max_pixels": str(self._max_pixels), "err_detect": "crccheck+bitstream+buffer+explode"}
        if self._fast:
            options["skip_loop_filter"] = "all"
        context.options = options
        self._context = context

    def _admitted(self, packet: Packet) -> bool:
        info = packet.info
        if info is not self._info:
            if (info.codec, info.extradata, info.epoch) != (self._info.codec, self._info.extradata, self._info.epoch):
                self._open(info)
            self._info = info
        if self._closed or self._context is None:
            return False
        if packet.corrupt:
            self._quarantine()
            return False
        if packet.keyframe:
            if self._too_large(packet):
                self.refused += 1
                self._quarantine()
                return False
            if self._waiting:
                self._waiting = False
                self._flush()
                self._number = None
        elif self._waiting:
            self.quarantined += 1
            return False
        if self._gap(packet):
            self.gaps += 1
            self._quarantine()
            return False
        return True

    def _too_large(self, packet: Packet) -> bool:
        try:
            self._parameters = parameters_of(packet.info, packet)
        except BadInput:
            self._parameters = None
            return packet.info.width_px * packet.info.height_px > self._max_pixels
        return self._parameters.width_px * self._parameters.height_px > self._max_pixels

    def _gap(self, packet: Packet) -> bool:
        """Whether a picture that this one may refer to did not come; remembers its number."""
        if self._parameters is None:
            return False
        found = numbered(packet, self._parameters)
        if found is None:
            self._number = None
            return False
        number, referred, idr = found
        before = self._number
        if referred or idr or before is None:
            self._number = number
        if idr or before is None:
            return False
        # Equal: the second field of a picture, or one after pictures that none refers to.
        return number not in (before, (before + 1) % (1 << self._parameters.number_bits))

    def _fed(self, packet: Packet | None) -> list[av.VideoFrame] | None:
        """What the decoder gives for a packet (None: the end); None after an error."""
        context = self._context
        if context is None:
            return None
        try:
            return context.decode(None if packet is None else av_packet(packet))
        except (FFmpegError, ValueError, MemoryError):
            self.errors += 1
            # Pictures shown before their keyframe may refer to what was before it: they fail, and spoil nothing.
            if packet is None or packet.keyframe or packet.pts >= self._key_pts:
                self._quarantine()
            return None

    def _clean(self, frames: Iterable[av.VideoFrame], packet: Packet | None) -> list[Picture]:
        found: list[Picture] = []
        for frame in frames:
            pts = frame.pts if frame.pts is not None else (packet.pts if packet else self._key_pts)
            time_ms = self._times.pop(pts, None)
            if frame.is_corrupt or frame.width * frame.height > self._max_pixels:
                self.errors += 1
                if pts >= self._key_pts:
                    self._quarantine()
                    break
                continue
            if time_ms is None:
                time_ms = packet.time_ms if packet else 0
            found.append(Picture(frame, self._scaler, time_ms=time_ms, pts=pts))
        self.decoded += len(found)
        return found

    def _remember(self, packet: Packet) -> None:
        self._times[packet.pts] = packet.time_ms
        if len(self._times) > _MAX_WAITING:
            del self._times[next(iter(self._times))]

    def _quarantine(self) -> None:
        self.quarantined += 1
        self._rest()

    def _rest(self) -> None:
        self._waiting = True
        self._flush()

    def _flush(self) -> None:
        self._times.clear()
        if self._context is not None and self._context.is_open:
            self._context.flush_buffers()
