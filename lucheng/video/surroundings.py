"""What all cameras of a worker share. It does nothing itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analytics.gate.limits import PlanLimits
    from config.cameras import Camera
    from ingest.video.address import PinnedAddress
    from ingest.video.opening import OpenTurns
    from ingest.video.recording_disk import RecordingDisk
    from ingest.video.watchdog import Watchdog
    from lucheng.video.crumbs import Crumbs
    from lucheng.video.outbox import Outbox
    from lucheng.video.slab import Looked, Slab
    from lucheng.video.watched_camera import WatchedCamera
    from model.clock import Clock


@dataclass(frozen=True, slots=True)
class Surroundings:
    """See the module.

    Attributes:
        limits: of the settings. plan: of the decode policy.
        clock, turns, watchdog, crumbs, slab, outbox, disk: see their rooms.
        address: checks and pins an address, anew at each open.
        look: hands a picture to the detector; None where there is none.
        hung: told of a camera whose thread was given up.
        seed: of jitter.
    """

    limits: Camera
    plan: PlanLimits
    clock: Clock
    turns: OpenTurns
    watchdog: Watchdog
    crumbs: Crumbs
    slab: Slab
    outbox: Outbox
    disk: RecordingDisk
    address: Callable[[str], PinnedAddress]
    look: Callable[[WatchedCamera, Looked], None] | None
    hung: Callable[[str], None]
    seed: int
