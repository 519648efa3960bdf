"""A desk with real stores in the test's own process; its cameras are watched by the machines of a `SharingHouse`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from config.sections import Settings
from devices.cameras import Cameras
from devices.nearby import Nearby
from lucheng.nats_choice import open_alarms
from lucheng.video.sharing.desk import SharedCameras, open_shared_cameras
from model.clock import Clock, SystemClock
from model.codes import ALARM_BY_NAME
from model.evidence import Evidence
from model.grant import Grant, Purpose
from model.signal import Signal
from store.audit import AuditLog
from store.desk.desk import DeskFile
from store.evidence.folder import EvidenceFolder
from store.log.committer import Committer
from tests.lucheng.video.sharing.house import PLACE, SharingHouse

GRANT = Grant("li", "cli", Purpose("test"), None, 0, 10**15)


@dataclass
class Rooms:
    """What a desk needs of the stores (`lucheng.video.sharing.desk.DeskRooms`)."""

    data_dir: Path
    settings: Settings
    clock: Clock
    cameras: Cameras
    nearby: Nearby
    desk: DeskFile
    evidence: EvidenceFolder
    audit: AuditLog


class DeskSide:
    """The desk; `again` begins anew as after the end of its process.

    Args:
        house: whose cameras.
    """

    def __init__(self, house: SharingHouse) -> None:
        self.house = house
        clock = SystemClock()
        folder = house.folder / "desk"
        folder.mkdir(exist_ok=True)
        audit = AuditLog(folder / "audit.db", clock=clock)
        nearby = Nearby(house.registry)
        desk = DeskFile(folder / "desk.db", clock=clock, audit=audit, locate=nearby.locate)
        evidence = EvidenceFolder(folder / "evidence", clock=clock, audit=audit)
        self.rooms = Rooms(folder, house.typed, clock, house.cameras, nearby, desk, evidence, audit)
        self.number = 0
        self.open()

    def open(self) -> None:
        """Begin, with the duty."""
        clock = self.rooms.clock
        self.fatal: list[BaseException] = []
        self.alarms = Committer(
            open_alarms(self.house.typed, clock), clock=clock, on_fatal=self.fatal.append, max_delay_ms=0
        )
        self.cameras: SharedCameras = open_shared_cameras(self.rooms, self.alarms)
        self.cameras.start()
        self.cameras.begin_duty()

    def end(self) -> None:
        """End it, its stores left open."""
        self.cameras.stop()
        self.alarms.close()
        assert not self.fatal

    def press(self, device: str = "taxi/1") -> str:
        """A one-key alarm at the cameras; its id."""
        self.number += 1
        now_ms = self.rooms.clock.now_ms()
        signal = Signal(
            f"s{self.number}",
            device,
            "sos",
            "message",
            now_ms,
            now_ms,
            PLACE[0],
            PLACE[1],
            ALARM_BY_NAME["sos"].severity,
            late=False,
            note="",
            log_position=self.number,
        )
        (event,) = [one for one in self.rooms.desk.take([signal]) if one.action in ("raise", "signal")]
        return event.alarm.alarm.id

    def evidence(self, alarm: str) -> list[Evidence]:
        """What the alarm has."""
        return sorted(self.rooms.evidence.list(GRANT, alarm=alarm, limit=100), key=lambda one: (one.kind, one.device))

    def data(self, piece: Evidence) -> bytes:
        """The bytes of a piece."""
        return self.rooms.evidence.read(GRANT, piece.id)[1]

    def close(self) -> None:
        """End everything."""
        self.end()
        self.rooms.desk.close()
        self.rooms.evidence.close()
        self.rooms.audit.close()
