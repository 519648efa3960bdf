"""Opening the detector that the settings name; every refusal says what to do."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from config.cameras import Detect
from lucheng.video.detectors import open_detector
from model.errors import BadInput, LuchengError, SettingsError
from tests.analytics.detect.onnx_file import drawn_network

PROJECT = Path(__file__).resolve().parents[3]


def test_without_a_model_there_is_no_detector() -> None:
    assert open_detector(Detect()) is None


@pytest.mark.parametrize(
    ("engine", "runs"), [("auto", "onnxruntime"), ("onnxruntime", "onnxruntime"), ("opencv", "opencv")]
)
def test_an_onnx_file_is_run_by_the_engine_that_is_set(tmp_path: Path, engine: Any, runs: str) -> None:
    path = tmp_path / "drawn.onnx"
    path.write_bytes(drawn_network())
    detector = open_detector(Detect(model=path, engine=engine))
    assert detector is not None
    assert detector.name == f"{runs}:drawn"
    assert len(detector.detect([np.zeros((32, 32, 3), np.uint8)], min_score=0.5)) == 0


@pytest.mark.parametrize(
    ("name", "content", "engine", "error", "words"),
    [
        ("gone.onnx", None, "auto", SettingsError, "there is no file"),
        ("gone.pt", None, "auto", SettingsError, "there is no file"),
        ("model.bin", b"x", "auto", SettingsError, "no kind of model"),
        ("model", b"x", "auto", SettingsError, "no kind of model"),
        ("model.xml", b"x", "auto", SettingsError, "no kind of model"),
        ("model.onnx", b"x", "ultralytics", SettingsError, "ultralytics does not run model.onnx"),
        ("model.pt", b"x", "opencv", SettingsError, "opencv does not run model.pt"),
        ("model.onnx", b"x", "auto", BadInput, "no ONNX network"),
        ("other.onnx", drawn_network(given=(21, 84)), "opencv", BadInput, r"not \(pictures, 21, 85\)"),
    ],
)
def test_what_does_not_run_is_refused_in_words(
    tmp_path: Path, name: str, content: bytes | None, engine: Any, error: type[LuchengError], words: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(error, match=words) as refused:
        open_detector(Detect(model=path, engine=engine))
    assert refused.value.mend
    assert name in refused.value.message


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.onnx"
    path.write_bytes(drawn_network())
    with pytest.raises(BadInput, match="more than the 100 that are read"):
        open_detector(Detect(model=path), max_model_bytes=100)


def test_an_extra_that_does_not_load_is_said(tmp_path: Path) -> None:
    """A half installed ultralytics, put before whatever is installed, in a process of its own."""
    (tmp_path / "ultralytics").mkdir()
    (tmp_path / "ultralytics" / "__init__.py").write_text("import a_library_that_is_missing")
    (tmp_path / "model.pt").write_bytes(b"weights")
    script = (
        "import sys; sys.path[:0] = sys.argv[1:3]\n"
        "from pathlib import Path\n"
        "from config.cameras import Detect\n"
        "from lucheng.video.detectors import open_detector\n"
        "from model.errors import SettingsError\n"
        "try:\n    open_detector(Detect(model=Path(sys.argv[1]) / 'model.pt'))\n"
        "except SettingsError as error:\n    print(error)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path), str(PROJECT)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "does not load: No module named 'a_library_that_is_missing'" in done.stdout
    assert "Install lucheng[yolo] again." in done.stdout


@pytest.mark.skipif(importlib.util.find_spec("ultralytics") is not None, reason="ultralytics is installed here")
def test_weights_of_ultralytics_without_the_extra_say_what_to_install(tmp_path: Path) -> None:
    path = tmp_path / "yolov8n.pt"
    path.write_bytes(b"weights")
    with pytest.raises(SettingsError, match="needs ultralytics, which is not installed") as refused:
        open_detector(Detect(model=path))
    assert "lucheng[yolo]" in refused.value.mend
