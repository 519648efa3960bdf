"""`MediaClock`: which moment of the past is shown now. Media time = where it was set + rate × elapsed time.

Invariants: it is counted in whole quarters of a nanosecond, rates in whole quarters, so that no sequence of play, pause,
seek and changes of rate ever loses or gains anything: every change takes the exact moment as its new beginning. Media
time never leaves the window and runs on only while it plays. It reads no clock: whoever asks says what monotonic time it is.
"""

from __future__ import annotations

from model.errors import UsageError

#: The rates of the keys, slowest first; any whole number of quarters between the first and the last is a rate.
RATES: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
_PARTS = 4
_NS_PER_S = 1_000_000_000
#: Quarters of a nanosecond in a millisecond.
_PER_MS = 1_000_000 * _PARTS


def checked_rate(rate: float) -> float:
    """`rate` when it is one, else UsageError."""
    if not RATES[0] <= rate <= RATES[-1] or not (rate * _PARTS).is_integer():
        raise UsageError(
            f"A rate of {rate:g}.", mend=f"Give {RATES[0]:g} to {RATES[-1]:g} in steps of {1 / _PARTS:g}, e.g. 16."
        )
    return float(rate)


class MediaClock:
    """See the module.

    Args:
        from_ms, to_ms: the window, UTC ms, both ends in it.
        now_s: monotonic time, seconds.
        rate: media seconds in a second.
        at_ms: where it begins; None: at `from_ms`.
        playing: whether it runs at once.

    Raises UsageError for an empty window or what is no rate.
    """

    def __init__(
        self,
        from_ms: int,
        to_ms: int,
        *,
        now_s: float,
        rate: float = 1.0,
        at_ms: int | None = None,
        playing: bool = False,
    ) -> None:
        if to_ms <= from_ms:
            raise UsageError("There is no time to replay.", mend="Give an end after the beginning.")
        self._first, self._last = from_ms * _PER_MS, to_ms * _PER_MS
        self._quarters = int(checked_rate(rate) * _PARTS)
        self._playing = playing
        self._since_ns = round(now_s * _NS_PER_S)
        self._anchor = self._clamped((from_ms if at_ms is None else at_ms) * _PER_MS)

    @property
    def rate(self) -> float:
        """Media seconds in a second while it plays."""
        return self._quarters / _PARTS

    @property
    def playing(self) -> bool:
        """Whether it was told to run; at the end of the window it stands all the same."""
        return self._playing

    def at_ms(self, now_s: float) -> int:
        """Media time, UTC ms, rounded down."""
        return self._exact(round(now_s * _NS_PER_S)) // _PER_MS

    def ended(self, now_s: float) -> bool:
        """Whether the end of the window is reached."""
        return self._exact(round(now_s * _NS_PER_S)) == self._last

    def play(self, now_s: float) -> None:
        """Run on from where it stands."""
        self._anew(now_s)
        self._playing = True

    def pause(self, now_s: float) -> None:
        """Stand still."""
        self._anew(now_s)
        self._playing = False

    def seek(self, now_s: float, media_ms: int) -> None:
        """Go to a moment, or to the nearest one in the window; it runs on if it ran."""
        self._anew(now_s)
        self._anchor = self._clamped(media_ms * _PER_MS)

    def set_rate(self, now_s: float, rate: float) -> None:
        """Run faster or slower from here on. Raises UsageError for what is no rate, and nothing changes."""
        quarters = int(checked_rate(rate) * _PARTS)
        self._anew(now_s)
        self._quarters = quarters

    def wait_s(self, now_s: float, media_ms: int) -> float | None:
        """Seconds until media time is `media_ms`, 0 when it is there or past; None: never, as it stands."""
        left = media_ms * _PER_MS - self._exact(round(now_s * _NS_PER_S))
        if left <= 0:
            return 0.0
        if not self._playing or media_ms * _PER_MS > self._last:
            return None
        return -(-left // self._quarters) / _NS_PER_S

    def _exact(self, now_ns: int) -> int:
        if not self._playing:
            return self._anchor
        # A caller whose clock went back is shown what he saw.
        return self._clamped(self._anchor + self._quarters * max(now_ns - self._since_ns, 0))

    def _anew(self, now_s: float) -> None:
        now_ns = max(round(now_s * _NS_PER_S), self._since_ns)
        self._anchor, self._since_ns = self._exact(now_ns), now_ns

    def _clamped(self, exact: int) -> int:
        return min(max(exact, self._first), self._last)
