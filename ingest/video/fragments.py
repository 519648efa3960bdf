"""`Fragmenter`: packets of one camera as fragmented MP4 for a browser's Media Source Extensions.

One fragment a packet, given out in the call that brings the packet: at 15 pictures a second the 112 bytes of boxes are
13 kbit/s, while collecting 200 ms would cost 200 ms. As it is not known then how long the picture will be shown, its
duration reaches to where the next one is expected, and decoding times continue from durations, so that there is never a
hole: Chromium drops everything to the next keyframe where decoding times jump by more than twice a duration.
Where a stream is off by more than `max_off_ms` (a gap, a break) its timeline is shifted, so that the player is never
behind; `Fragment.time_ms` says the real time. One fragmenter a camera serves any number of viewers. It holds no container.
"""

from __future__ import annotations

from collections import deque

from ingest.video import boxes, nal
from ingest.video.parameters import Parameters, in_band, parameters_of
from model.errors import BadInput
from model.video import TICKS_PER_MS, TICKS_PER_S, Fragment, Packet, StreamInfo

DEFAULT_MAX_OFF_MS = 500
#: What a picture's duration is taken for before the stream has shown its rate.
DEFAULT_FRAME_TICKS = TICKS_PER_S // 15
#: The next picture is expected after the median of so many distances: one gap changes nothing, a new pace counts soon.
_DISTANCES = 5
_LEAST_TICKS = TICKS_PER_S // 240
_MOST_TICKS = 30 * TICKS_PER_S


class Fragmenter:
    """See the module. One thread at a time.

    Args:
        camera: device id.
        info: the stream; packets of another one make a new `init`.
        transcoded: the packets were re-encoded (masks, or for viewing).
        max_off_ms: see the module.

    Attributes:
        skipped: packets that were left out: before the first keyframe, and without readable parameters.
    """

    def __init__(
        self, camera: str, info: StreamInfo, *, transcoded: bool = False, max_off_ms: int = DEFAULT_MAX_OFF_MS
    ) -> None:
        self.skipped = 0
        self._camera = camera
        self._info = info
        self._transcoded = transcoded
        self._max_off = max_off_ms * TICKS_PER_MS
        self._parameters: Parameters | None = None
        self._init: Fragment | None = None
        self._sequence = 0
        self._decode = 0
        self._offset: int | None = None
        self._interval = DEFAULT_FRAME_TICKS
        self._distances: deque[int] = deque(maxlen=_DISTANCES)
        self._last_dts: int | None = None
        self._open = False

    def init(self) -> Fragment | None:
        """What a player needs before the first media fragment; None while no keyframe has come."""
        return self._init

    def push(self, packet: Packet) -> list[Fragment]:
        """The fragments of the next packet, in decoding order: a new `init` first where the parameters changed."""
        made: list[Fragment] = []
        if packet.info is not self._info:
            if packet.info != self._info:
                self._open = False
                self._last_dts = self._offset = None
            self._info = packet.info
        if packet.keyframe:
            self._begin(packet, made)
        if not self._open:
            self.skipped += 1
            return made
        made.append(self._media(packet))
        return made

    def restart(self) -> None:
        """Wait for the next keyframe: packets were left out."""
        self._open = False

    def _begin(self, packet: Packet, made: list[Fragment]) -> None:
        sets = in_band(packet)
        if self._open and self._parameters is not None and (not sets or sets == self._parameters.sets):
            return
        try:
            parameters = parameters_of(packet.info, packet)
        except BadInput:
            self._open = False
            return
        self._open = True
        if self._parameters is not None and parameters.config == self._parameters.config:
            return
        self._parameters = parameters
        data = boxes.ftyp(fragmented=True) + boxes.fragmented_moov(parameters, from_ms=packet.time_ms)
        self._init = Fragment(
            self._camera,
            "init",
            keyframe=False,
            data=data,
            time_ms=packet.time_ms,
            codec=parameters.codec_string,
            transcoded=self._transcoded,
        )
        made.append(self._init)

    def _media(self, packet: Packet) -> Fragment:
        if self._last_dts is not None and 0 < packet.dts - self._last_dts <= _MOST_TICKS:
            self._distances.append(packet.dts - self._last_dts)
            self._interval = sorted(self._distances)[len(self._distances) // 2]
        self._last_dts = packet.dts
        off = 0 if self._offset is None else packet.dts + self._offset - self._decode
        if self._offset is None or abs(off) > max(self._max_off, 1.5 * self._interval):
            self._offset = self._decode - packet.dts
        expected = packet.dts + self._offset + self._interval
        duration = min(_MOST_TICKS, max(_LEAST_TICKS, expected - self._decode))
        self._sequence += 1
        data = boxes.single_fragment(
            self._sequence,
            self._decode,
            nal.with_lengths(packet.data, nal.length_size(packet.info.extradata)),
            duration=duration,
            shift=max(0, packet.pts - packet.dts),
            keyframe=packet.keyframe,
        )
        self._decode += duration
        return Fragment(self._camera, "media", packet.keyframe, data, packet.time_ms, transcoded=self._transcoded)
