"""What a machine does next about shares of cameras: takes free ones, or gives one to a machine that has less. Pure.

Every machine decides for itself alone, from the same table, and the table is changed by compare and set: there is no planner. A
machine's part is what its capacity is of all capacities. Invariants: it never holds more cameras than its capacity by taking; what it
gives away leaves the receiver no fuller than itself, so with the same cameras giving comes to an end and nothing goes back and forth.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Seat:
    """A machine that may have shares.

    Attributes:
        capacity: cameras that it may have.
        settled: it has been there for long enough to be given something.
    """

    capacity: int
    settled: bool


@dataclass(frozen=True, slots=True)
class Picture:
    """How things stand.

    Attributes:
        holders: of each share, "" for nobody. A holder that is not among `seats` is gone.
        weights: cameras in each share.
        seats: machines by the names of their leases.
        me: ours; it is among them.
        waiting: shares that have been free for so long that whoever has room may take them.
        may_open: cameras that we can open now.
    """

    holders: Sequence[str]
    weights: Sequence[int]
    seats: Mapping[str, Seat]
    me: str
    waiting: Collection[int] = ()
    may_open: int = 1 << 30


def loads(picture: Picture) -> dict[str, int]:
    """Cameras of each machine."""
    found = dict.fromkeys(picture.seats, 0)
    for holder, weight in zip(picture.holders, picture.weights, strict=True):
        if holder in found:
            found[holder] += weight
    return found


def free_shares(picture: Picture) -> list[int]:
    """Shares with cameras that nobody has, in our own order: machines that look at the same moment begin at different ends."""
    free = [
        share
        for share, (holder, weight) in enumerate(zip(picture.holders, picture.weights, strict=True))
        if weight and holder not in picture.seats
    ]
    return sorted(free, key=lambda share: _rank(picture.me, share))


def to_take(picture: Picture) -> list[int]:
    """Free shares that we take now: up to our part, what waited for long up to our capacity, and no more than we can open."""
    seat = picture.seats[picture.me]
    load = loads(picture)[picture.me]
    part = sum(picture.weights) * seat.capacity / sum(one.capacity for one in picture.seats.values())
    left = picture.may_open
    found: list[int] = []
    for share in free_shares(picture):
        weight = picture.weights[share]
        wanted = load < part or share in picture.waiting
        if wanted and left > 0 and load + weight <= seat.capacity:
            found.append(share)
            load += weight
            left -= weight
    return found


def to_give(picture: Picture) -> tuple[int, str] | None:
    """A share that somebody settled should have instead of us, and who; None: all is well, or something free comes first."""
    if free_shares(picture):
        return None
    load = loads(picture)
    ours = picture.seats[picture.me].capacity
    others = [run for run, seat in picture.seats.items() if run != picture.me and seat.settled]
    over = load[picture.me] > ours
    for other in sorted(others, key=lambda run: (load[run] / picture.seats[run].capacity, _rank(run, -1))):
        room = picture.seats[other].capacity
        best = -1
        for share, (holder, weight) in enumerate(zip(picture.holders, picture.weights, strict=True)):
            if holder != picture.me or not weight or load[other] + weight > room:
                continue
            fairer = (load[other] + weight) * ours <= (load[picture.me] - weight) * room
            if (fairer or over) and (best < 0 or weight > picture.weights[best]):
                best = share
        if best >= 0:
            return best, other
    return None


def _rank(run: str, share: int) -> bytes:
    return hashlib.blake2b(f"{run} {share}".encode(), digest_size=8).digest()
