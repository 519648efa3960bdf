"""`UltralyticsDetector`: weights of ultralytics (.pt), on the CPU: the extra `lucheng[yolo]`.

Purpose: `model.video.Detector` by the library of the customer's choice. Invariants: it neither downloads nor installs
nor reports anything: the library's own switches are set before it is first loaded, its settings lie in a folder of this
process alone, and it is not used where somebody has loaded it otherwise; weights are read without running code that
stands in them. Imported only where such a model is set.

Source of the switches: ultralytics 8.4, `utils/__init__.py` (YOLO_OFFLINE, YOLO_AUTOINSTALL, YOLO_VERBOSE,
YOLO_CONFIG_DIR, setting `sync`) and `nn/tasks.py` (ULTRALYTICS_SAFE_LOAD).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from analytics.detect.yolox import check_picture
from model.camera import OBJECT_CODE, ObjectKind
from model.errors import BadInput, Refused
from model.video import Bgr, Detections

#: Pictures at a time: on a CPU more gain nothing and wait longer.
BATCH = 4
_SWITCHES = {
    "YOLO_OFFLINE": "true",
    "YOLO_AUTOINSTALL": "false",
    "YOLO_VERBOSE": "false",
    "ULTRALYTICS_SAFE_LOAD": "true",
}
_MEND = "Give the .pt file of a YOLO detection model, as ultralytics writes it."
#: Lives as long as the process: the library writes its settings there.
_folder: tempfile.TemporaryDirectory[str] | None = None


class UltralyticsDetector:
    """Finds persons and vehicles with a YOLO model of ultralytics.

    Args:
        weights: the .pt file; it has to be there.
        threads: of torch, for the whole process.

    Raises:
        ImportError: the extra is not installed, or not whole.
        BadInput: the file is no such model, or finds none of our kinds.
        Refused: the library was loaded before, with its network on.
    """

    def __init__(self, weights: Path, *, threads: int = 1) -> None:
        library = _library()
        import torch  # noqa: PLC0415 it comes with the library, after its switches

        torch.set_num_threads(threads)
        path = weights.resolve()
        if not path.is_file():
            raise BadInput(f"there are no weights at {weights}.", mend="Put them there; none are downloaded.")
        try:
            self._model = library.YOLO(str(path), task="detect")
            found, names = self._model.model.task, dict(self._model.names)
        except Exception as error:  # whatever the file makes the library and pickle raise
            raise BadInput(f"{weights} is no model of ultralytics: {_line(error)}.", mend=_MEND) from None
        kinds = {ObjectKind(name): number for number, name in names.items() if name in set(ObjectKind)}
        if found != "detect" or not kinds:
            raise BadInput(f"{weights} is a model for {found} that knows none of our kinds, or no boxes.", mend=_MEND)
        self._classes = sorted(kinds.values())
        self._codes = np.zeros(max(names) + 1, np.uint8)
        for kind, number in kinds.items():
            self._codes[number] = OBJECT_CODE[kind]
        self.name = f"ultralytics:{weights.stem}"
        self.best_batch = BATCH

    def detect(self, images: Sequence[Bgr], *, min_score: float) -> Detections:
        """Objects in each of `images`; see `model.video.Detector`."""
        for at, image in enumerate(images):
            check_picture(image, at)
        if not len(images):
            return Detections.empty()
        # One by one where sizes differ: the library would letterbox them all to one shape, and give other boxes.
        if len({image.shape for image in images}) > 1:
            results = [result for image in images for result in self._predict([image], min_score)]
        else:
            results = self._predict(list(images), min_score)
        boxes = [result.boxes.cpu().numpy() for result in results]
        kind = np.concatenate([self._codes[box.cls.astype(np.int64)] for box in boxes])
        return Detections(
            np.repeat(np.arange(len(images), dtype=np.int32), [len(box) for box in boxes]),
            np.concatenate([box.xyxy for box in boxes]).astype(np.float32).reshape(-1, 4),
            np.concatenate([box.conf for box in boxes]).astype(np.float32),
            kind,
        )

    def _predict(self, images: list[Bgr], min_score: float) -> list[Any]:
        results: list[Any] = self._model.predict(
            [np.ascontiguousarray(image) for image in images],
            conf=min_score,
            classes=self._classes,
            device="cpu",
            verbose=False,
            save=False,
        )
        return results


def _library() -> Any:
    """The library, loaded with its network, its installer and its reports off."""
    global _folder  # noqa: PLW0603 one folder for the process, as the library is one
    os.environ.update(_SWITCHES)
    if _folder is None:
        _folder = tempfile.TemporaryDirectory(prefix="lucheng-yolo-")
        os.environ["YOLO_CONFIG_DIR"] = _folder.name
    import ultralytics  # noqa: PLC0415 the lines above have to come first
    from ultralytics import utils  # noqa: PLC0415

    if utils.ONLINE or utils.AUTOINSTALL:
        raise Refused(
            "ultralytics was loaded before with its network on.", mend="Let lucheng load it, in a process of its own."
        )
    utils.SETTINGS.update({"sync": False})
    return ultralytics


def _line(error: Exception) -> str:
    """The first line of what the library says, cut to a readable length and without its own full stop."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200].rstrip(". ")
