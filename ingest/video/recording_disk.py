"""`RecordingDisk`: the one thread of a process that writes what its cameras record, and the queue in front of it.

Invariants: handing over never waits for the disk: what the queue has no room for is refused, and the camera leaves out
everything to its next keyframe; a file has its lock and its `.part` name until it is whole, synced and renamed, and only
then is told of; a write that fails costs one segment its end, never a neighbour anything, and is not tried again for
`retry_s`; with less than `min_free_bytes` on the disk nothing is recorded, and that is said. It decides when a segment
ends (a keyframe after each whole segment, another stream, a gap); what is recorded at all `ingest.video.recorder` does.
"""

from __future__ import annotations

import os
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable
from enum import Enum
from pathlib import Path

from ingest.video.segment_file import SegmentFile
from model.clock import Clock
from model.errors import LuchengError
from model.video import NewSegment, Packet

DEFAULT_MAX_QUEUED_BYTES = 64 << 20
DEFAULT_MAX_CAMERA_BYTES = 16 << 20
DEFAULT_SEGMENT_S = 60
DEFAULT_MIN_FREE_BYTES = 2 << 30
DEFAULT_MAX_SEGMENT_BYTES = 1 << 30
#: After a write failed the camera is left alone for so long.
DEFAULT_RETRY_S = 10.0
#: How often the room on the disk is looked at.
ROOM_EVERY_S = 2.0
#: Recording begins again where so much more than `min_free_bytes` is free.
_AGAIN_SHARE = 1.05
#: Segments without a keyframe are ended after so many times their length.
_MAX_LENGTHS = 4
#: What a packet costs in the queue beside its data, bytes.
_OVERHEAD_BYTES = 256


class Mark(Enum):
    """What else stands in the queue."""

    #: The segment ends here: a connection broke, packets were left out, or nothing happens any more.
    END = "end"


class Lane:
    """What the disk knows of one camera; its queue side is guarded by the disk, the rest belongs to the disk's thread.

    Args:
        camera: device id.
        masked: its packets were re-encoded with masks burned in.
    """

    def __init__(self, camera: str, *, masked: bool) -> None:
        self.camera = camera
        self.masked = masked
        self.queued_bytes = 0
        self.segment: SegmentFile | None = None
        self.part_of_clock = -1
        self.last_ms = 0
        self.motion_ms = 0
        self.retry_at_s = float("-inf")
        # so that not all cameras of a process end their segments at the same moment
        self.offset_ms = int.from_bytes(camera.encode()[-8:], "big") * 7_919


class RecordingDisk:
    """See the module. `put` and `end` from any thread.

    Args:
        folder: of the recordings.
        clock: source of time.
        finished: told of each segment, on the disk's thread, once it is durable.
        said: told what keeps cameras from being recorded, and "" when that is over, with the camera's id ("": all).
        segment_s: length of a segment, seconds.
        min_free_bytes: of the disk, for evidence.
        max_queued_bytes: of all cameras. max_camera_bytes: of one.
        max_segment_bytes: a larger one ends at the next keyframe.
        retry_s: see above.
    """

    def __init__(
        self,
        folder: Path,
        *,
        clock: Clock,
        finished: Callable[[NewSegment], None],
        said: Callable[[str, str], None] = lambda _camera, _why: None,
        segment_s: int = DEFAULT_SEGMENT_S,
        min_free_bytes: int = DEFAULT_MIN_FREE_BYTES,
        max_queued_bytes: int = DEFAULT_MAX_QUEUED_BYTES,
        max_camera_bytes: int = DEFAULT_MAX_CAMERA_BYTES,
        max_segment_bytes: int = DEFAULT_MAX_SEGMENT_BYTES,
        retry_s: float = DEFAULT_RETRY_S,
    ) -> None:
        self._folder = folder
        self._clock = clock
        self._finished = finished
        self._said = said
        self._segment_ms = segment_s * 1_000
        self._min_free_bytes = min_free_bytes
        self._max_queued_bytes = max_queued_bytes
        self._max_camera_bytes = max_camera_bytes
        self._max_segment_bytes = max_segment_bytes
        self._retry_s = retry_s
        self._ready = threading.Condition()
        self._queue: deque[tuple[Lane, Packet | Mark | int]] = deque()
        self._queued_bytes = 0
        self._busy = False
        self._stopping = False
        self._lanes: set[Lane] = set()
        self._room_at_s = float("-inf")
        #: Why nothing is recorded, "" when it is.
        self.why_stopped = ""
        self.counts: Counter[str] = Counter()
        self._thread = threading.Thread(target=self._loop, name="recording", daemon=True)

    def start(self) -> None:
        """Write until `stop`."""
        self._look_at_room()
        self._thread.start()

    def stop(self, *, drain_s: float) -> None:
        """Write what waits, finish every segment, and end."""
        with self._ready:
            self._stopping = True
            self._ready.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout=drain_s)

    def put(self, lane: Lane, packets: Iterable[Packet]) -> bool:
        """Hand packets over, all or none; False where the disk is too slow or full."""
        if self.why_stopped:
            return False
        taken = list(packets)
        size_bytes = sum(len(packet.data) + _OVERHEAD_BYTES for packet in taken)
        with self._ready:
            if self._stopping or (
                self._queued_bytes + size_bytes > self._max_queued_bytes
                or lane.queued_bytes + size_bytes > self._max_camera_bytes
            ):
                return False
            self._queued_bytes += size_bytes
            lane.queued_bytes += size_bytes
            self._queue.extend((lane, packet) for packet in taken)
            self._ready.notify()
        return True

    def end(self, lane: Lane) -> None:
        """The segment ends here; the next packet handed over is a keyframe."""
        with self._ready:
            if not self._stopping:
                self._queue.append((lane, Mark.END))
                self._ready.notify()

    def moved(self, lane: Lane, motion_ms: int) -> None:
        """There was motion for so long in what is being recorded."""
        with self._ready:
            if not self._stopping:
                self._queue.append((lane, motion_ms))

    def wait_idle(self, timeout_s: float) -> bool:
        """Sleep until everything handed over is written; False when the time is over."""
        with self._ready:
            return self._ready.wait_for(lambda: not self._queue and not self._busy, timeout_s)

    # -- the thread ---------------------------------------------------------------------------

    def _loop(self) -> None:
        while True:
            with self._ready:
                self._busy = False
                self._ready.notify_all()
                self._ready.wait_for(lambda: self._queue or self._stopping, ROOM_EVERY_S)
                batch, self._queue = self._queue, deque()
                stopping = self._stopping
                self._busy = True
            for lane, item in batch:
                self._take(lane, item)
            if self._clock.monotonic_s() - self._room_at_s >= ROOM_EVERY_S:
                self._look_at_room()
            if stopping and not batch:
                break
        for lane in list(self._lanes):
            self._finish(lane)
        with self._ready:
            self._busy = False
            self._ready.notify_all()

    def _take(self, lane: Lane, item: Packet | Mark | int) -> None:
        try:
            if isinstance(item, int):
                lane.motion_ms += item
            elif isinstance(item, Mark):
                self._finish(lane)
            else:
                self._take_packet(lane, item)
        except Exception as error:  # whatever one camera sends, or its folder is like, must not stop the others
            self._fail(lane, error)
        finally:
            if isinstance(item, Packet):
                size_bytes = len(item.data) + _OVERHEAD_BYTES
                with self._ready:
                    self._queued_bytes -= size_bytes
                    lane.queued_bytes -= size_bytes

    def _take_packet(self, lane: Lane, packet: Packet) -> None:
        segment = lane.segment
        if segment is not None and self._ends(lane, segment, packet):
            self._finish(lane)
            segment = None
        if segment is None:
            if not packet.keyframe or self.why_stopped or self._clock.monotonic_s() < lane.retry_at_s:
                self.counts["left_out"] += 1
                return
            segment = lane.segment = SegmentFile(self._folder, lane.camera, packet, masked=lane.masked)
            self._lanes.add(lane)
            lane.part_of_clock = self._part(lane, packet.time_ms)
            if lane.retry_at_s > float("-inf"):
                lane.retry_at_s = float("-inf")
                self._say(lane.camera, "")
        segment.write(packet)
        lane.last_ms = packet.time_ms
        self.counts["written"] += 1

    def _part(self, lane: Lane, time_ms: int) -> int:
        """Number of the whole segment of the clock in which a moment lies."""
        return (time_ms + lane.offset_ms) // self._segment_ms

    def _ends(self, lane: Lane, segment: SegmentFile, packet: Packet) -> bool:
        """Whether the packet is not of this segment any more."""
        if packet.info.epoch != segment.epoch or abs(packet.time_ms - lane.last_ms) > self._segment_ms:
            return True
        if not segment.fits(packet):
            return True
        if packet.keyframe:
            return (
                self._part(lane, packet.time_ms) != lane.part_of_clock
                or segment.bytes_written >= self._max_segment_bytes
            )
        return packet.time_ms - segment.from_ms > _MAX_LENGTHS * self._segment_ms

    def _finish(self, lane: Lane) -> None:
        segment, lane.segment = lane.segment, None
        motion_ms, lane.motion_ms = lane.motion_ms, 0
        if segment is None:
            return
        self._lanes.discard(lane)
        try:
            self._tell(segment.finish(motion_ms))
        except Exception as error:  # as in `_take`
            self._failed(lane, error)
            self._tell(segment.salvage(motion_ms))

    def _fail(self, lane: Lane, error: Exception) -> None:
        """End the segment with what is whole of it, and leave the camera alone for a while."""
        self._failed(lane, error)
        segment, lane.segment = lane.segment, None
        motion_ms, lane.motion_ms = lane.motion_ms, 0
        self._lanes.discard(lane)
        if segment is not None:
            self._tell(segment.salvage(motion_ms))

    def _failed(self, lane: Lane, error: Exception) -> None:
        self.counts["failed"] += 1
        lane.retry_at_s = self._clock.monotonic_s() + self._retry_s
        words = error.message if isinstance(error, LuchengError) else getattr(error, "strerror", None)
        self._say(lane.camera, f"cannot be recorded: {words or type(error).__name__}")

    def _tell(self, made: NewSegment | None) -> None:
        if made is None:
            return
        self.counts["segments"] += 1
        try:
            self._finished(made)
        except Exception:  # it lies on the disk: `Recordings.adopt` enters it
            self.counts["not_told"] += 1

    def _say(self, camera: str, why: str) -> None:
        try:
            self._said(camera, why)
        except Exception:  # recording goes on, whoever listens
            self.counts["not_told"] += 1

    def _look_at_room(self) -> None:
        self._room_at_s = self._clock.monotonic_s()
        try:
            disk = os.statvfs(self._folder)
            free_bytes = disk.f_bavail * disk.f_frsize
        except OSError as error:
            why = f"the disk cannot be looked at: {error.strerror}"
        else:
            least = self._min_free_bytes * (_AGAIN_SHARE if self.why_stopped else 1)
            why = "" if free_bytes >= least else f"the disk has {free_bytes >> 20} MiB left"
        if bool(why) != bool(self.why_stopped):
            self.why_stopped = why
            self._say("", why)
        if why:
            for lane in list(self._lanes):
                self._finish(lane)
