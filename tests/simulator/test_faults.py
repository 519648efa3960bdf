"""What was injected is what the batches hold."""

from __future__ import annotations

import numpy as np
import pytest

from model.batch import PointBatch
from model.codes import Flag
from simulator.city import City, FaultMaker, Faults, Injected

START_MS = 1_760_000_000_000


def run(faults: Faults, seed: int = 9) -> tuple[PointBatch, PointBatch, Injected]:
    """Clean points, the same with faults, and what was injected."""
    city = City(1, taxis=100, bikes=0, buttons=0, units=0, start_ms=START_MS)
    maker = FaultMaker(len(city.ids), faults, seed)
    clean, spoiled = [], []
    for k in range(1, 361):
        batch = city.step(START_MS + k * 5000)
        clean.append(batch)
        spoiled.append(maker.apply(batch))
    spoiled.append(maker.flush())
    print(f"seed {seed}")
    return PointBatch.concat(clean), PointBatch.concat(spoiled), maker.injected


def keys(points: PointBatch) -> list[tuple[int, int]]:
    return list(zip(points.slot.tolist(), points.seq.tolist(), strict=True))


def test_no_faults_change_nothing() -> None:
    clean, spoiled, injected = run(Faults())
    assert keys(clean) == keys(spoiled)
    assert injected == Injected()


def test_duplicates_and_places() -> None:
    clean, spoiled, injected = run(Faults(duplicates=0.05, jumps=0.01, nan=0.02))
    assert injected.duplicates == len(spoiled) - len(clean) > 100
    _, first = np.unique(np.stack((spoiled.slot, spoiled.seq)), axis=1, return_index=True)
    once = spoiled.take(np.sort(first))
    assert keys(once) == keys(clean)
    lost = np.isnan(once.lat)
    assert int(lost.sum()) == injected.nan > 0
    moved = ~lost & (np.hypot(once.lat - clean.lat, once.lon - clean.lon) > 0.15)
    assert int(moved.sum()) == injected.jumps > 0
    untouched = ~lost & ~moved
    assert np.array_equal(once.lat[untouched], clean.lat[untouched])
    assert np.array_equal(once.time_ms, clean.time_ms)


def test_clocks() -> None:
    clean, spoiled, injected = run(Faults(plus_8h=0.1, frozen=0.1))
    assert keys(clean) == keys(spoiled)
    shift = spoiled.time_ms - clean.time_ms
    ahead = np.isin(clean.slot, injected.plus_8h_slots)
    still = np.isin(clean.slot, injected.frozen_slots)
    assert bool((shift[ahead] == 8 * 3_600_000).all())
    assert int(ahead.sum()) == injected.plus_8h > 0
    assert not (ahead & still).any()
    assert not shift[~ahead & ~still].any()
    for slot in injected.frozen_slots:
        assert len(np.unique(spoiled.time_ms[spoiled.slot == slot])) == 1
    assert int((shift[still] != 0).sum()) == injected.frozen > 0


def test_late_rows_come_after_a_newer_one_and_none_is_lost() -> None:
    clean, spoiled, injected = run(Faults(late_batches=0.002))
    assert sorted(keys(clean)) == sorted(keys(spoiled))
    newest: dict[int, int] = {}
    late = buffered = 0
    flags = (spoiled.flags & int(Flag.BUFFERED)) != 0
    for slot, seq, kept in zip(spoiled.slot.tolist(), spoiled.seq.tolist(), flags.tolist(), strict=True):
        late += newest.get(slot, -1) > seq
        buffered += kept
        newest[slot] = max(newest.get(slot, -1), seq)
    assert buffered == injected.late > 0
    assert injected.outages > 5
    assert injected.held == 0
    # Rows that only `flush` gave out may have no newer one before them.
    assert 0 < late <= injected.late


@pytest.mark.parametrize("seed", [1, 2])
def test_the_same_seed_gives_the_same_faults(seed: int) -> None:
    faults = Faults(0.002, 0.02, 0.05, 0.01, 0.05, 0.01)
    one, other = run(faults, seed), run(faults, seed)
    assert keys(one[1]) == keys(other[1])
    assert one[2] == other[2]
    assert np.array_equal(one[1].lat, other[1].lat, equal_nan=True)
