"""Time of pictures: a camera's PTS made continuous (`Timeline`) and put on our clock (`MediaClock`). Pure.

A camera's PTS says how far apart its pictures were taken, our receive clock when they came; the network delays and never
hurries. So a picture's time is its PTS plus an offset, the least seen of (received - PTS), and that offset may drift by no
more than 500 ppm, which is what a bad quartz does. Invariants: no picture is from the future; `dts` grows; whatever a
camera sends, a result comes back and lies within 5 s of when the picture came, once it says so for `RESET_PICTURES`.
"""

from __future__ import annotations

from model.video import TICKS_PER_MS

#: How fast a camera's clock may run against ours.
MAX_SLOPE = 500e-6
#: A picture whose time is farther from when it came is an outlier.
OUTLIER_MS = 5_000
#: After so many outliers in a row it is the camera's clock that was set.
RESET_PICTURES = 3
#: While a stream is young its offset is not held by the slope: what comes first may come from the camera's buffer.
SETTLE_MS = 3_000
#: Length of each of the two windows of which the least delay is taken.
WINDOW_MS = 10_000
#: A step of DTS back by more, or forward by more than this beyond the time that went by, is a clock that was set.
BACK_TICKS = 1_000 * TICKS_PER_MS
AHEAD_TICKS = 10_000 * TICKS_PER_MS
#: A presentation time farther from the decoding time is not believed.
MAX_REORDER_TICKS = 5_000 * TICKS_PER_MS
#: A longer silence than any between two pictures.
_MAX_WENT_TICKS = 3_600_000 * TICKS_PER_MS
#: A gap between pictures before one is known.
FIRST_STEP_TICKS = 40 * TICKS_PER_MS


class MediaClock:
    """Puts the pictures of one connection on our clock. Not for two threads at once.

    Attributes:
        lag_ms: how long the last picture was under way, beyond the least delay seen.
        outliers: pictures whose PTS was not believed.
        resets: how often the camera's clock was found to be set.
    """

    def __init__(self) -> None:
        self.lag_ms = 0
        self.outliers = 0
        self.resets = 0
        self._offset_ms: float | None = None
        self._start_ms = 0
        self._last_pts_ms = 0.0
        self._last_received_ms = 0
        self._last_time_ms = 0
        self._odd = 0
        self._window_start_ms = 0
        self._least_ms = 0.0
        self._least_before_ms = 0.0

    def time_ms(self, pts_ticks: int, received_ms: int) -> int:
        """When a picture was taken, our clock, UTC ms.

        Args:
            pts_ticks: its PTS, 1/90,000 s; pictures come in decoding order, so it may go back a little.
            received_ms: when it came, UTC ms.
        """
        pts_ms = pts_ticks / TICKS_PER_MS
        if self._offset_ms is None:
            self._anchor(pts_ms, received_ms)
        assert self._offset_ms is not None
        if abs(received_ms - pts_ms - self._offset_ms) > OUTLIER_MS and not self._from_buffer(pts_ms, received_ms):
            self._odd += 1
            if self._odd < RESET_PICTURES:
                return self._neighbour(received_ms)
            self.resets += 1
            self._anchor(pts_ms, received_ms)
        self._odd = 0
        self._follow(pts_ms, received_ms)
        time_ms = max(received_ms - OUTLIER_MS, min(round(pts_ms + self._offset_ms), received_ms))
        self._note(time_ms, received_ms)
        self._last_pts_ms = pts_ms
        return time_ms

    def _anchor(self, pts_ms: float, received_ms: int) -> None:
        self._offset_ms = self._least_ms = self._least_before_ms = received_ms - pts_ms
        self._start_ms = self._window_start_ms = received_ms
        self._last_pts_ms = pts_ms

    def _from_buffer(self, pts_ms: float, received_ms: int) -> bool:
        """Whether a young stream's picture is merely newer than the camera's old ones that came all at once."""
        assert self._offset_ms is not None
        young = 0 <= received_ms - self._start_ms < SETTLE_MS
        step_ms = pts_ms - self._last_pts_ms
        return young and received_ms - pts_ms < self._offset_ms and 0 <= step_ms <= OUTLIER_MS

    def _follow(self, pts_ms: float, received_ms: int) -> None:
        assert self._offset_ms is not None
        delay_ms = received_ms - pts_ms
        if not 0 <= received_ms - self._window_start_ms < WINDOW_MS:
            self._window_start_ms = received_ms
            self._least_before_ms, self._least_ms = self._least_ms, delay_ms
        self._least_ms = min(self._least_ms, delay_ms)
        least_ms = min(self._least_ms, self._least_before_ms)
        if 0 <= received_ms - self._start_ms < SETTLE_MS:
            self._offset_ms = min(self._offset_ms, least_ms)
            return
        bound_ms = abs(pts_ms - self._last_pts_ms) * MAX_SLOPE
        self._offset_ms += max(-bound_ms, min(bound_ms, least_ms - self._offset_ms))

    def _neighbour(self, received_ms: int) -> int:
        """The time of the picture before, and what has gone by since it came."""
        self.outliers += 1
        went_ms = received_ms - self._last_received_ms
        time_ms = self._last_time_ms + went_ms if abs(went_ms) <= OUTLIER_MS else received_ms
        time_ms = min(time_ms, received_ms)
        self._note(time_ms, received_ms)
        return time_ms

    def _note(self, time_ms: int, received_ms: int) -> None:
        self._last_time_ms, self._last_received_ms = time_ms, received_ms
        self.lag_ms = received_ms - time_ms


class Timeline:
    """Makes one connection's PTS and DTS go on without a break. Not for two threads at once."""

    def __init__(self) -> None:
        self._shift = 0
        self._last_in: int | None = None
        self._last_out = 0
        self._last_monotonic_s = 0.0
        self._step = FIRST_STEP_TICKS
        self._guessed = False

    def place(self, pts: int | None, dts: int | None, monotonic_s: float) -> tuple[int, int]:
        """PTS and DTS of the next picture, ticks: DTS greater than the one before, PTS not less than DTS.

        Args:
            pts: as the demuxer gave it, ticks; None where it does not know.
            dts: the same.
            monotonic_s: when it came.
        """
        if self._last_in is None:
            return self._first(pts, dts, monotonic_s)
        went = min(round(max(0.0, monotonic_s - self._last_monotonic_s) * 1000 * TICKS_PER_MS), _MAX_WENT_TICKS)
        if dts is None:
            expected = self._last_in + max(self._step, went)
            dts = expected if pts is None else min(pts, expected) if pts > self._last_in - BACK_TICKS else pts
        step = dts - self._last_in
        if self._guessed or step < -BACK_TICKS or step > AHEAD_TICKS + went:
            self._shift = self._last_out + max(self._step, min(went, AHEAD_TICKS)) - dts
            self._guessed = False
        elif step > 0:
            self._step = min(step, AHEAD_TICKS)
        out_dts = max(dts + self._shift, self._last_out + 1)
        out_pts = out_dts if pts is None else pts + self._shift
        if not 0 <= out_pts - out_dts <= MAX_REORDER_TICKS:
            out_pts = out_dts
        self._last_in, self._last_out, self._last_monotonic_s = dts, out_dts, monotonic_s
        return out_pts, out_dts

    def _first(self, pts: int | None, dts: int | None, monotonic_s: float) -> tuple[int, int]:
        start = dts if dts is not None else pts if pts is not None else 0
        # FFmpeg gives no time for an RTSP stream's first picture; where that stands is known with the second.
        self._guessed = dts is None and pts is None
        self._last_in = self._last_out = start
        self._last_monotonic_s = monotonic_s
        ahead = (pts - start) if pts is not None else 0
        return (start + ahead if 0 <= ahead <= MAX_REORDER_TICKS else start), start
