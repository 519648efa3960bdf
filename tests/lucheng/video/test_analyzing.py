"""`lucheng camera analyze` and `bench` on real clips, drawn films and rubbish: rows, summary, zones and lines, clear errors."""

from __future__ import annotations

import json
from functools import cache
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import av
import pytest

from lucheng.video.analyzing import Analyzer
from lucheng.video.benching import measure
from model.camera import CameraSettings, Zone
from model.clock import SystemClock
from model.errors import BadInput
from tests.analytics.detect.seen_by_hand import model_file
from tests.ingest.video.material import CARPARK, DEFOCUS, HALL, MOVED, STREET, clip_path
from tests.lucheng.in_process import Done, lucheng
from tests.lucheng.video.worker_side import FPS, packets_of, write_file

KEYS = ["frame", "pts_s", "motion_px", "motion", "health", "objects"]
EVERYWHERE = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
CORNER = ((0.0, 0.0), (0.05, 0.0), (0.05, 0.05), (0.0, 0.05))
ZONES = """
[[zones]]
name = "all of it"
ring = [[0, 0], [1, 0], [1, 1], [0, 1]]

[[zones]]
name = "corner"
ring = [[0, 0], [0.05, 0], [0.05, 0.05], [0, 0.05]]
"""


def run(*arguments: str, folder: Path | None = None, env: dict[str, str] | None = None) -> Done:
    return lucheng(folder or Path("no data folder is needed"), "camera", *arguments, env=env)


def lines_of(done: Done) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows, and the summary."""
    assert done.returncode == 0, done.stderr
    *rows, summary = (json.loads(line) for line in done.stdout.splitlines())
    return rows, summary


@cache
def analyzed(clip: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """What the command says of a real clip; asked once."""
    return lines_of(run("analyze", str(clip_path(clip)), "--json"))


def pictures_in(path: Path) -> list[float]:
    """When each picture of a file is shown, seconds from the first."""
    with av.open(str(path)) as container:
        times = [frame.time or 0.0 for frame in container.decode(video=0)]
    return [time_s - times[0] for time_s in times]


def beginning(clip: Path, path: Path, count: int) -> Path:
    """The first packets of a clip as a file of their own."""
    with av.open(str(clip)) as whole, av.open(str(path), "w") as part:
        stream = part.add_stream_from_template(whole.streams.video[0])
        for packet in islice(whole.demux(video=0), count):
            packet.stream = stream
            part.mux_one(packet)
    return path


@pytest.mark.parametrize(("clip", "fault", "since_s"), [(DEFOCUS, "defocused", 2.5), (MOVED, "moved", 3.5)])
def test_tampering_is_named_and_each_picture_has_its_row(clip: str, fault: str, since_s: float) -> None:
    rows, summary = analyzed(clip)
    shown_s = pictures_in(clip_path(clip))
    assert [row["frame"] for row in rows] == list(range(len(shown_s)))
    assert [row["pts_s"] for row in rows] == pytest.approx(shown_s, abs=0.002)
    for row in rows:
        assert list(row) == KEYS
        assert 0 <= row["motion_px"] <= 192 * 108
        assert row["objects"] == []
    assert {name for row in rows for name in row["health"]} == {fault}
    first_s = next(row["pts_s"] for row in rows if row["health"])
    assert first_s > since_s
    assert (summary["summary"], summary["frames"], summary["damaged"]) == (True, len(rows), 0)
    assert list(summary["health_s"]) == [fault]
    assert summary["health_s"][fault] == pytest.approx(rows[-1]["pts_s"] - first_s, abs=0.1)
    assert [one["kind"] for one in summary["noticed"]] == [f"camera_{fault}"]
    assert summary["noticed"][0]["pts_s"] == pytest.approx(first_s, abs=0.01)


def test_motion_of_a_clip_without_tampering_and_with_keyframes_alone() -> None:
    rows, summary = analyzed(CARPARK)
    assert summary["health_s"] == {}
    assert not any(row["health"] for row in rows)
    begins = sum(
        row["motion"] and not before["motion"] for before, row in zip([{"motion": False}, *rows], rows, strict=False)
    )
    assert summary["motion_events"] == begins >= 2
    in_motion_s = sum(row["pts_s"] - before["pts_s"] for before, row in pairwise(rows) if row["motion"])
    assert summary["motion_s"] == pytest.approx(in_motion_s, abs=0.1)
    assert summary["length_s"] == pytest.approx(rows[-1]["pts_s"], abs=0.001)
    key_rows, key_summary = lines_of(run("analyze", str(clip_path(CARPARK)), "--keyframes", "--json"))
    with av.open(str(clip_path(CARPARK))) as container:
        keyframes = sum(packet.is_keyframe for packet in container.demux(video=0))
    assert len(key_rows) == key_summary["frames"] == keyframes
    assert {row["pts_s"] for row in key_rows} <= {row["pts_s"] for row in rows}


def test_what_a_person_reads_is_what_changes() -> None:
    done = run("analyze", str(clip_path(DEFOCUS)))
    assert done.returncode == 0
    changes = [line for line in done.stdout.splitlines() if line.split("\t")[0].endswith(" s")]
    assert changes[0] == "0.00 s\tstill"
    assert changes[-1].endswith("defocused")
    assert len(changes) <= 8
    assert f"frames\t{len(analyzed(DEFOCUS)[0])}" in done.stdout


def test_zones_of_a_settings_file_are_watched(tmp_path: Path) -> None:
    write_file(tmp_path / "film.mp4", packets_of())
    (tmp_path / "zones.toml").write_text(ZONES, encoding="utf-8")
    arguments = ("analyze", str(tmp_path / "film.mp4"), "--json")
    rows, summary = lines_of(run(*arguments, "--settings", str(tmp_path / "zones.toml")))
    assert len(rows) == 4 * FPS
    assert [(one["kind"], one["rule"]) for one in summary["noticed"]] == [("motion_in_zone", "all of it")]
    begins = next(row["pts_s"] for row in rows if row["motion"])
    assert summary["noticed"][0]["pts_s"] == pytest.approx(begins, abs=0.001)
    (tmp_path / "blind.toml").write_text("ignore = [[[0, 0], [1, 0], [1, 1], [0, 1]]]", encoding="utf-8")
    rows, summary = lines_of(run(*arguments, "--settings", str(tmp_path / "blind.toml")))
    assert (summary["motion_events"], summary["noticed"]) == (0, [])
    assert not any(row["motion_px"] for row in rows)


def test_what_a_detector_finds_where_something_moves_and_who_comes_in(tmp_path: Path) -> None:
    """The hall: persons walk through it. Its beginning, and keyframes alone, so that it takes no minute."""
    model = model_file("yolox_nano.onnx")
    (tmp_path / "zones.toml").write_text("objects = true", encoding="utf-8")
    env = {"LUCHENG_DETECT__MODEL": str(model)}
    clip = beginning(clip_path(HALL), tmp_path / "hall.mp4", 121)
    arguments = ("analyze", str(clip), "--keyframes", "--json", "--settings", str(tmp_path / "zones.toml"))
    rows, summary = lines_of(run(*arguments, env=env))
    assert summary["objects"] == {"person": 1}
    assert sum(len(row["objects"]) for row in rows) >= 3
    for row in rows:
        assert bool(row["objects"]) <= row["motion"]
        for one in row["objects"]:
            left, top, right, bottom = one["box"]
            assert -0.01 <= left < right <= 1.01
            assert -0.01 <= top < bottom <= 1.01
            assert 0.35 <= one["score"] <= 1


@pytest.mark.parametrize("b_frames", [0, 3])
@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_pictures_come_in_the_order_in_which_they_are_shown(codec: str, b_frames: int, tmp_path: Path) -> None:
    path = write_file(tmp_path / "film.mp4", packets_of(codec, b_frames=b_frames))
    analyzer = Analyzer(path, CameraSettings(zones=(Zone("z", EVERYWHERE), Zone("c", CORNER))), SystemClock())
    rows = list(analyzer.rows())
    assert [row["frame"] for row in rows] == list(range(4 * FPS))
    assert [row["pts_s"] for row in rows] == pytest.approx([number / FPS for number in range(4 * FPS)], abs=0.002)
    assert analyzer.summary.frames == 4 * FPS
    assert {one.rule for one in analyzer.summary.noticed} == {"z"}


def test_a_damaged_part_gives_no_row_and_is_counted(tmp_path: Path) -> None:
    path = write_file(tmp_path / "film.mp4", packets_of())
    data = bytearray(path.read_bytes())
    unit = packets_of()[14].data
    at = bytes(data).find(unit[40:200])
    assert at > 0
    for place in range(at, at + 120):
        data[place] ^= 0x5A
    path.write_bytes(bytes(data))
    rows, summary = lines_of(run("analyze", str(path), "--json"))
    assert summary["damaged"] >= 1
    assert 4 * FPS - 10 <= len(rows) < 4 * FPS
    assert [row["frame"] for row in rows] == list(range(len(rows)))
    assert not any(1.39 < row["pts_s"] < 1.99 for row in rows)  # up to the next keyframe


@pytest.mark.parametrize("command", ["analyze", "bench"])
@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("rubbish.mp4", b"\x17" * 5_000, "is no video that can be read"),
        ("empty.mkv", b"", "is no video that can be read"),
        ("notes.txt", b"hello", "is no video file by its name"),
        ("list.m3u8", b"#EXTM3U\nfile:///etc/passwd\n", "is no video file by its name"),
        ("none.mp4", None, "There is no file"),
    ],
)
def test_what_is_no_video_is_said(command: str, name: str, content: bytes | None, words: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    done = run(command, str(tmp_path / name))
    assert done.returncode != 0
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout


@pytest.mark.parametrize(
    "text", ["zones = 3", "unknown = 1", "= nonsense", "sensitivity = 7", "[[zones]]\nname = 'a'", "\x00" * 10]
)
def test_settings_that_cannot_be_are_said(text: str, tmp_path: Path) -> None:
    path = write_file(tmp_path / "film.mp4", packets_of())
    (tmp_path / "bad.toml").write_text(text, encoding="utf-8")
    done = run("analyze", str(path), "--settings", str(tmp_path / "bad.toml"))
    assert done.returncode != 0
    assert done.stderr.startswith("lucheng: error:")


def test_bench_says_how_many_cameras_a_core_watches(tmp_path: Path) -> None:
    done = run("bench", str(clip_path(STREET)), "--seconds", "0.05", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["codec"], found["width_px"], found["height_px"]) == ("h264", 640, 360)
    cameras = found["cameras_per_core"]
    assert cameras["packets alone"] > cameras["keyframes"] > cameras["full"] > 0
    assert all(found[name] > 0 for name in ("packet_us", "keyframe_ms", "picture_ms", "look_us", "keyframe_gap_s"))
    film = write_file(tmp_path / "film.mp4", packets_of())
    assert "cameras_per_core" in run("bench", str(film), "--seconds", "0.01").stdout


def test_bench_of_a_film_that_is_too_short(tmp_path: Path) -> None:
    path = write_file(tmp_path / "film.mp4", packets_of()[:1])
    with pytest.raises(BadInput, match="not two pictures"):
        measure(path, SystemClock(), measure_s=0.01)


@pytest.mark.soak
def test_bench_of_the_street_that_is_drawn() -> None:
    found = json.loads(run("bench", "--seconds", "0.1", "--json").stdout)
    assert (found["width_px"], found["height_px"]) == (1920, 1080)
