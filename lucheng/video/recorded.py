"""`RecordingClips`: clips cut out of recordings, for what the ring no longer has.

Invariants: every segment is read with a grant, the alarm's or that of who asks, audited and checked by its SHA-256; packets are not
re-encoded; a clip begins at the keyframe before its window; what is not recorded of the window is said in its note.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, BinaryIO

import av

from ingest.video.clip import make_clip
from model.alarm import SYSTEM
from model.errors import BadInput
from model.grant import Grant, Purpose
from model.video import TICKS_PER_MS, TICKS_PER_S, Clip, Packet, StreamInfo

if TYPE_CHECKING:
    from store.recordings.folder import Recordings
    from store.recordings.rows import Segment

#: Segments that one clip is cut from.
MAX_SEGMENTS = 100
_NEVER_MS = 1 << 52


class RecordingClips:
    """Implements `lucheng.video.seams.RecordedClips`.

    Args:
        recordings: the index.
        max_clip_bytes: largest clip; a larger one is cut, and its note says so.
    """

    def __init__(self, recordings: Recordings, *, max_clip_bytes: int) -> None:
        self._recordings = recordings
        self._max_clip_bytes = max_clip_bytes

    def clip(self, camera: str, from_ms: int, to_ms: int, *, alarm: str) -> Clip | None:
        """The window as far as it is recorded, None where it is not at all.

        Raises Refused (nothing fits into a clip), BadInput (a segment cannot be read), Corrupt, StoreError, AuditUnwritable.
        """
        grant = Grant(SYSTEM, SYSTEM, Purpose("alarm", alarm), frozenset([camera]), 0, _NEVER_MS)
        return self.clip_for(grant, camera, from_ms, to_ms)

    def clip_for(self, grant: Grant, camera: str, from_ms: int, to_ms: int) -> Clip | None:
        """As `clip`, for whoever has the grant; it has to cover the segments that reach into the window as a whole."""
        segments = self._recordings.list(grant, camera, from_ms, to_ms, MAX_SEGMENTS)
        packets: list[Packet] = []
        held_bytes = 0
        for epoch, segment in enumerate(segments, start=1):
            _, file = self._recordings.read(grant, segment.id)
            with file:
                for packet in _packets(file, segment, epoch):
                    if packet.time_ms >= to_ms or held_bytes > self._max_clip_bytes:
                        break
                    if packet.keyframe and packet.time_ms <= from_ms:
                        packets.clear()  # it begins at the last keyframe before the window
                        held_bytes = 0
                    packets.append(packet)
                    held_bytes += len(packet.data)
        if not packets:
            return None
        return make_clip(
            packets,
            max_bytes=self._max_clip_bytes,
            transcoded=all(segment.masked for segment in segments),
            wanted_from_ms=from_ms,
            wanted_to_ms=to_ms,
        )


def _packets(file: BinaryIO, segment: Segment, epoch: int) -> Iterator[Packet]:
    """Packets of a recorded file, in decoding order, its first picture at the segment's beginning."""
    try:
        with av.open(file, "r", format="mp4") as container:
            stream = container.streams.video[0]
            context = stream.codec_context
            info = StreamInfo(context.name, context.width, context.height, bytes(context.extradata or b""), 0.0, epoch)
            base = Fraction(stream.time_base or 1) * TICKS_PER_S
            first: int | None = None
            for packet in container.demux(stream):
                if not packet.size or packet.pts is None or packet.dts is None:
                    continue
                pts, dts = round(packet.pts * base), round(packet.dts * base)
                first = pts if first is None else first
                time_ms = segment.from_ms + (pts - first) // TICKS_PER_MS
                yield Packet(
                    bytes(packet),
                    pts - first,
                    dts - first,
                    time_ms,
                    time_ms,
                    packet.is_keyframe,
                    packet.is_corrupt,
                    info,
                )
    except (av.FFmpegError, IndexError) as error:
        raise BadInput(f"The recording {segment.id} cannot be read.", mend="Run `lucheng store check`.") from error
