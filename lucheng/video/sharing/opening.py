"""So many cameras a second: what a machine opens when it takes cameras over, and which it has no room for. No thread, no clock."""

from __future__ import annotations

from collections.abc import Sequence

#: What is let in at once after a pause, in seconds of the pace.
BURST_S = 0.25


class Opening:
    """Lets cameras in one after the other.

    Args:
        max_per_s: cameras that are let in in a second.
        max_cameras: at a time.
    """

    def __init__(self, max_per_s: float, max_cameras: int) -> None:
        self._max_per_s = max_per_s
        self._max_cameras = max_cameras
        self._burst = max(1.0, max_per_s * BURST_S)
        self._left = self._burst
        self._at_s: float | None = None
        self._in: dict[str, None] = {}
        #: Cameras that wait for their turn, and that there is no room for.
        self.waiting = self.no_room = 0

    def let_in(self, wanted: Sequence[str], now_s: float) -> tuple[str, ...]:
        """Of these cameras, those that are open or may be opened now, the ones that were open first."""
        if self._at_s is not None:
            self._left = min(self._burst, self._left + (now_s - self._at_s) * self._max_per_s)
        self._at_s = now_s
        known = set(wanted)
        self._in = {camera: None for camera in self._in if camera in known}
        new = [camera for camera in wanted if camera not in self._in]
        room = max(0, self._max_cameras - len(self._in))
        now = new[: min(room, int(self._left))]
        self._left -= len(now)
        self._in.update(dict.fromkeys(now))
        self.no_room = max(0, len(new) - room)
        self.waiting = len(new) - len(now) - self.no_room
        return tuple(self._in)

    def may_open(self) -> int:
        """Cameras that could be let in within a second besides those that wait."""
        return max(0, int(max(1.0, self._max_per_s)) - self.waiting)

    def clear(self) -> None:
        """None is open any more."""
        self._in.clear()
        self.waiting = self.no_room = 0
