"""What a person sees in the clips at given seconds: written down from stills, before any threshold was looked at.

A count is (least, most): what only a sliver of is in the picture may be counted or not. `cut` in a comment: an object that
the picture's edge cuts.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest

from model.camera import OBJECT_CODE, ObjectKind
from model.video import Bgr, Detector

Count = tuple[int, int]
NONE: Count = (0, 0)
ONE: Count = (1, 1)
PERSONS = (ObjectKind.PERSON,)
VEHICLES = (ObjectKind.CAR, ObjectKind.BUS, ObjectKind.TRUCK)


@dataclass(frozen=True)
class Still:
    """The first picture at or after a second, and how many persons and vehicles are in it."""

    second: float
    persons: Count
    vehicles: Count


def _one_kind(seconds: dict[float, Count], *, persons: bool) -> tuple[Still, ...]:
    return tuple(Still(at, n if persons else NONE, NONE if persons else n) for at, n in seconds.items())


#: A car park from above: whole roofs. The dark sliver of a parked car at the upper edge is in every picture and is no car.
CARPARK = _one_kind(
    {
        0.0: NONE,
        1.04: NONE,
        2.08: NONE,
        3.12: NONE,
        4.16: NONE,
        5.2: ONE,  # white, cut below
        6.24: ONE,
        7.28: ONE,  # cut above
        8.32: ONE,  # its tail
        9.36: NONE,
        10.4: NONE,
        11.44: NONE,
        12.48: NONE,
        13.52: NONE,
        14.56: (0, 1),  # the bumper of one that comes
        15.6: (2, 2),  # both cut
        16.64: (2, 2),
        17.68: (2, 2),  # both cut
        18.72: ONE,  # its tail
        19.76: NONE,
        20.8: NONE,
        21.84: NONE,
        22.88: NONE,
        23.92: NONE,
        24.96: NONE,
        26.0: ONE,  # cut above
        27.04: ONE,  # cut below
        28.08: NONE,
        29.12: NONE,
    },
    persons=False,
)

#: A hall with a table; people come one by one and stand with their backs to the camera.
HALL = _one_kind(
    {
        0: NONE,
        5: NONE,
        10: ONE,
        15: ONE,
        20: (0, 1),  # a shadow, and a foot at the edge
        25: ONE,
        30: ONE,
        35: ONE,
        40: ONE,
        45: (0, 1),  # likewise
        50: NONE,
        55: ONE,
        60: ONE,
        65: ONE,
        70: (0, 1),  # likewise
        75: ONE,  # to the hip
        80: ONE,
        85: ONE,
        90: NONE,
        95: ONE,
        100: ONE,
        105: ONE,
        110: ONE,
        115: ONE,
        120: (0, 1),  # a foot
        125: ONE,
        130: ONE,
        135: ONE,
    },
    persons=True,
)

#: A street from a window: parked cars on both sides, a few that drive by, a yellow school bus behind the trees.
STREET = (
    Still(2, NONE, (7, 7)),
    Still(6, (0, 1), (8, 9)),  # a pick-up drives; a sliver of a van at the right edge; a head below
    Still(12, ONE, (8, 8)),  # somebody walks below, blurred
    Still(20, NONE, (7, 7)),
    Still(30, NONE, (8, 9)),  # the bus is half behind trees
    Still(40, NONE, (9, 9)),
    Still(50, NONE, (9, 9)),
    Still(60, NONE, (7, 7)),  # one of them cut at the left edge
)

CLIPS: dict[str, tuple[Still, ...]] = {
    "carpark-768x432.mp4": CARPARK,
    "hall-768x432.mp4": HALL,
    "street-640x360-vfr.mp4": STREET,
}


def data_folder() -> Path:
    """The folder of test data; skips the test where there is none."""
    root = Path(os.environ.get("LUCHENG_TEST_DATA") or Path(__file__).resolve().parents[4] / "shared" / "data")
    if not (root / "video").is_dir():
        pytest.skip(f"no clips at {root}: set LUCHENG_TEST_DATA")
    return root


def model_file(name: str) -> Path:
    """A model of the test data; skips the test where there is none."""
    path = data_folder() / "models" / name
    if not path.is_file():
        pytest.skip(f"no model at {path}: set LUCHENG_TEST_DATA")
    return path


def stills_of(clip: str, seconds: Sequence[float]) -> list[Bgr]:
    """The first pictures of a clip at or after these seconds, BGR."""
    pictures: list[Bgr] = []
    with av.open(str(data_folder() / "video" / clip)) as container:
        stream = container.streams.video[0]
        stream.thread_count = 1
        for frame in container.decode(stream):
            if len(pictures) == len(seconds):
                break
            if frame.time >= seconds[len(pictures)] - 0.005:
                pictures.append(np.asarray(frame.to_ndarray(format="bgr24"), np.uint8))
    assert len(pictures) == len(seconds), clip
    return pictures


@dataclass
class Tally:
    """How counts agree: found that is there, found that is not, and there but not found."""

    right: int = 0
    extra: int = 0
    missed: int = 0

    def take(self, found: int, seen: Count) -> None:
        """One picture."""
        least, most = seen
        self.right += min(found, most)
        self.extra += max(0, found - most)
        self.missed += max(0, least - found)

    @property
    def precision(self) -> float:
        """Of what was found, what is there; 1 where nothing was."""
        found = self.right + self.extra
        return self.right / found if found else 1.0

    @property
    def recall(self) -> float:
        """Of what is there, what was found; 1 where nothing is."""
        there = self.right + self.missed
        return self.right / there if there else 1.0

    def __str__(self) -> str:
        return f"precision {self.precision:.2f}, recall {self.recall:.2f} of {self.right + self.missed}"


def tallies(detector: Detector, clip: str, pictures: Sequence[Bgr], *, min_score: float) -> dict[str, Tally]:
    """How a detector's counts agree with a person's over the stills of a clip."""
    result = {"persons": Tally(), "vehicles": Tally()}
    for still, picture in zip(CLIPS[clip], pictures, strict=True):
        kinds = detector.detect([picture], min_score=min_score).kind
        result["persons"].take(count_of(kinds, PERSONS), still.persons)
        result["vehicles"].take(count_of(kinds, VEHICLES), still.vehicles)
    print({"detector": detector.name, "clip": clip, **{name: str(tally) for name, tally in result.items()}})
    return result


def count_of(
    kinds: Sequence[int] | np.ndarray[tuple[int, ...], np.dtype[np.uint8]], which: Sequence[ObjectKind]
) -> int:
    """How many are of these kinds."""
    return int(np.isin(kinds, [OBJECT_CODE[kind] for kind in which]).sum())
