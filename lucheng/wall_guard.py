"""Whether the wall clock can be believed enough to delete by its date.

A clock that jumps ten years ahead makes everything ninety days old. Deleting cannot be taken back, so it waits: after
a start until a time service had time to set the clock, and after a step of the wall clock against the monotonic one
(which no time-out ever notices) until somebody had a day to see it.

Invariants: it measures on the monotonic clock alone; slow correction of the wall clock is no step. It deletes and
corrects nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lucheng.logs import logger

if TYPE_CHECKING:
    from model.clock import Clock

#: The two clocks may part by so much between two looks.
DEFAULT_MAX_STEP_S = 600.0
#: How long a clock has to run steadily after a start, and after a step.
DEFAULT_START_WAIT_S = 3_600.0
DEFAULT_STEP_WAIT_S = 86_400.0

_log = logger(__name__)


class WallGuard:
    """Looks at the clock now and then.

    Args:
        clock: source of time.
        max_step_s: see `DEFAULT_MAX_STEP_S`.
        start_wait_s, step_wait_s: see `DEFAULT_START_WAIT_S`.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        max_step_s: float = DEFAULT_MAX_STEP_S,
        start_wait_s: float = DEFAULT_START_WAIT_S,
        step_wait_s: float = DEFAULT_STEP_WAIT_S,
    ) -> None:
        self._clock = clock
        self._max_step_s = max_step_s
        self._step_wait_s = step_wait_s
        self._apart_s = self._apart()
        self._believed_at_s = clock.monotonic_s() + start_wait_s

    def believed(self) -> bool:
        """Whether the wall clock has run steadily for long enough; to be asked often."""
        apart_s, before_s = self._apart(), self._apart_s
        self._apart_s = apart_s
        if abs(apart_s - before_s) > self._max_step_s:
            self._believed_at_s = self._clock.monotonic_s() + self._step_wait_s
            _log.error(
                "the wall clock was stepped; nothing is deleted by date for a day",
                step_s=round(apart_s - before_s),
                mend="Check the machine's time service.",
            )
        return self._clock.monotonic_s() >= self._believed_at_s

    def _apart(self) -> float:
        return self._clock.now_ms() / 1000 - self._clock.monotonic_s()
