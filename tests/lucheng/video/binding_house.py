"""A desk, a registry with cameras, evidence and an audit, all real, and a clip maker that behaves as the workers do.

The clock is moved by the test; the maker answers on a thread of its own once the end of a clip has passed on that clock.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path

from config.cameras import Clips
from devices.details import DeviceDetails
from devices.nearby import Nearby
from devices.registry import Registry
from devices.sites import Sites
from lucheng.video.binding import AlarmBinding
from lucheng.video.seams import ClipDone, RecordedClips, SnapshotDone
from model.camera import CameraSettings
from model.clock import FakeClock
from model.codes import ALARM_BY_NAME
from model.device import Site
from model.evidence import Evidence
from model.grant import Grant, Purpose
from model.signal import Signal
from model.video import Clip
from store.audit import AuditLog
from store.desk.desk import DeskFile
from store.evidence.folder import EvidenceFolder
from tests.conftest import wait_until

T0 = 1_795_334_400_000  # 2026-11-22T08:00:00Z
PLACE = (40.65, 109.84)
#: Cameras that a storm comes upon, in a row to the east.
GRID = 60
#: A storm takes a while on a busy machine.
PATIENCE_S = 180.0
GRANT = Grant("li", "cli", Purpose("test"), None, 0, 10**15)


@dataclass
class Asked:
    """A clip that was asked for."""

    camera: str
    from_ms: int
    to_ms: int
    done: ClipDone


@dataclass
class Maker:
    """Answers what is due at each `tick`, on its own thread; `silent` cameras are never answered, `dead` ones in words."""

    clock: FakeClock
    asked: list[Asked] = field(default_factory=list)
    open: list[Asked] = field(default_factory=list)
    snapshots: list[str] = field(default_factory=list)
    woken: dict[str, int] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    dead: set[str] = field(default_factory=set)
    most_open: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def wake(self, camera: str, until_ms: int) -> None:
        self.woken[camera] = until_ms

    def snapshot(self, camera: str, done: SnapshotDone) -> None:
        with self.lock:
            self.snapshots.append(camera)
            count = len(self.snapshots)
        if camera in self.dead:
            self._apart(lambda: done(None, 0, "no picture"))
        elif camera not in self.silent:
            now_ms = self.clock.now_ms()
            self._apart(lambda: done(b"\xff\xd8 %d of %s" % (count, camera.encode()), now_ms, ""))

    def clip(self, camera: str, from_ms: int, to_ms: int, done: ClipDone) -> None:
        asked = Asked(camera, from_ms, to_ms, done)
        with self.lock:
            self.asked.append(asked)
            self.open.append(asked)
            self.most_open = max(self.most_open, len(self.open))

    def tick(self) -> None:
        """Answer every clip whose end has passed."""
        now_ms = self.clock.now_ms()
        with self.lock:
            due = [one for one in self.open if one.to_ms <= now_ms and one.camera not in self.silent]
            for one in due:
                self.open.remove(one)

        def answer() -> None:
            for one in due:
                if one.camera in self.dead:
                    one.done(None, "there is no picture of that time")
                else:
                    one.done(clip_of(one.camera, one.from_ms, one.to_ms), "")

        self._apart(answer)

    @staticmethod
    def _apart(work: object) -> None:
        thread = threading.Thread(target=work)  # type: ignore[arg-type]  # a call without arguments
        thread.start()
        thread.join()


def clip_of(camera: str, from_ms: int, to_ms: int) -> Clip:
    """Bytes that say what they are of."""
    data = f"{camera} {from_ms} {to_ms}".encode()
    return Clip(data, hashlib.sha256(data).hexdigest(), from_ms, to_ms, "h264", 640, 360, 40)


class House:
    """Everything, open; `crash` and `open` it again."""

    def __init__(
        self, folder: Path, *, limits: Clips | None = None, recorded: RecordedClips | None = None, grid: int = 0
    ) -> None:
        self.folder = folder
        self.clock = FakeClock(T0)
        self.limits = limits or Clips()
        self.recorded = recorded
        self.settings = {f"camera/{n}": CameraSettings() for n in range(6)}
        self.registry = Registry(folder / "registry.db", clock=self.clock)
        lat, lon = PLACE
        for n in range(6):
            self.registry.add(f"camera/{n}", DeviceDetails(lat=lat + 0.0005 * (n + 1), lon=lon))
        self.registry.add("camera/away", DeviceDetails(lat=lat + 0.02, lon=lon))
        self.registry.add("camera/hall", DeviceDetails(lat=lat + 0.03, lon=lon))
        Sites(self.registry.file).add(Site("school", "School", "Ms Li", "123", lat, lon, ("camera/hall",)))
        self.registry.add("button/1", DeviceDetails(site="school"))
        self.registry.add("ebike/1")
        for n in range(grid):
            self.registry.add(f"camera/g{n}", DeviceDetails(lat=lat, lon=lon + 0.002 * n))
            self.settings[f"camera/g{n}"] = CameraSettings()
        self.nearby = Nearby(self.registry)
        self.number = 0
        self.open()

    def open(self, *, start: bool = True) -> None:
        """Begin as after a start of the service."""
        self.audit = AuditLog(self.folder / "audit.db", clock=self.clock)
        self.desk = DeskFile(self.folder / "desk.db", clock=self.clock, audit=self.audit, locate=self.nearby.locate)
        self.evidence = EvidenceFolder(self.folder / "evidence", clock=self.clock, audit=self.audit)
        self.maker = Maker(self.clock)
        self.binding = AlarmBinding(
            self.desk,
            self.nearby,
            self.settings.get,
            self.maker,
            self.evidence,
            self.audit,
            clock=self.clock,
            limits=self.limits,
            recorded=self.recorded,
        )
        if start:
            self.binding.start()

    def close(self) -> None:
        """End in order."""
        self.binding.stop(drain_s=20)
        self.desk.close()
        self.evidence.close()
        self.audit.close()

    def press(
        self, device: str = "taxi/1", kind: str = "sos", *, at: tuple[float, float] | None = PLACE, many: int = 1
    ) -> list[str]:
        """New alarms, now; their ids. With `many` each is of a device of its own, all in one batch, ever farther east."""
        now_ms = self.clock.now_ms()
        lat, lon = at if at is not None else (None, None)
        severity = ALARM_BY_NAME[kind].severity
        signals = []
        for place in range(many):
            self.number += 1
            if many > 1 and lon is not None:
                lon = PLACE[1] + 0.002 * (place % GRID)
            name = device if many == 1 else f"{device}{place}"
            signals.append(
                Signal(
                    f"s{self.number}", name, kind, "message", now_ms, now_ms, lat, lon, severity, False, "", self.number
                )
            )
        events = self.desk.take(signals)
        return [event.alarm.alarm.id for event in events if event.action in ("raise", "signal")]

    def pass_time(self, duration_s: float) -> None:
        """Let time pass in steps, and clips come due."""
        for _ in range(max(round(duration_s), 1)):
            self.clock.advance(duration_s / max(round(duration_s), 1))
            self.maker.tick()

    def until(self, name: str, count: int) -> None:
        """Wait until the binding has counted so many."""
        wait_until(
            lambda: self.binding.counts()[name] >= count, what=f"{count} {name}, there are {self.binding.counts()}"
        )

    def until_asked(self, count: int) -> None:
        """Wait until so many clips were asked of the maker."""
        wait_until(lambda: len(self.maker.asked) >= count, what=f"{count} clips asked for")

    def until_quiet(self) -> None:
        """Move the clock on until nothing waits and nothing is being made."""
        waiting = ("clips_waiting", "clips_being_made", "snapshots_waiting", "snapshots_being_made", "notes_waiting")

        last = self.desk.last_event()

        def quiet() -> bool:
            binding = self.binding
            if binding._position < last or not binding._recovered:
                return False
            if any(binding._backlog.values()) or binding._in_hand:
                return False
            self.clock.advance(0.5)
            self.maker.tick()
            counts = self.binding.counts()
            return not any(counts[name] for name in waiting)

        wait_until(quiet, PATIENCE_S, "quiet")

    def evidence_of(self, alarm: str) -> list[Evidence]:
        """What the alarm has, clips and snapshots, by kind and camera."""
        found = self.evidence.list(GRANT, alarm=alarm, limit=1_000)
        return sorted(found, key=lambda one: (one.kind, one.device))

    def lacking(self) -> set[str]:
        """Alarms of which the audit says that something is missing."""
        found: set[str] = set()
        after = 0
        while rows := self.audit.rows(after=after, limit=10_000):
            found |= {row.target for row in rows if row.action == "clip.missing"}
            after = rows[-1].number
        return found

    def having(self) -> set[str]:
        """Alarms that have evidence."""
        found: set[str] = set()
        before = ""
        while rows := self.evidence.list(GRANT, before=before, limit=10_000):
            found |= {row.alarm for row in rows}
            before = rows[-1].id
        return found

    def missing(self) -> list[tuple[str, str, str]]:
        """(alarm, what, why) of every `clip.missing` in the audit."""
        rows = self.audit.rows(limit=10_000, action="clip.missing")
        return [(row.target, str(row.detail["what"]), str(row.detail["why"])) for row in rows]


def with_limits(**change: float) -> Clips:
    """Section `clips` with some of its settings changed."""
    return Clips.model_validate({**Clips().model_dump(), **change})


def settings(**change: float) -> CameraSettings:
    """Settings of a camera."""
    return replace(CameraSettings(), **change)  # type: ignore[arg-type]  # numbers by name
