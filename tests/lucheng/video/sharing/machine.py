"""A machine that watches cameras, as a process of its own: `machine.py FOLDER NAME SETTINGS.json`. Ended by SIGTERM.

Real but for its desk, which is empty: registry and keys are those of FOLDER, which all machines share; recordings, audit and series
lie in FOLDER/NAME. Every second it writes FOLDER/NAME/status.json, in one step.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

from config.sections import Settings
from devices.cameras import Cameras
from devices.registry import Registry
from lucheng.logs import configure
from lucheng.nats_choice import open_alarms
from lucheng.rooms import SECRET_KEY_FILE
from lucheng.series_choice import open_series
from lucheng.video.sharing.role import VideoRole, open_video_role
from model.clock import Clock, SystemClock
from model.seams import SeriesStore
from store.audit import AuditLog
from store.desk.desk import DeskFile
from store.log.committer import Committer
from store.recordings.folder import Recordings

STATUS_EVERY_S = 0.1
#: Its end takes no longer, even on a busy machine.
END_S = 30.0


@dataclass
class MachineRooms:
    """What watching needs of the stores (`lucheng.video.camera_watch.WatchRooms`)."""

    settings: Settings
    clock: Clock
    cameras: Cameras
    recordings: Recordings
    series: SeriesStore
    desk: DeskFile
    audit: AuditLog


def open_rooms(folder: Path, name: str, settings: Settings) -> MachineRooms:
    """The stores of one machine."""
    clock = SystemClock()
    own = folder / name
    own.mkdir(exist_ok=True)
    registry = Registry(folder / "registry.db", clock=clock)
    directory = registry.directory()
    audit = AuditLog(own / "audit.db", clock=clock)
    return MachineRooms(
        settings,
        clock,
        Cameras(registry.file, folder / SECRET_KEY_FILE),
        Recordings(own / "recordings", clock=clock, audit=audit, max_total_bytes=1 << 30, min_free_bytes=0),
        open_series(own, settings, audit=audit, clock=clock, device_ids=lambda: directory.ids, read_only=False),
        DeskFile(own / "desk.db", clock=clock, audit=audit),
        audit,
    )


def tell(path: Path, role: VideoRole) -> None:
    """Write how it is."""
    now = {
        **role.status(),
        "values": role.live_values(),
        "workers": role.watch.supervisor.process_ids(),
        "cameras": {
            device: {"state": row.state.value, "media_age_s": row.media_age_s if row.media_age_s < 1e9 else None}
            for device, row in role.watch.duty.rows().items()
        },
    }
    path.with_suffix(".new").write_text(json.dumps(now))
    path.with_suffix(".new").rename(path)


def main() -> int:
    """Watch until SIGTERM."""
    configure()
    folder, name = Path(sys.argv[1]), sys.argv[2]
    settings = Settings.model_validate(json.loads(Path(sys.argv[3]).read_text()))
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stopping.set())

    def fatal(error: BaseException) -> None:
        print(f"fatal: {error}", file=sys.stderr, flush=True)
        os._exit(70)

    rooms = open_rooms(folder, name, settings)
    alarms = Committer(open_alarms(settings, rooms.clock), clock=rooms.clock, on_fatal=fatal, max_delay_ms=0)
    role = open_video_role(rooms, alarms, machine=name, on_fatal=fatal)
    role.start()
    while not stopping.wait(STATUS_EVERY_S):
        tell(folder / name / "status.json", role)
    faulthandler.dump_traceback_later(END_S)  # what it hangs in stands in its log
    role.stop()
    alarms.close()
    return 0


if __name__ == "__main__":
    status = main()
    os._exit(status)
