"""yolox_nano on real clips, by both engines: against the suite, against each other, against what a person sees."""

from __future__ import annotations

import pytest

from analytics.detect.onnx_detector import OnnxDetector
from model.video import Bgr, Detector
from tests.analytics.detect.detector_suite import MIN_SCORE, DetectorSuite, same
from tests.analytics.detect.seen_by_hand import CLIPS, model_file, stills_of, tallies


@pytest.fixture(scope="module")
def model() -> bytes:
    return model_file("yolox_nano.onnx").read_bytes()


@pytest.fixture(scope="module")
def onnxruntime_detector(model: bytes) -> Detector:
    return OnnxDetector(model, engine="onnxruntime", name="yolox_nano")


@pytest.fixture(scope="module")
def opencv_detector(model: bytes) -> Detector:
    return OnnxDetector(model, engine="opencv", name="yolox_nano")


@pytest.fixture(scope="module", params=["onnxruntime", "opencv"])
def detector(request: pytest.FixtureRequest) -> Detector:
    made: Detector = request.getfixturevalue(f"{request.param}_detector")
    return made


@pytest.fixture(scope="module")
def stills() -> dict[str, list[Bgr]]:
    return {clip: stills_of(clip, [still.second for still in seen]) for clip, seen in CLIPS.items()}


class TestYolox(DetectorSuite):
    """yolox_nano keeps what every detector has to."""


def test_both_engines_give_the_same_boxes(
    onnxruntime_detector: Detector, opencv_detector: Detector, stills: dict[str, list[Bgr]]
) -> None:
    compared = 0
    for pictures in stills.values():
        for picture in pictures[::4]:
            one = onnxruntime_detector.detect([picture], min_score=0.3)
            other = opencv_detector.detect([picture], min_score=0.3)
            assert same(one, other, box_px=0.1, score=0.002)
            compared += len(one)
    assert compared >= 10


def test_persons_are_counted_as_a_person_counts_them(
    onnxruntime_detector: Detector, stills: dict[str, list[Bgr]]
) -> None:
    clip = "hall-768x432.mp4"
    counts = tallies(onnxruntime_detector, clip, stills[clip], min_score=MIN_SCORE)
    assert counts["persons"].precision >= 0.95
    assert counts["persons"].recall >= 0.95
    assert counts["vehicles"].extra == 0


def test_vehicles_in_a_street_are_found_but_the_small_and_the_hidden(
    onnxruntime_detector: Detector, stills: dict[str, list[Bgr]]
) -> None:
    """Of seven to nine it finds four or five: those that are cut, small or behind branches it does not."""
    clip = "street-640x360-vfr.mp4"
    counts = tallies(onnxruntime_detector, clip, stills[clip], min_score=MIN_SCORE)
    assert counts["vehicles"].precision >= 0.95
    assert counts["vehicles"].recall >= 0.5
    assert counts["persons"].extra == 0


def test_cars_from_straight_above_are_mostly_no_cars_to_it(
    onnxruntime_detector: Detector, stills: dict[str, list[Bgr]]
) -> None:
    """COCO knows no roofs: it takes them for telephones, which do not leave. So few are found, and nothing is made up."""
    clip = "carpark-768x432.mp4"
    counts = tallies(onnxruntime_detector, clip, stills[clip], min_score=MIN_SCORE)
    assert counts["vehicles"].precision >= 0.9
    assert counts["vehicles"].recall >= 0.1
    assert counts["persons"].extra == 0
