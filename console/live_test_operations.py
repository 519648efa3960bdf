"""The live test of a device that is being installed: first report, fix, button, camera picture. Part of `console.operations`.

Invariants: a technician sees the device that he is installing alone, for 30 minutes from his registration, and of it when a
thing came in and how far the fix is from where he stood: no place, no track, no picture of a camera that he is not installing;
every look is audited. A press is a test only after somebody said that he is about to press; it stands on the desk, marked,
and is an alarm like any other where he does not say within two minutes that it was his (docs/design/registration.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from console.alarm_rows import moment
from console.camera_operations import SNAPSHOT_TIMEOUT_S, CameraOperations
from console.device_operations import Caller
from console.registration_rows import installation_row
from console.roles import role_of
from devices.bindings import Bindings
from devices.sites import Sites
from model.alarm import Alarm, Outcome, Work
from model.codes import Flag, Mark
from model.device import Device, Kind, check_device_id
from model.errors import Conflict, NotFound, Refused, TryAgain
from model.geo import haversine_m
from model.grant import Grant, Purpose
from model.installation import CONFIRM_MS, PRESSED_KINDS, Installation, Step, needs
from model.role import Role
from store.audit import purpose_text

if TYPE_CHECKING:
    from store.desk.desk import DeskFile
    from store.evidence.folder import EvidenceFolder
    from store.series.door import Series

#: Points of a device are looked for by its own clock, which may be off by so much.
CLOCK_SKEW_MS = 10 * 60_000
#: Quarantined rows that are looked through for why nothing came.
QUARANTINE_ROWS = 200
#: Signals and pieces of evidence that are looked at.
MAX_LOOKED_AT = 200
_HEARTBEAT = "device_online"


class LiveTestOperations(CameraOperations):
    """What can be asked of a live test; see `console.operations.Operations` for the arguments."""

    _series: Series
    _signals: DeskFile
    _evidence: EvidenceFolder
    _sessions: Callable[[], Sequence[Mapping[str, Any]]]

    def device_check(self, caller: Caller, device: str) -> dict[str, Any]:
        """How far the live test of a device is: each step with its time, or what is missing. Raises NotFound, Refused."""
        found, now = self._installing(caller, device, "check"), self._clock.now_ms()
        if not found.is_open(now):
            return self._told(caller, found)
        known = self._known(device)
        grant = self._test_grant(caller, found)
        self._note(caller, "device.check", device, purpose_text(grant.purpose), installation=found.id)
        wanted = self._wanted(known)
        missing = found.missing(wanted)
        seen, why, off_m = self._look(grant, known, found, missing)
        fresh = {step: at_ms for step, at_ms in seen.items() if step in missing}
        if fresh:
            with self._registry.file.changing() as change:
                found = self._installations.see(change, found, fresh)
        return self._told(caller, found, why, off_m)

    def device_test_press(self, caller: Caller, device: str) -> dict[str, Any]:
        """Say that the device's button is about to be pressed: presses are marked as tests for five minutes from now."""
        found = self._installing(caller, device, "test_press", writes=True)
        self._note(caller, "device.test_press", device, installation=found.id)
        with self._registry.file.changing() as change:
            found = self._installations.arm(change, found)
        return self._told(caller, found)

    def device_test_confirm(self, caller: Caller, device: str) -> dict[str, Any]:
        """Say that the marked press was one's own: its alarm ends as a test. Raises NotFound, Refused (too late), Conflict."""
        found = self._installing(caller, device, "test_confirm", writes=True)
        alarm = self._pressed(caller, found)
        if alarm is None:
            raise NotFound(
                f"No press of {device} is waiting.", mend="Say that you are about to press, then press the button."
            )
        if self._clock.now_ms() >= alarm.received_ms + CONFIRM_MS:
            raise Refused(
                f"The press came in more than {CONFIRM_MS // 60_000} minutes ago: the desk has it as an alarm.",
                mend=f"Call the desk and name {alarm.id}.",
            )
        if alarm.work is not Work.NEW:
            raise Conflict(
                f"{alarm.owner or alarm.changed_by} at the desk has taken {alarm.id}.",
                mend="Call the desk and say that it was a test.",
                who=alarm.owner or alarm.changed_by,
            )
        self._note(caller, "device.test_confirm", device, installation=found.id, alarm=alarm.id)
        reason = f"installation test {found.id}"
        taken = self._desk.acknowledge(alarm.id, alarm.version, caller.who).alarm
        taken = self._desk.resolve(alarm.id, taken.version, caller.who, Outcome.TEST, reason=reason).alarm
        self._desk.close_alarm(alarm.id, taken.version, caller.who, reason=reason)
        with self._registry.file.changing() as change:
            found = self._installations.see(change, found, {Step.BUTTON: alarm.received_ms})
            found = self._installations.confirm(change, found, alarm.id)
        return self._told(caller, found)

    def device_test_picture(self, caller: Caller, device: str) -> dict[str, Any]:
        """Let the device's camera take a picture now and note that it did; the picture itself is not given out here.

        Whoever installs a camera sees its picture by `camera_snapshot`. Raises NotFound (none is bound), TryAgain (no picture).
        """
        found = self._installing(caller, device, "test_picture", writes=True)
        cameras = self._cameras_for(self._known(device))
        if not cameras:
            raise NotFound(f"No camera is bound to {device}.", mend="Bind one to it or to its site.")
        grant = self._test_grant(caller, found)
        control = self._running()
        self._note(caller, "device.test_picture", device, purpose_text(grant.purpose), cameras=list(cameras))
        last: TryAgain | NotFound | None = None
        for camera in cameras:
            try:
                _, time_ms = control.snapshot(camera, SNAPSHOT_TIMEOUT_S)
            except (TryAgain, NotFound) as error:
                last = error
                continue
            with self._registry.file.changing() as change:
                found = self._installations.see(change, found, {Step.PICTURE: time_ms})
            return {**self._told(caller, found), "camera": camera}
        assert last is not None
        raise TryAgain(
            f"{cameras[0]}: {last.message}", mend=last.mend or "Check its power, cable and address."
        ) from last

    # -- what they share ----------------------------------------------------------------------

    def _installing(self, caller: Caller, device: str, tried: str, *, writes: bool = False) -> Installation:
        """The device's newest installation, for who may see it: a technician his own while it is open. A refusal is audited."""
        check_device_id(device)
        known = self._known(device)
        last = self._installations.last(device)
        try:
            if last is None:
                raise NotFound(f"{device} is not being installed.", mend="Register it, or open an installation of it.")
            mine = last.by == caller.who or role_of(self._settings, caller) is not Role.TECHNICIAN
            if not mine:
                raise Refused(f"{device} is being installed by {last.by}.", mend="Ask a supervisor to open it for you.")
            if not last.is_open(self._clock.now_ms()) and (writes or last.by == caller.who):
                raise Refused(
                    f"The installation of {device} is {'done' if last.ended_ms else 'over its 30 minutes'}.",
                    mend="Open it again, or ask a supervisor to.",
                )
            if not known.enabled:
                raise Refused(f"{device} is disabled.", mend="Enable it first.")
        except Refused as error:
            self._note(caller, "read.refused", device, tried=f"device_{tried}", why=error.message[:200])
            raise
        return last

    def _test_grant(self, caller: Caller, found: Installation) -> Grant:
        why = Purpose("maintenance", found.id, "live test")
        since_ms, until_ms = found.began_ms - CLOCK_SKEW_MS, self._clock.now_ms() + CLOCK_SKEW_MS
        return Grant(caller.who, caller.role, why, frozenset([found.device]), since_ms, until_ms)

    def _wanted(self, device: Device) -> tuple[Step, ...]:
        return needs(device.kind, cameras=bool(self._cameras_for(device)))

    def _cameras_for(self, device: Device) -> tuple[str, ...]:
        """Cameras whose picture the test asks for: the device itself, those bound to it, else its site's."""
        if device.kind is Kind.CAMERA:
            return (device.id,)
        own = Bindings(self._registry.file).cameras(device.id)
        if own or not device.site:
            return own
        try:
            return Sites(self._registry.file).get(device.site).cameras
        except NotFound:
            return ()

    def _look(
        self, grant: Grant, device: Device, found: Installation, missing: tuple[Step, ...]
    ) -> tuple[dict[Step, int], dict[Step, str], float | None]:
        """What came in since the installation began: by step when, why not, and how far the fix is from the installer."""
        seen: dict[Step, int] = {}
        off_m: float | None = None
        if {Step.REPORT, Step.BUTTON} & set(missing):
            seen |= self._signals_seen(grant, found)
        if {Step.REPORT, Step.FIX} & set(missing):
            points, off_m = self._points_seen(grant, device, found)
            seen |= {step: min(at_ms, seen.get(step, at_ms)) for step, at_ms in points.items()}
        if Step.REPORT in missing and Step.REPORT not in seen:
            seen |= self._heartbeat_seen(grant, found)
        if Step.PICTURE in missing and device.kind is Kind.TAXI:
            seen |= self._evidence_seen(grant, found)
        reported = Step.REPORT not in missing or Step.REPORT in seen
        absent = [step for step in missing if step not in seen]
        return seen, {step: self._why_not(grant, device, found, step, reported=reported) for step in absent}, off_m

    def _signals_seen(self, grant: Grant, found: Installation) -> dict[Step, int]:
        kept = self._signals.list(grant, device=found.device, limit=MAX_LOOKED_AT, newest_first=True)
        heard = [
            (one.signal.received_ms, one.signal.kind)
            for one in kept
            if one.signal.received_ms >= found.began_ms and one.signal.source in ("message", "bit")
        ]
        presses = [at_ms for at_ms, kind in heard if kind in PRESSED_KINDS]
        seen = {Step.REPORT: min(at_ms for at_ms, _ in heard)} if heard else {}
        return seen | ({Step.BUTTON: min(presses)} if presses else {})

    def _points_seen(self, grant: Grant, device: Device, found: Installation) -> tuple[dict[Step, int], float | None]:
        """When the first point came and when the first with a fix, and how far off the newest fix is."""
        batch = self._series.track(grant, device.id, device.slot, grant.from_ms, grant.to_ms)
        fresh = batch.received_ms >= found.began_ms
        if not fresh.any():
            return {}, None
        seen = {Step.REPORT: int(batch.received_ms[fresh].min())}
        unfixed = (batch.flags & int(Flag.VALID_SENT) > 0) & (batch.flags & int(Flag.VALID) == 0)
        fixed = fresh & ~unfixed & (batch.marks & int(Mark.NO_FIX) == 0)
        if not fixed.any():
            return seen, None
        seen[Step.FIX] = int(batch.received_ms[fixed].min())
        if found.lat is None or found.lon is None:
            return seen, None
        row = int(np.flatnonzero(fixed)[-1])
        return seen, round(float(haversine_m(found.lat, found.lon, float(batch.lat[row]), float(batch.lon[row]))), 1)

    def _heartbeat_seen(self, grant: Grant, found: Installation) -> dict[Step, int]:
        """When the device's status first said that it is there."""
        times, values = self._series.numbers(grant, _HEARTBEAT, found.device, found.began_ms, grant.to_ms)
        there = times[values > 0]
        return {Step.REPORT: int(there.min())} if len(there) else {}

    def _evidence_seen(self, grant: Grant, found: Installation) -> dict[Step, int]:
        """When a vehicle's terminal first sent a photo."""
        pieces = self._evidence.list(grant, device=found.device, limit=MAX_LOOKED_AT)
        sent = [one.received_ms for one in pieces if one.kind == "image" and one.received_ms >= found.began_ms]
        return {Step.PICTURE: min(sent)} if sent else {}

    def _why_not(self, grant: Grant, device: Device, found: Installation, step: Step, *, reported: bool) -> str:
        """A code of what is missing, see `console.live_test_words`."""
        if step is Step.REPORT:
            reason = self._quarantined_since(grant, found)
            if reason:
                return f"quarantined:{reason}"
            if any(session.get("device") == device.id for session in self._sessions()):
                return "connected"
            return "silent"
        if step is Step.FIX:
            return "no_fix" if reported else "no_report"
        if step is Step.BUTTON:
            return "press" if self._clock.now_ms() < found.armed_ms else "arm"
        state = self._camera_states().get(device.id) if device.kind is Kind.CAMERA else None
        return f"camera:{state.loss}" if state is not None and state.loss else "picture"

    def _quarantined_since(self, grant: Grant, found: Installation) -> str:
        """Why the newest of what the device sent was quarantined, "" where nothing was."""
        wide = Grant(grant.who, grant.role, grant.purpose, None, grant.from_ms, grant.to_ms)
        for row in self._series.quarantine_list(wide, reason=None, before_id=None, limit=QUARANTINE_ROWS):
            if row.entry.device == found.device and row.entry.received_ms >= found.began_ms:
                return row.entry.reason.name.lower()
        return ""

    def _pressed(self, caller: Caller, found: Installation) -> Alarm | None:
        """The open alarm of a press that is marked as the installation's test."""
        alarm_id = self._desk.open_alarm(found.device, sorted(PRESSED_KINDS))
        if not alarm_id:
            return None
        why = Purpose("test", found.id, "installation")
        grant = Grant(caller.who, caller.role, why, frozenset([found.device]), found.began_ms, self._clock.now_ms() + 1)
        try:
            alarm = self._desk.get(grant, alarm_id).alarm
        except Refused:
            return None  # it is older than the installation
        press = self._installations.press(alarm.device, alarm.kind, alarm.received_ms)
        return alarm if press is not None and press.by == found.by else None

    def _told(
        self, caller: Caller, found: Installation, why: Mapping[Step, str] | None = None, off_m: float | None = None
    ) -> dict[str, Any]:
        now_ms = self._clock.now_ms()
        device = self._known(found.device)
        wanted = self._wanted(device)
        steps = []
        for step in wanted:
            seen_ms = found.seen_ms.get(step, 0)
            state = "seen" if seen_ms else "skipped" if step in found.skipped else "missing"
            steps.append(
                {
                    "step": step.value,
                    "state": state,
                    "time": moment(seen_ms),
                    "why": (why or {}).get(step, "") if state == "missing" else "",
                }
            )
        return {
            "device": found.device,
            "installation": installation_row(found, now_ms),
            "steps": steps,
            "done": not found.missing(wanted),
            "off_m": off_m,
            "cameras": list(self._cameras_for(device)),
            "test_until": moment(found.armed_ms) if found.armed_ms > now_ms else None,
            "waiting": self._waiting(caller, found, now_ms),
        }

    def _waiting(self, caller: Caller, found: Installation, now_ms: int) -> dict[str, Any] | None:
        """The press that waits for its installer's word: its alarm, and until when; None where none does."""
        if found.alarm or not found.armed_ms or now_ms >= found.armed_ms + CONFIRM_MS:
            return None
        alarm = self._pressed(caller, found)
        if alarm is None or alarm.work is not Work.NEW or now_ms >= alarm.received_ms + CONFIRM_MS:
            return None
        return {"alarm": alarm.id, "until": moment(alarm.received_ms + CONFIRM_MS)}
