"""`lucheng demo --machines 3`: the city on three machines, one of them killed before your eyes, and what became of it told as it happens.

Invariants: every number is measured here; the exit status is that of the check: every point that was acknowledged is stored, and every press
reached a console. It ends cleanly whenever it is told to.
"""

from __future__ import annotations

import json
import select
import signal
import statistics
import sys
import tempfile
import threading
from collections import Counter, deque
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lucheng.cli.texts import text
from lucheng.cluster.demo.driving import Driver, Presser
from lucheng.cluster.demo.machine import Machine
from lucheng.cluster.demo.machines import ROLES, Machines
from lucheng.demo_people import demo_people
from lucheng.demo_service import LOOPBACK, port_like
from lucheng.demo_story import Story
from lucheng.rooms import open_rooms
from model.clock import SystemClock
from model.errors import LuchengError
from model.grant import Grant, Purpose

if TYPE_CHECKING:
    from collections.abc import Callable

    from config.sections import Demo, Settings
    from lucheng.cluster.demo.driving import Press
    from lucheng.cluster.status import ClusterStatus
    from lucheng.demo import DemoOptions
    from store.nats.link import Link

#: When machine 2 is killed, seconds from the start of the city, and the share of a demo that is too short for that.
KILL_AT_S, KILL_SHARE = 40.0, 0.4
#: It is switched on again so long after everything was taken over, if there is that long left twice.
BACK_AFTER_S = 20.0
TELL_EVERY_S = 10.0
SETTLE_TIMEOUT_S = 60.0
#: The demo's city on three machines that share this one's cores.
MAX_TAXIS, MAX_BIKES, MAX_TERMINALS = 100, 100, 6
#: What is shown of a process that ended by itself.
TAIL_LINES, TAIL_CHARS = 3, 400
_POLL_S = 0.1
_VICTIM, _WITNESS = 1, 0
_END_MS = 1 << 52


def run_machines(options: DemoOptions, settings: Settings) -> int:
    """Run it; return the exit status: 0 when nothing that was acknowledged is missing."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: stop.set())
    clock = SystemClock()
    began_s = clock.monotonic_s()
    with ExitStack() as stack:
        folder = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="lucheng-demo-", ignore_cleanup_errors=True))
        )
        say = _sayer(clock, quiet=options.as_json)
        web_port = port_like(settings.web.port) if settings.web.port else 0
        machines = Machines(folder, web_port=web_port, tell=lambda what: _told(say, machines, what))
        stack.enter_context(machines)
        link = machines.link()
        stack.callback(link.close)
        machines.wait_held(link, [machine.name for machine in machines.machines])
        say(text("machines.up", seconds=round(clock.monotonic_s() - began_s)))
        show = Show(options, settings, machines, link, clock, stop, say)
        return show.run()


def _sayer(clock: SystemClock, *, quiet: bool) -> Callable[[str], None]:
    began_s = clock.monotonic_s()

    def say(line: str) -> None:
        if not quiet:
            sys.stdout.write(f"{clock.monotonic_s() - began_s:6.1f} s  {line}\n")
            sys.stdout.flush()

    return say


def _told(say: Callable[[str], None], machines: Machines, what: str) -> None:
    """A step of the start."""
    if what == "servers":
        network = machines.network
        addresses = ", ".join(f"{host.name} {host.address}" for host in network.hosts)
        if network.apart:
            say(text("machines.namespaces", addresses=addresses))
        else:
            say(text("machines.loopback", addresses=addresses, why=network.why))
        say(text("machines.beside", gateway=network.gateway))
    say(text(f"machines.{what}", roles=ROLES))


class Show:
    """The story, from the first point to the check."""

    def __init__(
        self,
        options: DemoOptions,
        settings: Settings,
        machines: Machines,
        link: Link,
        clock: SystemClock,
        stop: threading.Event,
        say: Callable[[str], None],
    ) -> None:
        self._options, self._machines, self._link = options, machines, link
        self._clock, self._stop, self._say = clock, stop, say
        self._victim: Machine = machines.machines[_VICTIM]
        self._witness = machines.machines[_WITNESS].client()
        self._driver = Driver(_smaller(settings), machines.mqtt_url, machines.jt_port, self._witness, clock)
        self._presser = Presser(machines.mqtt_url, self._witness, self._driver.buttons, clock)
        self._story = Story(self._witness, self._driver.incidents, clock, self._driver.stop)
        self._story.lines = deque()  # all of them, in their order
        self._lines_told = 0
        self._told_s = 0.0
        self.killed_s: float | None = None
        self.taken_s: float | None = None
        self._waiting: set[str] = set()
        #: Processes that ended by themselves.
        self.restarted = 0
        self._back_s: float | None = None
        self._is_back = False

    def run(self) -> int:
        """Tell it; return the exit status."""
        self._welcome()
        self._driver.start()
        self._presser.start()
        began_s = self._clock.monotonic_s()
        seconds = self._options.seconds
        kill_at_s = KILL_AT_S if seconds is None else min(KILL_AT_S, seconds * KILL_SHARE)
        self._say_when(kill_at_s)
        while not self._stop.is_set() and self._driver.failure is None and self._presser.failure is None:
            passed_s = self._clock.monotonic_s() - began_s
            if seconds is not None and passed_s >= seconds:
                break
            self._tend()
            self._tell()
            if self.killed_s is None and (passed_s >= kill_at_s or _enter_pressed()):
                self._kill()
            elif self.killed_s is not None and self.taken_s is None:
                self._look_taken()
            elif self.taken_s is not None and self._back_s is None:
                self._maybe_back(None if seconds is None else seconds - passed_s)
            elif self._back_s is not None and not self._is_back:
                self._look_back()
            self._stop.wait(_POLL_S)
        return self._end()

    # -- what is told -------------------------------------------------------------------------

    def _welcome(self) -> None:
        port = self._machines.web_port
        if port:
            for line in demo_people(self._witness, f"http://{LOOPBACK}:{port}/").lines():
                self._say(line)
        self._say(text("machines.ask", command=f"lucheng --config {self._machines.settings_file} cluster status"))

    def _say_when(self, kill_at_s: float) -> None:
        key = "machines.key" if sys.stdin is not None and sys.stdin.isatty() else "machines.timed"
        self._say(text(key, machine=self._victim.name, at_s=round(kill_at_s)))

    def _tell(self) -> None:
        """New lines of the operator; every ten seconds who holds what."""
        if not self._story.started and self._driver.sent:
            try:
                if self._witness.call("device_list", kind="unit", limit=1):
                    self._story.ready_units()
                    self._story.start()
            except LuchengError:
                return
        lines = list(self._story.lines)
        for line in lines[self._lines_told :]:
            self._say(f"    {line}")
        self._lines_told = len(lines)
        if self._clock.monotonic_s() - self._told_s >= TELL_EVERY_S:
            self._told_s = self._clock.monotonic_s()
            self._tell_holders()

    def _tell_holders(self) -> None:
        try:
            found = self._machines.status(self._link)
            status = self._witness.call("status")
        except LuchengError:
            self._say(text("machines.silent"))
            return
        lines = self._machines.relays["mqtt"].held_by()
        terminals = self._machines.relays["jt"].held_by()
        for machine in self._machines.machines:
            if not any(node.name == machine.name for node in found.nodes):
                self._say("  " + text("machines.gone", machine=machine.name))
                continue
            count = lines[machine.name] + terminals[machine.name]
            self._say(
                "  "
                + text(
                    "machines.holds",
                    machine=machine.name,
                    parts=_parts(found, machine.name) or text("machines.no_parts"),
                    desk=text("machines.desk") if found.streams[-1].holder == machine.name else "",
                    lines=text("machines.lines", lines=count) if count else "",
                )
            )
        presses = self._presser.made()
        took = [press.took_s for press in presses if press.took_s is not None]
        self._say(
            "  "
            + text(
                "machines.flow",
                received=status["received"],
                stored=status["stored"],
                in_flight=status["in_flight"],
                pressed=len(presses),
                heard=len(took),
                slowest=f"{max(took, default=0.0):.1f}",
            )
        )

    # -- the kill -----------------------------------------------------------------------------

    def _kill(self) -> None:
        """Kill the machine, and tell who takes over what when."""
        name = self._victim.name
        try:
            found = self._machines.status(self._link)
        except LuchengError:
            return
        held = [row.stream for row in found.streams if row.there and row.holder == name]
        desk = text("machines.desk") if found.streams[-1].stream in held else ""
        self._victim.kill()
        self.killed_s = self._clock.monotonic_s()
        how = text("machines.cable" if self._machines.network.apart else "machines.processes")
        what = (_parts(found, name) + desk) or text("machines.nothing")
        self._say(text("machines.killed", machine=name, how=how, held=what))
        self._waiting = set(held)

    def _look_taken(self) -> None:
        """Tell which of what the dead machine held another one holds now."""
        assert self.killed_s is not None
        try:
            found = self._machines.status(self._link)
        except LuchengError:
            return  # between two leaders nobody answers
        after_s = f"{self._clock.monotonic_s() - self.killed_s:.1f}"
        for row in found.streams:
            if row.stream in self._waiting and row.there and row.holder != self._victim.name:
                self._waiting.discard(row.stream)
                self._say("  " + text("machines.taken", seconds=after_s, stream=row.stream, holder=row.holder))
        if not self._waiting:
            self.taken_s = self._clock.monotonic_s()
            self._say(text("machines.all_taken", seconds=f"{self.taken_s - self.killed_s:.1f}"))

    def _maybe_back(self, left_s: float | None) -> None:
        assert self.taken_s is not None
        if left_s is not None and left_s < BACK_AFTER_S:
            return
        if self._clock.monotonic_s() - self.taken_s >= BACK_AFTER_S:
            self._victim.boot()
            self._back_s = self._clock.monotonic_s()
            self._say(text("machines.back", machine=self._victim.name))

    def _look_back(self) -> None:
        assert self._back_s is not None
        if self._victim.ready():
            self._is_back = True
            seconds = round(self._clock.monotonic_s() - self._back_s)
            self._say(text("machines.is_back", machine=self._victim.name, seconds=seconds))

    def _tend(self) -> None:
        """What systemd does: start what ended by itself."""
        for machine in self._machines.machines:
            if machine is self._victim and self.killed_s is not None and self._back_s is None:
                continue
            for program in machine.programs:
                if not program.alive:
                    said = " | ".join(program.said.strip().splitlines()[-TAIL_LINES:])
                    self._say(text("machines.restarted", name=program.name, said=said[-TAIL_CHARS:]))
                    program.start()
                    self.restarted += 1

    # -- the end ------------------------------------------------------------------------------

    def _end(self) -> int:
        self._say(text("machines.ending"))
        self._driver.stop.set()
        self._presser.stop.set()
        self._presser.join()
        self._driver.join()
        deadline_s = self._clock.monotonic_s() + SETTLE_TIMEOUT_S
        while self._clock.monotonic_s() < deadline_s and not self._settled():
            self._tend()
            self._clock.sleep(0.3)
        result = self._check()
        self._presser.end()
        if self._options.as_json:
            sys.stdout.write(json.dumps(result) + "\n")
        else:
            self._summary(result)
        return 0 if result["complete"] else 1

    def _settled(self) -> bool:
        try:
            status = self._witness.call("status")
            return status["in_flight"] == 0 and status["received"] > 0 and not self._presser.unheard()
        except LuchengError:
            return False

    def _check(self) -> dict[str, Any]:
        """Hold what is stored against what was sent."""
        sent = dict(self._driver.sent)
        stored = self._stored()
        lost = sum(max(0, count - stored[device]) for device, count in sent.items())
        missed, unheard = self._presser.missed(), self._presser.unheard()
        status = self._witness.call("status")
        acknowledged = self._driver.drained and self._presser.drained
        taken = self.killed_s is None or self.taken_s is not None
        return {
            "namespaces": self._machines.network.apart,
            "killed": self.killed_s is not None,
            "taken_over_s": None
            if self.taken_s is None or not self.killed_s
            else round(self.taken_s - self.killed_s, 1),
            "points_sent": sum(sent.values()),
            "devices": len(sent),
            "points_lost": lost,
            "places_of_terminals": self._driver.places,
            "alarms_pressed": len(self._presser.presses),
            "alarms_missed": len(missed),
            "alarms_unheard": len(unheard),
            "alarms_slowest_s": round(max((p.took_s or 0.0 for p in self._presser.made()), default=0.0), 1),
            "counters": {key: status[key] for key in ("received", "stored", "duplicate", "quarantined", "in_flight")},
            "restarted": self.restarted,
            "acknowledged": acknowledged,
            "complete": acknowledged and taken and not lost and not missed and not unheard and status["in_flight"] == 0,
        }

    def _stored(self) -> Counter[str]:
        """Points of each device, read from the store itself."""
        found: Counter[str] = Counter()
        grant = Grant("demo", "check", Purpose("test"), None, 0, _END_MS)
        with open_rooms(self._machines.machines[_WITNESS].data, self._machines.settings(), write=False) as rooms:
            ids = rooms.registry.directory().ids
            for batch in rooms.series.fleet(grant, 0, _END_MS):
                for slot, count in zip(
                    *(column.tolist() for column in np.unique(batch.slot, return_counts=True)), strict=True
                ):
                    found[ids[slot]] += count
        return found

    def _summary(self, result: dict[str, Any]) -> None:
        presses = self._presser.made()
        killed_s = self.killed_s if self.killed_s is not None else float("inf")
        taken_s = self.taken_s if self.taken_s is not None else float("inf")
        for when, some in (
            ("machines.before", [press for press in presses if press.at_s < killed_s]),
            ("machines.during", [press for press in presses if killed_s <= press.at_s < taken_s]),
            ("machines.after", [press for press in presses if press.at_s >= max(killed_s, taken_s)]),
        ):
            self._say_presses(text(when), some)
        self._say(text("machines.missed", missed=result["alarms_missed"], pressed=result["alarms_pressed"]))
        self._say(
            text("machines.points", devices=result["devices"], sent=result["points_sent"], lost=result["points_lost"])
        )
        self._say(text("machines.good" if result["complete"] else "machines.bad"))
        for failure in (self._driver.failure, self._presser.failure):
            if failure is not None:
                self._say(str(failure))

    def _say_presses(self, when: str, presses: list[Press]) -> None:
        took = [press.took_s for press in presses if press.took_s is not None]
        if took:
            median, slowest = f"{statistics.median(took):.2f}", f"{max(took):.2f}"
            self._say(text("machines.presses", when=when, count=len(presses), median=median, slowest=slowest))


def _parts(found: ClusterStatus, name: str) -> str:
    """Partitions that a machine holds, in words; "" when it holds none."""
    mine = [
        str(row.partition) for row in found.streams if row.partition is not None and row.there and row.holder == name
    ]
    return text("machines.parts", parts=", ".join(mine)) if mine else ""


def _smaller(settings: Settings) -> Demo:
    """The demo's city, not larger than this machine can do three times over."""
    demo = settings.demo
    return demo.model_copy(
        update={
            "taxis": min(demo.taxis, MAX_TAXIS),
            "bikes": min(demo.bikes, MAX_BIKES),
            "terminals": min(demo.terminals, MAX_TERMINALS, demo.taxis),
            "buttons": max(demo.buttons, 1),
        }
    )


def _enter_pressed() -> bool:
    """Whether a line came from the keyboard."""
    if sys.stdin is None or not sys.stdin.isatty():
        return False
    ready, _, _ = select.select([sys.stdin], [], [], 0)
    return bool(ready and sys.stdin.readline())
