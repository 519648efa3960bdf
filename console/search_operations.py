"""Searches: who was there then, in both of two places, in one and then in the other, who went along with a device, who met
at a place, and which cameras a device passed. Part of `console.operations`.

Invariants: a search that names nobody may find every registered device of its kinds, e-bikes never, and counts them all when
`console.wide_gate` is asked; one that names devices finds no others, and e-bikes by the rule of `console.ebikes`. The search is
audited before anything is read, and whom it told of before that leaves. The store is read under a Grant for the window, of the
named devices or of all. What lies between two points is told as interpolated. More devices than allowed tell nobody's name.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from console.device_operations import Caller
from console.search_asking import (
    HOUR_S,
    AreaGiven,
    SearchHouse,
    Slots,
    area_of,
    around_both,
    asked_of_two,
    at_two_places,
    begin,
    check_count,
    check_evidence,
    check_window,
    device_of,
    inside_of,
    milliseconds,
    read_inside,
    tell,
    told_of_two,
    two_windows,
    wanted_of,
    window_row,
)
from console.search_rows import company_row, pass_row, passage_row, presence_row, seconds, slots_in
from console.track_rows import time_text
from console.wide_gate import WideRead, check_wide
from model.batch import PointBatch
from model.device import check_device_id
from model.errors import UsageError
from model.grant import Grant, Purpose
from store.audit import purpose_text

if TYPE_CHECKING:
    from model.area import Area
    from model.presence import Presence

#: How soon the second place is reached after the first.
DEFAULT_WITHIN_S = 3_600.0
MAX_WITHIN_S = 31 * 86_400.0
DEFAULT_NEAR_M = 100.0
DEFAULT_TOGETHER_S = 60.0
DEFAULT_MET_S = 60.0


class SearchOperations:
    """See the module."""

    def search_inside(
        self: SearchHouse,
        caller: Caller,
        area: AreaGiven,
        from_ms: int,
        to_ms: int,
        kinds: list[str] | None = None,
        devices: list[str] | None = None,
        evidence: bool = False,  # noqa: FBT001, FBT002 called by name alone
        purpose: str | None = None,
        approval: str = "",
    ) -> dict[str, Any]:
        """Who was inside an area (see `console.search_areas`) with from_ms <= time < to_ms, by the first time inside.

        Of all kinds but e-bikes, of `kinds`, or of the named `devices`; with `evidence` their points inside, and the legs
        across. Raises UsageError, BadInput (the area), NotFound (a name), Refused (too many, not allowed).
        """
        why, there = self._purpose(purpose), area_of(self, area)
        check_window(self, from_ms, to_ms)
        wanted = wanted_of(self, caller, why, kinds, devices)
        asked = {"area": there, "from_ms": from_ms, "to_ms": to_ms, "evidence": evidence}
        allowed = begin(self, caller, why, "search_inside", wanted, (from_ms, to_ms), asked, approval)
        found = inside_of(self, caller, why, there, (from_ms, to_ms), wanted, self._settings.search.max_vehicles)
        check_evidence(self, found, evidence=evidence)
        found.sort(key=lambda one: (one.first_ms, one.slot))
        ids = tell(self, caller, why, "search_inside", slots_in(found))
        rows = [{**device_of(self, ids[one.slot]), **presence_row(one, evidence=evidence)} for one in found]
        return {
            "area": there.to_json(),
            **window_row(from_ms, to_ms),
            "searched": len(wanted.slots),
            **allowed,
            "vehicles": rows,
        }

    def search_both(
        self: SearchHouse,
        caller: Caller,
        first: AreaGiven,
        second: AreaGiven,
        from_ms: int,
        to_ms: int,
        second_from_ms: int | None = None,
        second_to_ms: int | None = None,
        within_s: float | None = None,
        kinds: list[str] | None = None,
        devices: list[str] | None = None,
        evidence: bool = False,  # noqa: FBT001, FBT002 called by name alone
        purpose: str | None = None,
        approval: str = "",
    ) -> dict[str, Any]:
        """Who was in both of two places, each in its window (the second's is the first's where it is not said), in any order.

        With `within_s` only those that were at the second place so soon after or before the first. As `search_inside`.
        """
        from analytics.search.two_places import in_both  # noqa: PLC0415 used by this alone

        why = self._purpose(purpose)
        places = area_of(self, first), area_of(self, second)
        windows = two_windows(self, (from_ms, to_ms), (second_from_ms, second_to_ms))
        within_ms = None if within_s is None else milliseconds(within_s, "time between the two", MAX_WITHIN_S)
        wanted = wanted_of(self, caller, why, kinds, devices)
        asked = {**asked_of_two(places, windows), "within_ms": within_ms, "evidence": evidence}
        allowed = begin(self, caller, why, "search_both", wanted, around_both(windows), asked, approval)
        here, there = at_two_places(self, caller, why, places, windows, wanted)
        found = in_both(here, there, within_ms=within_ms)
        check_count(self, len(found))
        check_evidence(self, [side for one in found for side in (one.first, one.second)], evidence=evidence)
        ids = tell(self, caller, why, "search_both", np.array([one.slot for one in found], np.int32))
        rows = [
            {
                **device_of(self, ids[one.slot]),
                "apart_s": seconds(one.apart_ms),
                "first": presence_row(one.first, evidence=evidence),
                "second": presence_row(one.second, evidence=evidence),
            }
            for one in found
        ]
        return {**told_of_two(places, windows), "searched": len(wanted.slots), **allowed, "vehicles": rows}

    def search_then(
        self: SearchHouse,
        caller: Caller,
        first: AreaGiven,
        second: AreaGiven,
        from_ms: int,
        to_ms: int,
        within_s: float = DEFAULT_WITHIN_S,
        kinds: list[str] | None = None,
        devices: list[str] | None = None,
        purpose: str | None = None,
        approval: str = "",
    ) -> dict[str, Any]:
        """Who was in the first place and within `within_s` in the second: every passage, by the time reached. As `search_inside`."""
        from analytics.search.two_places import one_then_other  # noqa: PLC0415 used by this alone

        why = self._purpose(purpose)
        places = area_of(self, first), area_of(self, second)
        windows = two_windows(self, (from_ms, to_ms), (None, None))
        within_ms = milliseconds(within_s, "time between the two", MAX_WITHIN_S)
        wanted = wanted_of(self, caller, why, kinds, devices)
        asked = {**asked_of_two(places, windows), "within_ms": within_ms}
        allowed = begin(self, caller, why, "search_then", wanted, (from_ms, to_ms), asked, approval)
        here, there = at_two_places(self, caller, why, places, windows, wanted)
        found = one_then_other(here, there, within_ms=within_ms)
        slots = np.unique(np.array([one.slot for one in found], np.int32))
        check_count(self, len(slots))
        ids = tell(self, caller, why, "search_then", slots)
        names = {slot: device_of(self, ids[slot]) for slot in slots.tolist()}
        rows = [{**names[one.slot], **passage_row(one)} for one in found]
        return {
            **told_of_two(places, windows),
            "within_s": seconds(within_ms),
            "searched": len(wanted.slots),
            **allowed,
            "passages": rows,
        }

    def search_company(
        self: SearchHouse,
        caller: Caller,
        device: str,
        from_ms: int,
        to_ms: int,
        near_m: float = DEFAULT_NEAR_M,
        together_s: float = DEFAULT_TOGETHER_S,
        kinds: list[str] | None = None,
        devices: list[str] | None = None,
        purpose: str | None = None,
        approval: str = "",
    ) -> dict[str, Any]:
        """Who went along with a device: was within `near_m` of it for at least `together_s` on end. As `search_inside`."""
        from analytics.search.company import in_company  # noqa: PLC0415 used by this alone
        from console.search_around import Reader, around  # noqa: PLC0415 as above

        why, limits = self._purpose(purpose), self._settings.search
        check_device_id(device)
        check_window(self, from_ms, to_ms, limits.max_company_h, "search.max_company_h")
        if not 1.0 <= near_m <= limits.max_near_m:
            raise UsageError(
                f"A distance of {near_m:g} m.", mend=f"Give 1 to {limits.max_near_m:g} m (search.max_near_m)."
            )
        together_ms = milliseconds(together_s, "time together", limits.max_company_h * HOUR_S)
        (slot,) = self._named([device], why, caller).tolist()
        wanted = wanted_of(self, caller, why, kinds, devices)
        asked = {
            "device": device, "from_ms": from_ms, "to_ms": to_ms, "near_m": near_m, "together_ms": together_ms,
        }  # fmt: skip
        searched = np.union1d(wanted.slots, [slot])
        allowed = begin(
            self, caller, why, "search_company", wanted, (from_ms, to_ms), asked, approval, vehicles=len(searched)
        )
        grant = Grant(caller.who, caller.role, why, frozenset([device]), from_ms, to_ms)
        track = self._series.track(grant, device, slot, from_ms, to_ms)
        others = wanted.slots[wanted.slots != slot]

        def inside(area: Area, window: tuple[int, int], slots: Slots) -> list[Presence]:
            return read_inside(self, caller, why, area, window, wanted.few(slots), limits.max_compared)

        near = around(track, others, Reader(inside, (from_ms, to_ms), limits.max_points), near_m)
        together = partial(in_company, track, near_m=near_m, min_together_ms=together_ms)
        slots = np.unique(np.array([one.slot for one in together(near)], np.int32))
        check_count(self, len(slots))
        whole = _tracks(self, caller, why, slots, (from_ms, to_ms))
        found = together(whole)
        slots = np.unique(np.array([one.slot for one in found], np.int32))
        ids = tell(self, caller, why, "search_company", slots)
        names = {other: device_of(self, ids[other]) for other in slots.tolist()}
        rows = [{**names[one.slot], **company_row(one)} for one in found]
        return {
            "device": device, **window_row(from_ms, to_ms), "points": len(track), "near_m": near_m,
            "searched": len(others), **allowed, "company": rows,
        }  # fmt: skip

    def search_met(
        self: SearchHouse,
        caller: Caller,
        area: AreaGiven,
        from_ms: int,
        to_ms: int,
        within_s: float = DEFAULT_MET_S,
        kinds: list[str] | None = None,
        devices: list[str] | None = None,
        purpose: str | None = None,
        approval: str = "",
    ) -> dict[str, Any]:
        """Pairs of devices that were inside an area within `within_s` of each other, by time. As `search_inside`."""
        from analytics.search.company import meetings  # noqa: PLC0415 used by this alone

        why, there = self._purpose(purpose), area_of(self, area)
        check_window(self, from_ms, to_ms)
        within_ms = milliseconds(within_s, "time between the two", MAX_WITHIN_S, least_s=0.0)
        wanted = wanted_of(self, caller, why, kinds, devices)
        asked = {"area": there, "from_ms": from_ms, "to_ms": to_ms, "within_ms": within_ms}
        allowed = begin(self, caller, why, "search_met", wanted, (from_ms, to_ms), asked, approval)
        found = inside_of(self, caller, why, there, (from_ms, to_ms), wanted, self._settings.search.max_vehicles)
        pairs = meetings(found, within_ms=within_ms)
        slots = np.unique(np.array([[one.slot, one.other] for one in pairs], np.int32).reshape(-1))
        ids = tell(self, caller, why, "search_met", slots)
        rows = [
            {
                "device": ids[one.slot],
                "other": ids[one.other],
                "time": time_text(one.at_ms),
                "apart_s": seconds(one.apart_ms),
            }
            for one in pairs
        ]
        return {
            "area": there.to_json(),
            **window_row(from_ms, to_ms),
            "searched": len(wanted.slots),
            **allowed,
            "pairs": rows,
        }

    def search_cameras(
        self: SearchHouse,
        caller: Caller,
        device: str,
        from_ms: int,
        to_ms: int,
        purpose: str | None = None,
        approval: str = "",
    ) -> dict[str, Any]:
        """The cameras that a device passed, by time: when it was in view, how near and where as seen from the camera, what is
        recorded of that (where the caller may know), and the operation that pulls it. Raises as `track`.
        """
        from analytics.search.passes import PassLimits, camera_passes  # noqa: PLC0415 used by this alone
        from console.search_views import camera_views, recorded_of  # noqa: PLC0415 as above

        check_device_id(device)
        check_window(self, from_ms, to_ms)
        why = self._purpose(purpose)
        self._named([device], why, caller)  # its rule first
        asked = {"device": device, "from_ms": from_ms, "to_ms": to_ms}
        read = WideRead("search_cameras", 1, from_ms, to_ms, asked)
        allowed_by = check_wide(self, caller, why, read, approval)
        points = self._points_of(caller, device, from_ms, to_ms, why)
        passes = camera_passes(
            points, camera_views(self, points), PassLimits(max_passes=self._settings.search.max_passes)
        )
        names = {camera: self._known(camera).name for camera in dict.fromkeys(one.camera for one in passes)}
        detail = {"from_ms": from_ms, "to_ms": to_ms, "cameras": list(names), "allowed_by": allowed_by}
        self._note(caller, "search.cameras", device, purpose_text(why), **detail)
        recorded = recorded_of(self, caller, why, passes)
        longest_ms = self._settings.clips.max_length_s * 1_000
        rows = [pass_row(one, names[one.camera], recorded.get(one.camera), longest_ms) for one in passes]
        return {
            "device": device,
            **window_row(from_ms, to_ms),
            "points": len(points),
            "allowed_by": allowed_by,
            "passes": rows,
        }


def _tracks(house: SearchHouse, caller: Caller, why: Purpose, slots: Slots, window: tuple[int, int]) -> PointBatch:
    """All points of a few devices, by (slot, time, seq): those without a place, too, over which no leg goes."""
    ids = house._current_directory().ids  # noqa: SLF001 a mixin's own
    pieces = []
    for slot in slots.tolist():
        grant = Grant(caller.who, caller.role, why, frozenset([ids[slot]]), *window)
        pieces.append(house._series.track(grant, ids[slot], slot, *window))  # noqa: SLF001 as above
    return PointBatch.concat(pieces)
