"""Recordings: entering, listing, timelines, retention, holds, the check, and what is refused."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from model.clock import FakeClock
from model.errors import AuditUnwritable, Conflict, Corrupt, NotFound, Refused, StoreError, UsageError
from store.audit import AuditLog
from store.recordings.folder import MAX_SEGMENT_MS, Recordings
from store.recordings.keeping import MAX_HOLD_MS, Retained
from store.recordings.names import named, segment_file
from tests.store.recordings.house import CAMERA, GRANT, MINUTE_MS, T0, a_file, opened, video

SIZE = len(video()[1])


@pytest.fixture
def audit(tmp_path: Path) -> Iterator[AuditLog]:
    with closing(AuditLog(tmp_path / "audit.db", clock=FakeClock(T0))) as audit:
        yield audit


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "recordings"


@pytest.fixture
def store(folder: Path, audit: AuditLog) -> Iterator[Recordings]:
    with closing(opened(folder, audit)) as store:
        yield store


def enter(store: Recordings, count: int, **how: str) -> list[str]:
    """Ids of so many segments, a minute apart, each two seconds long."""
    return [store.enter(a_file(store.folder, T0 + n * MINUTE_MS, **how)).id for n in range(count)]  # type: ignore[arg-type]


def ids(store: Recordings, camera: str = CAMERA) -> list[str]:
    return [one.id for one in store.list(GRANT, camera, 0, 10**15, 10_000)]


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.mp4*"))


def test_what_is_entered_is_there(store: Recordings, folder: Path, audit: AuditLog) -> None:
    new = a_file(folder, T0)
    kept = store.enter(new)
    assert new.file == "camera.12/2026-11-22/1795334400000.mp4"
    assert all(getattr(kept, name) == getattr(new, name) for name in ("camera", "file", "from_ms", "to_ms", "sha256"))
    assert not kept.held
    assert not kept.adopted
    assert store.enter(new) == kept
    assert store.list(GRANT, CAMERA, T0, T0 + 1) == [kept]
    found, file = store.read(GRANT, kept.id)
    with file:
        assert (found, file.read()) == (kept, video()[1])
    assert store.total_bytes == SIZE
    assert store.check() == []
    told = [(row.action, row.target) for row in audit.rows()]
    assert told == [("read.recordings", CAMERA), ("read.recording_bytes", kept.id)]


def test_a_listing_is_what_reaches_into_the_window(store: Recordings) -> None:
    made = enter(store, 5)
    enter(store, 2, camera="camera/1")
    assert ids(store) == made
    second_ms = T0 + MINUTE_MS
    for from_ms, to_ms, expected in (
        (second_ms, second_ms + 1, made[1:2]),
        (second_ms + 1_999, second_ms + 2_000, made[1:2]),
        (second_ms + 2_000, second_ms + MINUTE_MS, []),
        (second_ms + 1_999, second_ms + MINUTE_MS + 1, made[1:3]),
    ):
        assert [one.id for one in store.list(GRANT, CAMERA, from_ms, to_ms)] == expected
    assert [one.id for one in store.list(GRANT, CAMERA, 0, 10**15, 2)] == made[:2]
    for hostile in ("camera/12' OR 1=1 --", "camera/%", "../camera", ""):
        assert not store.list(GRANT, hostile, 0, 10**15)
    for limit in (0, 10_001):
        with pytest.raises(UsageError):
            store.list(GRANT, CAMERA, 0, 1, limit)


def test_a_grant_is_needed_and_without_an_audit_nothing_is_given_out(store: Recordings, audit: AuditLog) -> None:
    (one,) = enter(store, 1)
    for grant in (replace(GRANT, devices=frozenset(["camera/1"])), replace(GRANT, to_ms=T0 + 1_000)):
        with pytest.raises(Refused):
            store.list(grant, CAMERA, T0, T0 + 2_000)
        with pytest.raises(Refused):
            store.coverage(grant, CAMERA, T0, T0 + 2_000)
        with pytest.raises(Refused):
            store.read(grant, one)
    audit.close()
    for call in (
        lambda: store.list(GRANT, CAMERA, T0, T0 + 1),
        lambda: store.coverage(GRANT, CAMERA, T0, T0 + 1),
        lambda: store.read(GRANT, one),
    ):
        with pytest.raises(AuditUnwritable):
            call()
    assert store.enter(a_file(store.folder, T0 + MINUTE_MS)).id == "R2"  # what is recorded is entered all the same


def test_a_timeline_has_gaps(store: Recordings, folder: Path) -> None:
    for start in (0, 2_000, 3_900, 10_000, 13_500):
        store.enter(replace(a_file(folder, T0 + start), motion_ms=100))
    store.hold("A1", CAMERA, T0 + 10_500, T0 + 10_600)
    spans = store.coverage(GRANT, CAMERA, T0 + 1_000, T0 + 14_000, join_ms=1_000)
    seen = [(span.from_ms - T0, span.to_ms - T0, span.segments, span.motion_ms, span.held) for span in spans]
    assert seen == [(1_000, 5_900, 3, 300, False), (10_000, 12_000, 1, 100, True), (13_500, 14_000, 1, 100, False)]
    assert store.coverage(GRANT, CAMERA, T0 + 20_000, T0 + 30_000) == []
    assert store.coverage(GRANT, "camera/1", T0, T0 + 30_000) == []


@pytest.mark.parametrize(
    "change",
    [
        {"file": "../../etc/passwd"},
        {"file": "camera.12/2026-11-22/../1795334400000.mp4"},
        {"file": "camera.12/2026-11-23/1795334400000.mp4"},
        {"file": "camera.12/2026-11-22/01795334400000.mp4"},
        {"camera": "camera/1"},
        {"from_ms": T0 + 1},
        {"masked": True},
        {"to_ms": T0},
        {"to_ms": T0 + MAX_SEGMENT_MS + 1},
        {"sha256": "ab"},
    ],
)
def test_what_makes_no_sense_is_not_entered(store: Recordings, folder: Path, change: dict[str, object]) -> None:
    new = a_file(folder, T0)
    with pytest.raises(UsageError):
        store.enter(replace(new, **change))  # type: ignore[arg-type]  # as the table says
    assert store.total_bytes == 0


def test_what_is_not_on_the_disk_is_not_entered(store: Recordings, folder: Path) -> None:
    new = a_file(folder, T0)
    with pytest.raises(Corrupt):
        store.enter(replace(new, size_bytes=new.size_bytes + 1))
    (folder / new.file).unlink()
    with pytest.raises(Corrupt):
        store.enter(new)
    store.enter(a_file(folder, T0))
    with pytest.raises(Conflict):
        store.enter(replace(new, sha256="0" * 64))


def test_every_camera_has_a_folder_of_its_own() -> None:
    cameras = ["camera/a.b", "camera/a_b", "camera/A.b", "taxi/a.b", "camera/-", "camera/" + "x" * 64]
    names = [
        segment_file(camera, T0, again, masked=masked)
        for camera in cameras
        for again in (0, 9)
        for masked in (False, True)
    ]
    assert len(set(names)) == len(names)
    assert [named(name).camera for name in names[::4]] == cameras  # type: ignore[union-attr]
    for camera in ("..", "camera/..", "camera/.x", "camera/a/b", "camera/\0", "camera/", "x/y", "camera/" + "x" * 65):
        with pytest.raises(UsageError):
            segment_file(camera, T0)


def test_retention_by_age_spares_what_is_held(store: Recordings, folder: Path) -> None:
    made = enter(store, 200)  # several pages
    assert store.hold("A1", CAMERA, T0 + 3 * MINUTE_MS, T0 + 5 * MINUTE_MS) == 2
    assert store.hold_segment("A2", made[0]).held
    done = store.retain(T0 + 150 * MINUTE_MS)
    assert done == Retained(deleted=147, freed_bytes=147 * SIZE, held=3)
    assert ids(store) == [made[0], *made[3:5], *made[150:]]
    assert store.total_bytes == 53 * SIZE
    assert len(files(folder)) == 53
    assert store.release("A1") == 1
    assert store.retain(T0 + 150 * MINUTE_MS) == Retained(deleted=2, freed_bytes=2 * SIZE, held=1)
    assert [one.alarm for one in store.holds()] == ["A2"]
    assert store.check() == []


def test_retention_by_bytes_takes_the_oldest_at_once(folder: Path, audit: AuditLog) -> None:
    with closing(opened(folder, audit, max_total_bytes=5 * SIZE)) as store:
        made = enter(store, 5)
        store.hold("A1", CAMERA, T0, T0 + 1)
        made += [store.enter(a_file(folder, T0 + n * MINUTE_MS)).id for n in (5, 6)]
        assert ids(store) == [made[0], *made[3:]]
        assert store.total_bytes == 5 * SIZE
    with closing(opened(folder, audit, max_total_bytes=1)) as store:
        assert store.retain(0).deleted == 4
        assert ids(store) == [made[0]]
        assert store.retain(0) == Retained()
    assert files(folder) == ["camera.12/2026-11-22/1795334400000.mp4"]


def test_empty_days_go(store: Recordings, folder: Path) -> None:
    enter(store, 1)
    store.retain(T0 + MINUTE_MS)
    assert [path.name for path in (folder / "camera.12").iterdir()] == []


def test_an_id_is_never_used_again(store: Recordings) -> None:
    (first,) = enter(store, 1)
    store.retain(10**15)
    (second,) = enter(store, 1)
    assert (first, second) == ("R1", "R2")
    for unknown in ("R1", "R", "R0", "R-1", "R2 ", "R２", "X2", "", "R" + "9" * 30):
        with pytest.raises(NotFound):
            store.read(GRANT, unknown)


@pytest.mark.parametrize(
    ("alarm", "from_ms", "to_ms"), [("", 0, 1), ("A", 1, 1), ("A", 0, MAX_HOLD_MS + 1), ("A" * 201, 0, 1)]
)
def test_what_is_no_hold(store: Recordings, alarm: str, from_ms: int, to_ms: int) -> None:
    with pytest.raises(UsageError):
        store.hold(alarm, CAMERA, from_ms, to_ms)


def test_a_hold_comes_before_its_segments(store: Recordings) -> None:
    assert store.hold("A1", CAMERA, T0, T0 + MINUTE_MS + 1) == 0
    store.hold("A1", CAMERA, T0, T0 + MINUTE_MS + 1)
    made = enter(store, 3)
    store.retain(10**15)
    assert ids(store) == made[:2]


def test_a_folder_that_cannot_be_changed_loses_no_row_of_others(folder: Path, audit: AuditLog) -> None:
    """A file that cannot be deleted (here: a folder has its name) stays marked, counts, and is tried again."""
    with closing(opened(folder, audit, max_total_bytes=4 * SIZE)) as store:
        made = enter(store, 4)
        stubborn = folder / store.list(GRANT, CAMERA, T0, T0 + 1)[0].file
        stubborn.unlink()
        stubborn.mkdir()
        for n in (4, 5):
            made.append(store.enter(a_file(folder, T0 + n * MINUTE_MS)).id)
        assert ids(store) == made[2:]  # only as many went as there were too many
        assert store.retain(0).stuck == 1
        stubborn.rmdir()
        assert store.retain(0).stuck == 0
        assert store.total_bytes == 4 * SIZE


@pytest.mark.parametrize("change", ["missing", "longer", "changed", "link"])
def test_the_check_tells_what_was_done_to_a_file(store: Recordings, folder: Path, tmp_path: Path, change: str) -> None:
    made = enter(store, 3)
    path = folder / store.list(GRANT, CAMERA, T0, T0 + 1)[0].file
    data = path.read_bytes()
    path.unlink()
    if change == "longer":
        path.write_bytes(data + b"x")
    elif change == "changed":
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    elif change == "link":
        (tmp_path / "elsewhere").write_bytes(data)
        path.symlink_to(tmp_path / "elsewhere")
    (problem,) = store.check()
    assert made[0] in problem.what
    assert path.name in problem.place
    with pytest.raises((Corrupt, StoreError)):
        store.read(GRANT, made[0])


def test_the_check_tells_of_files_without_a_row_once_they_are_old(store: Recordings, folder: Path) -> None:
    new = a_file(folder, T0)
    os.utime(folder / new.file, (T0 / 1_000 - 10, T0 / 1_000 - 10))
    assert store.check() == []
    old_s = T0 / 1_000 - 400
    part = folder / (segment_file(CAMERA, T0 + 1) + ".part")
    part.write_bytes(b"")
    for path in (folder / new.file, part):
        os.utime(path, (old_s, old_s))
    assert sorted(problem.what for problem in store.check()) == [
        "it was cut off before it was entered",
        "no row names this file",
    ]
    assert len(store.check(max_problems=1)) == 1
    store.enter(new)
    assert len(store.check()) == 1


def test_a_full_disk_is_said_and_passes(folder: Path, audit: AuditLog) -> None:
    free = os.statvfs(folder.parent).f_bavail * os.statvfs(folder.parent).f_frsize
    with closing(opened(folder, audit, min_free_bytes=free * 2)) as store:
        assert "kept free of recordings" in store.room().why
        assert store.room().free_bytes > 0
    with closing(opened(folder, audit, min_free_bytes=free // 2)) as store:
        assert store.room().why == ""


def test_a_reader_beside_the_writer(folder: Path, audit: AuditLog) -> None:
    folder.mkdir()
    with closing(opened(folder, audit, read_only=True)) as early:
        assert early.list(GRANT, CAMERA, 0, 1) == []
        assert early.check() == []
        with closing(opened(folder, audit)) as writer:
            made = enter(writer, 2)
            assert ids(early) == made
            with pytest.raises(StoreError, match="reading only"):
                early.enter(a_file(folder, T0 + 5 * MINUTE_MS))
            with pytest.raises(StoreError, match="reading only"):
                early.hold("A1", CAMERA, 0, 1)
            _, file = early.read(GRANT, made[0])
            with file:
                writer.retain(10**15)
                assert file.read() == video()[1]  # it was open
            with pytest.raises(NotFound):
                early.read(GRANT, made[0])
