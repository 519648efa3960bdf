"""What every `model.video.Detector` has to keep; a test class of each implementation inherits it."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from analytics.detect.overlap import overlap
from model.camera import OBJECT_CODE, ObjectKind
from model.errors import BadInput
from model.video import Bgr, Detections, Detector
from tests.analytics.detect.seen_by_hand import stills_of

MIN_SCORE = 0.35


def same(first: Detections, second: Detections, *, box_px: float, score: float) -> bool:
    """Whether two results are the same objects in the same order, within these."""
    return (
        first.image.tolist() == second.image.tolist()
        and first.kind.tolist() == second.kind.tolist()
        and np.allclose(first.box, second.box, rtol=0, atol=box_px)
        and np.allclose(first.score, second.score, rtol=0, atol=score)
    )


@cache
def _pictures() -> tuple[Bgr, ...]:
    """A hall without and with a person, a street, and the part of the hall from column 300 to 620."""
    hall = stills_of("hall-768x432.mp4", [5, 10, 25, 75])
    street = stills_of("street-640x360-vfr.mp4", [6])
    return (*hall, street[0], np.ascontiguousarray(hall[1][:, 300:620]))


class DetectorSuite:
    """Needs a fixture `detector` in the module of the class that inherits it."""

    @pytest.fixture
    def pictures(self) -> list[Bgr]:
        return list(_pictures())

    def test_columns_are_what_they_are_said_to_be(self, detector: Detector, pictures: list[Bgr]) -> None:
        found = detector.detect(pictures, min_score=MIN_SCORE)
        columns = (found.image, found.box, found.score, found.kind)
        assert [column.dtype.name for column in columns] == ["int32", "float32", "float32", "uint8"]
        assert [column.shape for column in columns] == [(len(found),), (len(found), 4), (len(found),), (len(found),)]
        assert ((found.score >= MIN_SCORE) & (found.score <= 1)).all()
        assert set(found.kind.tolist()) <= set(OBJECT_CODE.values())
        assert all(before <= after for before, after in pairwise(found.image.tolist()))
        size_px = np.array([picture.shape[1::-1] for picture in pictures])[found.image]
        assert ((found.box >= 0) & (found.box <= np.tile(size_px, 2))).all()
        assert (found.box[:, 2:] > found.box[:, :2]).all()

    def test_persons_in_a_hall_and_cars_in_a_street_are_found(self, detector: Detector, pictures: list[Bgr]) -> None:
        found = detector.detect(pictures, min_score=MIN_SCORE)
        person, car = OBJECT_CODE[ObjectKind.PERSON], OBJECT_CODE[ObjectKind.CAR]
        assert [found.kind[found.image == number].tolist() for number in range(4)] == [[], [person], [person], [person]]
        assert (found.kind[found.image == 4] == car).sum() >= 3
        assert found.kind[found.image == 5].tolist() == [person]
        # The crop's box is the whole picture's, moved by where the crop begins.
        whole, crop = found.box[found.image == 1], found.box[found.image == 5]
        assert overlap(whole, crop + np.array([300, 0, 300, 0], np.float32))[0, 0] > 0.8

    def test_a_batch_gives_what_its_pictures_give_one_by_one(self, detector: Detector, pictures: list[Bgr]) -> None:
        for batch in (pictures, pictures[:4], [pictures[1]] * 3):
            together = detector.detect(batch, min_score=MIN_SCORE)
            alone = [detector.detect([picture], min_score=MIN_SCORE) for picture in batch]
            one_by_one = Detections(
                np.concatenate([part.image + number for number, part in enumerate(alone)]).astype(np.int32),
                np.concatenate([part.box for part in alone]),
                np.concatenate([part.score for part in alone]),
                np.concatenate([part.kind for part in alone]),
            )
            assert len(together) > 0
            assert same(together, one_by_one, box_px=0.05, score=0.001)

    def test_a_higher_score_leaves_the_better_ones(self, detector: Detector, pictures: list[Bgr]) -> None:
        low = detector.detect([pictures[4]], min_score=0.2)
        high = detector.detect([pictures[4]], min_score=0.6)
        assert 0 < len(high) < len(low)
        assert sorted(high.score.tolist()) == sorted(low.score[low.score >= 0.6].tolist())

    def test_pictures_are_left_as_they_are_and_need_not_be_contiguous(
        self, detector: Detector, pictures: list[Bgr]
    ) -> None:
        whole = pictures[1].copy()
        whole.flags.writeable = False
        part = whole[10:, 200:700]
        assert not part.flags.c_contiguous
        found = detector.detect([part], min_score=MIN_SCORE)
        assert found.kind.tolist() == [OBJECT_CODE[ObjectKind.PERSON]]
        assert (whole == pictures[1]).all()

    def test_no_pictures_and_tiny_ones_hold_nothing(self, detector: Detector) -> None:
        assert len(detector.detect([], min_score=MIN_SCORE)) == 0
        tiny = [np.zeros((1, 1, 3), np.uint8), np.zeros((1, 900, 3), np.uint8), np.zeros((900, 2, 3), np.uint8)]
        assert len(detector.detect(tiny, min_score=MIN_SCORE)) == 0

    @pytest.mark.parametrize(
        "picture", [np.zeros((5, 5), np.uint8), np.zeros((5, 0, 3), np.uint8), np.zeros((5, 5, 3))]
    )
    def test_what_is_no_picture_is_refused(self, detector: Detector, picture: Any) -> None:
        with pytest.raises(BadInput, match="picture 1 of the batch"):
            detector.detect([np.zeros((9, 9, 3), np.uint8), picture], min_score=MIN_SCORE)

    def test_it_says_what_it_is(self, detector: Detector) -> None:
        engine, _, model = detector.name.partition(":")
        assert engine in {"onnxruntime", "opencv", "ultralytics"}
        assert model
        assert detector.best_batch >= 1
