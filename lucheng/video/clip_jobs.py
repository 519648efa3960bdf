"""Clips of a worker's cameras: collected from the ring while their end has not passed, then made into a file.

Invariants: a clip holds its packets by reference from the moment it is asked for, so its beginning is not lost when the
ring moves on; it is made as soon as its end has been seen, or a moment after it should have been; one that has no packet,
or only pictures from long before, is answered in words. One thread; muxing costs milliseconds.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from ingest.video.clip import make_clip
from model.errors import LuchengError

if TYPE_CHECKING:
    from ingest.video.ring import Cursor, PacketRing
    from lucheng.video.messages import MakeClip
    from model.clock import Clock
    from model.video import Clip, Packet

#: How long after its end a picture of it may still come.
DEFAULT_LATE_S = 2.0
DEFAULT_LOOK_S = 0.2
#: A picture that is older than the time asked for by more than this shows nothing of it.
STALE_MS = 10_000
#: Bytes that all clips under way hold.
DEFAULT_MAX_HELD_BYTES = 1 << 30

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Job:
    """A clip under way."""

    asked: MakeClip
    cursor: Cursor
    masked: bool
    due_s: float
    packets: list[Packet] = field(default_factory=list)
    held_bytes: int = 0
    complete: bool = False
    crowded: bool = False


class ClipJobs:
    """Makes clips on a thread of its own.

    Args:
        clock: source of time.
        done: called with the request's number, the clip or None, and what is missing.
        late_s, look_s, max_held_bytes: see the constants.
    """

    def __init__(
        self,
        clock: Clock,
        done: Callable[[int, Clip | None, str], None],
        *,
        late_s: float = DEFAULT_LATE_S,
        look_s: float = DEFAULT_LOOK_S,
        max_held_bytes: int = DEFAULT_MAX_HELD_BYTES,
    ) -> None:
        self._clock = clock
        self._done = done
        self._late_s = late_s
        self._look_s = look_s
        self._max_held_bytes = max_held_bytes
        self._lock = threading.Lock()
        self._jobs: list[_Job] = []
        self._held_bytes = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="clips", daemon=True)
        self._thread.start()

    def ask(self, asked: MakeClip, ring: PacketRing, *, masked: bool) -> None:
        """Begin to collect a clip."""
        wait_s = max(0.0, (asked.to_ms - self._clock.now_ms()) / 1000)
        due_s = self._clock.monotonic_s() + wait_s + self._late_s
        job = _Job(asked, ring.follow(from_ms=asked.from_ms, newest=False), masked, due_s)
        with self._lock:
            self._jobs.append(job)
            self._collect(job)

    def close(self) -> None:
        """Make what there is of every clip under way, and end."""
        self._stop.set()
        self._thread.join()
        with self._lock:
            jobs, self._jobs = self._jobs, []
        for job in jobs:
            self._finish(job)

    def _loop(self) -> None:
        while not self._stop.wait(self._look_s):
            try:
                self.look()
            except Exception as error:  # one that ends unseen would leave every clip unanswered
                _log.exception("clips not looked at", error=type(error).__name__)

    def look(self) -> None:
        """Collect what has come; make the clips that are complete or overdue."""
        now_s = self._clock.monotonic_s()
        with self._lock:
            for job in self._jobs:
                self._collect(job)
            complete = [job for job in self._jobs if job.complete or now_s >= job.due_s]
            for job in complete:
                self._jobs.remove(job)
        for job in complete:
            self._finish(job)

    def _collect(self, job: _Job) -> None:
        """Take the packets that have come, up to the end."""
        while not job.complete and (found := job.cursor.take()):
            job.complete = any(self._take(job, packet) for packet in found)

    def _take(self, job: _Job, packet: Packet) -> bool:
        """Take one; whether the end was seen, or there is no more room."""
        asked, size = job.asked, len(packet.data)
        if packet.time_ms > asked.to_ms:
            return packet.keyframe or packet.time_ms > asked.to_ms + 1000 * self._late_s
        if packet.keyframe and packet.time_ms <= asked.from_ms:  # nothing before it is needed
            self._release(job)
        job.crowded = self._held_bytes + size > self._max_held_bytes
        if job.crowded or job.held_bytes > 2 * asked.max_bytes:
            return True
        job.packets.append(packet)
        job.held_bytes += size
        self._held_bytes += size
        return False

    def _release(self, job: _Job) -> None:
        self._held_bytes -= job.held_bytes
        job.held_bytes = 0
        job.packets.clear()

    def _finish(self, job: _Job) -> None:
        packets = list(job.packets)
        with self._lock:
            self._release(job)
        number = job.asked.request
        if not packets and job.crowded:
            self._done(number, None, "too many clips are being made")
            return
        if not packets or packets[-1].time_ms < job.asked.from_ms - STALE_MS:
            self._done(number, None, "there is no picture of that time")
            return
        try:
            clip = make_clip(
                packets,
                max_bytes=job.asked.max_bytes,
                transcoded=job.masked,
                wanted_from_ms=job.asked.from_ms,
                wanted_to_ms=job.asked.to_ms,
            )
        except LuchengError as error:
            self._done(number, None, str(error))
            return
        except Exception as error:  # one clip that cannot be made keeps no other from being made
            _log.exception("clip not made", camera=job.asked.device, error=type(error).__name__)
            self._done(number, None, "its packets do not make a file")
            return
        self._done(number, clip, clip.note)
