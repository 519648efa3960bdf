"""Which partitions a worker stands by for, and which it gives back: a rule that each applies by itself.

Invariants: who holds a partition is the pin's business; this only says who pulls. Where nobody knows who is there, everybody
stands by for everything. A worker that has its share stands aside only where somebody with less is there to take it, so no
partition waits for one that is not; nobody gives back while a partition is free. It knows no clock: times are given.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Standing:
    """What to do now.

    Attributes:
        by: partitions to pull for, the held ones among them.
        give_back: one to let go in good order, or None.
    """

    by: frozenset[int]
    give_back: int | None = None


@dataclass(frozen=True, slots=True)
class Other:
    """Another worker as it last said: which partitions it holds, and whether it has been there for a while."""

    holds: Collection[int]
    settled: bool


def standing(
    partitions: int, mine: Collection[int], others: Sequence[Other] | None, free_s: Mapping[int, float], late_s: float
) -> Standing:
    """The rule.

    Args:
        partitions: how many there are.
        mine: held by this worker.
        others: the other workers; None when they are not known.
        free_s: for how long nobody was seen to hold a partition, seconds.
        late_s: how long a worker that has its share leaves a free partition to others.
    """
    if others is None:
        return Standing(frozenset(range(partitions)))
    share = -(-partitions // (len(others) + 1))
    full = len(mine) >= share
    held_by = {partition: other for other in others for partition in other.holds if partition not in mine}
    by = set(mine)
    for partition in range(partitions):
        holder = held_by.get(partition)
        for_others = len(holder.holds) > share if holder is not None else free_s.get(partition, 0.0) < late_s
        if not (full and for_others):
            by.add(partition)
    free = partitions - len(set(mine) | held_by.keys())
    waits = any(other.settled and len(other.holds) < share for other in others)
    return Standing(frozenset(by), max(mine) if len(mine) > share and waits and not free else None)
