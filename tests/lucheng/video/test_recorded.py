"""Clips cut out of recordings: whole pictures, the keyframe before the window, gaps said, every read audited."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import av
import pytest

from ingest.video.recorder import SegmentWriter
from ingest.video.recording_disk import RecordingDisk
from lucheng.video.recorded import RecordingClips
from model.clock import FakeClock
from model.errors import AuditUnwritable, Corrupt
from model.video import NewSegment
from store.audit import AuditLog
from store.recordings.folder import Recordings
from tests.ingest.video.material import START_MS, encoded, moving
from tests.store.recordings.house import opened

CAMERA = "camera/12"


@pytest.fixture
def audit(tmp_path: Path) -> Iterator[AuditLog]:
    with closing(AuditLog(tmp_path / "audit.db", clock=FakeClock(START_MS))) as audit:
        yield audit


@pytest.fixture
def store(tmp_path: Path, audit: AuditLog) -> Iterator[Recordings]:
    """12 s in segments of about 4 s, a gap of 8 s, then 4 s more; a keyframe each second."""
    made: list[NewSegment] = []
    folder = tmp_path / "recordings"
    with closing(opened(folder, audit)) as store:
        disk = RecordingDisk(folder, clock=FakeClock(START_MS), finished=made.append, segment_s=4, min_free_bytes=0)
        disk.start()
        writer = SegmentWriter(CAMERA, disk)
        for packet in encoded(moving(180, 160, 96), gop=15) + encoded(
            moving(60, 160, 96), gop=15, epoch=2, start_ms=START_MS + 20_000
        ):
            writer.put(packet)
        writer.close()
        disk.stop(drain_s=20)
        assert len(made) >= 4
        for one in made:
            store.enter(one)
        yield store


def pictures(data: bytes) -> int:
    with av.open(io.BytesIO(data), "r") as container:
        return sum(1 for _ in container.decode(video=0))


def test_a_clip_reaches_over_segments(store: Recordings, audit: AuditLog) -> None:
    clips = RecordingClips(store, max_clip_bytes=1 << 20)
    clip = clips.clip(CAMERA, START_MS + 2_500, START_MS + 10_000, alarm="A1")
    assert clip is not None
    assert (clip.from_ms - START_MS, clip.to_ms - START_MS) == (2_000, 10_000)
    assert pictures(clip.data) == clip.frames == 120
    assert clip.note == ""
    rows = audit.rows()
    assert {row.action for row in rows} == {"read.recordings", "read.recording_bytes"}
    assert {(row.who, row.purpose) for row in rows} == {("system", "alarm:A1")}


def test_what_is_not_recorded_is_said(store: Recordings) -> None:
    clips = RecordingClips(store, max_clip_bytes=1 << 20)
    clip = clips.clip(CAMERA, START_MS + 11_000, START_MS + 22_000, alarm="A1")
    assert clip is not None
    assert clip.note
    assert clips.clip(CAMERA, START_MS + 13_000, START_MS + 19_000, alarm="A1") is None
    assert clips.clip("camera/1", START_MS, START_MS + 10_000, alarm="A1") is None


def test_a_large_one_is_cut_and_says_so(store: Recordings) -> None:
    clip = RecordingClips(store, max_clip_bytes=30_000).clip(CAMERA, START_MS, START_MS + 12_000, alarm="A1")
    assert clip is not None
    assert len(clip.data) <= 30_000
    assert clip.note


def test_a_changed_file_gives_no_clip(store: Recordings, audit: AuditLog) -> None:
    clips = RecordingClips(store, max_clip_bytes=1 << 20)
    path = min(store.folder.rglob("*.mp4"))
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(Corrupt):
        clips.clip(CAMERA, START_MS, START_MS + 1_000, alarm="A1")
    audit.close()
    with pytest.raises(AuditUnwritable):
        clips.clip(CAMERA, START_MS, START_MS + 1_000, alarm="A1")
