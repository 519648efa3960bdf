"""What a person saw in the real clips, marked by hand before anything was tuned; the truth that the tests go by.

Seconds are presentation times of the files. Read off contact sheets at 1 s, then at 0.15 to 0.5 s around every change, so
a mark is good to about 0.2 s. Tuned on the car park alone; the others say how well that carries over.

Kinds: `moves` has to be found. `small` may be found or not: somebody stands and sways or lifts a hand, a car creeps in a
queue. Everything outside the marks is still, but for what each clip's notes tell.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mark:
    """From `start_s` to `end_s` there was motion of the kind `kind`; `what` in words."""

    start_s: float
    end_s: float
    what: str
    kind: str = "moves"


CARPARK = "carpark-768x432.mp4"
HALL = "hall-768x432.mp4"
STREET = "street-640x360-vfr.mp4"
DEFOCUS = "tamper-defocus-720p.mp4"
MOVED = "tamper-moved-720p.mp4"

#: Empty asphalt with a few lane marks. The camera's exposure follows the white cars: the whole picture turns darker as one
#: comes in and brightens again for about 1.5 s after it has gone (8.7 to 10.2, 27.8 to 29.5): that is no motion.
CARPARK_MARKS = (
    Mark(4.3, 8.7, "white car enters below, drives up and leaves at the top"),
    Mark(14.3, 19.15, "white car comes from the top, dark one from below; they pass each other and leave"),
    Mark(25.1, 27.85, "white car comes from the top and leaves below"),
)

#: A room with a round table. Six persons come one by one from below, stand at the table with their backs to us, leave on
#: the right. Before each a faint shadow on the wall (0.3 s), after each one on the floor at the right (0.5 s, inside the
#: marks).
HALL_MARKS = (
    Mark(5.8, 8.6, "woman in a long cardigan walks in"),
    Mark(8.6, 17.6, "she stands", "small"),
    Mark(17.6, 20.3, "she leaves"),
    Mark(22.6, 25.2, "man in black with a cap walks in"),
    Mark(25.2, 43.3, "he stands", "small"),
    Mark(43.3, 45.3, "he leaves"),
    Mark(50.0, 53.2, "woman in black with fair hair walks in"),
    Mark(53.2, 67.4, "she stands, and lifts a hand or a paper at 54, 60 and 63 to 66", "small"),
    Mark(67.4, 70.4, "she leaves"),
    Mark(74.4, 78.2, "man in a black T-shirt walks in"),
    Mark(78.2, 84.3, "he stands", "small"),
    Mark(84.3, 87.5, "he leaves"),
    Mark(92.05, 95.0, "woman in a grey sweater walks in"),
    Mark(95.0, 117.5, "she stands", "small"),
    Mark(117.5, 120.7, "she leaves"),
    Mark(123.3, 126.6, "man in a light shirt walks in"),
    Mark(126.6, 133.5, "he stands", "small"),
    Mark(133.5, 136.6, "he leaves"),
)

#: A crossing seen from above, sharpened and low in contrast; twigs in front, parked cars; the file begins at 1.86 s. Times
#: between frames jump (0.055 to 0.78 s).
STREET_MARKS = (
    Mark(
        4.4,
        21.2,
        "pick-up right to left (4.4 to 13.6), estate car left to right (9.4 to 16.3), a second pick-up right to left, slow"
        " and faint at the end (14.4 to 21.2); a coding ghost stays where it left until 21.8",
    ),
    Mark(21.2, 21.8, "the ghost fades", "small"),
    Mark(
        25.6,
        34.6,
        "car from the right stops at the left, a second one behind it; a school bus rolls up far left and stops",
    ),
    Mark(34.6, 39.4, "both cars and the bus wait; the second car creeps", "small"),
    Mark(
        39.4,
        57.2,
        "first car goes on (39.4 to 42), white car left to right (42.9 to 47.7), the bus turns in and crosses the whole"
        " picture (43 to 57.1), a dark car leaves at the left (53.8 to 56.8)",
    ),
    Mark(59.6, 66.95, "dark car left to right"),
)

MARKS = {CARPARK: CARPARK_MARKS, HALL: HALL_MARKS, STREET: STREET_MARKS}

#: Parked motorcycles before a wall; the lens is turned out of focus from 1.1 s on, fully soft from 1.8 s to the end (4.56 s).
#: From 3.8 s on a text is burned in at the top left.
DEFOCUS_FROM_S, DEFOCUS_FULL_S = 1.1, 1.8
#: The same place; the camera swings up and left from 2.85 s, blurred, and stands from 4.6 s on with a wall and a house in
#: view. From 5.7 s to the end (7.07 s) the text is burned in.
MOVED_FROM_S, MOVED_FULL_S = 2.85, 4.6
#: Where the text is burned in, fractions of the picture.
TEXT_RING = ((0.0, 0.0), (0.27, 0.0), (0.27, 0.08), (0.0, 0.08))
