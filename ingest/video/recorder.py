"""`SegmentWriter`: what of one camera's packets is recorded: everything, or what lies around events, or nothing.

Invariants: a call returns without waiting for the disk; what is handed over begins with a keyframe, also after packets
had to be left out, and the segment ends before a gap, so that the index shows it; around an event everything is recorded
from its pre-roll (packets that the caller has in its ring) to `after_s` after the last one. It writes nothing:
`RecordingDisk` does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from ingest.video.recording_disk import Lane, RecordingDisk
from model.errors import UsageError
from model.video import Packet

MODES = ("off", "events", "continuous")
#: What is recorded after the last event.
DEFAULT_AFTER_S = 30.0


class SegmentWriter:
    """See the module. `put` and `broke` on the camera's thread, the rest on any.

    Args:
        camera: device id.
        disk: writes for all cameras of the process.
        mode: `off`, `events` or `continuous`.
        masked: its packets were re-encoded with masks burned in.
        after_s: see above.
    """

    def __init__(
        self,
        camera: str,
        disk: RecordingDisk,
        *,
        mode: str = "continuous",
        masked: bool = False,
        after_s: float = DEFAULT_AFTER_S,
    ) -> None:
        if mode not in MODES:
            raise UsageError(f"{mode[:20]!r} is no way to record.", mend="Use one of " + ", ".join(MODES) + ".")
        self._disk = disk
        self._mode = mode
        self._after_ms = round(after_s * 1_000)
        self._lane = Lane(camera, masked=masked)
        self._lock = threading.Lock()
        self._running = False
        self._until_ms = 0
        self._newest: Packet | None = None
        #: Packets that were to be recorded and were left out: the disk was too slow, or full.
        self.left_out = 0

    @property
    def recording(self) -> bool:
        """Whether packets are being handed over right now."""
        return self._running

    def put(self, packet: Packet) -> None:
        """The next packet, after it was put into the ring."""
        with self._lock:
            if self._mode == "off" or packet is self._newest:
                return
            if self._mode == "events" and packet.time_ms > self._until_ms:
                self._end()
                return
            if not self._running and not packet.keyframe:
                self.left_out += self._mode == "continuous" or self._until_ms > 0
                return
            self._hand_over((packet,))

    def event(self, time_ms: int, pre_roll: Sequence[Packet] | Callable[[], Sequence[Packet]] = ()) -> None:
        """Something happened; in mode `events` it is recorded.

        Args:
            time_ms: when, our clock, UTC ms.
            pre_roll: what the ring holds from the keyframe before the pre-roll on; not looked at while it is recording.
                From another thread than the camera's: what takes it from the ring, called so that no packet comes between.
        """
        with self._lock:
            if self._mode != "events":
                return
            self._until_ms = max(self._until_ms, time_ms + self._after_ms)
            if self._running:
                return
            before = pre_roll() if callable(pre_roll) else pre_roll
            start = next((place for place, packet in enumerate(before) if packet.keyframe), None)
            if start is not None:
                self._hand_over(before[start:])

    def moved(self, motion_ms: int) -> None:
        """There was motion for so long."""
        with self._lock:
            if self._running:
                self._disk.moved(self._lane, motion_ms)

    def broke(self) -> None:
        """The connection broke, or the stream has other parameters from here on."""
        with self._lock:
            self._end()

    def close(self) -> None:
        """Nothing is recorded any more; what was handed over still is."""
        with self._lock:
            self._end()
            self._mode = "off"

    def _hand_over(self, packets: Sequence[Packet]) -> None:
        if self._disk.put(self._lane, packets):
            self._running = True
            self._newest = packets[-1]
            return
        self.left_out += len(packets)
        self._end()

    def _end(self) -> None:
        """Up to here; on from a keyframe."""
        self._newest = None
        if self._running:
            self._running = False
            self._disk.end(self._lane)
