"""The writer lock, between real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from model.errors import StoreError, WriterLocked
from store.lock import WriterLock

PROJECT = Path(__file__).parents[2]
HOLD = (
    "import sys; from pathlib import Path; from store.lock import WriterLock\n"
    "with WriterLock(Path(sys.argv[1])):\n"
    "    print('held', flush=True); sys.stdin.read()\n"
)


def holder(folder: Path) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_one_process_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "data"  # made when missing
    with holder(folder) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(WriterLocked, match=f"process {other.pid}") as raised:
            WriterLock(folder).acquire()
        assert raised.value.exit_status == 75
        assert raised.value.mend
        other.communicate("")
    with WriterLock(folder) as lock:
        assert lock.held
        assert (folder / "lock").read_text() == f"{os.getpid()}\n"
    assert not lock.held


def test_a_killed_holder_leaves_no_lock(tmp_path: Path) -> None:
    with holder(tmp_path) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        other.kill()
        other.wait()
    with WriterLock(tmp_path):
        pass


def test_a_child_process_does_not_hold_it_on(tmp_path: Path) -> None:
    with WriterLock(tmp_path):
        child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    with child, WriterLock(tmp_path):
        child.communicate(b"")


def test_twice_in_one_process(tmp_path: Path) -> None:
    with WriterLock(tmp_path) as lock:
        lock.acquire()  # its own again: nothing
        with pytest.raises(WriterLocked, match=f"process {os.getpid()}"):
            WriterLock(tmp_path).acquire()
    lock.release()  # and once more: nothing


def test_a_lock_file_that_is_no_pid(tmp_path: Path) -> None:
    with WriterLock(tmp_path):
        (tmp_path / "lock").write_bytes(b"\xff" * 1_000)
        with pytest.raises(WriterLocked, match="another process"):
            WriterLock(tmp_path).acquire()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be opened"):
        WriterLock(tmp_path / "file" / "data").acquire()
