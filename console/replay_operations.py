"""The operations `replay` and `replay_frames`: tracks played back true to time. Part of `console.operations`.

Invariants: `replay` decides once what is allowed (the e-bikes' rule, `console.wide_gate`) and audits it; the pages of frames that
follow tell that and no more, to the same person, audited page by page, and an e-bike only while its rule still holds.
The store is read under a Grant for the window, of the named devices or of all. A place between two points is told as
interpolated, a silence of more than five minutes is never bridged. The whole fleet is read an hour at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from console.device_operations import Caller
from console.replay_rows import frame_row
from console.replay_sessions import Session, Sessions
from console.track_rows import FIRST_MS, LAST_MS, time_text
from console.wide_gate import WideRead, check_wide
from devices.directory import KIND_CODE
from model.batch import PointBatch
from model.device import Device, Kind, check_device_id
from model.errors import Refused, UsageError
from model.grant import Grant, Purpose
from store.audit import purpose_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from analytics.replay.windows import Seen
    from config.sections import Settings
    from devices.directory import Directory
    from store.series.door import Series

#: Devices named in one replay; more is asked without names.
DEFAULT_MAX_REPLAYED = 100
#: Frames, and places of devices in them, of one page: a hundred frames of 7,000 taxis.
DEFAULT_MAX_PAGE_FRAMES = 10_000
DEFAULT_MAX_PAGE_PLACES = 700_000
DEFAULT_PAGE_FRAMES = 100
DEFAULT_STEP_MS = 1_000
MIN_STEP_MS, MAX_STEP_MS = 100, 86_400_000
DEFAULT_TOLERANCE_M = 10.0
_NAMED_IN_AUDIT = 100


class _House(Protocol):
    """What it needs of the operations."""

    _settings: Settings
    _series: Series
    _replays: Sessions

    def _purpose(self, given: str | None) -> Purpose: ...
    def _known(self, device: str) -> Device: ...
    def _note(self, caller: Caller, action: str, target: str = "", purpose: str = "", **detail: Any) -> None: ...
    def _current_directory(self) -> Directory: ...
    def _allow_ebikes(self, devices: list[str], why: Purpose, caller: Caller) -> None: ...
    def _listed(self, slots: npt.NDArray[np.int32], directory: Directory) -> npt.NDArray[np.bool_]: ...


class ReplayOperations:
    """See the module."""

    def replay(
        self: _House,
        caller: Caller,
        from_ms: int,
        to_ms: int,
        devices: list[str] | None = None,
        kind: str = "",
        points: bool = True,  # noqa: FBT001, FBT002 called by name alone
        cameras: bool = True,  # noqa: FBT001, FBT002 as above
        tolerance_m: float = DEFAULT_TOLERANCE_M,
        purpose: str | None = None,
        approval: str = "",
    ) -> dict[str, Any]:
        """Begin a replay with from_ms <= time < to_ms; `replay` of the answer is what `replay_frames` asks for.

        Of named devices, all that happened comes with it: every point (unless not `points`), the line to draw (within
        `tolerance_m`), trips, stops, changes of occupancy, gaps, signals, alarms, evidence, the cameras passed with what is
        recorded of that (unless not `cameras`), and all of it as `events` in order of time. Without names it is of every
        device, or those of a `kind`, e-bikes never, and frames alone tell of them.

        Raises UsageError, NotFound (a name), Refused (an e-bike, too many points, not allowed), ApprovalNeeded.
        """
        from console.replay_telling import check_tolerance, tracks_told  # noqa: PLC0415 used by this alone

        why = self._purpose(purpose)
        if not FIRST_MS <= from_ms < to_ms <= LAST_MS:
            raise UsageError("The window is empty or out of range.", mend="Give --from before --to, years 1 to 9999.")
        check_tolerance(tolerance_m)
        named = _named(self, caller, why, devices, kind) if devices else None
        names = None if named is None else [one.id for one in named]
        vehicles = int(_wanted(self, kind).sum()) if named is None else len(named)
        asked = {"devices": names, "kind": kind, "from_ms": from_ms, "to_ms": to_ms}
        allowed_by = check_wide(self, caller, why, WideRead("replay", vehicles, from_ms, to_ms, asked), approval)
        detail = {
            "from_ms": from_ms,
            "to_ms": to_ms,
            "kind": kind,
            "vehicles": vehicles,
            "named": (names or [])[:_NAMED_IN_AUDIT],
            "allowed_by": allowed_by,
        }
        self._note(caller, "replay.read", _target(names), purpose_text(why), **detail)
        session = self._replays.open(caller.who, why, (from_ms, to_ms), named, kind, allowed_by)
        header = {
            "replay": session.id,
            "from": time_text(from_ms),
            "to": time_text(to_ms),
            "vehicles": vehicles,
            "allowed_by": allowed_by,
        }
        if named is None:
            return {**header, "tracks": None, "events": None}
        batch = _points(self, caller, session, from_ms, to_ms)
        told = tracks_told(self, caller, session, batch, points=points, cameras=cameras, tolerance_m=tolerance_m)
        return {**header, **told}

    def replay_frames(
        self: _House,
        caller: Caller,
        replay: str,
        at_ms: int | None = None,
        step_ms: int = DEFAULT_STEP_MS,
        frames: int = DEFAULT_PAGE_FRAMES,
    ) -> dict[str, Any]:
        """A page of a replay's frames: where every device was at `at_ms` (the beginning), and every `step_ms` after it.

        A frame has columns (`console.replay_rows.frame_row`) of the devices that have a place then; `device` is the index into the
        page's `devices`. Fewer frames come where so many devices make a page too large; `next` (UTC ms) is where to go on,
        None at the end. Any moment may be asked for, in any order.

        Raises NotFound (no such replay, or it has ended), UsageError, Refused (an e-bike whose case was closed).
        """
        session = self._replays.get(replay, caller.who)
        at_ms = session.from_ms if at_ms is None else at_ms
        if not session.from_ms <= at_ms < session.to_ms:
            raise UsageError(
                "That moment lies outside the replay.", mend="Ask for one between its beginning and its end."
            )
        if not MIN_STEP_MS <= step_ms <= MAX_STEP_MS or not 1 <= frames <= DEFAULT_MAX_PAGE_FRAMES:
            raise UsageError(
                f"{frames} frames every {step_ms} ms.",
                mend=f"Ask for 1 to {DEFAULT_MAX_PAGE_FRAMES} frames, {MIN_STEP_MS} to {MAX_STEP_MS} ms apart.",
            )
        names = None if session.devices is None else [one.id for one in session.devices]
        self._allow_ebikes(names or [], session.purpose, caller)
        end_ms = min(at_ms + step_ms * (frames - 1) + 1, session.to_ms)
        detail = {"at_ms": at_ms, "step_ms": step_ms, "frames": frames, "allowed_by": session.allowed_by}
        self._note(caller, "replay.frames", _target(names), purpose_text(session.purpose), **detail)
        made: list[Seen] = []
        places, next_ms = 0, at_ms
        for seen in _frames(self, caller, session, range(at_ms, end_ms, step_ms)):
            made.append(seen)
            places, next_ms = places + len(seen), seen.time_ms + step_ms
            if places >= DEFAULT_MAX_PAGE_PLACES:
                break
        ids = self._current_directory().ids
        slots = np.unique(np.concatenate([seen.slot for seen in made]))
        return {
            "replay": session.id,
            "step_ms": step_ms,
            "devices": [ids[slot] for slot in slots.tolist()],
            "frames": [frame_row(seen, np.searchsorted(slots, seen.slot)) for seen in made],
            "next": next_ms if next_ms < session.to_ms else None,
        }


def _target(names: list[str] | None) -> str:
    if names is None:
        return "every device"
    return names[0] if len(names) == 1 else f"{len(names)} devices"


def _named(house: _House, caller: Caller, why: Purpose, devices: list[str], kind: str) -> tuple[Device, ...]:
    """The named devices, each once, by slot."""
    if kind:
        raise UsageError("Devices and a kind are named.", mend="Name devices, or a kind to replay all of it.")
    names = list(dict.fromkeys(devices))
    if len(names) > DEFAULT_MAX_REPLAYED:
        raise UsageError(
            f"{len(names)} devices are named.", mend=f"Name {DEFAULT_MAX_REPLAYED} at most, or none for all."
        )
    for device in names:
        check_device_id(device)
    house._allow_ebikes(names, why, caller)  # noqa: SLF001 a mixin's own
    return tuple(sorted((house._known(device) for device in names), key=lambda one: one.slot))  # noqa: SLF001 as above


def _wanted(house: _House, kind: str) -> npt.NDArray[np.bool_]:
    """Which slots a replay of everything is of, shape (slots,): of a kind or all, but no e-bike and none that was deleted."""
    if kind not in {"", *(one.value for one in Kind)}:
        raise UsageError(f"{kind[:40]!r} is no kind of device.", mend="Use one of " + ", ".join(Kind) + ".")
    if kind == Kind.EBIKE:
        raise UsageError("E-bikes are not replayed all at once.", mend="Name the one whose owner or case it is.")
    directory = house._current_directory()  # noqa: SLF001 a mixin's own
    slots = np.arange(len(directory), dtype=np.int32)
    wanted = house._listed(slots, directory)  # noqa: SLF001 as above
    return wanted & (directory.kind_of_slot[slots] == KIND_CODE[kind]) if kind else wanted


def _points(house: _House, caller: Caller, session: Session, from_ms: int, to_ms: int) -> PointBatch:
    """The points of the named devices, in the order of (slot, time, seq). Raises Refused for too many."""
    assert session.devices is not None
    names = frozenset(one.id for one in session.devices)
    grant = Grant(caller.who, caller.role, session.purpose, names, from_ms, to_ms)
    limit = house._settings.api.max_answer_points  # noqa: SLF001 a mixin's own
    found: list[PointBatch] = []
    for one in session.devices:
        found.append(house._series.track(grant, one.id, one.slot, from_ms, to_ms))  # noqa: SLF001 as above
        if sum(len(batch) for batch in found) > limit:
            raise Refused(
                f"The replay has more than {limit} points.",
                mend="Ask for a shorter window or fewer devices, or raise api.max_answer_points.",
            )
    return PointBatch.concat(found)


def _frames(house: _House, caller: Caller, session: Session, times: range) -> Iterator[Seen]:
    """Who was where, moment by moment."""
    from analytics.replay.reel import Reel  # noqa: PLC0415 used by this alone
    from analytics.replay.windows import Windows, seen  # noqa: PLC0415 as above
    from model.presence import MAX_LEG_MS  # noqa: PLC0415 as above

    # A place may lie on a leg to or from a point beyond the page, but never beyond the replay.
    first = max(times[0] - MAX_LEG_MS, session.from_ms)
    end = min(times[-1] + MAX_LEG_MS + 1, session.to_ms)
    if session.devices is not None:
        reel = Reel(_points(house, caller, session, first, end), first, end)
        cursor = reel.cursor()
        for at in times:
            yield seen(reel, cursor, at)
        return
    wanted = _wanted(house, session.kind)
    grant = Grant(caller.who, caller.role, session.purpose, None, session.from_ms, session.to_ms)

    def load(from_ms: int, to_ms: int) -> Iterator[PointBatch]:
        for batch in house._series.fleet(grant, from_ms, to_ms):  # noqa: SLF001 a mixin's own
            known = batch.slot < len(wanted)  # who was registered a moment ago is not among them
            kept = known & wanted[np.where(known, batch.slot, 0)]
            yield batch if kept.all() else batch.take(kept)

    windows = Windows(load, first, end)
    for at in times:
        yield windows.at(at)
