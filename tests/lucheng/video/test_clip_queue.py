"""The queue of clips: bounded whatever comes, severity 1 first and never pushed out, each wish handed out exactly once."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from devices.nearby import NearCamera
from lucheng.video.clip_queue import ClipQueue, Kind, Piece, Wanted

WAITING, AT_ONCE, LENGTH_MS, SHARED = 5, 4, 60_000, 3


def camera(name: int) -> NearCamera:
    return NearCamera(f"camera/{name}", bound=False, lat=None, lon=None, distance_m=None, bearing_deg=None)


def piece(kind: Kind, name: int, at_ms: int, wanted: Wanted) -> Piece:
    window = (at_ms, at_ms) if kind is Kind.SNAPSHOT else (at_ms - 10_000, at_ms + 30_000)
    return Piece(kind, camera(name), *window, [wanted], wanted.severity)


class Machine(RuleBasedStateMachine):
    """Wishes let in, handed out, pushed out, withdrawn and ended; `inside` are those that are still owed an answer."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = ClipQueue(max_waiting=WAITING, max_at_once=AT_ONCE, max_length_ms=LENGTH_MS, max_shared=SHARED)
        self.inside: Counter[tuple[Kind, str]] = Counter()
        self.making: list[Piece] = []
        self.number = 0
        self.now_ms = 0

    @rule(
        kind=st.sampled_from(list(Kind)),
        name=st.integers(0, 12),
        severity=st.integers(1, 3),
        later_ms=st.integers(0, 20_000),
        hold_ms=st.sampled_from((0, 0, 5_000)),
    )
    def add(self, kind: Kind, name: int, severity: int, later_ms: int, hold_ms: int) -> None:
        self.number += 1
        self.now_ms += later_ms
        wanted = Wanted(f"A{self.number}", 1, severity)
        new = piece(kind, name, self.now_ms, wanted)
        new.not_before_ms = self.now_ms + hold_ms if hold_ms else 0
        before = self.queue.sizes()[f"{kind.value}s_waiting"]
        answer = self.queue.add(new, self.now_ms)
        for out in answer.out:
            assert out.severity > severity
            assert before == WAITING
            self._out(kind, out.wanted)
        if answer.taken:
            self.inside[kind, wanted.alarm] += 1
        else:
            assert answer.how in ("too_many_waiting", "shared_by_too_many")
            if answer.how == "too_many_waiting":
                assert before == WAITING

    @rule(kind=st.sampled_from(list(Kind)))
    def next(self, kind: Kind) -> None:
        lower = sum(one.severity > 1 for one in self.making if one.kind is kind)
        found = self.queue.next(kind, self.now_ms)
        if found is not None:
            assert found.not_before_ms <= self.now_ms
            assert found.severity == min(one.severity for one in found.wanted)
            assert found.severity == 1 or lower < AT_ONCE - AT_ONCE // 2
            assert found.to_ms - found.from_ms <= LENGTH_MS
            self.making.append(found)

    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        if self.making:
            one = self.making.pop(data.draw(st.integers(0, len(self.making) - 1)))
            wanted = self.queue.end(one)
            assert wanted
            assert self.queue.end(one) is None
            self._out(one.kind, wanted)
            self.queue.free(one)

    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        alarm = f"A{data.draw(st.integers(1, max(self.number, 1)))}"
        waiting = {kind for kind in Kind if self.inside[kind, alarm]}
        making = {one.kind for one in self.making if any(wanted.alarm == alarm for wanted in one.wanted)}
        assert self.queue.withdraw(alarm) == len(waiting - making)
        for kind in waiting - making:
            del self.inside[kind, alarm]

    def _out(self, kind: Kind, wanted: list[Wanted]) -> None:
        assert len(wanted) <= SHARED
        for one in wanted:
            assert self.inside.pop((kind, one.alarm)) == 1

    @invariant()
    def bounded(self) -> None:
        sizes = self.queue.sizes()
        assert sizes["clips_waiting"] <= WAITING
        assert sizes["snapshots_waiting"] <= WAITING
        assert sizes["clips_being_made"] + sizes["snapshots_being_made"] == len(self.making) <= 2 * AT_ONCE

    def teardown(self) -> None:
        for one in self.queue.drain():
            self._out(one.kind, one.wanted)
        for one in self.making:
            self._out(one.kind, one.wanted)
        assert not +self.inside


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=60, stateful_step_count=40)


def test_severity_1_is_next_however_much_waits() -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print("seed", seed)
    numbers = random.Random(seed)
    queue = ClipQueue(max_waiting=100, max_at_once=8)
    lost = 0
    for n in range(10_000):
        wanted = Wanted(f"A{n}", 1, numbers.choice((2, 3)))
        answer = queue.add(piece(Kind.CLIP, n, 0, wanted), 0)
        lost += len(answer.out) + (not answer.taken)
    assert lost == 9_900
    for n in range(20):
        assert queue.add(piece(Kind.CLIP, 20_000 + n, 0, Wanted(f"S{n}", 1, 1)), 0).taken
    made: list[Piece] = []
    while (found := queue.next(Kind.CLIP, 0)) is not None:
        made.append(found)
    assert [one.severity for one in made] == [1] * 8
    for one in made:
        assert queue.end(one)
        queue.free(one)
    while (found := queue.next(Kind.CLIP, 0)) is not None:
        made.append(found)
    assert [one.severity for one in made] == [1] * 16
    assert queue.sizes() == {
        "snapshots_waiting": 0,
        "clips_waiting": 84,
        "snapshots_being_made": 0,
        "clips_being_made": 8,
    }
