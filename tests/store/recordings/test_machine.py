"""Entering, holding, releasing, retaining and dying anywhere in between: what is held is never lost (F18), the rest goes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from model.clock import FakeClock
from store.audit import AuditLog
from store.recordings.files import SegmentFiles
from store.recordings.folder import Recordings
from tests.store.recordings.house import GRANT, MINUTE_MS, PROJECT, T0, a_file, opened, video

SIZE = len(video()[1])
CAMERAS = ("camera/1", "camera/2")
LIMIT = 12 * SIZE
_cameras = st.sampled_from(CAMERAS)
_minutes = st.integers(0, 30)


class Died(BaseException):
    """The process ended here."""


class Machine(RuleBasedStateMachine):
    """The model: what was entered and not allowed to go, and what each alarm holds."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.audit = AuditLog(self.root / "audit.db", clock=FakeClock(T0))
        self.store: Recordings = self._open()
        self.there: set[tuple[str, int]] = set()
        self.holds: set[tuple[str, str, int, int]] = set()

    def _open(self) -> Recordings:
        return opened(self.root / "recordings", self.audit, max_total_bytes=LIMIT)

    def _held(self, camera: str, minute: int) -> bool:
        begin, end = T0 + minute * MINUTE_MS, T0 + minute * MINUTE_MS + 2_000
        return any(camera == of and start < end and to > begin for _, of, start, to in self.holds)

    def _seen(self) -> set[tuple[str, int]]:
        return {
            (camera, (one.from_ms - T0) // MINUTE_MS)
            for camera in CAMERAS
            for one in self.store.list(GRANT, camera, 0, 10**15, 1_000)
        }

    @rule(camera=_cameras, minute=_minutes)
    def enter(self, camera: str, minute: int) -> None:
        if (camera, minute) not in self.there:
            self.store.enter(a_file(self.store.folder, T0 + minute * MINUTE_MS, camera=camera))
            self.there.add((camera, minute))
            self._by_bytes()

    def _by_bytes(self) -> None:
        free = sorted((one for one in self.there if not self._held(*one)), key=lambda one: one[1])
        while len(self.there) * SIZE > LIMIT and free:
            oldest = [one for one in free if one[1] == free[0][1]]
            gone = set(oldest) - self._seen()  # of the same age either may go
            assert gone or len(oldest) > 1
            self.there -= gone
            free = [one for one in free if one not in gone and one not in oldest]

    @rule(alarm=st.sampled_from(("A1", "A2", "A3")), camera=_cameras, minute=_minutes, minutes=st.integers(1, 4))
    def hold(self, alarm: str, camera: str, minute: int, minutes: int) -> None:
        window = T0 + minute * MINUTE_MS, T0 + (minute + minutes) * MINUTE_MS
        self.store.hold(alarm, camera, *window)
        self.holds.add((alarm, camera, *window))

    @rule(alarm=st.sampled_from(("A1", "A2", "A3")))
    def release(self, alarm: str) -> None:
        self.store.release(alarm)
        self.holds = {one for one in self.holds if one[0] != alarm}

    @rule(minute=_minutes)
    def retain(self, minute: int) -> None:
        self.store.retain(T0 + minute * MINUTE_MS)
        self._went(minute)
        self._by_bytes()

    def _went(self, minute: int) -> None:
        end_ms = minute * MINUTE_MS
        self.there = {one for one in self.there if one[1] * MINUTE_MS + 2_000 > end_ms or self._held(*one)}

    @rule(minute=_minutes, files=st.integers(0, 3), camera=_cameras, held=_minutes, deleted=st.booleans())
    def retain_and_die(self, minute: int, files: int, camera: str, held: int, deleted: bool) -> None:
        """Die after so many files are gone (rows still marked), set a hold, and come up again."""
        whole = SegmentFiles.delete

        def part(of: SegmentFiles, names: object) -> list[str]:
            whole(of, list(names)[:files])  # type: ignore[call-overload]
            raise Died

        SegmentFiles.delete = part  # type: ignore[method-assign,assignment]
        try:
            self.store.retain(T0 + minute * MINUTE_MS)
        except Died:
            pass
        finally:
            SegmentFiles.delete = whole  # type: ignore[method-assign]
        before = {one for one in self.there if (self.store.folder / self._file(*one)).exists()}
        window = T0 + held * MINUTE_MS, T0 + (held + 1) * MINUTE_MS
        if deleted:  # somebody holds while the mark stands, before the process is gone
            self.store.hold("A3", camera, *window)
            self.holds.add(("A3", camera, *window))
        self.store.close()
        self.store = self._open()
        survivors = {one for one in before if self._held(*one)}
        assert survivors <= self._seen()
        self.store.retain(T0 + minute * MINUTE_MS)
        self._went(minute)
        self.there &= before | self._seen()
        self._by_bytes()

    @staticmethod
    def _file(camera: str, minute: int) -> str:
        return f"{camera.replace('/', '.')}/2026-11-22/{T0 + minute * MINUTE_MS}.mp4"

    @rule()
    def open_again(self) -> None:
        self.store.close()
        self.store = self._open()
        assert self.store.adopt().entered == 0

    @invariant()
    def rows_files_and_sums_agree(self) -> None:
        seen = self._seen()
        assert seen == self.there
        assert self.store.total_bytes == len(seen) * SIZE
        assert {str(path.relative_to(self.store.folder)) for path in self.store.folder.rglob("*.mp4")} == {
            self._file(*one) for one in seen
        }

    def teardown(self) -> None:
        assert self.store.check() == []
        self.store.close()
        self.audit.close()
        shutil.rmtree(self.root)


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=12, stateful_step_count=15)


_KILLED = """
import os, signal, sys
from pathlib import Path
from model.clock import FakeClock
from store.audit import AuditLog
from tests.store.recordings.house import MINUTE_MS, T0, a_file, opened
folder = Path(sys.argv[1])
store = opened(folder / "recordings", AuditLog(folder / "audit.db", clock=FakeClock(T0)))
for n in range(6):
    store.enter(a_file(store.folder, T0 + n * MINUTE_MS))
store.hold("A1", "camera/12", T0 + MINUTE_MS, T0 + MINUTE_MS + 1)
seen = 0
def stop(event, arguments):
    global seen
    if event == sys.argv[2]:
        seen += 1
        if seen == int(sys.argv[3]):
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(stop)
store.retain(T0 + 5 * MINUTE_MS)
print("retained")
"""


@pytest.mark.parametrize(("where", "nth"), [("os.remove", 1), ("os.remove", 2), ("os.remove", 4)])
def test_killed_midway_it_goes_on_and_takes_nothing_that_is_held(tmp_path: Path, where: str, nth: int) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, str(tmp_path), where, str(nth)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )
    assert killed.returncode == -signal.SIGKILL, killed.stdout + killed.stderr
    with (
        closing(AuditLog(tmp_path / "audit.db", clock=FakeClock(T0))) as audit,
        closing(opened(tmp_path / "recordings", audit)) as store,
    ):
        assert [one.id for one in store.list(GRANT, "camera/12", 0, 10**15)] == ["R2", "R6"]
        assert store.total_bytes == 2 * SIZE
        assert store.adopt().entered == 0
        assert store.check() == []
