"""Names the devices whose clock is off by a constant offset, once each, in the service's log.

Invariants: what it says is what the analytics have established; a device is named again only when its
offset changes; one look names a bounded number, the rest is counted. It corrects nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from analytics.clock import clock_offsets
from lucheng.logs import logger

if TYPE_CHECKING:
    from analytics.pipeline import Analysis

#: Devices named in one look; of a whole fleet that sends local time the first ones say enough.
DEFAULT_MAX_NAMED_DEVICES = 20

_log = logger(__name__)


class ClockWatch:
    """Looks at the established offsets now and then.

    Args:
        analysis: the analytics with their state.
        device_ids: the registry's ids by slot.
        max_named_devices: see `DEFAULT_MAX_NAMED_DEVICES`.

    Attributes:
        devices_off: how many devices had an offset at the last look.
    """

    def __init__(
        self,
        analysis: Analysis,
        device_ids: Callable[[], list[str]],
        *,
        max_named_devices: int = DEFAULT_MAX_NAMED_DEVICES,
    ) -> None:
        self._analysis = analysis
        self._device_ids = device_ids
        self._max_named_devices = max_named_devices
        self._known: dict[int, int] = {}
        self.devices_off = 0

    def look(self) -> None:
        """Name what is new since the last look."""
        slots, offsets_ms = clock_offsets(self._analysis.state, self._analysis.limits)
        found = dict(zip(slots.tolist(), offsets_ms.tolist(), strict=True))
        self.devices_off = len(found)
        if found == self._known:
            return
        changed = {slot: offset for slot, offset in found.items() if self._known.get(slot) != offset}
        right = [slot for slot in self._known if slot not in found]
        ids = self._device_ids()
        for slot, offset_ms in list(changed.items())[: self._max_named_devices]:
            _log.warning("device clock is off", device=ids[slot], ahead_s=offset_ms // 1000)
        for slot in right[: self._max_named_devices]:
            _log.info("device clock is right again", device=ids[slot])
        more = max(len(changed), len(right)) - self._max_named_devices
        if more > 0:
            _log.warning("further device clocks", devices=more)
        self._known = found
