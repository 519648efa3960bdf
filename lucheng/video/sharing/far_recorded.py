"""`FarRecorded`: clips cut out of recordings, which stay on the machines that made them.

Implements `lucheng.video.seams.RecordedClips`. Every machine that is there is asked, since a camera's recordings lie wherever it was watched; each
reads its own under the grant of who asks. Invariant: the longest answer is given, and where several have a part of the window, its note says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from lucheng.video.sharing.asks import Allowed
from model.alarm import SYSTEM
from model.grant import Grant, Purpose

if TYPE_CHECKING:
    from lucheng.video.sharing.far_maker import FarMaker
    from model.video import Clip

DEFAULT_TIMEOUT_S = 10.0
_NEVER_MS = 1 << 52


class FarRecorded:
    """See the module.

    Args:
        maker: asks.
        machines: leases of the machines that are there.
        timeout_s: how long they have.
    """

    def __init__(
        self, maker: FarMaker, machines: Callable[[], list[str]], *, timeout_s: float = DEFAULT_TIMEOUT_S
    ) -> None:
        self._maker = maker
        self._machines = machines
        self._timeout_s = timeout_s

    def clip(self, camera: str, from_ms: int, to_ms: int, *, alarm: str) -> Clip | None:
        """See `RecordedClips`."""
        grant = Grant(SYSTEM, SYSTEM, Purpose("alarm", alarm), frozenset([camera]), 0, _NEVER_MS)
        return self.clip_for(grant, camera, from_ms, to_ms)

    def clip_for(self, grant: Grant, camera: str, from_ms: int, to_ms: int) -> Clip | None:
        """As `clip`, for whoever has the grant. Raises Refused: it does not cover the camera."""
        grant.cover([camera], from_ms, to_ms)
        why = grant.purpose
        allowed = Allowed(grant.who, grant.role, why.code, why.ref, why.note, grant.from_ms, grant.to_ms)
        found = self._maker.recorded(self._machines(), camera, from_ms, to_ms, allowed, self._timeout_s)
        if not found:
            return None
        longest = max(found, key=lambda clip: clip.to_ms - clip.from_ms)
        if len(found) == 1:
            return longest
        note = f"{len(found)} machines have a part of it; this is the longest"
        return replace(longest, note=f"{longest.note}; {note}" if longest.note else note)
