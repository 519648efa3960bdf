"""Any walk of people, readers, clocks, crashes and restarts: nothing is read without another's word, and none too often."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import closing
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from model.approval import Approval, ApprovalState, digest_of, expire, grant, refuse, review, standing, use
from model.clock import FakeClock, SystemClock
from model.errors import Conflict, Refused
from model.role import Role
from store.approvals.store import ApprovalStore

T0 = 1_795_334_400_000
PROJECT = Path(__file__).parents[3]
PEOPLE = ("li", "wang", "zhao")
HOUR_S = 3_600


def draft(who: str, what: int, now_ms: int, state: ApprovalState) -> Approval:
    asked = {"what": what}
    return Approval(
        "", who, "operator", "replay", asked, digest_of("replay", asked), 60, T0 - 5, T0, "vehicles", "test", "why",
        state, 0, now_ms, now_ms + HOUR_S * 1_000,
    )  # fmt: skip


class StoreMachine(RuleBasedStateMachine):
    """One store, restarted at will. A read happens only after its use is durable."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = FakeClock(T0)
        self.last: dict[str, Approval] = {}
        self.reads: Counter[str] = Counter()
        self.granted: dict[str, tuple[str, int, int]] = {}  # by whom, how often, until when
        self.store = self._open()

    def _open(self) -> ApprovalStore:
        return ApprovalStore(Path(self.folder.name) / "approvals.db", clock=self.clock)

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()

    @rule(who=st.sampled_from(PEOPLE), what=st.integers(0, 2))
    def ask(self, who: str, what: int) -> None:
        now = self.clock.now_ms()
        waiting = [one for one in self.last.values() if one.by == who and standing(one, now) is ApprovalState.ASKED]
        same = [
            one.id
            for one in self.last.values()
            if one.by == who and one.asked == {"what": what}
            and standing(one, now) in (ApprovalState.ASKED, ApprovalState.GRANTED)
        ]  # fmt: skip
        try:
            made = self.store.ask(draft(who, what, now, ApprovalState.ASKED), max_open=2)
        except Refused:
            assert len(waiting) == 2
            return
        assert [made.id] == same if same else made.id not in self.last
        self.last[made.id] = made

    @rule(who=st.sampled_from(PEOPLE))
    def break_the_glass(self, who: str) -> None:
        now = self.clock.now_ms()
        broken = [one for one in self.last.values() if one.state is ApprovalState.BROKEN]
        try:
            made = self.store.break_glass(draft(who, 9, now, ApprovalState.BROKEN), max_unreviewed=2)
        except Refused:
            assert any(now >= one.expires_ms for one in broken) or sum(one.by == who for one in broken) == 2
            return
        assert all(now < one.expires_ms for one in broken)
        self.last[made.id] = made

    @rule(
        pick=st.integers(0, 30),
        who=st.sampled_from(PEOPLE),
        role=st.sampled_from([Role.APPROVER, Role.SUPERVISOR, Role.OFFICER, Role.OPERATOR]),
        how=st.sampled_from(["grant", "refuse", "review", "expire"]),
        stale=st.booleans(),
    )
    def somebody_decides(self, pick: int, who: str, role: Role, how: str, stale: bool) -> None:
        if not self.last:
            return
        one = list(self.last.values())[pick % len(self.last)]
        now = self.clock.now_ms()
        try:
            if how == "grant":
                after = grant(one, who, role, now, valid_ms=HOUR_S * 1_000, uses=2)
            elif how == "refuse":
                after = refuse(one, who, role, now, "no")
            elif how == "review":
                after = review(one, who, role, now, "seen", justified=False)
            else:
                after = expire(one, now)
        except Refused:
            return
        if how in ("grant", "review"):
            assert who != one.by
            assert role in (Role.APPROVER, Role.SUPERVISOR)
        if how == "grant":
            self.granted[one.id] = (who, 2, now + HOUR_S * 1_000)
        self.last[one.id] = self.store.step(one, after)
        if stale:
            try:
                self.store.step(one, after)
            except Conflict:
                return
            raise AssertionError("a step from an old version went through")

    @rule(pick=st.integers(0, 30), who=st.sampled_from(PEOPLE), what=st.integers(0, 2), crash=st.booleans())
    def somebody_reads(self, pick: int, who: str, what: int, crash: bool) -> None:
        if not self.last:
            return
        one = self.store.get(list(self.last)[pick % len(self.last)])
        now = self.clock.now_ms()
        try:
            after = use(one, who, Role.OPERATOR, digest_of("replay", {"what": what}), "test", now)
        except Refused:
            return
        self.last[one.id] = self.store.step(one, after)
        if crash:  # counted, and the process dies before it reads
            self.restart()
            return
        by, uses, until_ms = self.granted[one.id]
        assert by != who == one.by
        assert one.asked == {"what": what}
        assert now < until_ms
        self.reads[one.id] += 1
        assert self.reads[one.id] <= uses

    @rule(seconds=st.sampled_from([1, 600, HOUR_S]))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule(back_s=st.sampled_from([10, HOUR_S]))
    def the_clock_is_set_back(self, back_s: int) -> None:
        self.clock.step_wall(-back_s * 1_000)

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.store = self._open()

    @invariant()
    def holding(self) -> None:
        assert {one.id: one for one in self.store.list(limit=1_000)} == self.last, "a change was lost"
        counts = self.store.counts()
        assert counts["unreviewed"] == sum(one.state is ApprovalState.BROKEN for one in self.last.values())
        now = self.clock.now_ms()
        assert counts["waiting"] == sum(standing(one, now) is ApprovalState.ASKED for one in self.last.values())


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(
    max_examples=20, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)

#: Grants what waits and uses what is granted, and says what it was told is done: whoever hears that may rely on it.
_WORKER = """
import os, sys
from pathlib import Path
from model.approval import ApprovalState, grant, use
from model.clock import SystemClock
from model.role import Role
from store.approvals.store import ApprovalStore

clock = SystemClock()
store = ApprovalStore(Path(sys.argv[1]), clock=clock)
for one in reversed(store.list(limit=1_000)):
    if one.state is ApprovalState.ASKED:
        one = store.step(one, grant(one, "wang", Role.APPROVER, clock.now_ms(), valid_ms=3_600_000, uses=2))
        os.write(1, f"granted {one.id}\\n".encode())
    if one.state is ApprovalState.GRANTED:
        one = store.step(one, use(one, "li", Role.OPERATOR, one.digest, one.purpose, clock.now_ms()))
        os.write(1, f"used {one.id} {one.uses}\\n".encode())
"""


def test_killed_at_any_moment_what_was_told_is_kept(tmp_path: Path) -> None:
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    chance = random.Random(seed)
    path, clock = tmp_path / "approvals.db", SystemClock()
    with closing(ApprovalStore(path, clock=clock)) as store:
        for what in range(40):
            store.ask(draft("li", what, clock.now_ms(), ApprovalState.ASKED), max_open=100)
    told: list[list[str]] = []
    for _ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", _WORKER, str(path)],
            stdout=subprocess.PIPE,
            cwd=PROJECT,
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
        )
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(chance.randrange(1, 12))]
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.readlines()
        told += [line.decode().split() for line in lines if line.endswith(b"\n")]
        process.wait(30)
        process.stdout.close()
    assert told
    with closing(ApprovalStore(path, clock=clock)) as store:
        for said, name, *uses in told:
            kept = store.get(name)
            assert kept.decided_by == "wang"
            if said == "used":
                assert kept.uses >= int(uses[0])
        assert all(one.uses <= 2 for one in store.list(limit=1_000))
        assert store.check() == []
