"""`open_detector`: the detector that the settings name, or none.

Invariants: a model is a file that is there; nothing is fetched, whatever its name; every refusal says what to do. The
library of the extra is loaded only when its model is asked for.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, cast

from analytics.detect.onnx_detector import DEFAULT_ENGINE, Engine, OnnxDetector
from model.errors import BadInput, SettingsError

if TYPE_CHECKING:
    from config.cameras import Detect
    from model.video import Detector

#: Largest ONNX file that is read.
MAX_MODEL_BYTES = 1024 * 1024 * 1024
#: What runs each kind of file.
_ENGINES = {".onnx": ("onnxruntime", "opencv"), ".pt": ("ultralytics",)}


def open_detector(settings: Detect, *, max_model_bytes: int = MAX_MODEL_BYTES) -> Detector | None:
    """The detector, ready to run; None where no model is set.

    Args:
        settings: section `detect`.
        max_model_bytes: see `MAX_MODEL_BYTES`.

    Raises:
        SettingsError: there is no such file, or nothing here runs it.
        BadInput: the file is not the model that it should be.
    """
    path = settings.model
    if path is None:
        return None
    engine = _engine(path, settings.engine)
    if not path.is_file():
        raise SettingsError(
            f"detect.model: there is no file {path}.", mend="Put the weights there; lucheng never downloads any."
        )
    if engine == "ultralytics":
        return _ultralytics(path, settings.threads)
    try:
        size_bytes = path.stat().st_size
        if size_bytes > max_model_bytes:
            raise BadInput(
                f"detect.model: {path} has {size_bytes} bytes, more than the {max_model_bytes} that are read.",
                mend="Give a YOLOX network as ONNX.",
            )
        model = path.read_bytes()
    except OSError as error:
        raise SettingsError(
            f"detect.model: {path} cannot be read: {error.strerror}.", mend="Let the service's user read it."
        ) from None
    try:
        return OnnxDetector(model, engine=cast("Engine", engine), threads=settings.threads, name=path.stem)
    except BadInput as error:
        raise BadInput(f"detect.model: {path}: {error.message}", mend=error.mend) from None


def _engine(path: Path, wanted: str) -> str:
    engines = _ENGINES.get(path.suffix.lower())
    if engines is None:
        raise SettingsError(
            f"detect.model: {path.name} is no kind of model that runs here.",
            mend="Give an ONNX file of a YOLOX network, or a .pt file with the extra lucheng[yolo].",
        )
    if wanted == "auto":
        return DEFAULT_ENGINE if DEFAULT_ENGINE in engines else engines[0]
    if wanted not in engines:
        raise SettingsError(
            f"detect.engine: {wanted} does not run {path.name}.",
            mend=f'Set detect.engine to "auto" or to {" or ".join(engines)}.',
        )
    return wanted


def _ultralytics(path: Path, threads: int) -> Detector:
    if importlib.util.find_spec("ultralytics") is None:
        raise SettingsError(
            f"detect.model: {path.name} needs ultralytics, which is not installed.",
            mend="Install lucheng[yolo] (AGPL-3.0, several gigabytes), or give an ONNX file of a YOLOX network.",
        )
    from lucheng.video.ultralytics_detector import UltralyticsDetector  # noqa: PLC0415 gigabytes, on need alone

    try:
        return UltralyticsDetector(path, threads=threads)
    except ImportError as error:
        raise SettingsError(
            f"detect.model: ultralytics is installed but does not load: {error}.", mend="Install lucheng[yolo] again."
        ) from None
