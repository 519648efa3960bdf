"""The gate of cameras: which role may do what with which camera, for which purpose. The one place that all of it passes.

Invariants: what cannot be checked (no such alarm, an alarm whose place may not be given out) forbids; a purpose `alarm`
opens the alarm's own cameras alone, and no longer than until 15 minutes after its closing; nobody sees what lies under
a mask, so no rule speaks of it. It changes nothing and keeps nothing; whoever asks it audits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from console.track_rows import FIRST_MS, LAST_MS
from model.alarm import Work
from model.errors import Refused
from model.grant import Grant, Purpose
from model.role import ROLE_WORDS, Role

if TYPE_CHECKING:
    from config.sections import Settings
    from devices.nearby import Nearby
    from model.clock import Clock
    from model.desk import Desk, DeskAlarm

#: Who works on alarms, and so sees pictures.
CONTENT = frozenset({Role.OPERATOR, Role.SUPERVISOR, Role.OFFICER, Role.APPROVER})
#: Who sets cameras up and keeps them running.
KEEPERS = frozenset({Role.OPERATOR, Role.SUPERVISOR, Role.TECHNICIAN, Role.ADMIN})
#: An alarm opens its cameras from so long before it to so long after its closing.
ALARM_BEFORE_MS = 10 * 60_000
ALARM_AFTER_MS = 15 * 60_000
#: A technician sees the camera that is being installed: so long after somebody set it.
INSTALLING_MS = 30 * 60_000
#: Closed alarms that are remembered for those who still look.
MAX_CLOSED = 10_000
INSTALLER_PURPOSES = frozenset({"maintenance", "test"})
#: Purposes that say nothing without a reference.
_REFERRED = frozenset({"alarm", "case", "subject_request"})


@dataclass(frozen=True, slots=True)
class CameraRule:
    """Who may do one thing.

    Attributes:
        what: in words, after "may not".
        roles: who may.
        pictures: whether it gives out pictures, so that the purpose counts.
    """

    what: str
    roles: frozenset[Role]
    pictures: bool = False


#: Every operation on cameras, by the end of its name (`camera_set` is `set`).
CAMERA_RULES: dict[str, CameraRule] = {
    "set": CameraRule("set up cameras", KEEPERS),
    "unmask": CameraRule("take a privacy mask off", frozenset({Role.SUPERVISOR})),
    "remove": CameraRule("remove cameras", KEEPERS),
    "unpark": CameraRule("let cameras back in", KEEPERS),
    "probe": CameraRule("try addresses of cameras", KEEPERS),
    "list": CameraRule("see how cameras are", frozenset(Role) - {Role.AUDITOR}),
    "show": CameraRule("see how cameras are", frozenset(Role) - {Role.AUDITOR}),
    "tree": CameraRule("see how cameras are", frozenset(Role) - {Role.AUDITOR}),
    "snapshot": CameraRule("see pictures", CONTENT | {Role.TECHNICIAN}, pictures=True),
    "clip": CameraRule("make clips", CONTENT, pictures=True),
    "recordings": CameraRule("see recordings", CONTENT, pictures=True),
    "timeline": CameraRule("see recordings", CONTENT, pictures=True),
    "recording_read": CameraRule("see recordings", CONTENT, pictures=True),
    "live": CameraRule("watch live", CONTENT, pictures=True),
}


class CameraGate:
    """The rules over the stores of one data folder.

    Args:
        settings: how far away a camera may be to be an alarm's.
        desk: which alarms are open.
        nearby: which cameras are near.
        shows_place: whether the place of a device's alarms may be given out.
        clock: source of time.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        desk: Desk,
        nearby: Callable[[], Nearby],
        shows_place: Callable[[str], bool],
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._desk = desk
        self._nearby = nearby
        self._shows_place = shows_place
        self._clock = clock
        #: When alarms were closed, UTC ms, of those that people were looking under.
        self._closed: dict[str, int] = {}

    def check_role(self, operation: str, role: Role) -> None:
        """Refused, naming who may, unless the role may do it."""
        rule = CAMERA_RULES[operation]
        if role not in rule.roles:
            may = ", ".join(sorted(ROLE_WORDS[one].en for one in rule.roles))
            raise Refused(
                f"A {ROLE_WORDS[role].en} may not {rule.what}.", mend=f"It is for: {may} (the setting operators.users)."
            )

    def admit(
        self,
        operation: str,
        device: str,
        *,
        who: str,
        role: Role,
        why: Purpose,
        set_ms: int,
        window: tuple[int, int] | None = None,
    ) -> Grant:
        """The grant under which pictures of one camera may be read.

        Args:
            operation: one of `CAMERA_RULES` that gives out pictures.
            device: the camera, which there is.
            who: who asks.
            role: the role of who asks.
            why: a purpose; an alarm in it stands with its whole id.
            set_ms: when somebody last set the camera, UTC ms.
            window: what is asked for, half open, UTC ms; None: what is now.

        Raises Refused, in words; NotFound (no such alarm).
        """
        assert CAMERA_RULES[operation].pictures
        self.check_role(operation, role)
        now_ms = self._clock.now_ms()
        if why.code in _REFERRED and not why.ref:
            raise Refused(f"The purpose {why.code} does not say which.", mend=f"Name it: {why.code}:ID.")
        if role is Role.TECHNICIAN:
            _check_installing(device, why, now_ms - set_ms)
        from_ms, to_ms = FIRST_MS, LAST_MS
        if why.code == "alarm":
            from_ms, to_ms = self._alarm_window(device, who, role, why, now_ms)
        grant = Grant(who, role.value, why, frozenset([device]), from_ms, to_ms)
        if window is not None:
            grant.cover([device], *window)
        return grant

    def may_go_on(self, operation: str, role: Role, why: Purpose) -> bool:
        """Whether what `admit` let begin may go on; cheap, and nothing of it is audited."""
        if role not in CAMERA_RULES[operation].roles:
            return False
        if why.code != "alarm":
            return True
        work = self._desk.works([why.ref]).get(why.ref)
        if work is not Work.CLOSED:
            return work is not None
        now_ms = self._clock.now_ms()
        return now_ms < self._note_closed(why.ref, now_ms) + ALARM_AFTER_MS

    def _note_closed(self, alarm: str, closed_ms: int) -> int:
        """When the alarm was closed, as far as it is known."""
        if len(self._closed) >= MAX_CLOSED:
            self._closed.clear()
        return self._closed.setdefault(alarm, closed_ms)

    def _alarm_window(self, device: str, who: str, role: Role, why: Purpose, now_ms: int) -> tuple[int, int]:
        """From when to when the alarm opens the camera; Refused when it does not."""
        found = self._desk.get(Grant(who, role.value, why, None, FIRST_MS, LAST_MS), why.ref)
        alarm = found.alarm
        if alarm.work is Work.CLOSED:
            self._closed.pop(alarm.id, None)
            self._note_closed(alarm.id, alarm.closed_ms)
        if alarm.work is Work.CLOSED and now_ms >= alarm.closed_ms + ALARM_AFTER_MS:
            raise Refused(
                f"{alarm.id} was closed more than {ALARM_AFTER_MS // 60_000} minutes ago.",
                mend="Ask under its case: --purpose case:CASE.",
            )
        if device not in self._cameras_of(found):
            raise Refused(
                f"{device} is none of the cameras of {alarm.id}.",
                mend="`lucheng alarm show` names them; another camera needs another purpose.",
            )
        end_ms = alarm.closed_ms + ALARM_AFTER_MS if alarm.work is Work.CLOSED else LAST_MS
        return min(alarm.device_ms, alarm.received_ms) - ALARM_BEFORE_MS, end_ms

    def _cameras_of(self, found: DeskAlarm) -> set[str]:
        """The alarm's own device, its site's cameras and the nearest ones; of a place that is hidden none."""
        from devices.nearby import DEFAULT_CAMERAS  # noqa: PLC0415 shapely costs 0.2 s

        own = {found.alarm.device}
        located = found.located
        if not self._shows_place(found.alarm.device):
            return own
        nowhere = float("nan")
        lat = located.lat if located.lat is not None else nowhere
        lon = located.lon if located.lon is not None else nowhere
        reach_m = self._settings.clips.max_distance_m
        seen = self._nearby().cameras(lat, lon, site=located.site, device=found.alarm.device, limit=DEFAULT_CAMERAS)
        return own | {one.device for one in seen if one.bound or (one.distance_m or 0.0) <= reach_m}


def _check_installing(device: str, why: Purpose, age_ms: int) -> None:
    if why.code not in INSTALLER_PURPOSES:
        may = " or ".join(sorted(INSTALLER_PURPOSES))
        raise Refused(f"A technician sees no picture for the purpose {why.code}.", mend=f"It is for: {may}.")
    if not 0 <= age_ms < INSTALLING_MS:
        raise Refused(
            f"{device} was not set up within the last {INSTALLING_MS // 60_000} minutes.",
            mend="A technician sees the camera that is being installed; set its address again, or ask the desk.",
        )
