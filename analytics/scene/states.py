"""The states of cameras from the age of their media: online, degraded, stalled, offline, with hysteresis both ways.

Invariants: the state is of the camera's own media, whatever a recorder in front of it says. Age makes it worse at once; it gets
better once media has come for `recover_after_s` without a pause, also from degraded to online. Silence makes nothing better: an
offline camera does not become stalled. A camera that sends a picture every five seconds as a rule has stalled after three such
intervals, not between two of its pictures. `parked` and `disabled` are given from outside and left the same way.

Pure: time comes in, changes go out; nothing grows but with the number of cameras. Not to be called by two threads at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.camera import STATE_NUMBER, CameraState

Bools = npt.NDArray[np.bool_]
Seconds = npt.NDArray[np.float64]
States = npt.NDArray[np.int8]

_BY_NUMBER = {number: state for state, number in STATE_NUMBER.items()}
_ONLINE, _DEGRADED, _STALLED, _OFFLINE, _PARKED, _DISABLED = (
    np.int8(STATE_NUMBER[state])
    for state in (
        CameraState.ONLINE,
        CameraState.DEGRADED,
        CameraState.STALLED,
        CameraState.OFFLINE,
        CameraState.PARKED,
        CameraState.DISABLED,
    )
)


@dataclass(frozen=True, slots=True)
class StateLimits:
    """What states go by.

    Attributes:
        offline_after_s, stalled_after_s: no media for so long; the first is taken to be at least the second.
        recover_after_s: media for so long until it is better again.
        late_intervals: media is missing once it is later than so many of its usual intervals.
    """

    offline_after_s: float = 30.0
    stalled_after_s: float = 5.0
    recover_after_s: float = 5.0
    late_intervals: float = 3.0


@dataclass(frozen=True, slots=True)
class Change:
    """A camera's state has changed: which row, from what, to what."""

    row: int
    before: CameraState
    after: CameraState


class CameraStates:
    """States of cameras, one a row; a new row is disabled.

    Args:
        limits: times.
        capacity: rows to begin with; `rearrange` changes them.

    Attributes:
        state: int8 (rows,), numbers of `model.camera.STATE_NUMBER`.
    """

    def __init__(self, limits: StateLimits | None = None, capacity: int = 0) -> None:
        self._limits = limits or StateLimits()
        self.state: States = np.full(capacity, _DISABLED, np.int8)
        # What a row is on the way to, and since when it has been as good as that without a pause.
        self._better: States = self.state.copy()
        self._better_s = np.zeros(capacity, np.float64)
        self._last_s = np.full(capacity, -np.inf)
        self._usual_s = np.zeros(capacity, np.float64)

    def __len__(self) -> int:
        return len(self.state)

    def of(self, row: int) -> CameraState:
        """State of one camera."""
        return _BY_NUMBER[int(self.state[row])]

    def rearrange(self, rows: npt.NDArray[np.int32]) -> None:
        """Other cameras from now on: the row that each of them had, int32 (n,); -1 for a new one."""
        new = rows < 0
        at = np.where(new, 0, rows)
        if not len(self.state):
            at, new = np.zeros(0, np.int32), np.ones(len(rows), np.bool_)
        for name, blank in (
            ("state", _DISABLED),
            ("_better", _DISABLED),
            ("_better_s", 0.0),
            ("_last_s", -np.inf),
            ("_usual_s", 0.0),
        ):
            old = getattr(self, name)
            fresh = np.full(len(rows), blank, old.dtype)
            fresh[~new] = old[at[~new]] if len(old) else blank
            setattr(self, name, fresh)

    def step(
        self,
        now_s: float,
        last_media_s: Seconds,
        health: npt.NDArray[np.uint16],
        *,
        interval_s: Seconds | None = None,
        disabled: Bools | None = None,
        parked: Bools | None = None,
    ) -> list[Change]:
        """What has changed; one entry of each column a row.

        Args:
            now_s: monotonic time.
            last_media_s: float64, when media last came, the same clock; -inf or NaN: never.
            health: uint16, bits of `model.camera.Health` that hold; any of them degrades.
            interval_s: float64, usual time between two pictures as received; NaN, 0 or None: not known. Taken over only when
                media has come, so a rate that is measured as falling in silence does not hide the silence.
            disabled: bool, given from outside.
            parked: bool, given from outside; disabled wins.

        Returns: changes in the order of the rows. A camera that is let in begins as offline, and is better once its media has
            come for `recover_after_s`; both are among them.

        Raises:
            ValueError: a column of another length.
        """
        count = len(self.state)
        off = np.zeros(count, np.bool_) if disabled is None else disabled
        aside = np.zeros(count, np.bool_) if parked is None else parked
        if not len(last_media_s) == len(health) == len(off) == len(aside) == count:
            raise ValueError(f"columns of {len(last_media_s)} for {count} cameras")
        before = self.state
        away = before >= _PARKED
        known = np.where(away, _OFFLINE, before).astype(np.int8)
        target = self._target(now_s, known, last_media_s, health, interval_s)
        inside = self._settled(now_s, known, target, away)
        self.state = np.where(off, _DISABLED, np.where(aside, _PARKED, inside)).astype(np.int8)
        changed = np.flatnonzero(self.state != before).tolist()
        return [Change(row, _BY_NUMBER[int(before[row])], _BY_NUMBER[int(self.state[row])]) for row in changed]

    def _target(
        self,
        now_s: float,
        known: States,
        last_media_s: Seconds,
        health: npt.NDArray[np.uint16],
        interval_s: Seconds | None,
    ) -> States:
        """What each would be by its media of this moment alone."""
        limits = self._limits
        last_s = np.where(np.isnan(last_media_s), -np.inf, last_media_s)
        if interval_s is not None:
            usable = (last_s > self._last_s) & np.isfinite(interval_s) & (interval_s > 0)
            self._usual_s = np.where(usable, interval_s, self._usual_s)
        self._last_s = last_s
        age_s = np.maximum(0.0, now_s - last_s)
        stalled_s = np.maximum(limits.stalled_after_s, limits.late_intervals * self._usual_s)
        offline_s = np.maximum(limits.offline_after_s, stalled_s)
        fine = np.where(health > 0, _DEGRADED, _ONLINE)
        late = np.where((age_s >= offline_s) | (known == _OFFLINE), _OFFLINE, _STALLED)
        return np.where(age_s >= stalled_s, late, fine).astype(np.int8)

    def _settled(self, now_s: float, known: States, target: States, away: Bools) -> States:
        """Worse at once, better once media has gone on coming for `recover_after_s` since it was as good."""
        # The way to better begins anew when there was none, or when what comes now is worse than where it led.
        anew = away | (self._better >= known) | (target > self._better)
        better = np.where(anew, target, self._better)
        better_s = np.where(anew, now_s, self._better_s)
        due = (better < known) & (self._last_s - better_s >= self._limits.recover_after_s)
        self._better, self._better_s = better.astype(np.int8), better_s
        return np.where(target > known, target, np.where(due, better, known)).astype(np.int8)
