"""`PacketRing`: the last seconds of one camera, compressed, always from a keyframe on.

Invariants: it begins with a keyframe; whole groups of pictures (a keyframe and what follows) are dropped, the oldest first,
as soon as it is longer than `max_s` or larger than `max_bytes`; the newest group is never dropped. A group that is longer
than `max_s` by itself stays whole; of one that alone is larger than `max_bytes` the front is kept, and what follows is
left out to the next keyframe and counted. After a new connection or a change of parameters everything before the next
keyframe is left out and counted. One thread appends, any may read; one lock is held for the time of a copy of references.

Nobody is woken: live view is pushed by the thread that appends, and who makes clips comes by now and then with a `Cursor`.
"""

from __future__ import annotations

import threading
from collections import deque

from model.video import Packet, StreamInfo

DEFAULT_MAX_S = 30.0
DEFAULT_MAX_BYTES = 32 << 20
#: What a packet costs beside its data, bytes: the object, its numbers, its place in a list. Counted, so that a stream of
#: tiny packets is bounded too.
PACKET_OVERHEAD_BYTES = 256
#: Packets that one `Cursor.take` returns at most.
DEFAULT_TAKE_PACKETS = 256
#: A group that begins so much after the newest packet was stamped before the wall clock was set back.
_AHEAD_MS = 5_000


class _Group:
    """A keyframe and the packets up to the next one."""

    __slots__ = ("bytes", "first", "from_ms", "packets")

    def __init__(self, first: int, packet: Packet) -> None:
        self.first = first
        self.from_ms = packet.time_ms
        self.packets = [packet]
        self.bytes = 0


class PacketRing:
    """The last packets of one camera; see the module.

    Args:
        max_s: seconds of presentation time kept at most, except that the newest group stays whole.
        max_bytes: bytes kept at most, `PACKET_OVERHEAD_BYTES` a packet included.

    Attributes:
        left_out: packets that were not kept: before a first keyframe, or the rest of too large a group.
    """

    def __init__(self, *, max_s: float = DEFAULT_MAX_S, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        self._max_ms = int(max_s * 1000)
        self._max_bytes = max_bytes
        self._groups: deque[_Group] = deque()
        self._lock = threading.Lock()
        self._bytes = 0
        self._count = 0
        self._next = 0
        self._open = False
        self._info: StreamInfo | None = None
        self._last_ms = 0
        self.left_out = 0

    def append(self, packet: Packet) -> bool:
        """Keep the next packet, in decoding order; False: it was left out. Constant time; one thread."""
        if packet.info is not self._info:
            self._open = self._open and packet.info == self._info
            self._info = packet.info
        size = len(packet.data) + PACKET_OVERHEAD_BYTES
        if not packet.keyframe and (not self._open or self._groups[-1].bytes + size > self._max_bytes):
            self._open = False
            self.left_out += 1
            return False
        with self._lock:
            if packet.keyframe:
                self._groups.append(_Group(self._next, packet))
                self._open = True
            else:
                self._groups[-1].packets.append(packet)
            self._groups[-1].bytes += size
            self._bytes += size
            self._count += 1
            self._next += 1
            self._last_ms = packet.time_ms
            while len(self._groups) > 1 and self._too_much():
                group = self._groups.popleft()
                self._bytes -= group.bytes
                self._count -= len(group.packets)
        return True

    def _too_much(self) -> bool:
        age_ms = self._last_ms - self._groups[0].from_ms
        return self._bytes > self._max_bytes or age_ms > self._max_ms or age_ms < -_AHEAD_MS

    def __len__(self) -> int:
        """Packets kept."""
        return self._count

    @property
    def bytes(self) -> int:
        """Bytes kept, `PACKET_OVERHEAD_BYTES` a packet included."""
        return self._bytes

    @property
    def span_ms(self) -> int:
        """Presentation time from the first keyframe to the last packet, ms; 0 when it is empty."""
        with self._lock:
            return max(0, self._last_ms - self._groups[0].from_ms) if self._groups else 0

    def last_keyframe(self) -> Packet | None:
        """The newest keyframe."""
        with self._lock:
            return self._groups[-1].packets[0] if self._groups else None

    def from_last_keyframe(self) -> list[Packet]:
        """The newest keyframe and everything after it."""
        with self._lock:
            return list(self._groups[-1].packets) if self._groups else []

    def since_keyframe(self, time_ms: int) -> list[Packet]:
        """Everything from the last keyframe at or before `time_ms` on; from the first one where none is so old."""
        with self._lock:
            taken: list[list[Packet]] = []
            for group in reversed(self._groups):
                taken.append(list(group.packets))
                if group.from_ms <= time_ms:
                    break
        return [packet for packets in reversed(taken) for packet in packets]

    def between(self, from_ms: int, to_ms: int) -> list[Packet]:
        """As `since_keyframe(from_ms)`, up to the last packet that is shown at or before `to_ms`."""
        packets = self.since_keyframe(from_ms)
        while packets and packets[-1].time_ms > to_ms:
            packets.pop()
        return packets

    def follow(self, *, from_ms: int | None = None, newest: bool = True) -> Cursor:
        """A reader of its own.

        Args:
            from_ms: it begins at the last keyframe at or before this; None: at the newest keyframe.
            newest: when it is overtaken it goes on at the newest keyframe (live view), else at the oldest (a clip).
        """
        with self._lock:
            start = self._next
            for group in reversed(self._groups):
                start = group.first
                if from_ms is None or group.from_ms <= from_ms:
                    break
        return Cursor(self, start, newest=newest)

    def clear(self) -> None:
        """Forget everything; the next packet kept is a keyframe."""
        with self._lock:
            self._groups.clear()
            self._bytes = self._count = 0
            self._open = False

    def _after(self, start: int, limit: int, *, newest: bool) -> tuple[int, list[Packet]]:
        """Packets from number `start` on, and the number of the first of them: greater where `start` is gone."""
        with self._lock:
            if not self._groups or start >= self._next:
                return max(start, self._next), []
            if start < self._groups[0].first:
                start = self._groups[-1 if newest else 0].first
            taken: list[list[Packet]] = []
            for group in reversed(self._groups):
                offset = start - group.first
                if offset < 0:
                    taken.append(group.packets[:limit])
                else:
                    taken.append(group.packets[offset : offset + limit])
                    break
        return start, [packet for packets in reversed(taken) for packet in packets][:limit]


class Cursor:
    """Where one reader of a ring is; of one thread.

    Attributes:
        overtaken: how often packets were gone before they were taken.
        skipped: how many packets that were.
    """

    def __init__(self, ring: PacketRing, start: int, *, newest: bool) -> None:
        self._ring = ring
        self._next = start
        self._newest = newest
        self.overtaken = 0
        self.skipped = 0

    def take(self, max_packets: int = DEFAULT_TAKE_PACKETS) -> list[Packet]:
        """The next packets, [] while there is none; after having been overtaken they begin with a keyframe."""
        start, packets = self._ring._after(self._next, max_packets, newest=self._newest)  # noqa: SLF001 the ring's own reader
        if start > self._next:
            self.overtaken += 1
            self.skipped += start - self._next
        self._next = start + len(packets)
        return packets
