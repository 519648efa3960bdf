"""What every search does before and after it reads: whom it may find and where, whether it is allowed, that it is audited.

See `console.search_operations`, which has the invariants. It joins nothing: the operations do, by `analytics.search`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from console.camera_gate import CameraGate
from console.device_operations import Caller
from console.search_areas import NamedArea, Outlines, named_area
from console.search_rows import evidence_points, slots_in
from console.track_rows import FIRST_MS, LAST_MS, time_text
from console.wide_gate import WideRead, check_wide
from model.device import Device, Kind
from model.errors import NotFound, Refused, UsageError
from model.grant import Grant, Purpose
from store.audit import purpose_text

if TYPE_CHECKING:
    from config.sections import Settings
    from devices.areas import Areas
    from devices.cameras import CameraRecord
    from devices.directory import Directory
    from devices.fences import Fences
    from devices.nearby import Nearby
    from devices.registry import Registry
    from model.area import Area
    from model.batch import PointBatch
    from model.presence import Presence
    from store.recordings.folder import Recordings
    from store.series.door import Series

#: What a search that names nobody looks for, where it is not said.
DEFAULT_KINDS = tuple(kind for kind in Kind if kind is not Kind.EBIKE)
HOUR_MS, HOUR_S = 3_600_000, 3_600.0
#: Device ids in one row of the audit.
MAX_NOTED_NAMES = 100

Slots = npt.NDArray[np.int32]
AreaGiven = str | dict[str, Any]


class SearchHouse(Protocol):
    """What it needs of the operations."""

    _settings: Settings
    _registry: Registry
    _series: Series
    _camera_gate: CameraGate
    _recordings: Recordings | None

    def _points_of(self, caller: Caller, device: str, from_ms: int, to_ms: int, why: Purpose) -> PointBatch: ...
    def _purpose(self, given: str | None) -> Purpose: ...
    def _known(self, device: str) -> Device: ...
    def _note(self, caller: Caller, action: str, target: str = "", purpose: str = "", **detail: Any) -> None: ...
    def _current_directory(self) -> Directory: ...
    def _named(self, devices: list[str], why: Purpose, caller: Caller) -> Slots: ...
    def _fences(self) -> Fences: ...
    def _nearby_places(self) -> Nearby: ...
    def _camera_or_none(self, device: str) -> CameraRecord | None: ...
    def _as_role(self, caller: Caller) -> Caller: ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whom a search may find.

    Attributes:
        slots: ascending.
        names: ids of `slots` where they were named, else None.
        kinds: of a search that names nobody.
    """

    slots: Slots
    names: list[str] | None
    kinds: list[str]

    def few(self, slots: Slots) -> Wanted:
        """Some of them."""
        if self.names is None:
            return Wanted(slots, None, self.kinds)
        name_of = dict(zip(self.slots.tolist(), self.names, strict=True))
        return Wanted(slots, [name_of[slot] for slot in slots.tolist()], self.kinds)

    def to_json(self) -> dict[str, Any]:
        """As part of the question."""
        return {"kinds": self.kinds, "devices": self.names}


# -- what is asked --------------------------------------------------------------------------------


def area_of(house: SearchHouse, given: AreaGiven) -> NamedArea:
    """The area that is meant; see `console.search_areas`."""

    def areas() -> Areas:
        from devices.areas import Areas  # noqa: PLC0415 shapely costs 0.2 s

        return Areas(house._registry.file)  # noqa: SLF001 a mixin's own

    outlines = Outlines(lambda name: house._fences().get(name), areas)  # noqa: SLF001 as above
    return named_area(given, outlines, house._settings.search)  # noqa: SLF001 as above


def check_window(
    house: SearchHouse, from_ms: int, to_ms: int, hours: int = 0, setting: str = "search.max_window_h"
) -> None:
    if not FIRST_MS <= from_ms < to_ms <= LAST_MS:
        raise UsageError("The window is empty or out of range.", mend="Give --from before --to, years 1 to 9999.")
    most_h = hours or house._settings.search.max_window_h  # noqa: SLF001 a mixin's own
    if to_ms - from_ms > most_h * HOUR_MS:
        raise UsageError(f"The window is longer than {most_h} hours.", mend=f"Search a shorter time ({setting}).")


def two_windows(
    house: SearchHouse, first: tuple[int, int], second: tuple[int | None, int | None]
) -> tuple[tuple[int, int], tuple[int, int]]:
    if (second[0] is None) != (second[1] is None):
        raise UsageError("Half of the second place's window is given.", mend="Give both its ends, or neither.")
    other = first if second[0] is None or second[1] is None else (second[0], second[1])
    for window in (first, other):
        check_window(house, *window)
    return first, other


def milliseconds(given_s: float, what: str, most_s: float, *, least_s: float = 1.0) -> int:
    if not least_s <= given_s <= most_s:
        raise UsageError(f"A {what} of {given_s:g} s.", mend=f"Give {least_s:g} to {most_s:g} s.")
    return round(given_s * 1_000)


def wanted_of(
    house: SearchHouse, caller: Caller, why: Purpose, kinds: list[str] | None, devices: list[str] | None
) -> Wanted:
    """Whom it may find: the named ones, else all that are registered, of the kinds. Raises as `_named`, UsageError."""
    if devices:
        if kinds:
            raise UsageError("Both kinds and devices are given.", mend="Name devices, or say which kinds.")
        names = list(dict.fromkeys(devices))
        slots = house._named(names, why, caller)  # noqa: SLF001 a mixin's own
        order = np.argsort(slots)
        return Wanted(slots[order], [names[at] for at in order.tolist()], [])
    chosen = list(dict.fromkeys(kinds)) if kinds else [kind.value for kind in DEFAULT_KINDS]
    unknown = [kind for kind in chosen if kind not in set(Kind)]
    if unknown:
        raise UsageError(
            f"{unknown[0][:40]!r} is no kind of device.", mend="Use some of " + ", ".join(DEFAULT_KINDS) + "."
        )
    if Kind.EBIKE in chosen:
        raise UsageError("E-bikes are in no search of all.", mend="Name the e-bike, and the case it is for.")
    return Wanted(_registered(house._current_directory(), chosen), None, sorted(chosen))  # noqa: SLF001 as above


def _registered(directory: Directory, kinds: list[str]) -> Slots:
    """Slots of registered devices of some kinds, disabled ones too: they were there then; deleted ones are not."""
    from analytics.search.kinds import slots_of  # noqa: PLC0415 used by this alone

    count = len(directory)
    found = slots_of(directory.kind_of_slot[:count], [Kind(kind) for kind in kinds])
    kept = directory.enabled[found].copy()
    for row in np.flatnonzero(~kept).tolist():
        slot = int(found[row])
        kept[row] = directory.slot(directory.ids[slot]) == slot
    return found[kept]


def begin(
    house: SearchHouse,
    caller: Caller,
    why: Purpose,
    operation: str,
    wanted: Wanted,
    window: tuple[int, int],
    asked: Mapping[str, Any],
    approval: str,
    *,
    vehicles: int | None = None,
) -> dict[str, Any]:
    """Ask the gate, audit the search; what is told of it. `asked` has areas as `NamedArea`; `wanted` is added here."""
    count = len(wanted.slots) if vehicles is None else vehicles
    whole = {key: value.to_json() if isinstance(value, NamedArea) else value for key, value in asked.items()}
    read = WideRead(operation, count, *window, {**whole, **wanted.to_json()})
    allowed_by = check_wide(house, caller, why, read, approval)
    noted = {key: value.noted() if isinstance(value, NamedArea) else value for key, value in asked.items()}
    noted |= {"kinds": wanted.kinds, "devices": (wanted.names or [])[:MAX_NOTED_NAMES]}
    action = operation.replace("_", ".", 1)
    target = "every device" if wanted.names is None else f"{len(wanted.names)} devices"
    if wanted.names is not None and len(wanted.names) == 1:
        target = wanted.names[0]
    house._note(caller, action, target, purpose_text(why), **noted, vehicles=count, allowed_by=allowed_by)  # noqa: SLF001 a mixin's own
    return {"allowed_by": allowed_by}


# -- reading --------------------------------------------------------------------------------------


def inside_of(
    house: SearchHouse,
    caller: Caller,
    why: Purpose,
    there: NamedArea,
    window: tuple[int, int],
    wanted: Wanted,
    max_vehicles: int,
) -> list[Presence]:
    most = max_vehicles if wanted.names is None else max(len(wanted.slots), 1)
    return read_inside(house, caller, why, there.area, window, wanted, most)


def read_inside(
    house: SearchHouse,
    caller: Caller,
    why: Purpose,
    area: Area,
    window: tuple[int, int],
    wanted: Wanted,
    max_vehicles: int,
) -> list[Presence]:
    devices = None if wanted.names is None else frozenset(wanted.names)
    grant = Grant(caller.who, caller.role, why, devices, *window)
    return house._series.inside(  # noqa: SLF001 a mixin's own
        grant, area, *window, max_vehicles=max_vehicles, slots=wanted.slots, devices=wanted.names
    )


def at_two_places(
    house: SearchHouse,
    caller: Caller,
    why: Purpose,
    places: tuple[NamedArea, NamedArea],
    windows: tuple[tuple[int, int], tuple[int, int]],
    wanted: Wanted,
) -> tuple[list[Presence], list[Presence]]:
    """Who was at the first place, and who of them was at the second."""
    most = house._settings.search.max_compared  # noqa: SLF001 a mixin's own
    here = inside_of(house, caller, why, places[0], windows[0], wanted, most)
    there = inside_of(house, caller, why, places[1], windows[1], wanted.few(slots_in(here)), most)
    return here, there


# -- telling --------------------------------------------------------------------------------------


def check_count(house: SearchHouse, count: int) -> None:
    most = house._settings.search.max_vehicles  # noqa: SLF001 a mixin's own
    if count > most:
        raise Refused(
            f"{count} vehicles were found, more than {most}.", mend="Search a smaller area or a shorter time."
        )


def check_evidence(house: SearchHouse, found: Sequence[Presence], *, evidence: bool) -> None:
    most = house._settings.search.max_evidence_points  # noqa: SLF001 a mixin's own
    if evidence and (count := evidence_points(found)) > most:
        raise Refused(
            f"The evidence has {count} points, more than {most} (search.max_evidence_points).",
            mend="Search a smaller area or a shorter time, or without evidence and then by device.",
        )


def tell(house: SearchHouse, caller: Caller, why: Purpose, operation: str, slots: Slots) -> list[str]:
    """Audit whom the search tells of, every one, in as many rows as it takes; ids by slot."""
    ids = house._current_directory().ids  # noqa: SLF001 a mixin's own
    found = [ids[slot] for slot in slots.tolist()]
    for start in range(0, max(len(found), 1), MAX_NOTED_NAMES):
        some = found[start : start + MAX_NOTED_NAMES]
        house._note(  # noqa: SLF001 as above
            caller, "search.found", f"{len(found)} devices", purpose_text(why), operation=operation, devices=some
        )
    return ids


def device_of(house: SearchHouse, device: str) -> dict[str, Any]:
    try:
        return {"device": device, "plate": house._registry.get(device).plate}  # noqa: SLF001 a mixin's own
    except NotFound:
        return {"device": device, "plate": ""}  # deleted a moment ago


def window_row(from_ms: int, to_ms: int) -> dict[str, Any]:
    return {"from": time_text(from_ms), "to": time_text(to_ms)}


def around_both(windows: tuple[tuple[int, int], tuple[int, int]]) -> tuple[int, int]:
    return min(window[0] for window in windows), max(window[1] for window in windows)


def asked_of_two(
    places: tuple[NamedArea, NamedArea], windows: tuple[tuple[int, int], tuple[int, int]]
) -> dict[str, Any]:
    """As part of the question."""
    return {"first": places[0], "second": places[1], "windows": [list(window) for window in windows]}


def told_of_two(
    places: tuple[NamedArea, NamedArea], windows: tuple[tuple[int, int], tuple[int, int]]
) -> dict[str, Any]:
    return {
        name: {**place.to_json(), **window_row(*window)}
        for name, place, window in zip(("first", "second"), places, windows, strict=True)
    }
