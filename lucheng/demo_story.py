"""The demo's people: who presses, steals and speeds, and the operator who takes each alarm through its life.

Purpose: every alarm shown is a real one, raised by the service's own rules from what the simulated devices sent through the
broker; this module only plays the people: it has the city do the deed, reports the theft as the owner would, and works on
the alarms through the same API as `lucheng alarm`. Invariants: one thread reads the feed and acts when a step is due; what
it could not do is a line on the screen, never the end of the demo.
"""

from __future__ import annotations

import heapq
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lucheng.cli.texts import text
from lucheng.demo_sos import SHAPES, SosFile
from model.errors import LuchengError

if TYPE_CHECKING:
    from console.client import RemoteClient
    from model.clock import Clock
    from simulator.city import City

#: Seconds of the demo at which each deed is done.
SOS_AT_S, PRESS_AT_S, SPEED_AT_S, STEAL_AT_S = 3.0, 4.0, 6.0, 8.0
#: While somebody looks at the console a button is pressed so often, seconds.
AGAIN_S = 60.0
#: The owner finds the bike gone this long after the theft.
REPORT_AFTER_S = 20.0
#: From the alarm to each step of its life, seconds.
LIFE_S: tuple[tuple[str, float], ...] = (
    ("ack", 2.0),
    ("listen", 3.0),
    ("dispatch", 4.0),
    ("arrive", 9.0),
    ("resolve", 12.0),
    ("close", 14.0),
)
#: Alarms of these kinds are worked on; a unit is sent to most of them, a listen-in is for one.
WORKED_KINDS = ("sos", "one_key", "moved_while_armed", "overspeed", "stolen_seen")
SENT_KINDS = ("sos", "one_key", "moved_while_armed", "stolen_seen")
LISTENED_KIND = "sos"
#: Alarms whose commands and evidence are lines, too.
SHOWN_KINDS = ("sos", "one_key")
#: Steps that are not for every kind.
STEP_KINDS = {"listen": (LISTENED_KIND,), "dispatch": SENT_KINDS, "arrive": SENT_KINDS}
LISTEN_MINUTES = 1
MAX_WORKED_ALARMS = 12
MAX_LINES = 18
_POLL_S = 0.2
#: How often it is looked what became of commands and evidence.
_LOOK_S = 1.0


#: Does something in the city: the device that it was done to, None when its time has not come.
Deed = Callable[["City"], str | None]


@dataclass(order=True, slots=True)
class _Due:
    """A step of one alarm, due at a monotonic time."""

    at_s: float
    alarm: str
    step: str


class Incidents:
    """Does the deeds in the city, from the thread that drives it.

    Args:
        clock: measures.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began_s: float | None = None
        self._left: list[tuple[float, Deed, str]] = [
            (SPEED_AT_S, lambda city: city.speed_taxi(), "taxi"),
            (STEAL_AT_S, lambda city: city.steal_bike(), "bike"),
        ]
        self.done: dict[str, str] = {}
        self._again: Callable[[City], str | None] | None = None
        self._again_s = 0.0
        #: Somebody looks at the console: there is something for him to do now and then.
        self.watched = False

    def repeat(self, deed: Deed) -> None:
        """Do that every `AGAIN_S` while somebody looks at the console."""
        self._again = deed

    def add(self, at_s: float, name: str, deed: Deed) -> None:
        """One more deed; from the thread that plays them. One that gives None was not to be done yet, and is tried again."""
        self._left = sorted([*self._left, (at_s, deed, name)], key=lambda one: one[0])

    def play(self, city: City) -> None:
        """Do what is due; called after every step of the city."""
        now_s = self._clock.monotonic_s()
        self._began_s = now_s if self._began_s is None else self._began_s
        for one in [one for one in self._left if now_s - self._began_s >= one[0]]:
            _, deed, name = one
            did = deed(city)
            if did is not None:
                self._left.remove(one)
                self.done[name] = did
                self._again_s = now_s
        if self.watched and self._again is not None and not self._left and now_s - self._again_s >= AGAIN_S:
            self._again_s = now_s
            self._again(city)


class Story:
    """The operator and the owner, on a thread of their own.

    Args:
        client: the service's API.
        incidents: what was done in the city.
        clock: paces.
        stop: ends it.
    """

    def __init__(self, client: RemoteClient, incidents: Incidents, clock: Clock, stop: threading.Event) -> None:
        self._client = client
        self._incidents = incidents
        self._clock = clock
        self._stop = stop
        self._due: list[_Due] = []
        #: Alarms that are worked on, with their devices.
        self._seen: dict[str, str] = {}
        self._sos = SosFile()
        self._looked_s = 0.0
        self._lock = threading.Lock()
        self._reported = False
        self._stolen_at_s = 0.0
        self.lines: deque[str] = deque(maxlen=MAX_LINES)
        self.closed = 0
        self.started = False
        self._feed = threading.Thread(target=self._watch, name="demo-feed", daemon=True)
        self._thread = threading.Thread(target=self._work, name="demo-desk", daemon=True)

    def start(self) -> None:
        """Begin; ends with `stop`."""
        self.started = True
        self._feed.start()
        self._thread.start()

    def watched(self, on: bool) -> None:  # noqa: FBT001 read as a sentence
        """Whether somebody looks at the console: then new alarms are his, and there are some."""
        self._incidents.watched = on

    def join(self, timeout_s: float) -> None:
        """Wait until the operator has stopped."""
        if self.started:
            self._thread.join(timeout_s)

    def _watch(self) -> None:
        after: int | None = None
        while not self._stop.is_set():
            try:
                for event in self._client.watch(after=after, purpose="test", every_line=True):
                    if self._stop.is_set():
                        return
                    if "action" in event:
                        after = event["number"]
                        self._note(event)
            except LuchengError:
                self._stop.wait(_POLL_S)

    def _note(self, event: dict[str, Any]) -> None:
        alarm = event["alarm"]
        # The city has its own speeders; the story is about the three deeds.
        ours = alarm["device"] in self._incidents.done.values() and alarm["kind"] in WORKED_KINDS
        left = self._incidents.watched  # whoever sits at the console works on what comes now
        new = ours and not left and event["action"] == "raise" and len(self._seen) < MAX_WORKED_ALARMS
        with self._lock:
            if new and alarm["alarm"] not in self._seen:
                self._seen[alarm["alarm"]] = alarm["device"]
                if alarm["kind"] in SHOWN_KINDS:
                    self._sos.open(alarm["alarm"], alarm["device"])
                now_s = self._clock.monotonic_s()
                for step, after_s in LIFE_S:
                    if alarm["kind"] in STEP_KINDS.get(step, WORKED_KINDS):
                        heapq.heappush(self._due, _Due(now_s + after_s, alarm["alarm"], step))
            if alarm["alarm"] in self._seen:
                self.lines.append(line_of(event))
        if new:
            self._call("alarm_shown", alarms=[alarm["alarm"]])

    def _work(self) -> None:
        while not self._stop.wait(_POLL_S):
            self._report_theft()
            if self._clock.monotonic_s() - self._looked_s >= _LOOK_S:
                self._looked_s = self._clock.monotonic_s()
                self.lines.extend(self._sos.look(self._call))
            with self._lock:
                ready = bool(self._due) and self._due[0].at_s <= self._clock.monotonic_s()
                due = heapq.heappop(self._due) if ready else None
            if due is not None:
                self._do(due)

    def _report_theft(self) -> None:
        bike = self._incidents.done.get("bike", "")
        if not bike or self._reported:
            return
        now_s = self._clock.monotonic_s()
        self._stolen_at_s = self._stolen_at_s or now_s
        if now_s - self._stolen_at_s >= REPORT_AFTER_S:
            self._reported = True
            self._call("ebike_report", device=bike, owner_ref="demo-1", note=text("demo.theft"))

    def _do(self, due: _Due) -> None:
        if due.step == "ack":
            self._call("alarm_ack", alarm=due.alarm)
        elif due.step == "listen":
            self._call(
                "command_send",
                device=self._seen[due.alarm],
                name="listen_in",
                args={"minutes": LISTEN_MINUTES},
                reason=text("demo.listen"),
                alarm=due.alarm,
            )
        elif due.step == "dispatch":
            units = self._call("unit_list", state="free") or []
            if units:
                self._call("alarm_dispatch", alarm=due.alarm, unit=self._nearest(due.alarm, units), eta_minutes=3)
        elif due.step == "arrive":
            self._call("alarm_arrive", alarm=due.alarm)
        elif due.step == "resolve":
            self._call("alarm_resolve", alarm=due.alarm, outcome="test", reason=text("demo.resolved"))
        elif self._call("alarm_close", alarm=due.alarm, reason=text("demo.resolved")) is not None:
            self.closed += 1

    def _nearest(self, alarm: str, units: list[dict[str, Any]]) -> str:
        """The first of the alarm's nearest free units, else any free one."""
        shown = self._call("alarm_show", alarm=alarm, purpose="test") or {}
        free = {unit["device"] for unit in units}
        near = [unit["unit"] for unit in shown.get("context", {}).get("units", []) if unit["unit"] in free]
        return str(near[0] if near else units[0]["device"])

    def _call(self, operation: str, **arguments: Any) -> Any:
        try:
            return self._client.call(operation, **arguments)
        except LuchengError as error:
            if error.code not in {"refused", "conflict"}:  # an alarm that never got a unit cannot arrive: no news
                self.lines.append(f"{operation}: {error.message}"[:68])
            return None

    def ready_units(self) -> None:
        """Put the city's patrol units on duty, in turn on the three lines of defence."""
        for at, unit in enumerate(self._client.call("device_list", kind="unit", limit=50)):
            self._call("unit_set", unit=unit["device"], level=at % 3 + 1, state="free")


def line_of(event: dict[str, Any]) -> str:
    """One event as a line: time, severity, kind, device, what happened."""
    alarm = event["alarm"]
    what = text(f"demo.did.{event['action']}") if event["action"] in DID else event["action"]
    unit = f" {alarm['unit']}" if event["action"] == "dispatch" else ""
    clock = ""
    if event["action"] == "arrive" and alarm["response_ms"] is not None:
        clock = f" {alarm['response_ms'] / 1000:.0f} s / 300 s"
    when = (event["time"] or "")[11:19]
    return f"{when} {SHAPES[alarm['severity']]} {alarm['kind']:<18}{alarm['device']:<16} {what}{unit}{clock}"


#: Actions that have words of their own.
DID = (
    "raise",
    "signal",
    "acknowledge",
    "dispatch",
    "arrive",
    "resolve",
    "close",
    "escalate",
    "breach",
    "clear",
    "show",
)
