"""`OnnxDetector`: a YOLOX network as ONNX bytes, run by onnxruntime or by OpenCV, on the CPU.

Purpose: `model.video.Detector` for both engines, with the same boxes from either. Invariants: a model that does not take
and give what YOLOX does is refused before the first picture, in words; a batch gives what its pictures give one by one;
nothing leaves the machine: onnxruntime's telemetry is off before the library is first loaded. It reads no file.

Its shapes are read by onnxruntime whichever engine runs it: OpenCV does not tell them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, Literal

import cv2
import numpy as np

from analytics.detect.yolox import (
    COCO_CLASSES,
    HEAD_COLUMNS,
    STRIDES_PX,
    Floats,
    anchors_of,
    boxes_of,
    grid_of,
    letterbox,
)
from model.errors import BadInput
from model.video import Bgr, Detections

Engine = Literal["onnxruntime", "opencv"]
#: What measured faster with equal boxes: docs/design/dependencies.md.
DEFAULT_ENGINE: Engine = "onnxruntime"
#: Pictures at a time where the model takes any number: on a CPU more gain nothing and wait longer.
BATCH = 4
#: Pixels of a square input that a model may ask for.
MIN_SIZE_PX, MAX_SIZE_PX = 32, 4096
_MEND = "Give a YOLOX network of the 80 COCO classes, exported to ONNX without its decoder."

_Run = Callable[[Floats], Floats]


class OnnxDetector:
    """Finds persons and vehicles with a YOLOX network.

    Args:
        model: the ONNX file's bytes.
        engine: what runs it.
        threads: of the engine. OpenCV has one number for the whole process, which this sets.
        name: of the model, for people.

    Raises:
        BadInput: the bytes are no network, or not one of YOLOX.
    """

    def __init__(self, model: bytes, *, engine: Engine = DEFAULT_ENGINE, threads: int = 1, name: str = "yolox") -> None:
        session = _session(model, threads)
        self.size_px, fixed_batch = _shapes(session)
        self.best_batch = 1 if fixed_batch else BATCH
        self.name = f"{engine}:{name}"
        self._run: _Run = _opencv(model, threads) if engine == "opencv" else _onnxruntime(session)
        self._grid = grid_of(self.size_px)
        self._one_by_one = fixed_batch
        self._check_output()

    def detect(self, images: Sequence[Bgr], *, min_score: float) -> Detections:
        """Objects in each of `images`; see `model.video.Detector`.

        Raises:
            BadInput: a picture is none, or the network gave something else than it promised.
        """
        if not len(images):
            return Detections.empty()
        tensor, scale = letterbox(images, self.size_px)
        if self._one_by_one:
            output = np.concatenate([self._run(tensor[at : at + 1]) for at in range(len(tensor))])
        else:
            output = self._run(tensor)
        sizes_px = np.array([image.shape[1::-1] for image in images], np.int64)
        return boxes_of(output, self._grid, scale, sizes_px, min_score=min_score)

    def _check_output(self) -> None:
        """One run on an empty picture: what the network says of itself may not be what it does."""
        tensor = np.zeros((1, 3, self.size_px, self.size_px), np.float32)
        try:
            output = self._run(tensor)
        except Exception as error:  # each engine has errors of its own
            raise BadInput(f"the model does not run: {_line(error)}.", mend=_MEND) from None
        wanted = (1, len(self._grid), HEAD_COLUMNS + COCO_CLASSES)
        if output.shape != wanted or output.dtype != np.float32:
            raise BadInput(
                f"the model gives {output.dtype} {output.shape} where YOLOX at {self.size_px} pixels gives"
                f" float32 {wanted}.",
                mend=_MEND,
            )


def _session(model: bytes, threads: int) -> Any:
    """A session of onnxruntime on the CPU, without its telemetry."""
    # Its Linux builds send what they run to their maker unless this is set before they are loaded.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime  # noqa: PLC0415 the line above has to come first

    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # Threads that wait for the next picture sleep instead of turning on a core.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no common class that it exports
        raise BadInput(f"the model is no ONNX network: {_line(error)}.", mend=_MEND) from None


def _shapes(session: Any) -> tuple[int, bool]:
    """Side of the square input in pixels, and whether it takes exactly one picture."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or len(outputs) != 1:
        raise BadInput(f"the model has {len(inputs)} inputs and {len(outputs)} outputs, not one each.", mend=_MEND)
    shape, kind = inputs[0].shape, inputs[0].type
    if kind != "tensor(float)" or len(shape) != 4 or shape[1] != 3 or shape[2] != shape[3]:
        raise BadInput(f"the model takes {kind} {shape}, not one square picture in float32.", mend=_MEND)
    side = shape[2]
    if not isinstance(side, int) or side % STRIDES_PX[-1] or not MIN_SIZE_PX <= side <= MAX_SIZE_PX:
        raise BadInput(
            f"the model's input is {side} pixels wide, not a multiple of {STRIDES_PX[-1]} from {MIN_SIZE_PX} to"
            f" {MAX_SIZE_PX}.",
            mend=_MEND,
        )
    if isinstance(shape[0], int) and shape[0] != 1:
        raise BadInput(
            f"the model takes exactly {shape[0]} pictures at a time.",
            mend="Export it for one picture, or for any number.",
        )
    rows, columns = outputs[0].shape[-2:] if len(outputs[0].shape) == 3 else (0, 0)
    wanted = (anchors_of(side), HEAD_COLUMNS + COCO_CLASSES)
    if (isinstance(rows, int) and rows != wanted[0]) or (isinstance(columns, int) and columns != wanted[1]):
        raise BadInput(f"the model gives {outputs[0].shape}, not (pictures, {wanted[0]}, {wanted[1]}).", mend=_MEND)
    return side, shape[0] == 1


def _onnxruntime(session: Any) -> _Run:
    name = session.get_inputs()[0].name

    def run(tensor: Floats) -> Floats:
        output: Floats = session.run(None, {name: tensor})[0]
        return output

    return run


def _opencv(model: bytes, threads: int) -> _Run:
    try:
        net = cv2.dnn.readNetFromONNX(np.frombuffer(model, np.uint8))
    except cv2.error as error:
        raise BadInput(
            f"OpenCV cannot run the model: {_line(error)}.", mend='Set detect.engine to "onnxruntime".'
        ) from None
    cv2.setNumThreads(threads)

    def run(tensor: Floats) -> Floats:
        net.setInput(tensor)
        # Its memory is used again by the next picture.
        return np.array(net.forward(), np.float32)

    return run


def _line(error: Exception) -> str:
    """The first line of what a library says, cut to a readable length and without its own full stop."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200].rstrip(". ")
