"""How many pictures and bytes a stream really brings, and how far apart its keyframes are. What it declares is not asked.

Invariants: a few additions a packet; what is not known yet is NaN; a stream of one picture in five seconds is measured as
well as one of 25 a second. One thread writes, any may read.
"""

from __future__ import annotations

from model.video import Packet

#: Share of the newest interval in the mean: about the last fifty pictures.
_SHARE = 0.02
#: The first intervals count more, so that the mean is there soon.
_FIRST_SHARES = 50
#: An interval beyond this is a gap and not a rate.
MAX_INTERVAL_MS = 60_000


class StreamRates:
    """Measures one stream.

    Attributes:
        fps, bitrate_kbps, keyframe_gap_s: as measured; NaN unknown.
        last_ms: of the newest packet, our clock; 0: none yet.
        lag_ms: from the picture to its arrival, of the newest packet.
        packets: since the beginning.
    """

    def __init__(self) -> None:
        self.reset()
        self.packets = 0

    def reset(self) -> None:
        """Another connection: measure anew."""
        self._interval_ms = 0.0
        self._size_bytes = 0.0
        self._known = 0
        self._key_ms = 0
        self.keyframe_gap_s = float("nan")
        self.last_ms = 0
        self.lag_ms = float("nan")
        self._corrupt = 0.0

    def take(self, packet: Packet) -> None:
        """Hear of the next packet."""
        self.packets += 1
        interval_ms = packet.time_ms - self.last_ms
        if self.last_ms and 0 < interval_ms <= MAX_INTERVAL_MS:
            self._known += 1
            share = max(_SHARE, 1.0 / min(self._known, _FIRST_SHARES))
            self._interval_ms += (interval_ms - self._interval_ms) * share
            self._size_bytes += (len(packet.data) - self._size_bytes) * share
            self._corrupt += (packet.corrupt - self._corrupt) * share
        if packet.keyframe:
            if self._key_ms and 0 < packet.time_ms - self._key_ms <= MAX_INTERVAL_MS * 10:
                self.keyframe_gap_s = (packet.time_ms - self._key_ms) / 1000
            self._key_ms = packet.time_ms
        self.last_ms = max(self.last_ms, packet.time_ms) if interval_ms > -MAX_INTERVAL_MS else packet.time_ms
        self.lag_ms = float(packet.received_ms - packet.time_ms)

    @property
    def fps(self) -> float:
        """Pictures a second."""
        return 1000 / self._interval_ms if self._known else float("nan")

    @property
    def bitrate_kbps(self) -> float:
        """Kilobits a second."""
        return self._size_bytes * 8 / self._interval_ms if self._known else float("nan")

    @property
    def corrupt_share(self) -> float:
        """Of the last packets, how many came damaged."""
        return self._corrupt
