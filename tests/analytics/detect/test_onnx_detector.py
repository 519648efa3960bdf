"""The detector against outputs that a test draws, and against models that are none: both engines."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.detect.onnx_detector import BATCH, Engine, OnnxDetector
from analytics.detect.yolox import COCO_KINDS, boxes_of, grid_of
from model.camera import OBJECT_CODE, ObjectKind
from model.errors import BadInput
from tests.analytics.detect.onnx_file import COLUMNS, ROWS, SIZE_PX, drawn_network, picture_of

ENGINES: tuple[Engine, ...] = ("onnxruntime", "opencv")
PROJECT = Path(__file__).resolve().parents[3]


def rows_with(*cells: tuple[int, int, int, int]) -> npt.NDArray[np.uint8]:
    """(21, 85) with an object in cells (row, log width, log height, COCO class)."""
    rows = np.zeros((ROWS, COLUMNS), np.uint8)
    for row, width, height, number in cells:
        rows[row, 2:5] = width, height, 1
        rows[row, 5 + number] = 1
    return rows


@pytest.fixture(params=ENGINES)
def detector(request: pytest.FixtureRequest) -> OnnxDetector:
    return OnnxDetector(drawn_network(), engine=request.param)


def test_cells_become_boxes_in_pixels_cut_at_the_edge(detector: OnnxDetector) -> None:
    # Row 5 is column 1, row 1 of the cells of 8 pixels; row 17 column 1 of those of 16; row 20 the one of 32.
    found = detector.detect([picture_of(rows_with((5, 0, 1, 2), (17, 1, 0, 0)))], min_score=0.5)
    assert found.image.tolist() == [0, 0]
    assert found.kind.tolist() == [OBJECT_CODE[ObjectKind.CAR], OBJECT_CODE[ObjectKind.PERSON]]
    assert found.score.tolist() == [1.0, 1.0]
    half, wide = 8 * np.e / 2, 16 * np.e / 2
    assert found.box[0].tolist() == pytest.approx([4, 8 - half if half < 8 else 0, 12, 8 + half], abs=1e-4)
    assert found.box[1].tolist() == pytest.approx([max(0, 16 - wide), 0, 32, 8], abs=1e-4)
    columns = (found.box, found.image, found.score, found.kind)
    assert [column.dtype.name for column in columns] == ["float32", "int32", "float32", "uint8"]


def test_nothing_leaves_that_is_not_one_of_the_six_kinds(detector: OnnxDetector) -> None:
    for number in range(80):
        found = detector.detect([picture_of(rows_with((5, 0, 0, number)))], min_score=0.1)
        wanted = [OBJECT_CODE[COCO_KINDS[number]]] if number in COCO_KINDS else []
        assert found.kind.tolist() == wanted, number
    # A dog that is a person too, a little less: no person.
    rows = np.zeros((1, ROWS, COLUMNS), np.float32)
    rows[0, 5, [4, 5, 5 + 16]] = 1.0, 0.8, 0.9
    size = np.array([[32, 32]])
    assert len(boxes_of(rows, grid_of(32), np.ones(1, np.float32), size, min_score=0.1)) == 0


def test_a_batch_gives_what_its_pictures_give_one_by_one(detector: OnnxDetector) -> None:
    random = np.random.default_rng(5)
    pictures = [
        picture_of(rows_with(*((int(at), 0, 0, int(random.integers(0, 8))) for at in random.integers(0, ROWS, count))))
        for count in (3, 0, 1, 8, 2)
    ]
    together = detector.detect(pictures, min_score=0.5)
    assert len(together) > 5
    for number, picture in enumerate(pictures):
        alone, mine = detector.detect([picture], min_score=0.5), together.image == number
        assert alone.box.tolist() == together.box[mine].tolist()
        assert alone.kind.tolist() == together.kind[mine].tolist()
        assert alone.score.tolist() == together.score[mine].tolist()
    assert len(detector.detect([], min_score=0.5)) == 0


@pytest.mark.parametrize("engine", ENGINES)
def test_a_model_for_one_picture_at_a_time_takes_many_one_by_one(engine: Engine) -> None:
    one, many = OnnxDetector(drawn_network(batch=1), engine=engine), OnnxDetector(drawn_network(), engine=engine)
    assert (one.best_batch, many.best_batch) == (1, BATCH)
    pictures = [picture_of(rows_with((at, 0, 0, 2))) for at in (0, 5, 20)]
    assert one.detect(pictures, min_score=0.5).box.tolist() == many.detect(pictures, min_score=0.5).box.tolist()
    assert one.name == f"{engine}:yolox"


def test_a_larger_picture_is_shrunk_into_the_corner_and_its_boxes_grow_back(detector: OnnxDetector) -> None:
    # Twice as wide as high: scaled by 1/4, with the filling below, which is no 1 and so does not matter here.
    big = np.repeat(np.repeat(picture_of(rows_with((5, 0, 0, 2))), 4, axis=0), 4, axis=1)
    found = detector.detect([big], min_score=0.5)
    assert found.box.round(3).tolist() == [[16.0, 16.0, 48.0, 48.0]]


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((0, 5, 3), np.uint8),
        np.zeros((5, 5), np.uint8),
        np.zeros((5, 5, 4), np.uint8),
        np.zeros((5, 5, 3), np.float32),
    ],
)
def test_what_is_no_picture_is_refused_with_its_number(detector: OnnxDetector, picture: Any) -> None:
    with pytest.raises(BadInput, match="picture 1 of the batch is"):
        detector.detect([picture_of(rows_with()), picture], min_score=0.5)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (b"", "no ONNX network"),
        (b"not a model", "no ONNX network"),
        (drawn_network()[:200], "no ONNX network"),
        (drawn_network(inputs=2), "2 inputs and 1 outputs"),
        (drawn_network(channels=1), "not one square picture"),
        (drawn_network(side=(32, 64)), "not one square picture"),
        (drawn_network(side=("h", "w")), "not one square picture"),
        (drawn_network(side=("s", "s")), "not a multiple of 32"),
        (drawn_network(side=(48, 48)), "48 pixels wide, not a multiple of 32"),
        (drawn_network(batch=4), "exactly 4 pictures"),
        (drawn_network(given=(21, 84)), r"gives \['n', 21, 84\], not \(pictures, 21, 85\)"),
        (drawn_network(taken=100), "the model does not run"),
        (drawn_network(said=("n", 85)), "the model gives"),
    ],
)
def test_models_that_are_none_are_refused_in_words(model: bytes, words: str) -> None:
    with pytest.raises(BadInput, match=words) as refused:
        OnnxDetector(model)
    assert refused.value.mend
    assert "\n" not in str(refused.value)


@settings(max_examples=80)
@given(st.integers(0, 2**32 - 1), st.sampled_from([np.nan, np.inf, -np.inf, 3e38, -3e38, 0.5]))
def test_whatever_a_network_gives_boxes_lie_in_the_picture(seed: int, strange: float) -> None:
    random = np.random.default_rng(seed)
    output = random.normal(0, 3, (2, ROWS, COLUMNS)).astype(np.float32)
    output[random.random(output.shape) < 0.2] = strange
    sizes = np.array([[64, 40], [10, 32]])
    with np.errstate(all="ignore"):
        found = boxes_of(output, grid_of(SIZE_PX), np.array([0.5, 1.0], np.float32), sizes, min_score=0.3)
    assert ((found.box >= 0) & (found.box[:, [2, 3, 2, 3]] <= np.tile(sizes[found.image], 2))).all()
    assert (found.box[:, 2:] > found.box[:, :2]).all()
    assert ((found.score >= 0.3) & (found.score <= 1)).all()
    assert set(found.kind.tolist()) <= set(OBJECT_CODE.values())


def test_onnxruntime_keeps_to_itself(tmp_path: Path) -> None:
    """Its telemetry leaves an id of the machine in the home folder; ours is told not to, before it is loaded."""
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from analytics.detect.onnx_detector import OnnxDetector\n"
        "from tests.analytics.detect.onnx_file import drawn_network, picture_of, rows\n"
    ).replace(", picture_of, rows", "")
    script += (
        "import numpy as np\nOnnxDetector(drawn_network()).detect([np.zeros((9, 9, 3), np.uint8)], min_score=0.5)\n"
    )
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("ORT_", "XDG_"))}
    subprocess.run([sys.executable, "-c", script, str(PROJECT)], env={**environment, "HOME": str(tmp_path)}, check=True)
    assert list(tmp_path.rglob("*")) == []
