"""Operations on a camera's time: what is recorded of it, when there was motion, how it was, and which alarms belong to it.

Part of `console.operations`. Invariants: as in `console.recording_operations`; an answer is bounded whatever is asked (`MAX_BUCKETS`
columns, `MAX_ALARMS` alarms); an alarm whose place may not be given out belongs to no camera but its own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from console.alarm_rows import moment
from console.camera_rows import span_row
from console.camera_tree_operations import CameraTreeOperations
from console.device_operations import Caller
from console.recording_operations import DEFAULT_WINDOW_MS, RecordingOperations
from console.track_rows import FIRST_MS, LAST_MS
from devices.sites import Sites
from model.camera import STATE_NUMBER
from model.desk import AlarmFilter
from model.errors import NotFound, Refused, UsageError
from model.geo import haversine_m
from model.grant import Grant

if TYPE_CHECKING:
    from model.desk import Desk, DeskAlarm
    from store.recordings.folder import Stretches
    from store.series.door import Series

Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]

MAX_BUCKETS = 1_440
MAX_WINDOW_MS = 31 * 86_400_000
MIN_BUCKET_MS = 1_000
#: Alarms of the window that are looked at, and that are told.
MAX_SEEN_ALARMS = 2_000
MAX_ALARMS = 500
_STATES = {number: state.value for state, number in STATE_NUMBER.items()}


class TimelineOperations(RecordingOperations, CameraTreeOperations):
    """See the module."""

    _desk: Desk
    _series: Series

    def camera_timeline(
        self,
        caller: Caller,
        camera: str,
        from_ms: int | None = None,
        to_ms: int | None = None,
        buckets: int = MAX_BUCKETS,
        purpose: str | None = None,
    ) -> dict[str, Any]:
        """A camera's time (the last day): `coverage` of its recordings, columns of at most `buckets` equal times, alarms.

        Columns: `motion_s` (seconds of motion in what is recorded), `motion` (greatest share of the picture that moved, of the
        samples), `fps`, `bitrate_kbps` (means), `state` (the worst); null where nothing is known. `alarms` are the camera's own, and
        those near it or of its site. What the purpose does not open is cut off: `from` and `to` say what there is.
        Raises Refused (nothing of it is open), UsageError.
        """
        if not 1 <= buckets <= MAX_BUCKETS:
            raise UsageError(f"{buckets} columns.", mend=f"Ask for 1 to {MAX_BUCKETS}.")
        end_ms = to_ms if to_ms is not None else self._clock.now_ms()
        start_ms = from_ms if from_ms is not None else end_ms - DEFAULT_WINDOW_MS
        if not FIRST_MS <= start_ms < end_ms <= LAST_MS or end_ms - start_ms > MAX_WINDOW_MS:
            raise UsageError("The window is empty, out of range, or longer than 31 days.", mend="Ask for less.")
        device, who, grant = self._see_camera(caller, "timeline", camera, purpose)
        with self._camera_refusals(who, device, "timeline", grant.purpose):
            start_ms, end_ms = max(start_ms, grant.from_ms), min(end_ms, grant.to_ms)
            if start_ms >= end_ms:
                raise Refused("The purpose opens nothing of that time.", mend="Ask for the time around the alarm.")
            spans, moved = self._recorded().timeline(grant, device, start_ms, end_ms)
            width_ms = max(-(-(end_ms - start_ms) // buckets), MIN_BUCKET_MS)
            count = -(-(end_ms - start_ms) // width_ms)
            window = (start_ms, width_ms, count)
            series = {name: self._numbers(grant, name, device, start_ms, end_ms) for name in _SERIES}
        state = greatest(*series["camera_state"], window)
        return {
            "camera": device,
            "from": moment(start_ms),
            "to": moment(end_ms),
            "bucket_ms": width_ms,
            "coverage": [span_row(span) for span in spans],
            "motion_s": spread(moved, window),
            "motion": _rounded(greatest(*series["camera_motion_share"], window), 4),
            "fps": _rounded(means(*series["camera_fps"], window), 1),
            "bitrate_kbps": _rounded(means(*series["camera_bitrate_kbps"], window), 0),
            "state": [None if np.isnan(one) else _STATES.get(int(one)) for one in state.tolist()],
            **self._alarms_about(who, grant, device, start_ms, end_ms),
        }

    def _numbers(self, grant: Grant, name: str, device: str, from_ms: int, to_ms: int) -> tuple[Times, Floats]:
        return self._series.numbers(grant, name, device, from_ms, to_ms)

    def _alarms_about(self, who: Caller, grant: Grant, device: str, from_ms: int, to_ms: int) -> dict[str, Any]:
        window = Grant(who.who, who.role, grant.purpose, None, from_ms, to_ms)
        wanted = AlarmFilter(open_only=False, since_ms=from_ms)
        own = self._desk.list_alarms(window, replace(wanted, devices=(device,)), limit=MAX_ALARMS)
        seen = self._desk.list_alarms(window, wanted, limit=MAX_SEEN_ALARMS)
        rows = [_alarm(one, 0.0) for one in own]
        known = {one.alarm.id for one in own}
        site, place = self._stands(device)
        for one in seen:
            if one.alarm.id in known or not self._shows_place(one.alarm.device):
                continue
            far_m = _distance_m(one, place)
            of_site = bool(site) and one.located.site == site
            if of_site or (far_m is not None and far_m <= self._settings.clips.max_distance_m):
                rows.append(_alarm(one, far_m))
        rows.sort(key=lambda row: str(row["time"]))
        return {"alarms": rows[-MAX_ALARMS:], "alarms_cut": len(seen) == MAX_SEEN_ALARMS or len(rows) > MAX_ALARMS}

    def _stands(self, device: str) -> tuple[str, tuple[float, float] | None]:
        """Site and place of a camera, as far as they are known."""
        known = self._known(device)
        if known.lat is not None and known.lon is not None:
            return known.site, (known.lat, known.lon)
        if not known.site:
            return "", None
        try:
            at = Sites(self._registry.file).get(known.site)
        except NotFound:
            return known.site, None
        return known.site, (at.lat, at.lon)


_SERIES = ("camera_motion_share", "camera_fps", "camera_bitrate_kbps", "camera_state")


def greatest(time_ms: Times, values: Floats, window: tuple[int, int, int]) -> Floats:
    """The greatest value of each of (from, width, count) columns, NaN where there is none; shape (count,)."""
    at, values, count = _places(time_ms, values, window)
    found = np.full(count, np.nan)
    np.fmax.at(found, at, values)
    return found


def means(time_ms: Times, values: Floats, window: tuple[int, int, int]) -> Floats:
    """As `greatest`, the mean."""
    at, values, count = _places(time_ms, values, window)
    number = np.bincount(at, minlength=count)
    total = np.bincount(at, values, minlength=count)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)


def spread(moved: Stretches, window: tuple[int, int, int]) -> list[float]:
    """Seconds of motion in each column: a segment's evenly over its time, for it is not known where in it they were."""
    from_ms, width_ms, count = window
    total = np.zeros(count)
    for first, last, motion_ms in zip(
        moved.from_ms.tolist(), moved.to_ms.tolist(), moved.motion_ms.tolist(), strict=True
    ):
        if not motion_ms or last <= first:
            continue
        begin = max(0, (first - from_ms) // width_ms)
        end = min(count - 1, (last - 1 - from_ms) // width_ms)
        if begin > end:
            continue
        edges = from_ms + width_ms * np.arange(begin, end + 2)
        share = np.diff(np.clip(edges, first, last)) / (last - first)
        total[begin : end + 1] += share * motion_ms / 1_000
    return [round(one, 2) for one in total.tolist()]


def _places(time_ms: Times, values: Floats, window: tuple[int, int, int]) -> tuple[Times, Floats, int]:
    from_ms, width_ms, count = window
    at = (time_ms - from_ms) // width_ms
    kept = (at >= 0) & (at < count) & np.isfinite(values)
    return at[kept], values[kept], count


def _rounded(values: Floats, digits: int) -> list[float | None]:
    return [None if np.isnan(one) else round(one, digits) for one in values.tolist()]


def _distance_m(one: DeskAlarm, place: tuple[float, float] | None) -> float | None:
    lat, lon = one.located.lat, one.located.lon
    if place is None or lat is None or lon is None:
        return None
    return float(haversine_m(*place, lat, lon))


def _alarm(one: DeskAlarm, far_m: float | None) -> dict[str, Any]:
    alarm = one.alarm
    return {
        "alarm": alarm.id,
        "kind": alarm.kind,
        "severity": alarm.severity,
        "device": alarm.device,
        "work": alarm.work.value,
        "time": moment(alarm.received_ms),
        "distance_m": None if far_m is None else round(far_m, 1),
    }
