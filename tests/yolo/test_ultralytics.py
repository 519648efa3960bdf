"""The extra lucheng[yolo]: yolov8n.pt beside yolox_nano, one suite for both; run by `make test-yolo`.

Where ultralytics is not installed (`make test`) the module is left out and says so.
"""

from __future__ import annotations

import importlib.util
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from analytics.detect.onnx_detector import OnnxDetector
from analytics.tracks.tracker import Tracker
from analytics.tracks.zones import ZoneWatch
from config.cameras import Detect
from lucheng.video.detecting import DetectQueue, Found
from lucheng.video.detectors import open_detector
from model.camera import OBJECT_CODE, ObjectKind, Zone, ZoneRule
from model.clock import FakeClock
from model.errors import BadInput, SettingsError
from model.video import Bgr, Detector
from tests.analytics.detect.detector_suite import MIN_SCORE, DetectorSuite
from tests.analytics.detect.seen_by_hand import CLIPS, model_file, stills_of, tallies
from tests.conftest import wait_until

if importlib.util.find_spec("ultralytics") is None:
    pytest.skip("ultralytics is not installed here: make test-yolo", allow_module_level=True)

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def yolov8() -> Detector:
    detector = open_detector(Detect(model=model_file("yolov8n.pt")))
    assert detector is not None
    assert detector.name == "ultralytics:yolov8n"
    return detector


@pytest.fixture(scope="module")
def yolox() -> Detector:
    return OnnxDetector(model_file("yolox_nano.onnx").read_bytes(), name="yolox_nano")


@pytest.fixture(scope="module", params=["yolov8", "yolox"])
def detector(request: pytest.FixtureRequest) -> Detector:
    made: Detector = request.getfixturevalue(request.param)
    return made


@pytest.fixture(scope="module")
def stills() -> dict[str, list[Bgr]]:
    return {clip: stills_of(clip, [still.second for still in seen]) for clip, seen in CLIPS.items()}


class TestBoth(DetectorSuite):
    """Both keep what every detector has to."""


def test_persons_are_counted_as_a_person_counts_them(yolov8: Detector, stills: dict[str, list[Bgr]]) -> None:
    clip = "hall-768x432.mp4"
    counts = tallies(yolov8, clip, stills[clip], min_score=MIN_SCORE)
    assert counts["persons"].precision >= 0.95
    assert counts["persons"].recall >= 0.95
    assert counts["vehicles"].extra == 0


def test_vehicles_in_a_street(yolov8: Detector, stills: dict[str, list[Bgr]]) -> None:
    clip = "street-640x360-vfr.mp4"
    counts = tallies(yolov8, clip, stills[clip], min_score=MIN_SCORE)
    assert counts["vehicles"].precision >= 0.9
    assert counts["vehicles"].recall >= 0.5


def test_cars_from_straight_above(yolov8: Detector, stills: dict[str, list[Bgr]]) -> None:
    """It knows no roofs either, and takes most for telephones."""
    clip = "carpark-768x432.mp4"
    counts = tallies(yolov8, clip, stills[clip], min_score=MIN_SCORE)
    assert counts["vehicles"].precision >= 0.75
    assert counts["vehicles"].recall >= 0.2
    assert counts["persons"].extra == 0


def test_people_come_in_through_the_queue_the_tracker_and_a_zone(detector: Detector) -> None:
    """A hall at two pictures a second from 5 s to 25 s: a woman comes, stands and goes; then a man comes."""
    seconds = [5 + at / 2 for at in range(41)]
    found: list[Found] = []
    queue = DetectQueue(detector, clock=FakeClock(), on_result=found.append, min_interval_ms=0, min_score=MIN_SCORE)
    queue.start()
    for at, picture in enumerate(stills_of("hall-768x432.mp4", seconds)):
        crop = picture[:, 150:700]
        assert queue.offer("hall", at * 500, crop, left_px=150, width_px=768, height_px=432)
        wait_until(lambda at=at: len(found) > at, what="a result")  # type: ignore[misc]
    queue.stop()
    tracker = Tracker()
    table = Zone("table", ((0.4, 0.5), (0.8, 0.5), (0.8, 1.0), (0.4, 1.0)), ZoneRule.ENTER)
    watch = ZoneWatch([table])
    events = []
    for seen in found:
        objects = seen.objects
        tracks = tracker.update(seen.time_ms, objects.box, objects.score, objects.kind, looked=seen.looked)
        events += watch.step(tracks)
    assert [(event.what, event.kind) for event in events] == [("enter", ObjectKind.PERSON)] * 2
    assert events[0].track != events[1].track
    assert 1_000 < events[0].time_ms < 4_000
    assert 18_000 < events[1].time_ms < 20_500
    assert {OBJECT_CODE[ObjectKind.PERSON]} == {int(kind) for seen in found for kind in seen.objects.kind}


def test_weights_that_are_not_there_are_not_fetched(tmp_path: Path) -> None:
    for name in ("yolov8n.pt", "yolov5s.pt", "yolo26n.pt"):
        with pytest.raises(SettingsError, match="there is no file"):
            open_detector(Detect(model=tmp_path / name))
    assert list(tmp_path.iterdir()) == []


class Runs:
    """A pickle that makes a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.path,)


def test_what_is_no_model_is_refused_in_words_and_runs_nothing(tmp_path: Path) -> None:
    import torch

    proof = tmp_path / "ran"
    (tmp_path / "garbage.pt").write_bytes(b"not a model" * 100)
    (tmp_path / "empty.pt").write_bytes(b"")
    (tmp_path / "yolov5s.pt").write_bytes(b"its name is a model's that could be fetched")
    (tmp_path / "pickle.pt").write_bytes(pickle.dumps(Runs(proof)))
    torch.save({"model": Runs(proof)}, tmp_path / "saved.pt")
    torch.save({"model": 5}, tmp_path / "number.pt")
    for path in sorted(tmp_path.glob("*.pt")):
        with pytest.raises(BadInput, match="no model of ultralytics") as refused:
            open_detector(Detect(model=path))
        assert refused.value.mend
        assert "\n" not in str(refused.value)
    assert not proof.exists()
    assert len(list(tmp_path.iterdir())) == 6


#: Ends with 9 when anything in the process asks for a name or opens a connection.
_WATCHED = """
import os, sys
sys.path.insert(0, sys.argv[1])
def watch(event, arguments):
    if event in {"socket.getaddrinfo", "socket.connect", "socket.sendto", "urllib.Request", "subprocess.Popen"}:
        if event == "subprocess.Popen" and "ip" not in str(arguments[0]):
            return
        print(event, arguments, file=sys.stderr, flush=True)
        os._exit(9)
sys.addaudithook(watch)
import time
from pathlib import Path
import numpy as np
from lucheng.video.detectors import open_detector
from config.cameras import Detect
if len(sys.argv) > 3:
    import socket
    socket.getaddrinfo("localhost", 1)
detector = open_detector(Detect(model=Path(sys.argv[2])))
for _ in range(2):
    detector.detect([np.zeros((64, 64, 3), np.uint8)], min_score=0.5)
import threading
print(sorted(thread.name for thread in threading.enumerate()))
"""


def test_nothing_leaves_the_machine_and_nothing_is_left_behind(tmp_path: Path) -> None:
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("YOLO", "ULTRA", "XDG", "MPL"))}
    environment = {**kept, "HOME": str(home), "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", _WATCHED, str(PROJECT), str(model_file("yolov8n.pt"))]
    done = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "['MainThread']"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    watched = subprocess.run([*command, "ask"], cwd=work, env=environment, capture_output=True, text=True, check=False)
    assert watched.returncode == 9, watched.stderr


def test_it_leaves_pictures_of_one_size_together(yolov8: Detector) -> None:
    pictures = [np.zeros((64, 64, 3), np.uint8)] * (yolov8.best_batch + 3)
    assert len(yolov8.detect(pictures, min_score=0.5)) == 0
