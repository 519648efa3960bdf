"""Streams that are encoded again: masked ones (`MaskedStream`), and H.264 for browsers (`Transcoder`).

Invariants: what comes out was decoded cleanly, masked where there are masks, and encoded here; no byte of a packet that
came in is ever passed on. Times are kept; there are no B-frames, so packets come out in order, each as soon as its picture
is decoded. A gap, a new size or the end of a quarantine begins with a keyframe. Bad input never raises.
One thread a stream; one encoder and one decoder of one thread each.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import av
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType

from ingest.video.decoding import DEFAULT_MAX_PIXELS, PictureDecoder
from ingest.video.masks import Masks
from ingest.video.picture import Picture, Scaler
from model.camera import Place
from model.video import TICKS_PER_S, Packet, StreamInfo

DEFAULT_GOP_S = 2.0
#: Constant quality of libx264, 0 (lossless) to 51: 23 looks like the camera's own picture.
DEFAULT_CRF = 23
DEFAULT_PRESET = "veryfast"
#: Highest rate that quality may take, averaged over a second, bits/s.
DEFAULT_MAX_BITRATE = 8_000_000
#: Pictures this far apart: a keyframe follows, as something is missing between them.
_GAP_TICKS = 2 * TICKS_PER_S
_GLOBAL_HEADER = 1 << 22


class Transcoder:
    """A stream in H.264; see the module.

    Args:
        info: of the stream that comes in.
        max_width_px: wider pictures are made smaller, their shape kept; None: never.
        masks: polygons that are filled with black before anything is encoded.
        gop_s: from keyframe to keyframe.
        crf, preset, max_bitrate: of libx264.
        max_pixels: of a picture that is decoded.

    Attributes:
        decoder: its counters say what was not passed on.
        encoded: packets given out. errors: pictures that the encoder did not take.
    """

    def __init__(
        self,
        info: StreamInfo,
        *,
        max_width_px: int | None = None,
        masks: Sequence[Sequence[Place]] = (),
        gop_s: float = DEFAULT_GOP_S,
        crf: int = DEFAULT_CRF,
        preset: str = DEFAULT_PRESET,
        max_bitrate: int = DEFAULT_MAX_BITRATE,
        max_pixels: int = DEFAULT_MAX_PIXELS,
    ) -> None:
        self.decoder = PictureDecoder(info, fast=False, max_pixels=max_pixels)
        self.encoded = self.errors = 0
        self._masks = Masks(masks)
        self._max_width = max_width_px
        self._gop_ticks = round(gop_s * TICKS_PER_S)
        self._options = {
            "preset": preset,
            "tune": "zerolatency",
            "crf": str(crf),
            "maxrate": str(max_bitrate),
            "bufsize": str(max_bitrate),
            "forced-idr": "1",
        }
        self._scaler = Scaler()
        self._encoder: VideoCodecContext | None = None
        self._info: StreamInfo | None = None
        self._size = (0, 0)
        self._epoch = info.epoch
        self._last_pts: int | None = None
        self._last_key = 0

    @property
    def info(self) -> StreamInfo | None:
        """The stream that comes out; None before its first packet."""
        return self._info

    def push(self, packet: Packet) -> list[Packet]:
        """Feed the next packet; what was encoded of it, or of those before it. Never raises."""
        if packet.info.epoch != self._epoch:
            self._epoch = packet.info.epoch
            self._close_encoder()
        made: list[Packet] = []
        for picture in self.decoder.decode(packet):
            made += self._encode(picture, packet.received_ms)
        return made

    def finish(self) -> list[Packet]:
        """What the decoder still holds, after the last packet of a stream."""
        made: list[Packet] = []
        for picture in self.decoder.drain():
            made += self._encode(picture, picture.time_ms)
        return made

    def close(self) -> None:
        """Give the memory of both codecs back."""
        self.decoder.close()
        self._close_encoder()

    def _close_encoder(self) -> None:
        self._encoder = None
        self._last_pts = None

    def _encode(self, picture: Picture, received_ms: int) -> list[Packet]:
        if self._last_pts is not None and picture.pts <= self._last_pts:
            self.errors += 1  # a clock that went back: the encoder takes growing times only
            if self._last_pts - picture.pts < _GAP_TICKS:
                return []
            self._close_encoder()
        try:
            frame = self._drawn(picture)
            made = self._encoder_of(frame).encode(frame)
        except (FFmpegError, ValueError, MemoryError):
            self.errors += 1
            self._close_encoder()
            return []
        self._last_pts = picture.pts
        return [self._packet(packet, picture, received_ms) for packet in made]

    def _drawn(self, picture: Picture) -> av.VideoFrame:
        """A frame of our own with even sides, masked."""
        width, height = picture.width_px, picture.height_px
        if self._max_width is not None and width > self._max_width:
            width, height = self._max_width, round(height * self._max_width / width)
        width, height = max(2, width & ~1), max(2, height & ~1)
        frame = picture.planes()
        if (width, height) != (frame.width, frame.height):
            frame = self._scaler.planes(frame, width, height)
        frame.make_writable()
        self._masks.burn(frame)
        frame.pts, frame.time_base = picture.pts, Fraction(1, TICKS_PER_S)
        due = self._last_pts is None or (
            picture.pts - self._last_key >= self._gop_ticks or picture.pts - self._last_pts >= _GAP_TICKS
        )
        if due or (width, height) != self._size:
            frame.pict_type = PictureType.I
            self._last_key = picture.pts
        else:
            frame.pict_type = PictureType.NONE
        return frame

    def _encoder_of(self, frame: av.VideoFrame) -> VideoCodecContext:
        size = (frame.width, frame.height)
        if self._encoder is None or size != self._size:
            context = av.CodecContext.create("libx264", "w")
            context.width, context.height = size
            context.pix_fmt = frame.format.name
            context.time_base, context.framerate = Fraction(1, TICKS_PER_S), Fraction(25)
            context.thread_count = 1
            context.max_b_frames = 0
            context.gop_size = 100_000  # we say which picture is a keyframe
            context.flags |= _GLOBAL_HEADER
            context.colorspace, context.color_range = frame.colorspace, frame.color_range
            context.color_primaries, context.color_trc = frame.color_primaries, frame.color_trc
            context.options = self._options
            context.open()
            self._encoder, self._size = context, size
            self._info = StreamInfo("h264", *size, context.extradata or b"", 0.0, self._epoch)
        return self._encoder

    def _packet(self, packet: av.Packet[av.VideoStream], picture: Picture, received_ms: int) -> Packet:
        assert self._info is not None
        self.encoded += 1
        pts = packet.pts if packet.pts is not None else picture.pts
        return Packet(
            bytes(packet), pts, pts, picture.time_ms, received_ms, packet.is_keyframe, corrupt=False, info=self._info
        )


class MaskedStream(Transcoder):
    """The stream of a camera with privacy masks: the only packets of it that may reach the ring.

    Args:
        info: of the stream that comes in.
        masks: polygons, fractions of width and height; at least one.
        gop_s, crf, preset, max_bitrate, max_pixels: as of `Transcoder`.

    Raises ValueError: no mask; without one there is nothing to encode again.
    """

    def __init__(
        self,
        info: StreamInfo,
        masks: Sequence[Sequence[Place]],
        *,
        gop_s: float = DEFAULT_GOP_S,
        crf: int = DEFAULT_CRF,
        preset: str = DEFAULT_PRESET,
        max_bitrate: int = DEFAULT_MAX_BITRATE,
        max_pixels: int = DEFAULT_MAX_PIXELS,
    ) -> None:
        super().__init__(
            info,
            masks=masks,
            gop_s=gop_s,
            crf=crf,
            preset=preset,
            max_bitrate=max_bitrate,
            max_pixels=max_pixels,
        )
        if not self._masks:
            raise ValueError("a masked stream needs masks")
