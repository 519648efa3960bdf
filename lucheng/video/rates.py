"""How many pictures and bytes a stream really brings, and how far apart its keyframes are. What it declares is not asked.

Invariants: a few additions a packet; what is not known yet is NaN; a stream of one picture in five seconds is measured as
well as one of 25 a second. One thread writes, any may read.
"""

from __future__ import annotations

from model.video import TICKS_PER_MS, Packet

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
        self._dts = self._key_dts = 0
        self._epoch = self._key_epoch = -1
        self.keyframe_gap_s = float("nan")
        self.lag_ms = float("nan")
        self._corrupt = 0.0

    def take(self, packet: Packet) -> None:
        """Hear of the next packet."""
        self.packets += 1
        # by the camera's own clock: what it had buffered at the opening comes all at once
        interval_ms = (packet.dts - self._dts) / TICKS_PER_MS if packet.info.epoch == self._epoch else 0.0
        self._dts, self._epoch = packet.dts, packet.info.epoch
        if 0 < interval_ms <= MAX_INTERVAL_MS:
            self._known += 1
            share = max(_SHARE, 1.0 / min(self._known, _FIRST_SHARES))
            self._interval_ms += (interval_ms - self._interval_ms) * share
            self._size_bytes += (len(packet.data) - self._size_bytes) * share
            self._corrupt += (packet.corrupt - self._corrupt) * share
        if packet.keyframe:
            gap_ms = (packet.dts - self._key_dts) / TICKS_PER_MS
            if packet.info.epoch == self._key_epoch and 0 < gap_ms <= MAX_INTERVAL_MS * 10:
                self.keyframe_gap_s = gap_ms / 1000
            self._key_dts, self._key_epoch = packet.dts, packet.info.epoch
        self.lag_ms = float(packet.received_ms - packet.time_ms)

    @property
    def fps(self) -> float:
        """Pictures a second."""
        interval_ms = self._interval_ms  # read once: `reset` may come between
        return 1000 / interval_ms if interval_ms > 0 else float("nan")

    @property
    def bitrate_kbps(self) -> float:
        """Kilobits a second."""
        interval_ms = self._interval_ms
        return self._size_bytes * 8 / interval_ms if interval_ms > 0 else float("nan")

    @property
    def corrupt_share(self) -> float:
        """Of the last packets, how many came damaged."""
        return self._corrupt
