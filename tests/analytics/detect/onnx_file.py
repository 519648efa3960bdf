"""A small ONNX file, written by hand: a network whose raw output stands in the pixels of its picture.

Its input of 32 by 32 pixels holds 3,072 numbers; the first 21 x 85 of them are what it gives: YOLOX's 16 + 4 + 1 cells with
their 85 numbers each. So a test draws an output and sees what the detector makes of it. Field numbers: onnx.proto3.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

SIZE_PX = 32
ROWS, COLUMNS = 21, 85
_FLOAT, _INT64 = 1, 7
Dim = int | str


def _varint(number: int) -> bytes:
    out = bytearray()
    number &= (1 << 64) - 1
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes | str) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _tensor_type(name: str, shape: Sequence[Dim], kind: int) -> bytes:
    dims = b"".join(_bytes(1, _bytes(2, dim) if isinstance(dim, str) else _number(1, dim)) for dim in shape)
    return _bytes(1, name) + _bytes(2, _bytes(1, _number(1, kind) + _bytes(2, dims)))


def _node(kind: str, inputs: Sequence[str], output: str) -> bytes:
    return b"".join(_bytes(1, name) for name in inputs) + _bytes(2, output) + _bytes(4, kind)


def _integers(name: str, values: Sequence[int]) -> bytes:
    raw = struct.pack(f"<{len(values)}q", *values)
    return _number(1, len(values)) + _number(2, _INT64) + _bytes(8, name) + _bytes(9, raw)


def drawn_network(
    *,
    batch: Dim = "n",
    side: tuple[Dim, Dim] = (SIZE_PX, SIZE_PX),
    channels: int = 3,
    given: tuple[int, int] = (ROWS, COLUMNS),
    said: tuple[Dim, ...] | None = None,
    kind: int = _FLOAT,
    inputs: int = 1,
    taken: int | None = None,
) -> bytes:
    """The network; each argument makes another one, most of them wrong.

    Args:
        batch: pictures it takes at a time, a name for any number.
        side: height and width of its input.
        channels: of its input.
        given: rows and columns that it gives.
        said: the shape that it says it gives.
        kind: element type.
        inputs: how many it says it has.
        taken: numbers that it cuts out of the picture; another than it needs makes it fail when it runs.
    """
    rows, columns = given
    nodes = [
        _node("Reshape", ["images", "flat"], "all"),
        _node("Slice", ["all", "from", "to", "axis"], "part"),
        _node("Reshape", ["part", "shape"], "output"),
    ]
    constants = [
        _integers("flat", [0, -1]),
        _integers("from", [0]),
        _integers("to", [rows * columns if taken is None else taken]),
        _integers("axis", [1]),
        _integers("shape", [-1, rows, columns]),
    ]
    shape = (batch, rows, columns) if said is None else said
    graph = (
        b"".join(_bytes(1, node) for node in nodes)
        + _bytes(2, "drawn")
        + b"".join(_bytes(5, constant) for constant in constants)
        + _bytes(11, _tensor_type("images", (batch, channels, *side), kind))
        + b"".join(_bytes(11, _tensor_type(f"more{at}", (1,), _FLOAT)) for at in range(1, inputs))
        + _bytes(12, _tensor_type("output", shape, kind))
    )
    return _number(1, 8) + _bytes(7, graph) + _bytes(8, _bytes(1, "") + _number(2, 13))


def picture_of(rows: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The picture of which `drawn_network` makes these (21, 85) numbers."""
    pixels = np.zeros(3 * SIZE_PX * SIZE_PX, np.uint8)
    pixels[: rows.size] = rows.ravel()
    return np.ascontiguousarray(pixels.reshape(3, SIZE_PX, SIZE_PX).transpose(1, 2, 0))
