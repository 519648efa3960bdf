"""`Muxer`: packets of one stream into an MP4 file, as they come, and what every MP4 of ours counts time by.

Invariants of the file: while it is written it is a fragmented MP4, one fragment a GOP, so after a crash it plays up to its
last whole fragment; `close` makes it a plain MP4 that can be wound (an index at the end, then sixteen bytes at the front
that hide the fragments' own). Packets are never re-encoded; their units are kept byte for byte, with lengths in front.
It opens, syncs and renames no file: who calls it does.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Protocol, cast

import av
import numpy as np

from ingest.video import boxes, nal
from ingest.video.boxes import Samples
from ingest.video.parameters import Parameters, in_band, parameters_of
from model.errors import BadInput, UsageError
from model.video import TICKS_PER_MS, TICKS_PER_S, Packet, StreamInfo

#: A fragment is written at the latest when it holds so many bytes, or so many pictures, though no keyframe came.
DEFAULT_MAX_FRAGMENT_BYTES = 4 << 20
DEFAULT_MAX_FRAGMENT_FRAMES = 512
#: Presentation and wall clock farther apart than so in one connection: the timeline follows the wall clock from there.
DEFAULT_MAX_DRIFT_MS = 2_000
#: Time of a picture after which none has come yet, where the stream has not shown its own rate.
DEFAULT_FRAME_TICKS = TICKS_PER_S // 15
#: Pictures whose spacing says how long the last one is shown.
_RECENT_FRAMES = 64
_LONGEST_TICKS = 0xFFFF_FFFF // 2


class Target(Protocol):
    """Where a muxer writes: a binary file opened for writing, or `io.BytesIO`."""

    def write(self, data: bytes, /) -> int: ...

    def seek(self, offset: int, whence: int = 0, /) -> int: ...


def av_packet(packet: Packet) -> av.Packet[av.VideoStream]:
    """The packet as PyAV takes it for decoding; ticks of 1/90,000 s.

    The bytes are copied into a buffer that ends in zeros, as libav's decoders read past the end of damaged data;
    `av.Packet(data)` shares Python's bytes, which end nowhere: that ends the process now and then.
    """
    made = cast("av.Packet[av.VideoStream]", av.Packet(len(packet.data)))
    if packet.data:
        made.update(packet.data)
    made.pts, made.dts = packet.pts, packet.dts
    made.is_keyframe = packet.keyframe
    return made


class Timeline:
    """Presentation and decoding times in ticks from the first packet's presentation at 0, in real time over breaks.

    Within a connection differences of `pts` hold exactly. From a new connection on (another epoch), or where `pts` and
    the wall clock part by more than `max_drift_ms`, the difference of `time_ms` is kept instead. Decoding times grow.

    Args:
        first: the first packet.
        max_drift_ms: see above.
    """

    def __init__(self, first: Packet, *, max_drift_ms: int = DEFAULT_MAX_DRIFT_MS) -> None:
        self._from_ms = first.time_ms
        self._max_drift = max_drift_ms * TICKS_PER_MS
        self._epoch = first.info.epoch
        self._offset = -first.pts
        self._last_decode: int | None = None

    def place(self, packet: Packet) -> tuple[int, int]:
        """(decoding, presentation) of the next packet, ticks; decoding is greater than the last one's."""
        real = (packet.time_ms - self._from_ms) * TICKS_PER_MS
        if packet.info.epoch != self._epoch or abs(packet.pts + self._offset - real) > self._max_drift:
            self._epoch = packet.info.epoch
            self._offset = real - packet.pts
        shown = packet.pts + self._offset
        decode = packet.dts + self._offset
        if self._last_decode is not None:
            decode = max(decode, self._last_decode + 1)
        self._last_decode = decode
        return decode, shown


class SampleTables:
    """What an index needs of each picture, in decoding order; 25 bytes a picture."""

    def __init__(self) -> None:
        self._size = array("I")
        self._decode = array("q")
        self._shown = array("q")
        self._sync = array("b")
        self._last_shown = 0

    def __len__(self) -> int:
        return len(self._size)

    def add(self, size_bytes: int, decode: int, shown: int, *, sync: bool) -> None:
        """The next picture: its bytes, and its times as `Timeline.place` gives them."""
        self._size.append(size_bytes)
        self._decode.append(decode)
        self._shown.append(shown)
        self._sync.append(sync)
        self._last_shown = max(self._last_shown, shown)

    def decode_ticks(self, index: int) -> int:
        """Decoding time of one picture, from the first one's."""
        return self._decode[index] - self._decode[0]

    def frame_ticks(self) -> int:
        """How long the last picture is shown: as long as most of the last ones were."""
        recent = np.array(self._decode[-_RECENT_FRAMES:], np.int64)
        return int(np.median(np.diff(recent))) if len(recent) > 1 else DEFAULT_FRAME_TICKS

    def end_ticks(self) -> int:
        """Presentation of the end of the last picture, from the first one's presentation."""
        return self._last_shown + self.frame_ticks() if len(self) else 0

    def samples(
        self,
        start: int = 0,
        *,
        next_decode: int | None = None,
        chunks: Sequence[int] = (),
        chunk_samples: Sequence[int] = (),
    ) -> Samples:
        """The pictures from `start` on as columns.

        Args:
            start: index of the first one.
            next_decode: decoding time of the picture after the last one; None: not known.
            chunks: where in the file runs of them begin.
            chunk_samples: how many each run has.
        """
        decode = np.array(self._decode[start:], np.int64)
        end = int(decode[-1]) + self.frame_ticks() if next_decode is None else next_decode
        return Samples(
            size=np.array(self._size[start:], np.uint32),
            duration=np.clip(np.diff(decode, append=end), 1, _LONGEST_TICKS),
            shift=np.clip(np.array(self._shown[start:], np.int64) - decode, -_LONGEST_TICKS, _LONGEST_TICKS),
            sync=np.array(self._sync[start:], np.bool_),
            chunk=np.array(chunks, np.uint64),
            chunk_samples=np.array(chunk_samples, np.int64),
        )


class Muxer:
    """Writes packets of one stream into `target`; see the module for what the file is like meanwhile and at the end.

    One thread at a time.

    Args:
        info: the stream.
        target: empty, positioned at its start; it must be able to seek.
        first: the first packet, a keyframe; it is not written by this call.
        max_fragment_bytes, max_fragment_frames: what is held in memory at most before it is written.

    Attributes:
        parameters: of the stream.
        from_ms: presentation time of the first picture.
        frames: pictures taken.
        bytes_written: size of the file so far.

    Raises BadInput: no parameter sets, or `first` is no keyframe. Whatever `target` raises passes through every call.
    """

    def __init__(
        self,
        info: StreamInfo,
        target: Target,
        *,
        first: Packet,
        max_fragment_bytes: int = DEFAULT_MAX_FRAGMENT_BYTES,
        max_fragment_frames: int = DEFAULT_MAX_FRAGMENT_FRAMES,
    ) -> None:
        if not first.keyframe:
            raise BadInput("A file has to begin with a keyframe.", mend="Wait for the stream's next keyframe.")
        self.parameters: Parameters = parameters_of(info, first)
        self.from_ms = first.time_ms
        self.frames = 0
        self.bytes_written = 0
        self._info = info
        self._target = target
        self._max_fragment_bytes = max_fragment_bytes
        self._max_fragment_frames = max_fragment_frames
        self._size = nal.length_size(info.extradata)
        self._timeline = Timeline(first)
        self._tables = SampleTables()
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._written_frames = 0
        self._fragments = 0
        self._chunks: list[int] = []
        self._chunk_samples: list[int] = []
        self._closed = False
        self._head = boxes.ftyp(fragmented=True)
        self._put(self._head + boxes.reserved() + boxes.fragmented_moov(self.parameters, from_ms=first.time_ms))

    @property
    def to_ms(self) -> int:
        """Presentation time of the end of the last picture taken, our clock, UTC ms."""
        return self.from_ms + self._tables.end_ticks() // TICKS_PER_MS

    def fits(self, packet: Packet) -> bool:
        """Whether the packet may stand in this file: same codec, and a keyframe brings the same parameters."""
        info = packet.info
        if info is not self._info and (info.codec, info.extradata) != (self._info.codec, self._info.extradata):
            return False
        if not packet.keyframe:
            return True
        sets = in_band(packet)
        return not sets or sets == self.parameters.sets

    def write(self, packet: Packet) -> None:
        """Take the next packet, in decoding order; a keyframe writes what came before it.

        Raises UsageError: closed already, or it does not begin with a keyframe. What `target` raises.
        """
        if self._closed or (not self.frames and not packet.keyframe):
            raise UsageError("A file takes packets from a keyframe on until it is closed.", mend="Open another.")
        data = nal.with_lengths(packet.data, self._size)
        decode, shown = self._timeline.place(packet)
        if self._waiting and (
            packet.keyframe
            or self._waiting_bytes >= self._max_fragment_bytes
            or len(self._waiting) >= self._max_fragment_frames
        ):
            self._write_fragment(decode)
        self._tables.add(len(data), decode, shown, sync=packet.keyframe)
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        self.frames += 1

    def close(self) -> None:
        """Write the rest and the index, and make the file a plain MP4; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        if self._waiting:
            self._write_fragment(None)
        index_at = self.bytes_written
        if self.frames:
            samples = self._tables.samples(chunks=self._chunks, chunk_samples=self._chunk_samples)
            self._put(boxes.moov(self.parameters, samples, from_ms=self.from_ms))
            self._target.seek(len(self._head))
            self._target.write(boxes.mdat_header(index_at - len(self._head)))
            self._target.seek(self.bytes_written)

    def _write_fragment(self, next_decode: int | None) -> None:
        self._fragments += 1
        start = self._written_frames
        samples = self._tables.samples(start, next_decode=next_decode)
        head = boxes.fragment_head(
            self._fragments,
            self._tables.decode_ticks(start),
            samples.size,
            samples.duration,
            samples.shift,
            samples.sync,
        )
        self._chunks.append(self.bytes_written + len(head))
        self._chunk_samples.append(len(self._waiting))
        self._put(b"".join((head, *self._waiting)))
        self._written_frames = self.frames
        self._waiting.clear()
        self._waiting_bytes = 0

    def _put(self, data: bytes) -> None:
        self._target.write(data)
        self.bytes_written += len(data)
