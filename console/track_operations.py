"""The operation `track`: the points of one device. Part of `console.operations`.

Invariants: an e-bike's points under its rule alone; what is older than the settings let one person see needs a second one
(`console.wide_gate`), before anything is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from console.device_operations import Caller
from console.track_rows import FIRST_MS, LAST_MS, track_json
from console.wide_gate import WideRead, check_wide
from model.device import check_device_id
from model.errors import Refused, UsageError
from model.grant import Grant

if TYPE_CHECKING:
    from typing import Any

    from config.sections import Settings
    from model.batch import PointBatch
    from model.device import Device
    from model.grant import Purpose
    from store.series.door import Series


@dataclass(frozen=True, slots=True)
class Track:
    """A device's points in a window."""

    device: str
    points: PointBatch

    def json_pieces(self) -> Iterator[bytes]:
        """One JSON object, in pieces."""
        return track_json(self.device, self.points)


class _House(Protocol):
    """What it needs of the operations."""

    _settings: Settings
    _series: Series

    def _purpose(self, given: str | None) -> Purpose: ...
    def _known(self, device: str) -> Device: ...
    def _note(self, caller: Caller, action: str, target: str = "", purpose: str = "", **detail: Any) -> None: ...
    def _allow_ebikes(self, devices: list[str], why: Purpose, caller: Caller) -> None: ...
    def _points_of(self, caller: Caller, device: str, from_ms: int, to_ms: int, why: Purpose) -> PointBatch: ...


class TrackOperations:
    """See the module."""

    def track(
        self: _House,
        caller: Caller,
        device: str,
        from_ms: int,
        to_ms: int,
        purpose: str | None = None,
        approval: str = "",
    ) -> Track:
        """Points of one device with from_ms <= time < to_ms.

        Raises NotFound, UsageError (the window), Refused (an e-bike without a reason, too many points), and as `check_wide`.
        """
        check_device_id(device)
        why = self._purpose(purpose)
        if not FIRST_MS <= from_ms < to_ms <= LAST_MS:
            raise UsageError("The window is empty or out of range.", mend="Give --from before --to, years 1 to 9999.")
        self._allow_ebikes([device], why, caller)
        self._known(device)
        asked = {"device": device, "from_ms": from_ms, "to_ms": to_ms}
        check_wide(self, caller, why, WideRead("track", 1, from_ms, to_ms, asked), approval)
        return Track(device, self._points_of(caller, device, from_ms, to_ms, why))

    def _points_of(self: _House, caller: Caller, device: str, from_ms: int, to_ms: int, why: Purpose) -> PointBatch:
        """The points themselves, for who has asked the gate. Raises as `track`."""
        self._allow_ebikes([device], why, caller)
        grant = Grant(caller.who, caller.role, why, frozenset([device]), from_ms, to_ms)
        points = self._series.track(grant, device, self._known(device).slot, from_ms, to_ms)
        limit = self._settings.api.max_answer_points
        if len(points) > limit:
            raise Refused(
                f"The track has {len(points)} points, more than {limit}.",
                mend="Ask for a shorter window, or raise api.max_answer_points.",
            )
        return points
