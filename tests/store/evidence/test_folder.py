"""Evidence in a folder: what a crash, a changed file and a second process leave, and that the check tells all of it."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from model.clock import FakeClock
from model.errors import Corrupt, NotFound, Refused, StoreError
from model.evidence import EvidenceStore
from store.audit import AuditLog
from store.database import Where, connect, migrate
from store.evidence.folder import MIGRATIONS, EvidenceFolder
from tests.store.evidence.conformance import GRANT, PHOTO, T0, EvidenceConformance

PROJECT = Path(__file__).parents[3]
SHA256 = hashlib.sha256(PHOTO.data).hexdigest()


def opened(folder: Path, audit: AuditLog, **options: Any) -> EvidenceFolder:
    limits = {"max_item_bytes": 4096, "max_total_bytes": 4 * 4096, **options}
    return EvidenceFolder(folder, clock=FakeClock(T0), audit=audit, **limits)


@pytest.fixture
def audit(tmp_path: Path) -> Iterator[AuditLog]:
    with closing(AuditLog(tmp_path / "audit.db", clock=FakeClock(T0))) as audit:
        yield audit


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "evidence"


@pytest.fixture
def store(folder: Path, audit: AuditLog) -> Iterator[EvidenceFolder]:
    with closing(opened(folder, audit)) as store:
        yield store


class TestConformance(EvidenceConformance):
    """`EvidenceFolder` is an `EvidenceStore`, wherever its rows lie."""

    @pytest.fixture
    def store(self, folder: Path, audit: AuditLog, where: Callable[[str], Where]) -> Iterator[EvidenceFolder]:
        with closing(opened(folder, audit, index=where("evidence"))) as store:
            yield store


def the_file(folder: Path) -> Path:
    return folder / SHA256[:2] / f"{SHA256[2:]}.jpg"


def test_it_is_the_seam(store: EvidenceFolder) -> None:
    seam: EvidenceStore = store
    assert seam is store


def test_a_file_has_the_name_of_its_bytes_and_is_ours_alone(store: EvidenceFolder, folder: Path) -> None:
    store.put(PHOTO)
    store.put(replace(PHOTO, device="taxi/2"))
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("evidence.db")]
    assert files == [the_file(folder)]
    assert files[0].read_bytes() == PHOTO.data
    assert files[0].stat().st_mode & 0o777 == 0o400
    assert folder.stat().st_mode & 0o077 == 0
    assert store.total_bytes == len(PHOTO.data)
    assert store.check() == []


def test_everything_is_there_after_opening_again(folder: Path, audit: AuditLog) -> None:
    with closing(opened(folder, audit)) as store:
        kept = store.put(PHOTO)
    with closing(opened(folder, audit)) as store:
        assert store.total_bytes == len(PHOTO.data)
        assert store.put(PHOTO) == kept
        assert store.put(replace(PHOTO, time_ms=T0 + 1)).id == "E2026-000002"
        assert store.read(GRANT, kept.id) == (kept, PHOTO.data)
    with pytest.raises(StoreError, match="is closed"):
        store.list(GRANT)


@pytest.mark.parametrize("change", ["bit", "shorter", "longer", "gone", "link"])
def test_a_changed_file_is_no_evidence(store: EvidenceFolder, folder: Path, change: str, tmp_path: Path) -> None:
    kept = store.put(PHOTO)
    path = the_file(folder)
    path.chmod(0o600)
    if change == "bit":
        path.write_bytes(bytes([PHOTO.data[0] ^ 1]) + PHOTO.data[1:])
    elif change == "shorter":
        os.truncate(path, 3)
    elif change == "longer":
        path.write_bytes(PHOTO.data + b"x")
    else:
        path.unlink()
    if change == "link":
        elsewhere = tmp_path / "elsewhere"
        elsewhere.write_bytes(PHOTO.data)
        path.symlink_to(elsewhere)
    with pytest.raises(StoreError) as caught:
        store.read(GRANT, kept.id)
    assert isinstance(caught.value, Corrupt) == (change != "link")
    (problem,) = store.check()
    assert problem.place == f"evidence/{SHA256[:2]}/{SHA256[2:]}.jpg"
    assert kept.id in problem.what
    if change != "link":
        assert store.put(PHOTO) == kept  # the same bytes put it right
        assert store.read(GRANT, kept.id) == (kept, PHOTO.data)
        assert store.check() == []


def test_a_file_without_a_row_is_told_and_used(store: EvidenceFolder, folder: Path) -> None:
    store.put(replace(PHOTO, data=b"other"))
    the_file(folder).parent.mkdir(exist_ok=True)
    the_file(folder).write_bytes(PHOTO.data)
    before = the_file(folder).stat().st_ino
    (problem,) = store.check()
    assert "no row names this file" in problem.what
    store.put(PHOTO)
    assert the_file(folder).stat().st_ino == before
    assert store.check() == []


def test_half_a_file_is_told_and_replaced(store: EvidenceFolder, folder: Path) -> None:
    the_file(folder).parent.mkdir()
    the_file(folder).write_bytes(PHOTO.data[:4])
    the_file(folder).with_name(".new").write_bytes(b"cut")
    assert {problem.place[-4:] for problem in store.check()} == {".jpg", ".new"}
    kept = store.put(PHOTO)
    assert store.read(GRANT, kept.id)[1] == PHOTO.data
    assert store.check() == []


def test_a_check_names_a_bounded_number(store: EvidenceFolder, folder: Path) -> None:
    (folder / "ab").mkdir()
    for n in range(9):
        (folder / "ab" / f"{n}").write_bytes(b"")
    assert len(store.check(max_problems=4)) == 4
    assert len(store.check()) == 9


_KILLED = """
import os, signal, sys
from pathlib import Path
from model.clock import FakeClock
from store.audit import AuditLog
from store.database import Where, connect, migrate
from store.evidence.folder import MIGRATIONS, EvidenceFolder
from tests.store.evidence.conformance import PHOTO, T0
folder = Path(sys.argv[1])
clock = FakeClock(T0)
store = EvidenceFolder(folder / "evidence", clock=clock, audit=AuditLog(folder / "audit.db", clock=clock))
seen = [0]
def stop(event, arguments):
    if event == sys.argv[2]:
        seen[0] += 1
        if seen[0] == int(sys.argv[3]):
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(stop)
def trace(frame, event, argument):
    if event == "call" and frame.f_code.co_name == sys.argv[2]:
        seen[0] += 1
        if seen[0] == int(sys.argv[3]):
            os.kill(os.getpid(), signal.SIGKILL)
sys.settrace(trace)
store.put(PHOTO)
print("put")
"""


@pytest.mark.parametrize(
    ("where", "nth"),
    [("open", 2), ("os.rename", 1), ("_sync", 1), ("_sync", 2), ("_insert", 1)],
)
def test_killed_between_file_and_row(tmp_path: Path, where: str, nth: int) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, str(tmp_path), where, str(nth)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    with (
        closing(AuditLog(tmp_path / "audit.db", clock=FakeClock(T0))) as audit,
        closing(opened(tmp_path / "evidence", audit)) as store,
    ):
        assert not store.list(GRANT)  # nothing was confirmed
        assert all("no row names this file" in problem.what for problem in store.check())
        kept = store.put(PHOTO)
        assert store.read(GRANT, kept.id) == (kept, PHOTO.data)
        assert store.check() == []


def test_many_threads_keep_each_piece_once(folder: Path, audit: AuditLog) -> None:
    with closing(opened(folder, audit)) as store:
        ids: list[list[str]] = [[] for _ in range(4)]

        def work(mine: list[str]) -> None:
            mine.extend(store.put(replace(PHOTO, time_ms=T0 + n % 8, data=b"%d" % (n % 8))).id for n in range(16))
            assert store.check() == []

        workers = [threading.Thread(target=work, args=(mine,)) for mine in ids]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert len({one for mine in ids for one in mine}) == len(store.list(GRANT)) == 8
        assert all(len(mine) == 16 for mine in ids)


def test_a_reader_beside_the_writer(folder: Path, audit: AuditLog) -> None:
    early = opened(folder, audit, read_only=True)
    assert not early.list(GRANT)
    assert early.check() == []
    with closing(opened(folder, audit)) as writer, closing(early):
        kept = writer.put(PHOTO)
        assert list(early.list(GRANT)) == [kept]
        assert early.read(GRANT, kept.id) == (kept, PHOTO.data)
        with pytest.raises(StoreError, match="reading only"):
            early.put(replace(PHOTO, time_ms=T0 + 1))
        with pytest.raises(StoreError, match="reading only"):
            early.bind(kept.id, "A1")


def test_a_damaged_database_is_told(folder: Path, audit: AuditLog) -> None:
    with closing(opened(folder, audit)) as store:
        for n in range(200):
            store.put(replace(PHOTO, time_ms=T0 + n, event="e" * 200))
    raw = bytearray((folder / "evidence.db").read_bytes())
    for at in range(8_192, len(raw), 4_096):
        raw[at : at + 512] = b"\xff" * 512
    (folder / "evidence.db").write_bytes(raw)
    try:
        store = opened(folder, audit)
    except Corrupt:
        return
    with closing(store):
        assert store.check()


def test_a_piece_is_shared_by_many_alarms(store: EvidenceFolder, folder: Path) -> None:
    kept = store.put(replace(PHOTO, source="clip:A1:1", alarm="A1"))
    uses = [(f"clip:A{n}:1", f"A{n}") for n in range(1, 6)]
    assert store.share(kept.id, uses) == 4  # A1 has it
    assert store.share(kept.id, uses) == 0
    assert store.total_bytes == len(PHOTO.data)
    (third,) = store.list(GRANT, alarm="A3")
    assert third == replace(kept, id=third.id, source="clip:A3:1", alarm="A3")
    assert len({one.id for one in store.list(GRANT)}) == 5
    assert store.put(replace(PHOTO, source="clip:A3:1", alarm="A3")) == third
    assert store.read(GRANT, third.id) == (third, PHOTO.data)
    with pytest.raises(NotFound):
        store.share("E2026-000099", uses)
    assert store.put(replace(PHOTO, device="taxi/7")).id == "E2026-000006"
    assert store.check() == []


def test_two_processes_keep_each_piece_once_and_count_its_bytes(
    folder: Path, audit: AuditLog, where: Callable[[str], Where]
) -> None:
    one, other = (opened(folder, audit, index=where("evidence"), max_total_bytes=20) for _ in range(2))
    with closing(one), closing(other):
        assert one.put(PHOTO) == other.put(PHOTO)
        really = other._same
        other._same = lambda new, sha256: None  # type: ignore[method-assign] # as if it came at the same moment
        again = other.put(replace(PHOTO, event="of the other"))
        other._same = really  # type: ignore[method-assign] # it is over
        assert again == one.put(PHOTO)
        assert one.share(again.id, [("clip:A1:1", "A1")]) == 1
        assert other.share(again.id, [("clip:A1:1", "A1"), ("clip:A2:1", "A2")]) == 1
        assert [row.id for row in one.list(GRANT)] == ["E2026-000003", "E2026-000002", "E2026-000001"]
        assert one.total_bytes == other.total_bytes == len(PHOTO.data)
        other.put(replace(PHOTO, data=b"7 bytes"[: 20 - len(PHOTO.data)]))
        with pytest.raises(Refused, match="over the limit"):
            one.put(replace(PHOTO, data=b"more"))


def test_a_folder_of_the_first_form_knows_its_bytes(folder: Path, audit: AuditLog) -> None:
    folder.mkdir()
    with closing(connect(folder / "evidence.db")) as connection:
        migrate(connection, MIGRATIONS[:1], folder / "evidence.db")
        for number, (sha256, size) in enumerate([("a", 5), ("a", 5), ("b", 7)], start=1):
            connection.execute(
                "INSERT INTO evidence VALUES (?, ?, 'taxi/1', 'image', 'jpg', ?, ?, ?, 0, 0, NULL, NULL, 0, '', '', '')",
                (number, f"E{number}", sha256, size, number),
            )
    with closing(opened(folder, audit)) as store:
        assert store.total_bytes == 12
