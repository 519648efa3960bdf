"""All that happened on some tracks, told for a replay: what the analytics make of the points, and what else is kept.

Invariants: everything is read under a Grant and audited by its own store before it is told; signals and alarms tell a place by the
rule of `console.ebikes`, evidence and cameras are for the roles that work on alarms, and what of a camera is recorded for
whom `console.camera_gate` lets know. Limits are of rows, and what was left out is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from itertools import chain
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

import numpy as np

from analytics.replay.line import MAX_TOLERANCE_M, drawn
from analytics.replay.moments import What, moments
from analytics.replay.reel import Reel
from analytics.trips.journeys import Flips, StopRows, TripRows
from console.device_operations import Caller
from console.evidence_operations import CONTENT_ROLES
from console.kept_rows import signal_row
from console.replay_rows import gap_rows, line_pieces, moment_rows
from console.roles import role_of
from console.track_rows import FIRST_MS, LAST_MS, point_rows
from console.trip_rows import flip_rows, journeys_of, stop_rows, totals, trip_rows
from model.desk import AlarmFilter
from model.errors import UsageError
from model.grant import Grant

if TYPE_CHECKING:
    from analytics.search.passes import CameraPass
    from config.sections import Settings
    from console.replay_sessions import Session
    from console.search_asking import SearchHouse
    from model.batch import PointBatch
    from model.desk import Desk, DeskAlarm
    from model.evidence import Evidence
    from store.evidence.folder import EvidenceFolder
    from store.signals import KeptSignal, Signals

#: Signals, alarms and pieces of evidence of one device.
DEFAULT_MAX_ROWS = 1_000
#: Alarms of one device whose clips are looked for.
DEFAULT_MAX_ALARMS_WITH_CLIPS = 50
#: An alarm is looked for among those received up to so long after the window: a device may tell late.
LATE_MS = 86_400_000

Columns = TypeVar("Columns", TripRows, StopRows, Flips)


class House(Protocol):
    """What it needs of the operations."""

    _settings: Settings
    _desk: Desk
    _signals: Signals
    _evidence: EvidenceFolder

    def _shows_place(self, device: str) -> bool: ...
    def _alarm_rows(self, found: Sequence[DeskAlarm]) -> list[dict[str, Any]]: ...
    def _evidence_rows(self, found: Sequence[Evidence]) -> list[dict[str, Any]]: ...


def check_tolerance(tolerance_m: float) -> None:
    """UsageError for what is no tolerance, before anything is read."""
    if not 0 <= tolerance_m <= MAX_TOLERANCE_M:
        raise UsageError(f"A tolerance of {tolerance_m:g} m.", mend=f"Give 0 to {MAX_TOLERANCE_M:g}.")


def tracks_told(
    operations: object,
    caller: Caller,
    session: Session,
    batch: PointBatch,
    *,
    points: bool,
    cameras: bool,
    tolerance_m: float,
) -> dict[str, Any]:
    """The points of the session's devices and all that happened, as `replay` answers it."""
    house = cast("House", operations)
    assert session.devices is not None
    slots = np.array([one.slot for one in session.devices], np.int64)
    reel = Reel(batch, session.from_ms, session.to_ms, slots=slots)
    found = journeys_of(reel.points, house._settings)  # noqa: SLF001 a mixin's own
    gaps, line = reel.gaps(), drawn(reel, tolerance_m=tolerance_m)
    tracks: list[dict[str, Any]] = []
    passes: dict[int, list[CameraPass]] = {}
    others: dict[What, dict[int, list[int]]] = {What.SIGNAL: {}, What.ALARM: {}, What.EVIDENCE: {}}
    for place, device in enumerate(session.devices):
        slot = device.slot
        own = reel.points.take(np.arange(reel.first[place], reel.end[place]))
        kept = _Kept(house, caller, session, device.id)
        trips, stops, flips = _own(found.trips, slot), _own(found.stops, slot), _own(found.flips, slot)
        if cameras and kept.content:
            passes[slot], passed = kept.passes(own)
        others[What.SIGNAL][slot] = [one.signal.time_ms for one in kept.signals]
        others[What.ALARM][slot] = [one.alarm.device_ms for one in kept.alarms]
        others[What.EVIDENCE][slot] = [_taken_ms(one) for one in kept.evidence]
        tracks.append(
            {
                "device": device.id,
                "plate": device.plate,
                "count": len(own),
                "points": list(chain.from_iterable(point_rows(own))) if points else None,
                "line": line_pieces(reel, line, place),
                "trips": list(trip_rows(trips)),
                "stops": list(stop_rows(stops)),
                "occupancy": list(flip_rows(flips)),
                "totals": totals(trips, stops),
                "gaps": list(gap_rows(gaps, slot)),
                "signals": kept.signal_rows(),
                "alarms": house._alarm_rows(kept.alarms),  # noqa: SLF001 a mixin's own
                "evidence": house._evidence_rows(kept.evidence) if kept.content else None,  # noqa: SLF001 as above
                "cameras": passed if slot in passes else None,
                "left_out": kept.left_out,
            }
        )
    happened = moments(found, gaps, passes=passes, others_ms=others)
    # What began before the window or is told of after it has its row, and no moment on the clock.
    within = [one for one in happened if session.from_ms <= one.time_ms <= session.to_ms]
    return {
        "tolerance_m": line.tolerance_m,
        "duplicates": reel.duplicates,
        "tracks": tracks,
        "events": moment_rows(within, {one.slot: one.id for one in session.devices}),
    }


class _Kept:
    """What else is kept of one device in the window, read once, in order of time."""

    def __init__(self, house: House, caller: Caller, session: Session, device: str) -> None:
        self._house, self._caller, self._session, self._device = house, caller, session, device
        self.content = role_of(house._settings, caller) in CONTENT_ROLES  # noqa: SLF001 a mixin's own
        #: Kinds of which there are more rows than are told.
        self.left_out: list[str] = []
        self.signals = self._read_signals()
        self.alarms = self._read_alarms()
        self.evidence = self._read_evidence() if self.content else []

    def signal_rows(self) -> list[dict[str, Any]]:
        """Signals; an e-bike's without their place unless its case is open."""
        rows = [signal_row(one) for one in self.signals]
        if self._house._shows_place(self._device):  # noqa: SLF001 a mixin's own
            return rows
        return [{**row, "lat": None, "lon": None} for row in rows]

    def passes(self, own: PointBatch) -> tuple[list[CameraPass], list[dict[str, Any]]]:
        """The cameras passed, and as rows with what is recorded of each pass."""
        from analytics.search.passes import PassLimits, camera_passes  # noqa: PLC0415 used by this alone
        from console.search_rows import pass_row  # noqa: PLC0415 as above
        from console.search_views import camera_views, recorded_of  # noqa: PLC0415 as above

        house = cast("SearchHouse", self._house)
        settings = self._house._settings  # noqa: SLF001 a mixin's own
        found = camera_passes(own, camera_views(house, own), PassLimits(max_passes=settings.search.max_passes))
        names = {camera: house._known(camera).name for camera in dict.fromkeys(one.camera for one in found)}  # noqa: SLF001 as above
        recorded = recorded_of(house, self._caller, self._session.purpose, found)
        longest_ms = settings.clips.max_length_s * 1_000
        return found, [pass_row(one, names[one.camera], recorded.get(one.camera), longest_ms) for one in found]

    def _grant(self, from_ms: int, to_ms: int) -> Grant:
        who, why = self._caller, self._session.purpose
        return Grant(who.who, who.role, why, frozenset([self._device]), from_ms, to_ms)

    def _bounded(self, what: str, count: int) -> None:
        if count >= DEFAULT_MAX_ROWS:
            self.left_out.append(what)

    def _read_signals(self) -> list[KeptSignal]:
        grant = self._grant(self._session.from_ms, self._session.to_ms)
        found = self._house._signals.list(grant, device=self._device, limit=DEFAULT_MAX_ROWS)  # noqa: SLF001 a mixin's own
        self._bounded("signals", len(found))
        return sorted(found, key=lambda one: (one.signal.time_ms, one.number))

    def _read_alarms(self) -> list[DeskAlarm]:
        """Those that the device raised in the window, whenever they came."""
        from_ms, to_ms = self._session.from_ms, self._session.to_ms
        grant = self._grant(from_ms, min(to_ms + LATE_MS, LAST_MS))
        wanted = AlarmFilter(open_only=False, devices=(self._device,))
        found = self._house._desk.list_alarms(grant, wanted, limit=DEFAULT_MAX_ROWS)  # noqa: SLF001 a mixin's own
        self._bounded("alarms", len(found))
        inside = [one for one in found if from_ms <= one.alarm.device_ms < to_ms]
        return sorted(inside, key=lambda one: (one.alarm.device_ms, one.alarm.id))

    def _read_evidence(self) -> list[Evidence]:
        """What the device sent, and what belongs to its alarms: the clips of the cameras near them."""
        kept = self._house._evidence  # noqa: SLF001 a mixin's own
        grant = self._grant(self._session.from_ms, self._session.to_ms)
        found = list(kept.list(grant, device=self._device, limit=DEFAULT_MAX_ROWS))
        self._bounded("evidence", len(found))
        who, why = self._caller, self._session.purpose
        for one in self.alarms[:DEFAULT_MAX_ALARMS_WITH_CLIPS]:
            of_alarm = Grant(who.who, who.role, why, None, FIRST_MS, LAST_MS)
            found += kept.list(of_alarm, alarm=one.alarm.id, limit=DEFAULT_MAX_ROWS)
        if len(self.alarms) > DEFAULT_MAX_ALARMS_WITH_CLIPS:
            self.left_out.append("clips")
        return sorted({one.id: one for one in found}.values(), key=lambda one: (_taken_ms(one), one.id))


def _taken_ms(one: Evidence) -> int:
    """When it was taken, else when it came."""
    return one.time_ms or one.received_ms


def _own(rows: Columns, slot: int) -> Columns:
    """The rows of one device."""
    first, end = np.searchsorted(rows.slot, slot), np.searchsorted(rows.slot, slot, side="right")
    return replace(rows, **{one.name: getattr(rows, one.name)[first:end] for one in fields(rows)})
