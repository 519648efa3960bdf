"""The rule by which partitions spread: played with pins that go to whoever pulls, it comes to rest with everybody at work."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lucheng.cluster.spread import Other, standing

LATE_S = 6.0


def test_alone_it_takes_everything() -> None:
    assert standing(8, {1}, [], {}, LATE_S).by == set(range(8))
    assert standing(8, {1}, [], {}, LATE_S).give_back is None


def test_unknown_others_mean_all_stand_by() -> None:
    found = standing(8, {1, 2, 3, 4, 5, 6, 7, 0}, None, {}, LATE_S)
    assert found.by == set(range(8))
    assert found.give_back is None


def test_the_hot_stand_by_stays_when_shares_are_even() -> None:
    assert standing(8, {0, 1, 2, 3}, [Other({4, 5, 6, 7}, settled=True)], {}, LATE_S).by == set(range(8))


def test_it_gives_back_one_when_somebody_settled_has_less_and_nothing_is_free() -> None:
    newcomer = [Other(set(), settled=False)]
    assert standing(8, set(range(8)), newcomer, {}, LATE_S).give_back is None
    newcomer = [Other(set(), settled=True)]
    assert standing(8, set(range(8)), newcomer, {}, LATE_S).give_back == 7
    assert standing(8, set(range(7)), newcomer, {7: 1.0}, LATE_S).give_back is None
    assert standing(8, set(range(7)), newcomer, {7: 1.0}, LATE_S).by == set(range(7))
    assert standing(8, set(range(7)), newcomer, {7: LATE_S}, LATE_S).by == set(range(8))


@given(st.integers(1, 32), st.integers(1, 9), st.integers(0, 1 << 30))
@pytest.mark.soak
def test_it_comes_to_rest_with_nobody_over_the_share(partitions: int, workers: int, seed: int) -> None:
    chance = Random(seed)
    holder: dict[int, int | None] = dict.fromkeys(range(partitions), chance.randrange(workers))
    free_s = dict.fromkeys(range(partitions), 0.0)
    moved = 0
    for _ in range(40 * partitions):
        order = list(range(workers))
        chance.shuffle(order)
        plans = {}
        for one in order:
            mine = {p for p, who in holder.items() if who == one}
            others = [
                Other({p for p, who in holder.items() if who == other}, settled=True)
                for other in range(workers)
                if other != one
            ]
            plans[one] = standing(partitions, mine, others, free_s, LATE_S)
        for one, plan in plans.items():
            if plan.give_back is not None and None not in holder.values():
                holder[plan.give_back], free_s[plan.give_back] = None, 0.0
                moved += 1
                given_by = one
        for partition, who in holder.items():
            if who is None:
                pulling = [one for one, plan in plans.items() if partition in plan.by and one != given_by]
                if pulling:
                    holder[partition] = chance.choice(pulling)
                else:
                    free_s[partition] += 1.0
    share = -(-partitions // workers)
    counts = [sum(who == one for who in holder.values()) for one in range(workers)]
    assert None not in holder.values()
    assert max(counts) <= share, counts
    assert moved <= 2 * partitions
